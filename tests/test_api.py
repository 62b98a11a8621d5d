"""One wrong argument in each place of the layers: a right answer, or an error that names the function."""

import datetime
import warnings

import numpy as np
import pytest

from minigrad.checks.proof import RandomDraw
from minigrad.engine.arguments import NAMES, takes_arrays
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
