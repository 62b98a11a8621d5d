import signal

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell starts with it ignored
