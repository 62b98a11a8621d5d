"""The checks: independent ways to one gradient, what a layer has to keep, and why a gradient is wrong."""
