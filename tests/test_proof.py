"""``python -m minigrad.gradient_check``: the whole registry, checked."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.checks import proof
from minigrad.gradient_check import GradientMismatch
from minigrad.layers import LAYERS, Layer
from minigrad.rules import OPS


def test_every_rule_and_layer_has_a_line(capsys, monkeypatch):
    monkeypatch.setattr(proof, "CASES", 2)
    proof.main()
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["op", "cases", "ulps", "ways"]
    names = [line.split()[0] for line in lines]
    assert sorted(names) == sorted([*(op.name for op in set(OPS.values()) if op.inputs), *LAYERS])
    assert all(line.split()[1] == "2" and "finite differences" in line for line in lines)
    assert all(float(line.split()[2]) < 256 for line in lines)


def test_a_wrong_layer_is_found():
    wrong = Layer(
        lambda x: (x**3, x), lambda dout, x: 2 * dout * x**2, "cube", lambda draw: ((draw.array((3,)),), {})
    )
    with pytest.raises(GradientMismatch, match="input 0"):
        proof.check_entry(wrong, seed=0)


def test_a_wrong_rule_is_found(monkeypatch):
    op = OPS[np.sin]
    monkeypatch.setattr(op, "rules", (lambda g, out, x: g * out,))
    with pytest.raises(GradientMismatch):
        for seed in range(3):
            proof.check_entry(op, seed)


def test_draws_are_as_asked_for():
    draw = proof.RandomDraw(0)
    for _ in range(50):
        shapes = draw.broadcastable(3)
        np.broadcast_shapes(*shapes)
        assert 1 <= len(draw.shape(1, 2, 1)) <= 2 and 0 not in draw.shape(1, 2, 1)
        x = draw.array((2, 3), 1.0, 2.0)
        assert x.shape == (2, 3) and x.min() >= 1 and x.max() <= 2
        assert draw.choice("abc") in "abc"
    assert mg.sigmoid in OPS
