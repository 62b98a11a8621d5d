"""The checks: independent ways to one gradient, a layer's contracts, and diagnoses."""
