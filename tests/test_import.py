"""``import minigrad`` imports NumPy, and nothing heavy; the compiler, the layers and the pictures lazily."""

import subprocess
import sys

import pytest

import minigrad as mg


def imported(code):
    """The modules that code imports in a fresh process, beside NumPy's."""
    code = f"import sys, numpy; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_the_import_is_light():
    heavy = {
        "tqdm",
        "matplotlib",
        "hypothesis",
        "pooch",
        "scipy",
        "email",
        "http",
        "urllib.request",
        "xml",
        "asyncio",
        "tempfile",
        "zipfile",
        "hashlib",
        "random",
    }
    new = imported("import minigrad")
    assert not new & heavy
    lazily = ("minigrad.compiler", "minigrad.layers", "minigrad.pictures")
    assert not [name for name in new if name.startswith(lazily)]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("jit", "compiler.jit"),
        ("JitError", "compiler.where"),
        ("tape", "pictures.tape"),
        ("draw_tape", "pictures.tape"),
        ("affine", "layers.affine"),
        ("layers", "layers"),
    ],
)
def test_what_is_imported_lazily_is_there(name, module):
    assert "minigrad." + module in imported(f"from minigrad import {name}")
    assert "minigrad." + module in imported(f"import minigrad; minigrad.{name}")


def test_the_names_are_listed_before_they_are_used():
    imported("import minigrad; assert {*minigrad.__all__} <= {*dir(minigrad)}")


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'minigrad' has no attribute 'nothing'"):
        mg.nothing  # noqa: B018
