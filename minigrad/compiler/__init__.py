"""The compiler: a function run once, written down, simplified, planned, and written out as NumPy source."""
