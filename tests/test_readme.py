"""README and CONTRIBUTING do what they say.

README's shell blocks are run by ``.ci/run``, in a fresh copy and a fresh environment.
"""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import layers
from minigrad.gradient_check import check_grads, check_layer
from minigrad.rules import OPS, elementwise

ROOT = Path(__file__).parents[1]


def blocks(text):
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(README)


def test_every_block_is_run_or_compared():
    assert {language for language, _ in BLOCKS} == {"python", "sh", ""}
    assert BLOCKS[0][0] != ""


def test_the_code_runs_from_top_to_bottom_and_prints_what_is_shown(capsys, monkeypatch, tmp_path):
    np.random.seed(0)
    monkeypatch.chdir(tmp_path)  # for the checkpoint
    namespace = {"__name__": "__main__"}
    for (language, code), (following, shown) in zip(BLOCKS, [*BLOCKS[1:], ("end", "")], strict=True):
        if language == "python":
            exec(code, namespace)
            printed = capsys.readouterr().out
            if following == "":
                assert printed == shown
            for expression, least in re.findall(r"^(\S.*?)  # above ([\d.]+)$", code, re.MULTILINE):
                assert eval(expression, namespace) > float(least)
            for expression, value in re.findall(r"^(\S.*?)  # (array\(.*\))$", code, re.MULTILINE):
                assert repr(eval(expression, namespace)) == value


def test_what_it_names_is_there():
    for name in re.findall(r"`mg\.(\w+)|\bmg\.(\w+)\(", README):
        assert hasattr(mg, "".join(name)), name
    for link in re.findall(r"\]\((?!https:)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_net_is_the_models():
    source = (ROOT / "models" / "two_layer_net" / "__init__.py").read_text(encoding="utf-8")
    (net,) = (code for language, code in BLOCKS if code.startswith("def scores"))
    for line in net.splitlines():
        if "mg." in line and "softmax" not in line:
            assert line in source


WINGS = (
    *(
        "engine",
        "compiler",
        "compiler/tracing",
        "compiler/rewriting",
        "compiler/environment",
        "compiler/emitting",
    ),
    *("checks", "testing", "training", "optim", "sweeping"),
)
"""The wings whose files the table in CONTRIBUTING names; those of the others are one a kind."""


@pytest.mark.parametrize("wing", WINGS)
def test_the_house_names_every_file(wing):
    (row,) = (line for line in CONTRIBUTING.splitlines() if line.startswith("|") and f"`{wing}/`" in line)
    files = {path.stem for path in (ROOT / "minigrad" / wing).glob("*.py")} - {"__init__"}
    assert files <= set(re.findall(r"`(\w+)`", row))


def test_an_op_and_a_layer_are_added_as_contributing_says(monkeypatch):
    op, layer = (code for language, code in blocks(CONTRIBUTING) if language == "python")
    monkeypatch.setitem(OPS, np.arcsinh, None)
    monkeypatch.setitem(layers.LAYERS, "leaky_relu", None)
    x = np.random.default_rng(0).standard_normal((3, 4))
    exec(op, dict(vars(elementwise)))
    check_grads(np.arcsinh, x, order=2)
    exec(layer, namespace := dict(vars(importlib.import_module("minigrad.layers.affine"))))
    check_layer(namespace["leaky_relu"], x, slope=0.1)
    assert layers.LAYERS["leaky_relu"] is namespace["leaky_relu"]
