"""README does what it says."""

import re
from pathlib import Path

import numpy as np

import minigrad as mg

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_code_runs_from_top_to_bottom(capsys):
    np.random.seed(0)
    namespace = {"np": np, "mg": mg}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(block, namespace)
    printed = capsys.readouterr().out
    table = re.search(r"```\n(    op .*?)```", README, re.DOTALL).group(1)
    assert printed.startswith(table)
    assert "gradient of input 0 is wrong at index" in printed


def test_the_values_in_comments_are_right():
    namespace = {"np": np, "mg": mg}
    (fill,) = re.findall(r"```python\n(def running_sum.*?)```", README, re.DOTALL)
    exec(fill, namespace)
    np.testing.assert_array_equal(mg.grad(namespace["running_sum"])(np.array([1.0, 2.0, 3.0])), [20, 18, 12])
    assert mg.grad(mg.grad(lambda x: x**3))(2.0) == 12


def test_the_net_is_the_models():
    source = (Path(__file__).parents[1] / "models" / "two_layer_net.py").read_text(encoding="utf-8")
    (net,) = re.findall(r"```python\n(def scores.*?)```", README, re.DOTALL)
    for line in net.splitlines():
        if "mg." in line and "softmax" not in line:
            assert line in source
