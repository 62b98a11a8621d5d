"""Imports run one way: no circle of files, and nothing in a lower wing knows a higher one."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WINGS = [
    {"rules"},
    {"engine", "files", "extras", "cifar_pickle", "cifar10_files"},
    {"layers", "pictures"},
    {"compiler.where", "compiler.locks"},
    {"compiler.ir"},
    {"compiler.tracing", "compiler.rewriting"},
    {"compiler.environment"},
    {"compiler.emitting"},
    {"compiler.run", "compiler.program", "compiler.recompilation"},
    {"compiler", "compiler.jit"},
    {"checks"},
    {"gradient_check", "optim", "preprocess", "datasets", "census"},
    {"testing", "training", "solver"},
    {"sweeping", "sweep"},
    {"vis"},
]
"""The wings and doors of minigrad/, and the compiler's rooms, from the ground up: each imports only what is below."""


def module(path):
    """The dotted name of a file below the root."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module(path): path for part in ("minigrad", "models") for path in ROOT.glob(f"{part}/**/*.py")}


def imported(name, text):
    """The modules that the source of a module imports, at its top or inside a function."""
    package = name if FILES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in FILES else base


def graph():
    """Which files of ours each file imports."""
    return {
        name: {other for other in imported(name, path.read_text()) if other in FILES and other != name}
        for name, path in FILES.items()
    }


def height(name):
    """The place of a file of minigrad in the list of wings."""
    wing, *rooms = name.split(".")[1:]
    place = ".".join([wing, *rooms[:1]]) if wing == "compiler" else wing
    (found,) = [i for i, wings in enumerate(WINGS) if place in wings]
    return found


def upward(imports):
    """The imports that lead to a higher wing, or to the package itself from a wing below its users."""
    arrows = [(name, other) for name, others in imports.items() for other in others]
    inside = [(a, b) for a, b in arrows if a.startswith("minigrad.") and b.startswith("minigrad.")]
    return [(a, b) for a, b in inside if height(a) < height(b)]


def test_no_circle_of_files():
    try:
        list(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_no_import_of_a_higher_wing():
    assert upward(graph()) == []


def test_the_library_does_not_import_the_models():
    assert [
        (name, other)
        for name, others in graph().items()
        for other in others
        if name.startswith("minigrad") and other.startswith("models")
    ] == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("minigrad.engine.walk", "from ..compiler.jit import jit"),
        ("minigrad.rules.table", "def f():\n    from minigrad.engine import tensor"),
        ("minigrad.engine.arrays", "import minigrad.layers"),
        ("minigrad.compiler.tracing.trace", "from ..environment import places"),
    ],
)
def test_an_import_of_a_higher_wing_is_found(name, line):
    assert upward({name: {other for other in imported(name, line) if other in FILES}})
