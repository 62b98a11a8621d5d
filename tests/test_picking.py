"""Entries picked by positions: beyond the ends, along no axis, and those that NumPy refuses."""

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg

X = np.arange(6.0).reshape(2, 3) / 4 - 0.6


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("mode", ["wrap", "clip"])
def test_positions_beyond_the_ends(mode, axis):
    check_rule(lambda x: np.take(x, [-9, -1, 0, 1, 7], axis=axis, mode=mode), X)
    check_rule(lambda x, y, z: np.choose([[-4, 5, 1], [0, 2, -1]], [x, y, z], mode=mode), X, 2 * X, 3 * X)


def test_booleans_are_positions():
    check_rule(lambda x: np.take(x, np.array([True, False, True]), axis=1), X)


def test_lines_along_no_axis():
    check_rule(lambda x: np.take_along_axis(x, np.array([4, 0, 0]), axis=None), X)


def test_positions_that_are_no_integers_are_refused():
    with pytest.raises((TypeError, IndexError)):
        np.take(mg.tensor(X, requires_grad=True), [0.5])


@pytest.mark.parametrize(
    "places", [[0, 2, 2], (3, 0, 3), np.array([True, False, True]), np.array([1, 1, 1], np.uint8)]
)
def test_weights_are_added_up_by_place(places):
    """As `numpy.bincount` does, in float64; compiled where the places are no argument."""
    check_rule(lambda w: np.bincount(places, w), X[0])
    check_rule(lambda w: np.bincount(places, weights=w, minlength=6), X[0])

    listed = list(places)

    def f(w):
        return np.sum(np.bincount(listed, w, 4) ** 2)

    for compiled in (f, mg.grad(f), mg.hessian(f)):
        np.testing.assert_allclose(mg.jit(compiled)(X[0]), compiled(X[0]), rtol=1e-15)
    assert np.bincount(places, mg.tensor(X[0], requires_grad=True, dtype=np.float32)).dtype == np.float64


def test_weights_and_places_that_numpy_refuses():
    w = mg.tensor(X[0], requires_grad=True)
    for places, weights in (
        ([0, 1], w),
        ([0, -1, 1], w),
        ([[0, 1, 2]], w[None]),
        ([0.0, 1.0, 2.0], w),
        ([0, 1, 2], w * 1j),
        (w, None),
        (w, w),
    ):
        with pytest.raises((TypeError, ValueError)):
            np.bincount(places, weights)
    for f in (lambda w, i: np.bincount(i, w, 4), lambda w, i: mg.grad(lambda w: np.bincount(i, w)[0])(w)):
        with pytest.raises(
            mg.JitError, match=r"write np\.add\.at\(sums, x, weights\), with sums = np\.zeros_like"
        ):
            mg.jit(f)(X[0], np.array([0, 1, 1]))


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_a_number_is_taken_along_an_axis_that_it_does_not_have(axis):
    check_rule(lambda x: np.take(x, [0, 0], axis=axis), np.array(2.0))


@pytest.mark.parametrize("mode", ["bogus", "raise", "wrap", "clip"])
def test_modes_are_those_that_numpy_takes(mode):
    check_call(lambda x: np.take(x, [0, 2], mode=mode), X)
    check_call(lambda x: np.choose([0, 1, 1], x, mode=mode), X)
