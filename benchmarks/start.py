"""Startup: the import, and the first call of each contestant, with its capture or compilation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from . import peers
from .contestants import CONTESTANTS
from .measure import Case, Step
from .problem import Make, make_problem

ROOT = Path(__file__).parents[1]


def cases() -> Iterator[Case]:
    """Make the cases."""
    yield imports(["numpy", "minigrad", *peers.present()])
    makes = {name: make for name, make in CONTESTANTS.items() if name.startswith(("tape", "jit"))}
    yield first_step(makes | peers.present(), 200, (3072, 100))


def imports(modules: list[str]) -> Case:
    """Let a fresh interpreter import each module, compiled as after its first import; NumPy's is the least."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    def importing(module: str) -> Step:
        command = [sys.executable, "-c", f"import {module}"]
        return partial(subprocess.run, command, cwd=ROOT, env=env, check=True)

    steps = {module: importing(module) for module in modules}
    return Case("import, in a fresh process", steps, ("numpy",), in_children=True)


def first_step(makes: dict[str, Make], n: int, dims: tuple[int, ...]) -> Case:
    """Let each be made and take its first step: an eager one, or the capture or compilation with it."""
    problem = make_problem(n, dims, "float32")

    def first(make: Make) -> Any:
        return make(problem).step()

    steps = {name: partial(first, make) for name, make in makes.items()}
    name = f"first step, made anew, N={n}, {'-'.join(map(str, dims))}-10, float32"
    return Case(name, steps, ("tape",))
