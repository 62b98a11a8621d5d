"""Models built with minigrad, to read and to copy."""
