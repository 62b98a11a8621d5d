"""One wrong argument in each place of every public function: a right answer, or an error that names the function."""

import contextlib
import datetime
import importlib
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from cifar_files import write_cifar10
from public_calls import CALLS, NOT_CALLED, PLACE
from test_doors import DOORS

import minigrad as mg
from minigrad.checks.proof import RandomDraw
from minigrad.engine.arguments import NAMES, takes_arrays
from minigrad.engine.recording import TapeError
from minigrad.layers import LAYERS

WRONG = {
    "object": object(),
    "objects": np.array([object(), None]),
    "str": "0.5",
    "strings": np.array(["a"]),
    "bool": True,
    "complex": np.array([[1j]]),
    "float16": np.ones((2, 2), np.float16),
    "longdouble": np.ones((2, 2), np.longdouble),
    "datetime": datetime.datetime(2026, 1, 1),
    "datetimes": np.array(["2026-01-01"], "M8[D]"),
    "NaN": np.nan,
    "inf": np.array([[np.inf]]),
    "empty": np.zeros((0, 3)),
    "empty list": [],
    "0-d": np.array(1.0),
    "broadcast": np.broadcast_to(1.0, (300, 300)),
    "byte-swapped": np.ones((2, 2), ">f8"),
    "None": None,
    "negative": -1,
    "dict": {},
    "ragged": [[1.0], [1.0, 2.0]],
}
DEEP = []
for _ in range(3000):
    DEEP = [DEEP]
MORE = {
    "float": 1.5,
    "zero": 0,
    "huge": 10**30,
    "bytes": b"x",
    "function": lambda *args, **kwargs: None,
    "type": int,
    "list": [1, "a"],
    "tuple": (1,),
    "set": {1},
    "path": Path("nowhere", "file"),
    "masked": np.ma.masked_array([1.0], [True]),
    "matrix": np.ones((1, 1)).view(np.matrix),
    "read-only": np.broadcast_to(2.0, 3),
    "tensor": mg.tensor(np.ones(2), requires_grad=True),
    "deep": DEEP,
}
TOO_LARGE = {
    *(
        ("choices", "n"),
        ("jacobian()", 0),
        ("shift", "pixels"),
        ("cutout", "size"),
        ("per_example_grads()", 1),
    ),
    *((name, "axis") for name in ("softmax", "log_softmax", "logsumexp")),
}
"""Where a large value is right, or NumPy's affair."""
OF_FUNCTIONS = {"grad", "value_and_grad", "elementwise_grad", "jacobian", "hessian", "hvp", "jvp", "vjp"}
OF_FUNCTIONS |= {
    "per_example_grads",
    "flatten",
    "checkpoint",
    "jit",
    "layer",
    "rule",
    "check_layer",
    "warmup",
}
OF_FUNCTIONS |= {"chain", "Tensor.backward", "tensor", "sigmoid", "softmax", "log_softmax", "logsumexp"}
"""Functions of arrays, and of functions of arrays: errors of NumPy's, as in `numpy.exp`, and of such functions pass."""


def called(function, args, options):
    """Call a function; what it raises is a TypeError or a ValueError that names it, and the arrays are unchanged."""
    before = [x.copy() if isinstance(x, np.ndarray) else x for x in args]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            function(*args, **options)
    except (TypeError, ValueError) as error:
        assert str(error).partition(":")[0] in NAMES.union(LAYERS), f"{type(error).__name__}: {error}"
    for x, kept in zip(args, before, strict=True):
        if isinstance(x, np.ndarray) and x.dtype != object:
            np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", [name for name in LAYERS if LAYERS[name].checked is not None])
def test_a_wrong_argument(name, what):
    layer = LAYERS[name]
    args, options = layer.inputs(RandomDraw(0))
    for place in range(len(args)):
        wrong = [*args[:place], WRONG[what], *args[place + 1 :]]
        called(layer, wrong, options)
        called(layer.checked, wrong, options)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    write_cifar10(PLACE)
    with contextlib.chdir(tmp_path_factory.mktemp("here")) if hasattr(contextlib, "chdir") else nowhere():
        yield


@contextlib.contextmanager
def nowhere():
    yield


def called_with(name, place, wrong):
    """Call a function with a wrong argument; return what it raises."""
    function, given, use = CALLS[name]
    args = given()
    args = dict(args) if isinstance(args, dict) else list(args)
    if place is not None:
        args[place] = wrong
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with warnings.catch_warnings(), np.errstate(all="ignore"), quiet[0], quiet[1]:
        warnings.simplefilter("ignore")
        try:
            result = function(**args) if isinstance(args, dict) else function(*args)
            if use is not None:
                use(result)
        except Exception as error:
            return error
    return None


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_argument_of_a_public_function(name):
    assert called_with(name, None, None) is None
    given = CALLS[name][1]()
    internal, bare, base = [], [], name.partition(",")[0].removesuffix("()")
    known = NAMES.union(LAYERS) | {base}
    for place in given if isinstance(given, dict) else range(len(given)):
        for what, wrong in (WRONG | MORE).items():
            if (name, place) in TOO_LARGE and what in ("huge", "broadcast", "deep"):
                continue
            error = called_with(name, place, wrong)
            if error is None or isinstance(error, (OSError, AssertionError)):
                continue
            if not isinstance(error, (TypeError, ValueError)):
                internal.append((place, what, repr(error)[:200]))
            elif str(error).partition(":")[0] not in known and not isinstance(error, TapeError):
                bare.append((place, what, repr(error)[:200]))
    assert internal == []
    assert bare == [] or base in OF_FUNCTIONS


def test_every_public_function_is_called():
    names = {name.partition(",")[0].removesuffix("()") for name in CALLS}
    names |= {name for group in NOT_CALLED for name in group.split(", ")}
    for door in DOORS:
        module = importlib.import_module(door)
        public = {name for name in module.__all__ if callable(getattr(module, name))}
        layers = {
            name for name in public if door in ("minigrad", "minigrad.layers") and name.partition("_")[0]
        }
        known = names | set(LAYERS) | (layers if door == "minigrad.layers" else set())
        assert public - known == set(), door


def test_every_layer_takes_array_likes():
    assert [name for name in LAYERS if LAYERS[name].checked is None] == []


def test_lists_give_what_arrays_give():
    for layer in LAYERS.values():
        args, options = layer.inputs(RandomDraw(1))
        if all(np.size(x) for x in args):
            lists = [x.tolist() if isinstance(x, np.ndarray) else x for x in args]
            np.testing.assert_allclose(layer(*lists, **options), layer(*args, **options))


def test_errors_of_others_pass_and_bare_ones_are_named():
    class Own(ValueError):
        pass

    @takes_arrays
    def halved_forward(x: "Array", how):  # noqa: F821
        if how == "own":
            raise Own("mine")
        return x / 2, how["key"]

    with pytest.raises(Own, match="mine"):
        halved_forward(1.0, "own")
    with pytest.raises(TypeError, match=r"halved: 'key'; called with x float64\[2\], how of type dict"):
        halved_forward(np.ones(2), {})
    with pytest.raises(TypeError, match=r"halved: x is None; expected an array of real floats"):
        halved_forward(None, {})
