"""Whose a class or a module is: what is a library's is taken to be constant, what is the program's is followed."""

import sys
import types

import numpy as np
import pytest

import minigrad as mg

STATE = """
import numpy as np

class State:
    def __init__(self):
        self.w, self.scale = np.ones(3), 2.0

    def step(self, x):
        self.w = 0.5 * self.w + x
        return self.w * self.scale

state = State()

def step(x):
    return state.step(x)
"""


def of_the_same_name_as_a_standard_module(monkeypatch, tmp_path):
    module = types.ModuleType("queue")
    module.__file__ = str(tmp_path / "queue.py")
    monkeypatch.setitem(sys.modules, "queue", module)
    return vars(module)


def without_a_name(monkeypatch, tmp_path):
    return {}


@pytest.mark.parametrize("place", [of_the_same_name_as_a_standard_module, without_a_name])
def test_state_of_the_programs_own_is_followed(place, monkeypatch, tmp_path):
    """Whatever its module is called; what is made by ``exec`` may have none."""
    namespace = place(monkeypatch, tmp_path)
    exec(STATE, namespace)
    state, x, w = namespace["state"], np.arange(3.0), np.ones(3)
    compiled = mg.jit(namespace["step"])
    for scale in (2.0, 2.0, 3.0):
        state.scale = scale
        w = 0.5 * w + x
        np.testing.assert_array_equal(compiled(x), w * scale)
        np.testing.assert_array_equal(state.w, w)
