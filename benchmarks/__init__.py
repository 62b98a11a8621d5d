"""What minigrad costs beside hand-written NumPy and beside the bare calls: ``python -m benchmarks``."""
