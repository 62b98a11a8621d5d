"""The engine: what an array is, how calls are recorded and walked back, tensors, layers and derivatives."""
