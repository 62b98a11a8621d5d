"""What one builds with minigrad, to read and to copy."""
