"""The memory of each value, and the Python source of a program."""
