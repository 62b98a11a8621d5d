"""Forms of joining, cutting and repeating that are seldom drawn: NumPy's values, and their gradients."""

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg


@pytest.mark.parametrize("f", [np.atleast_1d, np.atleast_2d, np.atleast_3d])
def test_one_array_is_returned_alone_and_several_as_numpy_does(f):
    x = mg.tensor(1.5, requires_grad=True)
    assert isinstance(f(x), mg.Tensor)
    got, want = f(x, 2.0), f(1.5, 2.0)
    assert type(got) is type(want)
    assert [each.shape for each in got] == [each.shape for each in want]


X = np.arange(24.0).reshape(4, 3, 2)
LINE = np.arange(10.0)
ENDS = (slice(None, None, 2), [0, -1], -1, np.array([True, False, True, False]))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.column_stack([x, 2 * x]),
        lambda x: np.column_stack([x[0, 0], x[0].T, 3 * x[0, 1]]),
        lambda x: np.block([[x[0], x[1]], [2 * x[0], x[2]]]),
        lambda x: np.block([x[0, 0], 1.5]),
        lambda x: np.block([[[x]], [[x]]]),
        lambda x: np.broadcast_arrays(x[0], x[:, :1, :1]),
        lambda x: np.meshgrid(x[0, 0], x[0, :, 0], x[:, 0, 1]),
        lambda x: np.meshgrid(x[0, 0], x[0, :, 0], sparse=True, indexing="ij"),
        lambda x: np.unstack(x, axis=1) if hasattr(np, "unstack") else x,
        lambda x: np.resize(x, (5, 7)),
    ],
)
def test_joined_and_spread(f):
    check_rule(f, X)


@pytest.mark.parametrize("sections", [1, 2, 3, 4, [2, 5], [-3], [7, 2]], ids=str)
def test_cut(sections):
    check_rule(lambda x: np.array_split(x, sections), LINE)
    check_rule(lambda x: np.array_split(x, sections, axis=-2), X)
    if sections in (1, 2):
        for f in (np.split, np.vsplit, np.dsplit):
            check_rule(lambda x, f=f: f(x, sections), X)
        check_rule(lambda x: np.hsplit(x, sections), LINE)
        check_rule(lambda x: np.hsplit(x, sections), X[:, :2])
    elif sections in (3, 4):
        with pytest.raises(ValueError, match="to be cut into"):
            np.split(mg.tensor(LINE, requires_grad=True), sections)


@pytest.mark.parametrize(
    ("repeats", "axis"), [(2, None), (2, 1), ([3], -1), ([2], 0), ([1, 0, 2, 1], 0), ([0, 2, 1], -2)], ids=str
)
def test_repeated(repeats, axis):
    check_rule(lambda x: np.repeat(x, repeats, axis), X)
    if np.size(repeats) == 1:
        check_rule(lambda x: np.repeat(x, repeats, None if axis is None else 0), np.array(1.5))


@pytest.mark.parametrize("reps", [2, (2,), (1, 3), (2, 1, 3, 2), (0, 1)], ids=str)
def test_tiled(reps):
    check_rule(lambda x: np.tile(x, reps), X[0])


NUMPY_2_0 = np.__version__.startswith("2.0.")


@pytest.mark.parametrize("axis", [0, -3, None])
@pytest.mark.parametrize("where", ENDS, ids=str)
def test_inserted_and_deleted(where, axis):
    if isinstance(where, np.ndarray):
        where = where if axis is not None else np.resize(where, X.size)
    check_rule(lambda x: np.delete(x, where, axis), X)
    if np.asarray(where).dtype == bool and NUMPY_2_0:  # which warns that its insert takes them for integers
        return
    for values in (np.array(0.5), X[0, 0] if axis is not None else np.array([0.5])):
        check_rule(lambda x, v: np.insert(x, where, v, axis), X, values)


@pytest.mark.parametrize(
    ("obj", "values", "axis"), [(1, (4, 3), 2), (-1, (4, 2), 1), ([1, 1], (4, 2, 2), 1)], ids=str
)
def test_inserted_along_other_axes(obj, values, axis):
    check_rule(lambda x, v: np.insert(x, obj, v, axis), X, np.ones(values))


@pytest.mark.parametrize("values", [2.0, [1, 2], np.float32(2.0), np.array(2.0)], ids=str)
def test_what_is_appended_has_the_dtype_of_an_array(values):
    x = LINE.astype(np.float32)
    got, want = np.append(mg.tensor(x, requires_grad=True), values), np.append(x, values)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.data, want)


def test_uneven_blocks_and_pieces_of_a_number_are_refused():
    t = mg.tensor(LINE, requires_grad=True)
    for uneven in ([[t], t], [[t], [[t]]], [[t], []]):
        with pytest.raises(
            ValueError, match="a list is empty, or its entries are nested to different depths"
        ):
            np.block(uneven)
    if hasattr(np, "unstack"):
        with pytest.raises(ValueError, match=r"x has shape \(\); expected one axis or more"):
            np.unstack(t[0])


def test_a_number_is_a_block_and_no_pieces_are_refused():
    check_rule(np.block, np.array(1.5))
    for f in (np.split, np.array_split):
        with pytest.raises(ValueError, match="to be cut into 0 equal"):
            f(mg.tensor(LINE, requires_grad=True), 0)


@pytest.mark.parametrize("join", [np.concatenate, np.stack, np.vstack, np.hstack])
@pytest.mark.parametrize("dtype", [None, np.float64, np.float32])
@pytest.mark.parametrize("casting", ["same_kind", "unsafe", "safe"])
def test_joined_in_a_dtype(join, dtype, casting):
    x, y = np.arange(6.0).reshape(2, 3) / 4, np.arange(6.0).reshape(2, 3)
    check_call(lambda x, y: join([x, y], dtype=dtype, casting=casting), x, y)
    made = join([mg.tensor(x, requires_grad=True), y], dtype=int, casting="unsafe")
    np.testing.assert_array_equal(made.data, join([x, y], dtype=int, casting="unsafe"))
