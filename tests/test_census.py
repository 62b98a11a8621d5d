"""Every public name of NumPy is known to the census."""

import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import census
from minigrad.rules import OPS, facts


def test_every_name_is_known():
    unknown = [row.name for row in census.census() if row.kind == "unknown"]
    assert not unknown, f"say in minigrad/rules/without_gradient.py what these are: {unknown}"


def test_a_name_that_is_not_known_is_found(monkeypatch):
    monkeypatch.setattr(np, "brand_new", lambda x: x, raising=False)
    assert census.Row("numpy.brand_new", "unknown") in census.census()


def test_what_has_no_gradient_says_why():
    for row in census.census():
        assert row.kind in census.KINDS
        assert row.why or row.kind in ("rule", "composed", "unknown"), row
        assert row.instead or row.kind not in ("none", "in place"), row


def test_a_function_that_has_a_rule_is_not_called_constant():
    for function in OPS:
        known = facts(function)
        assert not (known.constant or known.discrete or known.no_gradient), function


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("numpy.exp", "rule"),
        ("numpy.block", "composed"),
        ("numpy.sign", "constant"),
        ("numpy.argmax", "constant"),
        ("numpy.put", "composed"),
        ("numpy.unique", "none"),
        ("numpy.add.reduce", "composed"),
        ("numpy.add.at", "composed"),
        ("numpy.multiply.at", "in place"),
        ("numpy.greater.outer", "constant"),
        ("numpy.ndarray.sum", "rule"),
        ("numpy.ndarray.T", "composed"),
        ("numpy.ndarray.sort", "composed"),
        ("numpy.ndarray.resize", "in place"),
        ("numpy.ndarray.fill", "composed"),
        ("numpy.ndarray.shape", "constant"),
    ],
)
def test_kinds(name, kind):
    (row,) = [row for row in census.census() if row.name == name]
    assert row.kind == kind


def test_the_error_names_the_function_in_full_and_what_to_write():
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=r"numpy\.unique has no backward rule.*t\[indices\]"):
        np.unique(t)
    with pytest.raises(TypeError, match=r"numpy\.histogram has no backward rule"):
        np.histogram(t)


def test_it_is_printed():
    done = subprocess.run(
        [sys.executable, "-m", "minigrad.census"], capture_output=True, text=True, check=True
    )
    assert "numpy.hstack" in done.stdout
    assert "has a backward rule" in done.stdout
