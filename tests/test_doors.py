"""Each door's ``import *`` brings its public names alone."""

import importlib

import pytest

NAMES = "gradient_check layers optim solver sweep training datasets preprocess vis testing"
DOORS = ["minigrad", *(f"minigrad.{name}" for name in NAMES.split())]


@pytest.mark.parametrize("door", DOORS)
def test_all_brings_what_is_public(door):
    module = importlib.import_module(door)
    namespace = {}
    exec(f"from {door} import *", namespace)
    del namespace["__builtins__"]
    assert set(namespace) == set(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))
    for name in ("Any", "Callable", "NDArray", "Sequence", "annotations", "np"):
        assert name not in namespace
