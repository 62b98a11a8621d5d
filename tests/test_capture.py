"""What a captured function may not do to its arguments and its results: compiled, it does as it is written."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.functional import map_tree


def leaves(tree):
    """The arrays and numbers of a nested result, in order."""
    found = []
    map_tree(list.append, found, tree)
    return found


def copies(tree):
    return map_tree(lambda _, x: np.array(x) if isinstance(x, np.ndarray) else x, None, tree)


def agree(f, *inputs, **options):
    """Compare three calls of a compiled function, with different numbers, with the function itself.

    The arguments are afterwards what it makes of them, and what it gave earlier is the caller's, who writes to it.
    """
    step, earlier = mg.jit(f, **options), []
    for call in range(3):
        given = [
            x * x.dtype.type(call + 1) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
            for x in inputs
        ]
        given, plain = copies(given), copies(given)
        got, want = step(*given), f(*plain)
        for x, y in zip(leaves([got, given]), leaves([want, plain]), strict=True):
            assert type(x) is type(y)
            np.testing.assert_allclose(x, y, rtol=1e-12)
        earlier += [(x, x.copy()) for x in leaves(got) if isinstance(x, np.ndarray)]
        for x, y in earlier:
            np.testing.assert_array_equal(x, y)
            x[...] = y[...] = -99.0
        for x, y in zip(leaves(given), leaves(plain), strict=True):
            np.testing.assert_array_equal(x, y)
    return step


# Parts at an index that is computed


def best_row(w, scores):
    row = w[np.argmax(scores)]
    return row * 2 + 1


def a_row_and_what_follows(x, i):
    y = x * 2
    row = y[i]
    z = y + 1
    return row * z


def a_row_by_scores_that_are_written_over(x):
    scores = x[:, 0] * 1.5
    y = x * 2
    row = y[np.argmax(scores)]
    z = np.exp(scores) - 20
    return row + z.sum()


def a_row_by_a_number_made_of_scores(x):
    scores = x[:, 0] * 1.5
    y = x * 2
    row = y[np.argmax(scores) - 1, :1]
    z = np.exp(scores) - 20
    return row + z.sum()


X = np.array([[1.0, 2.0], [-3.0, 0.5]])


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (best_row, (X, np.array([1.0, 0.0]))),
        (mg.grad(lambda w: (w[np.argmax(w.data[:, 0])] ** 2).sum()), (X,)),
        (lambda x: (x * 2)[np.argmax(x[:, 0])], (X,)),
        (a_row_and_what_follows, (X, np.int64(0))),
        (lambda x, i: x[i], (X, np.int64(1))),
        (lambda x, i: x[i, :1], (X, np.int64(1))),
        (lambda x, i: x[i, ..., None], (X, np.array(1))),
        (lambda x, i: x[:, i][i] * 1, (X, np.int64(1))),
        (mg.grad(lambda w, i: (w[i] ** 3).sum() * w[i, i]), (X, np.int64(1))),
        (a_row_by_scores_that_are_written_over, (X,)),
        (a_row_by_a_number_made_of_scores, (X,)),
    ],
)
def test_a_part_at_a_computed_index(f, inputs):
    agree(f, *inputs)


def test_what_a_part_at_a_computed_index_views_is_not_written_to():
    def stale(x):
        y = x * 2
        d = y[np.argmax(y[:, 0])]
        y[...] = 1
        return d * 1

    with pytest.raises(mg.JitError, match="a view is in use"):
        mg.jit(stale)(X)
