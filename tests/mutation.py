"""How good are the tests of the gradients: break every backward rule and layer on purpose, and see who notices.

    python -m tests.mutation                  every mutant; those that survive are listed
    python -m tests.mutation --sample 40      so many of them, the same each time

A mutant is one small change in one rule: a sign, a factor, a dropped term or sum, another axis, swapped
operands, ``>=`` for ``>``, a missing mask, another index. Each is tried in a process of its own, in which minigrad is
imported with that change. It is killed if a property of an op that it is part of fails, or a test in the test files
that fit, or if it does not end.
Mutants that compute the same numbers are listed, with the reason, in mutation_equivalent.txt.
"""

from __future__ import annotations

import argparse
import ast
import copy
import dis
import importlib
import os
import resource
import sys
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, lru_cache, partial
from importlib.machinery import SourceFileLoader
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from minigrad.layers import LAYERS
from minigrad.rules import table

sys.path.append(str(Path(__file__).parent))
ROOT = Path(__file__).parents[1]
NO_RULES = {"__init__", "table", "facts", "metadata", "custom", "complex_numbers", "without_gradient"}
NO_RULES |= {"lookup", "overriding", "ufunc_methods"}  # which are of no function in the table
FILES = [
    f"minigrad/rules/{path.name}"
    for path in sorted((ROOT / "minigrad/rules").glob("*.py"))
    if path.stem not in NO_RULES
]
FILES += [f"minigrad/layers/{name}.py" for name in ("affine", "losses", "penalty")]
EQUIVALENT = Path(__file__).with_name("mutation_equivalent.txt")
NOT_RULES = {"within", "inputs", "layer", "dispatcher", "__init__", "__call__", "__repr__"}
NOT_RULES |= {"as_floats", "_weight", "cache_on_tape", "gradients", "_checked_labels", "lstsq", "begun_at"}
NOT_RULES |= {
    "_dense",
    "_fewest_multiplications",
    "_path",
    "as_row",
    "is_product",
}  # on which the speed alone depends
SECONDS, MEMORY = 120, 8 << 30
"""Of the processor's time and of bytes: a mutant that takes more counts as one that does not end."""


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


@cache
def suspects(file: str, function: str) -> list[str]:
    """Find the ops or layers that a function is part of, by name."""
    module = file.removesuffix(".py").replace("/", ".")
    if "/layers/" in file:
        return [name for name, layer in LAYERS.items() if layer.forward.__module__ == module]
    rules = [each for name, each in sys.modules.items() if name.startswith("minigrad.rules.")]
    functions = [f for each in rules for f in vars(each).values() if isinstance(f, types.FunctionType)]
    names = {function.rpartition(".")[2]}
    while (
        more := {
            f.__name__ for f in functions if any(names & mentioned(part.__code__) for part in parts_of(f))
        }
        - names
    ):
        names |= more
    found, declared = [], []
    for op in dict.fromkeys(table.OPS.values()):
        rules = [*getattr(op, "rules", ()), getattr(op, "together", None), getattr(op, "own_bind", None)]
        parts = [part for rule in (op.forward, *rules) for part in parts_of(rule)]
        made_by = {part.__qualname__.partition(".")[0] for part in parts}
        if op.name in names or names & made_by or any(names & mentioned(part.__code__) for part in parts):
            found.append(op)
        if any(part.__module__ == module for part in parts):
            declared.append(op)
    return [name_of(op) for op in found or declared]


NO_ONE, PROPERTIES, TESTS, LIMITS = VERDICTS = ("no one", "the properties", "the test files", "the limits")


def verdict(mutant: Mutant, source: str, examples: int = 24, files: Sequence[str] | None = None) -> str:
    """Tell who notices a mutant, in a fork that ends with it; by default the test files are those that fit."""
    names = suspects(mutant.file, mutant.function)
    files = fitting(mutant.file) if files is None else files
    child = os.fork()
    if child == 0:
        status = VERDICTS.index(PROPERTIES)
        try:
            status = VERDICTS.index(noticed_by(mutant.file, source, names, examples, files))
        finally:
            os._exit(status)
    status = os.waitpid(child, 0)[1]
    return VERDICTS[os.WEXITSTATUS(status)] if os.WIFEXITED(status) else LIMITS


def as_it_is(file: str, files: Sequence[str] = ()) -> str:
    """Tell who notices a file without a change: no one should."""
    return verdict(Mutant(file, "", "", "", 1), ast.unparse(ast.parse((ROOT / file).read_text())), 1, files)


def noticed_by(file: str, source: str, names: Sequence[str], examples: int, files: Sequence[str]) -> str:
    """Return who notices a file's changed source; what is imported of the project stays changed after that."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    import_afresh(file, source)
    try:
        for count in sorted({1, -(-examples * min(4, len(names)) // len(names))}):
            hold(names, count)
    except BaseException:
        return PROPERTIES
    plugins = [
        part for name in ("cacheprovider", "xdist", "hypothesispytest") for part in ("-p", f"no:{name}")
    ]
    options = ["-x", "--assert=plain", "--tb=no", *plugins]
    os.chdir(ROOT)
    run = [*options, *(f"tests/{name}.py" for name in files)]
    return TESTS if files and pytest.main(run, [Selection(names)]) else NO_ONE


class Selection:
    """A plugin of pytest: of the tests of every op or layer those of some, but for the properties."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Leave the others out."""
        items[:] = filter(self.has, items)

    def has(self, item: pytest.Function) -> bool:
        """Tell whether a test is to be run. A parameter named op or layer may be a plain function, too."""
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        suspect = parameters.get("op", parameters.get("layer"))
        return not hasattr(suspect, "forward") or (
            name_of(suspect) in self.names and not hasattr(item.function, "hypothesis")
        )


