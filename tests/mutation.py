"""How good are the tests of the gradients: break every backward rule and layer on purpose, and see who notices.

    python -m tests.mutation                  every mutant; those that survive are listed
    python -m tests.mutation --sample 40      so many of them, the same each time

A mutant is one small change in one rule: a sign, a factor, a dropped term or sum, another axis, swapped
operands, ``>=`` for ``>``, a missing mask, another index. It is killed if a test of the registry fails: first the
properties of what it is part of, in this process, and, for what survives them, test files; or if it does not end.
Mutants that compute the same numbers are listed, with the reason, in mutation_equivalent.txt.
"""

from __future__ import annotations

import argparse
import ast
import copy
import dis
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent))
import test_complex_numbers
import test_layers
import test_rules

from minigrad.compiler.numpy_calls import CALLS
from minigrad.layers import LAYERS
from minigrad.rules import table
from minigrad.rules.facts import facts, state

ROOT = Path(__file__).parents[1]
NO_RULES = {"__init__", "table", "facts", "metadata", "custom", "complex_numbers", "without_gradient"}
NO_RULES |= {"lookup", "ufunc_methods"}  # which are of no function in the table
FILES = [
    f"minigrad/rules/{path.name}"
    for path in sorted((ROOT / "minigrad/rules").glob("*.py"))
    if path.stem not in NO_RULES
]
FILES += [f"minigrad/layers/{name}.py" for name in ("affine", "losses", "penalty")]
EQUIVALENT = Path(__file__).with_name("mutation_equivalent.txt")
NOT_RULES = {"within", "inputs", "layer", "dispatcher", "__init__", "__call__", "__repr__"}
NOT_RULES |= {"as_floats", "_weight", "cache_on_tape", "gradients", "_checked_labels", "lstsq", "begun_at"}
NOT_RULES |= {"_dense", "_fewest_multiplications"}  # on which the speed alone depends
LIMIT = 60
"""Seconds of the processor after which a mutant counts as one that does not end; a test file has ten times as many."""


class Mutant(NamedTuple):
    """One change: in which function of which file, what was there, what is there now, and which of equal ones it is."""

    file: str
    function: str
    before: str
    after: str
    number: int

    def __str__(self) -> str:
        which = f" ({self.number})" if self.number > 1 else ""
        return f"{self.file}: {self.function}: {self.before}  ->  {self.after}{which}"


# -- the changes -------------------------------------------------------------------------------------------------


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Make what may stand wrongly in the place of a node."""
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub(), right):
            yield left
            yield right
            yield ast.BinOp(left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), right)
        case ast.BinOp(left, ast.Mult(), right):
            yield left
            yield right
            yield ast.BinOp(left, ast.Div(), right)
        case ast.BinOp(left, ast.Div(), right):
            yield left
            yield ast.BinOp(left, ast.Mult(), right)
        case ast.BinOp(left, ast.MatMult(), right):
            yield ast.BinOp(right, ast.MatMult(), left)
        case ast.BinOp(left, ast.Pow(), right):
            yield left
        case ast.UnaryOp(ast.USub(), operand):
            yield operand
        case ast.Compare(left, [op], [right]) if type(op) in OTHER_COMPARISONS:
            for other in OTHER_COMPARISONS[type(op)]:
                yield ast.Compare(left, [other()], [right])
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.Constant(float() as value):
            yield ast.Constant(value * 2)
        case ast.Call(ast.Attribute(ast.Name("np"), name), args, keywords):
            if name in ("sum", "swapaxes", "transpose", "moveaxis", "flip", "cumsum", "expand_dims", "where"):
                yield args[1] if name == "where" and len(args) == 3 else args[0]
            if name in OTHER_FUNCTIONS:
                yield ast.Call(ast.Attribute(ast.Name("np"), OTHER_FUNCTIONS[name]), args, keywords)
        case ast.Call(ast.Attribute(value, "sum" | "reshape" | "copy"), _, _):
            yield value
        case ast.Attribute(value, "T"):
            yield value
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse


OTHER_COMPARISONS = {
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
OTHER_FUNCTIONS = {
    "greater": "greater_equal",
    "less": "less_equal",
    "cos": "sin",
    "sin": "cos",
    "cosh": "sinh",
}
OTHER_FUNCTIONS |= {
    "sinh": "cosh",
    "zeros_like": "ones_like",
    "ones_like": "zeros_like",
    "max": "min",
    "cumprod": "cumsum",
}


def results(function: ast.AST) -> Iterator[ast.AST]:
    """Find the expressions that a function returns, each by itself."""
    if isinstance(function, ast.Lambda):
        yield function.body
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield from node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]


def rules_in(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Find the functions that rules are made of, by name; a lambda's is that of the function it is the rule of."""
    inner = {
        id(each)
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef)
        for s in f.body
        for each in ast.walk(s)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name not in NOT_RULES and id(node) not in inner:
            names = [argument.arg for argument in node.args.args]
            if "draw" not in names and not node.name.endswith("_inputs") and node.name != "_index":
                yield node.name, node
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "declare":
            for argument in node.args[1:]:
                if isinstance(argument, ast.Lambda):
                    yield ast.unparse(node.args[0]), argument


