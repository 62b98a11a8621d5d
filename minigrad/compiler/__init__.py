"""The compiler: trace a function once, rewrite the trace, assign memory, and emit NumPy source."""
