import os
import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite", max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

# Before NumPy is imported, and for the processes that tests start: those of pytest -n have a core each, and the threads
# of a BLAS that share it wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell starts with it ignored