def mutate(file: str) -> Iterator[tuple[Mutant, Callable[[], str]]]:
    """Make all mutants of a file, each with what makes its source."""
    tree = ast.parse((ROOT / file).read_text())
    for node in ast.walk(tree):  # docstrings are no code
        if (
            isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    numbers: Counter[tuple[str, str, str]] = Counter()
    for name, function in rules_in(tree):
        whole = [(node, change) for node in results(function) for change in scaled(node)]
        body = function.body if isinstance(function.body, list) else [function.body]
        nodes = [node for part in body for node in ast.walk(part)]
        stated = {id(node.value) for node in nodes if isinstance(node, ast.keyword) and node.arg == "strict"}
        parts = [(node, change) for node in nodes if id(node) not in stated for change in changes(node)]
        for node, change in whole + parts:
            before, after = ast.unparse(node), ast.unparse(change)
            if before == after:
                continue
            numbers[name, before, after] += 1
            mutant = Mutant(file, name, before, after, numbers[name, before, after])
            yield mutant, partial(changed, tree, node, copy.deepcopy(change))


def changed(tree: ast.Module, node: ast.AST, change: ast.AST) -> str:
    """Return the source of a file with a node changed."""
    kept = node.__dict__, type(node)
    node.__class__, node.__dict__ = type(change), change.__dict__
    source = ast.unparse(ast.fix_missing_locations(tree))
    node.__dict__, node.__class__ = kept
    return source


def scaled(node: ast.AST) -> Iterator[ast.AST]:
    """Make a result of the wrong sign or size."""
    if isinstance(node, ast.Constant):
        return
    kept = copy.deepcopy(node)
    yield ast.UnaryOp(ast.USub(), kept)
    yield ast.BinOp(kept, ast.Mult(), ast.Constant(2))
    yield ast.BinOp(kept, ast.Mult(), ast.Constant(0.5))


# -- who notices -------------------------------------------------------------------------------------------------


def loaded(file: str, source: str) -> types.ModuleType:
    """Run a file's changed source as a module of its own; what it declares takes the place of what was there."""
    name = file.removesuffix(".py").replace("/", ".")
    module = types.ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    module.__file__ = str(ROOT / file)
    exec(compile(source, file, "exec"), module.__dict__)
    right = importlib.import_module(name)
    for each, function in vars(module).items():
        if isinstance(function, types.FunctionType):
            known = getattr(right, each, None)
            state(function, complex_numbers=facts(known).complex_numbers)  # which another file states
            if known in CALLS:
                CALLS[function] = CALLS[known]
    return module


@lru_cache(maxsize=4096)
def mentioned(code: types.CodeType) -> set[str]:
    """Find the global names that a function's code mentions, or that of a function in it."""
    found = {each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL"}
    return found.union(*(mentioned(each) for each in code.co_consts if isinstance(each, types.CodeType)))


def parts_of(function: object) -> list[types.FunctionType]:
    """Find a function and those it is made of: what it wraps, and what it is a closure over."""
    found, left = [], [function]
    while left:
        part = left.pop()
        if isinstance(part, types.FunctionType) and part not in found:
            found.append(part)
            left += [cell.cell_contents for cell in part.__closure__ or ()]
    return found


def suspects(mutant: Mutant, modules: Sequence[types.ModuleType], ops: Sequence[object]) -> list[object]:
    """Find the ops that a changed function is part of, through the functions of some modules."""
    functions = [f for module in modules for f in vars(module).values() if isinstance(f, types.FunctionType)]
    names = {mutant.function.rpartition(".")[2]}
    while (
        more := {
            f.__name__ for f in functions if any(names & mentioned(part.__code__) for part in parts_of(f))
        }
        - names
    ):
        names |= more
    found = []
    for op in ops:
        rules = [*getattr(op, "rules", ()), getattr(op, "together", None), getattr(op, "own_bind", None)]
        parts = [part for rule in (op.forward, *rules) for part in parts_of(rule)]
        made_by = {part.__qualname__.partition(".")[0] for part in parts}
        if op.name in names or names & made_by or any(names & mentioned(part.__code__) for part in parts):
            found.append(op)
    return found


@contextmanager
def limited() -> Iterator[None]:
    """Raise TimeoutError in what does not end."""

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT, 1)  # again, where it is raised in vain, as in a destructor
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


@contextmanager
def in_place(module: types.ModuleType) -> Iterator[list[types.ModuleType]]:
    """Let all modules of minigrad use the functions of a changed one; return those that have rules."""
    right = vars(importlib.import_module(module.__name__))
    every = [each for name, each in list(sys.modules.items()) if name.startswith("minigrad.")]
    kept = [
        (vars(each), name, function)
        for each in every
        for name, function in vars(each).items()
        if isinstance(function, types.FunctionType)
        and function is right.get(function.__name__)
        and each.__name__ != module.__name__
    ]
    try:
        for names, name, function in kept:
            names[name] = vars(module)[function.__name__]
        yield [module, *(each for each in every if each.__name__.startswith("minigrad.rules."))]
    finally:
        for names, name, function in kept:
            names[name] = function


def properties(tests: types.ModuleType, parameter: str) -> list[Callable[..., None]]:
    """Return the property tests in a test file that are run for every op or layer."""
    return [
        test
        for test in vars(tests).values()
        if hasattr(test, "hypothesis")
        and any(mark.args[0] == parameter for mark in getattr(test, "pytestmark", []))
    ]


OF_OPS, OF_LAYERS = properties(test_rules, "op"), properties(test_layers, "layer")
OF_COMPLEX, _, OF_COMPOSED = properties(test_complex_numbers, "op")


def hold(suspect: object, examples: int) -> None:
    """Run the properties of an op or a layer; the first, of its gradients, on so many inputs, the others on fewer."""
    if hasattr(suspect, "cache_on_tape"):
        tests = OF_LAYERS
    elif isinstance(suspect, table.Composite):
        tests = [*OF_OPS, OF_COMPOSED]
    elif suspect.complex_numbers and suspect.function not in test_complex_numbers.OF_REAL_SIGNALS:
        tests = [*OF_OPS, OF_COMPLEX]
    else:
        tests = OF_OPS
    for test in tests:
        run(test, suspect, examples if test is tests[0] else -(-examples // 3))


def run(test: Callable[..., None], suspect: object, examples: int) -> None:
    """Run a property test, without looking for the smallest input where it fails."""

    @settings(
        phases=[Phase.generate],
        max_examples=examples,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def holds(data):
        test.hypothesis.inner_test(suspect, data)

    holds()


def unnoticed(mutant: Mutant, source: str, examples: int = 24) -> list[str]:
    """Return the names of the ops and layers whose properties hold for a mutant; none, if one does not."""
    ops, layers = dict(table.OPS), dict(LAYERS)
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", ".*does not depend on its arguments", UserWarning)
            module = loaded(mutant.file, source)
            with in_place(module) as modules:
                if "/layers/" in mutant.file:
                    found = [each for each in vars(module).values() if type(each).__name__ == "Layer"]
                else:
                    declared = [op for f, op in table.OPS.items() if ops.get(f) is not op]
                    found = suspects(mutant, modules, list(table.OPS.values())) or declared
                for suspect in dict.fromkeys(found):
                    hold(suspect, examples)
                return [suspect.name for suspect in found]
    except Exception:
        return []
    finally:
        for found, known in ((table.OPS, ops), (LAYERS, layers)):
            found.clear()
            found.update(known)


def is_killed(mutant: Mutant, source: str) -> bool:
    """Tell whether the properties, or else the test files, fail for a mutant."""
    if not unnoticed(mutant, source):
        return True
    if "/layers/" in mutant.file:
        runs = [["tests/test_subgradients.py", "tests/test_layers.py", "tests/test_models.py"]]
    else:
        own = Path("tests", f"test_{Path(mutant.file).stem}.py")
        runs = [[str(own)]] if (ROOT / own).exists() else []
        runs += [["tests/test_subgradients.py", "tests/test_tensor.py", "tests/test_functional.py"]]
    with tempfile.TemporaryDirectory() as folder:
        for part in ("minigrad", "models", "tests", "setup.cfg", "pyproject.toml"):
            copied = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copied(ROOT / part, Path(folder, part))
        Path(folder, mutant.file).write_text(source)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        env = {**os.environ, "PYTHONPATH": folder, "OPENBLAS_NUM_THREADS": "1"}
        options = {"cwd": folder, "env": env, "capture_output": True, "timeout": 10 * LIMIT}
        try:
            return any(subprocess.run([*command, *run], **options).returncode != 0 for run in runs)
        except subprocess.TimeoutExpired:
            return True


def equivalents() -> dict[str, str]:
    """Read the mutants that compute the same, and why."""
    pairs = (line.split("  # ", 1) for line in EQUIVALENT.read_text().splitlines() if "  # " in line)
    return dict(pairs)


def sample(count: int | None) -> list[tuple[Mutant, Callable[[], str]]]:
    """Return all mutants, or so many of them: the same each time, whatever else is added."""
    mutants = [pair for file in FILES for pair in mutate(file)]
    if count is None:
        return mutants
    return sorted(mutants, key=lambda pair: crc32(str(pair[0]).encode()))[:count]


def main() -> int:
    """Run the mutants; return how many survive that are not equivalent."""
    parser = argparse.ArgumentParser(prog="tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants (default: all)")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="processes (default: %(default)s)"
    )
    args = parser.parse_args()
    for file in FILES:
        right = ast.unparse(ast.parse((ROOT / file).read_text()))
        assert unnoticed(Mutant(file, "", "", "", 0), right, examples=5), (
            f"the tests fail for {file} as it is"
        )
    known, score, survivors = equivalents(), Counter(), []
    pairs = sample(args.sample)
    tried = [pair for pair in pairs if str(pair[0]) not in known]
    tried.sort(key=lambda pair: FILES.index(pair[0].file))
    with ProcessPoolExecutor(args.workers) as pool:
        for file, group in groupby(tried, key=lambda pair: pair[0].file):
            mutants, sources = zip(*group, strict=True)
            for mutant, killed in zip(
                mutants, pool.map(is_killed, mutants, [make() for make in sources]), strict=True
            ):
                score["killed" if killed else "survived"] += 1
                if not killed:
                    survivors.append(mutant)
                    print("survived:", mutant, flush=True)
            print(f"{file}: {len(mutants)} mutants", flush=True)
    share = score["killed"] / max(score["killed"] + score["survived"], 1)
    print(
        f"{len(pairs)} mutants: {score['killed']} killed, {score['survived']} survived, "
        f"{len(pairs) - len(tried)} equivalent; score {share:.1%}"
    )
    return len(survivors)


if __name__ == "__main__":
    sys.exit(bool(main()))
