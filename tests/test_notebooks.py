"""The notebooks run from top to bottom on a fresh kernel, without an error or a warning."""

import re
import warnings
from pathlib import Path

import matplotlib.font_manager  # noqa: F401, makes the font cache, which a kernel would tell on stderr
import nbformat
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, monkeypatch):
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    notebook = nbformat.read(path, as_version=4)
    committed = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    assert len(committed) >= 5
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.text
            for kind, content in output.get("data", {}).items():
                assert kind != "image/png" or len(content) < 4 / 3 * 100_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_outputs_are_of_a_run_from_the_top(path):
    cells = nbformat.read(path, as_version=4).cells
    counts = [cell.execution_count for cell in cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|Users)/", text)


def test_the_pictures_of_the_readme():
    from notebooks.pictures.make import HERE, two_layer_net

    committed = (HERE / "two_layer_net.svg").read_text(encoding="utf-8")
    assert committed == two_layer_net().svg, "make it again: python -m notebooks.pictures.make"
    png = (HERE / "first_layer.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert len(png) < 100_000