def name_of(suspect: object) -> str:
    """Return an op's or a layer's name."""
    return table.full_name(suspect.function) if hasattr(suspect, "function") else suspect.name


def import_afresh(file: str, source: str) -> None:
    """Have what is imported of the project from now on be new, and one file of it be another source."""
    ours = {"minigrad", "models", *(path.stem for path in Path(__file__).parent.glob("*.py"))}
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[name]
    code = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> types.CodeType:
        return compile(source, file, "exec") if loader.path == str(ROOT / file) else code(loader, name)

    SourceFileLoader.get_code = get_code
    importlib.import_module("conftest")


def fitting(file: str) -> list[str]:
    """Return the names of the test files for a file, its own first."""
    if "/layers/" in file:
        return ["test_layers", "test_subgradients", "test_dtypes", "test_models"]
    own = f"test_{Path(file).stem}"
    others = ["test_subgradients", "test_tensor", "test_functional", "test_complex_numbers", "test_dtypes"]
    return [own, *others] if (ROOT / f"tests/{own}.py").exists() else others


def properties(tests: str, parameter: str) -> list[Callable[..., None]]:
    """Return the property tests in a test file that are run for every op or layer."""
    return [
        test
        for test in vars(importlib.import_module(tests)).values()
        if hasattr(test, "hypothesis")
        and any(mark.args[0] == parameter for mark in getattr(test, "pytestmark", []))
    ]


def hold(names: Sequence[str], examples: int) -> None:
    """Run the properties of ops and layers; the first, of gradients, on so many inputs each, the others on fewer."""
    table = importlib.import_module("minigrad.rules.table")
    layers = importlib.import_module("minigrad.layers").LAYERS
    ops = {name_of(op): op for op in table.OPS.values()}
    of_layers = properties("test_layers", "layer")
    of_ops = [*properties("test_rules", "op"), *properties("test_dtypes", "op")]
    of_complex, _, of_composed = properties("test_complex_numbers", "op")
    real = importlib.import_module("test_complex_numbers").OF_REAL_NUMBERS
    for name in names:
        if name in layers:
            suspect, tests = layers[name], of_layers
        else:
            suspect, tests = ops[name], of_ops
            if isinstance(suspect, table.Composite):
                tests = [*of_ops, of_composed]
            elif suspect.complex_numbers and suspect.function not in real:
                tests = [*of_ops, of_complex]
        for test in tests:
            if is_for(test, name):
                run(test, suspect, examples if test is tests[0] else -(-examples // 3))


def is_for(test: Callable[..., None], name: str) -> bool:
    """Tell whether a property test is one of an op or layer: jit does not take every op."""
    (suspects,) = (mark.args[1] for mark in test.pytestmark if mark.args[0] in ("op", "layer"))
    return name in map(name_of, suspects)


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

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*does not depend on its arguments", UserWarning)
        holds()


def equivalents() -> dict[str, str]:
    """Read the mutants that compute the same, and why."""
    pairs = (line.split("  # ", 1) for line in EQUIVALENT.read_text().splitlines() if "  # " in line)
    return dict(pairs)


def sample(count: int | None) -> list[tuple[Mutant, Callable[[], str]]]:
    """Return all mutants, or so many of them: the same each time, whatever else is added."""
    mutants = [pair for file in FILES for pair in mutate(file) if is_there(pair[0].function)]
    if count is None:
        return mutants
    return sorted(mutants, key=lambda pair: crc32(str(pair[0]).encode()))[:count]


def is_there(function: str) -> bool:
    """Tell whether this version of NumPy has the function that a rule is declared for."""
    home, _, name = function.rpartition(".")
    return home != "np" or hasattr(np, name)


def main() -> int:
    """Run the mutants; return how many survive that are not equivalent."""
    parser = argparse.ArgumentParser(prog="tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants (default: all)")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="processes (default: %(default)s)"
    )
    args = parser.parse_args()
    known, score = equivalents(), Counter()
    pairs = sample(args.sample)
    tried = [pair for pair in pairs if str(pair[0]) not in known]
    tried.sort(key=lambda pair: FILES.index(pair[0].file))
    with ProcessPoolExecutor(args.workers) as pool:
        for file, noticed in zip(FILES, pool.map(as_it_is, FILES), strict=True):
            assert noticed == NO_ONE, f"{noticed} fail for {file} as it is"
        assert as_it_is(FILES[0], sorted({name for file in FILES for name in fitting(file)})) == NO_ONE
        print(f"no one notices the {len(FILES)} files as they are; {len(tried)} mutants to try", flush=True)
        for file, group in groupby(tried, key=lambda pair: pair[0].file):
            mutants, sources = zip(*[(mutant, make()) for mutant, make in group], strict=True)
            of_file = Counter()
            for mutant, noticed in zip(mutants, pool.map(verdict, mutants, sources), strict=True):
                of_file[noticed] += 1
                if noticed in (NO_ONE, LIMITS):
                    print(f"noticed by {noticed}: {mutant}", flush=True)
            score += of_file
            print(f"{file}: {counted(of_file)}", flush=True)
    share = 1 - score[NO_ONE] / max(score.total(), 1)
    print(f"{len(pairs)} mutants, {len(pairs) - len(tried)} equivalent: {counted(score)}; score {share:.1%}")
    return score[NO_ONE]


def counted(verdicts: Counter[str]) -> str:
    """Write down how many mutants are noticed by whom."""
    return ", ".join(f"{verdicts[each]} by {each}" for each in VERDICTS)


if __name__ == "__main__":
    sys.exit(bool(main()))
