"""What a tensor does: as NumPy does, and where that would cut the tape, says so."""

import copy
import pickle
import threading
from operator import iadd, setitem

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad.gradient_check import check_grads


def leaf(data):
    return mg.tensor(data, requires_grad=True)


BINARY = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "//": lambda x, y: x // y,
    "%": lambda x, y: x % y,
    "**": lambda x, y: x**y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
}


@pytest.mark.parametrize("operator", BINARY.values(), ids=BINARY)
@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3),
    st.sampled_from([np.float32, np.float64, np.int64]),
    st.sampled_from([np.float32, np.float64, np.int64]),
)
def test_operators_are_numpys_in_both_orders(operator, shapes, x_dtype, y_dtype):
    x, y = (
        np.asarray(1 + np.arange(int(np.prod(shape)))).reshape(shape).astype(dtype)
        for shape, dtype in zip(shapes.input_shapes, (x_dtype, y_dtype), strict=True)
    )
    expected = operator(x, y)
    t, u = (mg.tensor(a, requires_grad=a.dtype.kind == "f") for a in (x, y))
    for left, right in ((t, u), (t, y), (x, u)):
        got = operator(left, right)
        if expected.dtype == bool:
            assert isinstance(got, (np.ndarray, np.bool_))
        else:
            assert isinstance(got, mg.Tensor)
            got = got.data
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype


@pytest.mark.parametrize("scalar", [2, 2.5, np.float64(2.5), np.float32(2.5)])
def test_scalars_in_both_orders(scalar):
    for operator in (lambda x, y: x * y, lambda x, y: x / y, lambda x, y: x**y, lambda x, y: x - y):
        x = np.array([1.0, 2.0], np.float32)
        t = leaf(x)
        for got, expected in (
            (operator(t, scalar), operator(x, scalar)),
            (operator(scalar, t), operator(scalar, x)),
        ):
            assert got.requires_grad
            np.testing.assert_array_equal(got.numpy(), expected, strict=True)


def test_unary_operators_and_abs():
    t = leaf([-1.0, 0.0, 2.0])
    (-t + abs(t) * 3 + (+t) * 5).sum().backward()
    np.testing.assert_array_equal(t.grad, [-1 - 3 + 5, -1 + 0 + 5, -1 + 3 + 5])


def test_attributes():
    t = mg.tensor(np.arange(6.0).reshape(2, 3), dtype=np.float32)
    assert (t.shape, t.ndim, t.size, t.dtype, len(t)) == ((2, 3), 2, 6, np.float32, 2)
    assert t.T.shape == (3, 2)
    assert t.grad is None
    assert not t.requires_grad
    assert t.numpy() is t.data
    assert mg.tensor(2.5).item() == 2.5
    assert mg.tensor([[1, 2]]).tolist() == [[1, 2]]
    assert [row.shape for row in t] == [(3,), (3,)]
    assert 5.0 in t
    assert 7.0 not in t


def test_iteration_keeps_the_tape():
    t = leaf([1.0, 2.0, 3.0])
    total = sum(x * i for i, x in enumerate(t))
    total.backward()
    np.testing.assert_array_equal(t.grad, [0, 1, 2])
    with pytest.raises(TypeError):
        iter(mg.tensor(1.0)).__next__()
    with pytest.raises(TypeError):
        len(mg.tensor(1.0))


METHODS = [
    ("sum", (), {"axis": 0}),
    ("mean", (), {"axis": 1, "keepdims": True}),
    ("max", (), {}),
    ("min", (), {"axis": (0, 1)}),
    ("prod", (), {"axis": -1}),
    ("var", (), {"ddof": 1}),
    ("std", (), {"axis": 0}),
    ("cumsum", (), {"axis": 1}),
    ("ravel", (), {}),
    ("squeeze", (), {}),
    ("swapaxes", (0, 1), {}),
    ("clip", (0.2, 0.7), {}),
    ("dot", (np.arange(3.0),), {}),
    ("copy", (), {}),
    ("reshape", ((3, 2),), {}),
    ("transpose", (), {}),
    ("argmax", (), {"axis": 0}),
    ("argmin", (), {}),
    ("any", (), {}),
    ("all", (), {"axis": 1}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), METHODS, ids=[method[0] for method in METHODS])
def test_the_method_is_numpys_function(name, args, kwargs):
    x = np.random.default_rng(0).random((2, 3))
    expected = getattr(np, name)(x, *args, **kwargs)
    for t in (mg.tensor(x), leaf(x)):
        for got in (getattr(t, name)(*args, **kwargs), getattr(np, name)(t, *args, **kwargs)):
            np.testing.assert_allclose(
                got.numpy() if isinstance(got, mg.Tensor) else got, expected, rtol=1e-15
            )
    if np.asarray(expected).dtype.kind == "f":
        gradients = []
        for call in (
            lambda t: getattr(t, name)(*args, **kwargs),
            lambda t: getattr(np, name)(t, *args, **kwargs),
        ):
            t = leaf(x)
            out = call(t)
            out.backward(np.ones(out.shape))
            gradients.append(t.grad)
        np.testing.assert_array_equal(*gradients)


def test_reshape_and_transpose_take_loose_arguments():
    t = mg.tensor(np.zeros((2, 3, 4)))
    assert t.reshape(4, -1).shape == (4, 6)
    assert t.reshape(-1).shape == (24,)
    assert t.transpose(2, 0, 1).shape == (4, 2, 3)
    assert t.transpose((1, 0, 2)).shape == (3, 2, 4)
    assert t.flatten().shape == (24,)


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(1, None),
        (slice(None), 1),
        None,
        Ellipsis,
        (0, Ellipsis),
        [0, 0, 2],
        np.array([2, 2]),
        (2, 1),
    ],
    ids=str,
)
def test_indexing(index):
    x = np.arange(12.0).reshape(3, 4)
    t = leaf(x)
    out = t[index]
    np.testing.assert_array_equal(out.numpy(), x[index])
    (out * 2).backward(np.ones(out.shape))
    expected = np.zeros_like(x)
    np.add.at(expected, index if not isinstance(index, list) else np.array(index), 2.0)
    np.testing.assert_array_equal(t.grad, expected)


def test_index_by_a_tensor_and_by_a_condition():
    t = leaf([1.0, -2.0, 3.0])
    i = mg.tensor([0, 0, 2])
    (t[i].sum() + t[t > 0].sum()).backward()
    np.testing.assert_array_equal(t.grad, [3, 0, 2])
    assert "abc"[mg.tensor(1)] == "b"
    assert np.arange(4)[i].tolist() == [0, 0, 2]


# -- filling an array piece by piece ---------------------------------------------------------------------------


def test_writes_are_recorded():
    a, b = leaf(np.full((2, 2), 3.0)), leaf(5.0)
    t = mg.tensor(np.zeros((4, 4)))
    t[:2, :2] = a
    before = t * 1.0
    for i in range(3):
        t[i] += b
        t[i, 0] = t[i, 1] * b
    (t * np.arange(16).reshape(4, 4)).sum().backward()
    expected = mg.grad(_filled, (0, 1))(a.data, b.data)
    np.testing.assert_allclose(a.grad, expected[0])
    np.testing.assert_allclose(b.grad, expected[1])
    np.testing.assert_array_equal(before.numpy()[:2, :2], 3)


def _filled(a, b):
    """The same without writes."""
    top = np.concatenate([a, np.zeros((2, 2))], axis=1)
    rows = [top[0] + b, top[1] + b, np.zeros(4) + b, np.zeros(4)]
    rows = [
        np.concatenate([(row[1] * b).reshape(1), row[1:]]) if i < 3 else row for i, row in enumerate(rows)
    ]
    return (np.stack(rows) * np.arange(16).reshape(4, 4)).sum()


def test_earlier_readers_keep_what_they_read():
    w = leaf([1.0, 2.0])
    t = w * 1.0
    early = t * t
    t[0] = 10.0
    t += 1
    (early.sum() + t.sum()).backward()
    np.testing.assert_array_equal(early.numpy(), [1, 4])
    np.testing.assert_array_equal(t.numpy(), [11, 3])
    np.testing.assert_array_equal(w.grad, [2, 4 + 1])


def test_a_constant_written_between_is_not_seen_by_earlier_readers():
    w = leaf([1.0, 2.0])
    c = mg.tensor([3.0, 4.0])
    out = (w * c).sum()
    c[0] = 100.0
    out.backward()
    np.testing.assert_array_equal(w.grad, [3, 4])


def test_writes_to_an_argument_of_grad():
    def f(t, a):
        t[0] = a
        t[1:] *= 3
        return (t * t).sum()

    t, a = np.array([1.0, 2.0, 3.0]), np.array(4.0)
    gt, ga = mg.grad(f, (0, 1))(t, a)
    np.testing.assert_array_equal(gt, [0, 18 * 2, 18 * 3])
    assert ga == 8
    np.testing.assert_array_equal(t, [1, 2, 3])


def test_of_repeated_indices_numpy_keeps_the_last_and_so_does_the_gradient():
    v = leaf([1.0, 2.0, 3.0])
    t = mg.tensor(np.zeros(2))
    t[[0, 1, 0]] = v
    np.testing.assert_array_equal(t.numpy(), [3, 2])
    t.sum().backward()
    np.testing.assert_array_equal(v.grad, [0, 1, 1])


def test_augmented_assignment_is_numpys():
    for name in ("__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__", "__imod__", "__ipow__"):
        x, t = np.array([3.0, 7.0]), mg.tensor([3.0, 7.0])
        same = t
        t = getattr(t, name)(2.0)
        np.testing.assert_array_equal(t.numpy(), getattr(x, name)(2.0))
        assert t is same
    t = mg.tensor(np.zeros(2, np.float32))
    t += leaf(np.ones(2))
    assert t.dtype == np.float32
    t @= np.eye(2)
    assert t.requires_grad
    with pytest.raises(ValueError, match="does not fit into shape"):
        t += np.zeros((3, 2))
    i = mg.tensor([1, 2])
    with pytest.raises(TypeError, match="does not fit into dtype int64"):
        i += 0.5
    with pytest.raises(TypeError, match="dtype int64 cannot hold values that require a gradient"):
        i[0] = leaf(1.0)


def test_a_leaf_is_not_written_to_except_under_no_grad():
    w = leaf([1.0, 2.0])
    for write in (lambda: w.__setitem__(0, 5.0), lambda: w.__iadd__(1.0)):
        with pytest.raises(RuntimeError, match="no_grad"):
            write()
    np.testing.assert_array_equal(w.numpy(), [1, 2])
    array = w.data
    with mg.no_grad():
        w[0] = 5.0
        w -= 1
    np.testing.assert_array_equal(array, [4, 1])
    assert w.requires_grad


# -- where the tape would be cut -------------------------------------------------------------------------------


def test_silent_cuts_are_errors():
    t = leaf([1.0, 2.0])
    x = np.zeros(2)
    for cut in (
        lambda: np.asarray(t),
        lambda: np.array([t[0], t[1]]),
        lambda: x.__setitem__(slice(None), t),
        lambda: np.copyto(x, t),
        lambda: np.add(t, 1, out=x),
        lambda: mg.tensor(t),
    ):
        with pytest.raises(TypeError):
            cut()
    with pytest.raises((TypeError, ValueError)):
        mg.grad(lambda t: x.__setitem__(0, t[0]))(t.data)
    np.testing.assert_array_equal(x, 0)
    with pytest.raises(TypeError, match=r"mg.tensor\(a\).*np.stack.*t.numpy\(\), t.detach\(\)"):
        x[:] = t


def test_python_numbers():
    t = leaf(2.5)
    assert (float(t), int(t), bool(t), complex(t)) == (2.5, 2, True, 2.5)
    assert float(leaf([2.5])) == 2.5
    assert f"{t:.2f}" == "2.50"
    with pytest.raises(ValueError, match="ambiguous"):
        bool(leaf([1.0, 2.0]))
    for kind in (float, int, complex):
        with pytest.raises(TypeError, match=rf"{kind.__name__}\(\) of a tensor inside grad.*t.item\(\)"):
            mg.grad(lambda x, kind=kind: x * kind(x))(2.0)
    with pytest.raises(mg.TapeError, match=r"tolist\(\) of a tensor inside grad.*; iterate over the tensor"):
        mg.grad(lambda x: sum(x.tolist()) * x[0])(np.ones(2))
    assert mg.grad(lambda x: x * sum(t.tolist() for t in [leaf(3.0) * 2]))(2.0) == 6.0
    assert mg.grad(lambda x: x * x.item())(2.0) == 2.0
    assert mg.grad(lambda x: x * x.detach() if x > 1 else x)(2.0) == 2.0


def test_arrays_meeting_tensors_keep_the_tape():
    t = leaf([1.0, 2.0])
    x = np.ones(2)
    x += t
    assert isinstance(x, mg.Tensor)
    (np.eye(2) @ x + np.float64(3) * t + np.ones((3, 2)) @ t[:, None]).sum().backward()
    np.testing.assert_array_equal(t.grad, [3 + 9 + 6, 3 + 9 + 6])
    y = np.ones(2)
    y += mg.tensor([1.0, 2.0])
    assert isinstance(y, np.ndarray)
    np.testing.assert_array_equal(y, [2, 3])


def test_a_tensor_stored_into_an_array_is_an_error():
    t = leaf([1.0, 2.0])
    x = np.zeros(2)
    with pytest.raises(ValueError, match="sequence") as error:
        x[0] = t[0]
    assert isinstance(error.value.__cause__, mg.TapeError)
    with pytest.raises(ValueError, match="sequence"):
        x[0] += t[0]
    np.testing.assert_array_equal(x, 0)
    with mg.no_grad():
        x[0] = t[0]
    x[1] = t.detach()[1]
    np.testing.assert_array_equal(x, [1, 2])


def test_a_tensor_as_an_option_is_an_error():
    t, c = leaf([1.0, 2.0]), leaf(3.0)
    for cut in (
        lambda: np.pad(t, 1, constant_values=c),
        lambda: np.full_like(t, c),
        lambda: np.multiply.at(mg.tensor(np.zeros(2)), [0, 0], t),
        lambda: np.add.at(np.zeros(2), [0, 0], t),
        lambda: mg.relu(x=t),
        lambda: np.frompyfunc(float, 1, 1)(t),
        lambda: np.pad(t, {0: (1, 1)}),
    ):
        with pytest.raises(TypeError):
            cut()


def test_options_that_say_nothing_are_taken():
    t = leaf([[1.0, 2.0]])
    for call in (
        lambda: np.sum(t, None, None, None, True),
        lambda: t.sum(axis=1, dtype=None),
        lambda: t.max(0, None, True),
        lambda: np.clip(t, 0, 1, out=None),
        lambda: np.reshape(t, (2,), order="C"),
        lambda: t.astype(np.float64, copy=False),
        lambda: np.tensordot(t, t, np.int64(2)),
        lambda: t.transpose(np.array([1, 0])),
        lambda: np.einsum("ij,ij->i", t, t, optimize=["einsum_path", (0, 1)]),
    ):
        out = call()
        assert out.requires_grad
        out.backward(np.ones(out.shape))


def test_a_write_to_a_view_that_would_be_lost_is_an_error():
    t = mg.tensor(np.zeros((2, 2)))
    for write in (
        lambda: t[0].__setitem__(1, 5.0),
        lambda: t.T.__setitem__(0, leaf([1.0, 2.0])),
        lambda: t.reshape(-1).__setitem__(0, 1.0),
    ):
        with pytest.raises(mg.TapeError, match=r"t\[0, 1\] = value"):
            write()
    for t_like in (t, leaf(np.ones((2, 2)))):
        for own in (
            np.tensordot(t_like, np.eye(2), 1),
            np.roll(t_like, 1),
        ):
            own[0, 1] = 7.0  # NumPy made these as views of an array that no one else has
            assert own[0, 1].item() == 7
    copied = t[0].copy()
    copied[1] = 5.0
    t[0, 1] = copied[1]
    np.testing.assert_array_equal(t.numpy(), [[0, 5], [0, 0]])
    with mg.no_grad():
        t[0][1] = 6.0
    assert t.numpy()[0, 1] == 6


def test_an_index_that_changes_later_does_not_matter():
    t, i = leaf([1.0, 2.0, 3.0]), np.array([0])
    total = 0.0
    for k in range(3):
        i[0] = k
        total = total + t[i] * (k + 1)
    total.sum().backward()
    np.testing.assert_array_equal(t.grad, [1, 2, 3])


def test_integer_and_boolean_operators():
    b, i = mg.tensor([True, False]), mg.tensor([6, 3])
    assert (b & np.array([True, True])).tolist() == [True, False]
    assert (True | b).tolist() == [True, True]
    assert (b ^ b).tolist() == [False, False]
    assert (~b).tolist() == [False, True]
    assert [each.tolist() for each in divmod(i, 4)] == [[1, 0], [2, 3]]
    assert (mg.tensor([1, 2]) ** 2.0).dtype == np.float64
    assert (i == "a") is False or not np.any(i == "a")


def test_without_a_rule():
    t = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=r"numpy\.unique has no backward rule.*mg\.layer"):
        np.unique(t)
    with pytest.raises(TypeError, match="add: no backward rule with 'where'"):
        np.add(t, 1, where=np.array([True, False]))
    with pytest.raises(TypeError, match=r"numpy\.multiply\.at has no backward rule"):
        np.multiply.at(t, [0], 1.0)
    with pytest.raises(TypeError, match="sort: no backward rule with 'order'"):
        np.sort(t, order="x")
    with pytest.raises(TypeError, match="mode='constant'"):
        np.pad(t, 1, mode="linear_ramp")
    for computed in (
        np.unique(t.detach()),
        np.add.reduce(t.detach()),
        np.sum(t.detach(), where=[True, True]),
    ):
        assert isinstance(computed, mg.Tensor)
    with mg.no_grad():
        assert np.unique(t).tolist() == [1, 2]
    assert np.argsort(t).tolist() == [0, 1]
    assert np.isfinite(t).all()
    assert np.shape(t) == (2,)
    assert np.allclose(t, [1, 2])
    for constant in (np.sign(t), np.floor(t), np.zeros_like(t), t // 2):
        assert not constant.requires_grad


@pytest.mark.parametrize("data", [[1, 2], [True, False], 3, np.array([], int)])
def test_only_floats_require_a_gradient(data):
    with pytest.raises(TypeError, match="cannot require a gradient"):
        mg.tensor(data, requires_grad=True)
    assert mg.tensor(data).dtype.kind in "ib"


def test_what_is_no_number_is_refused():
    for data in ("abc", [None], [object()]):
        with pytest.raises(TypeError, match="expected numbers"):
            mg.tensor(data)


def test_astype():
    t = leaf([1.5, 2.5])
    out = t.astype(np.float32)
    assert out.dtype == np.float32
    out.sum().backward()
    assert t.grad.dtype == np.float64
    assert not t.astype(int).requires_grad
    assert t.astype(int).dtype == np.int64


# -- copies ----------------------------------------------------------------------------------------------------


def test_tensor_copies_its_data():
    x = np.ones(2)
    t = mg.tensor(x)
    x[0] = 5
    np.testing.assert_array_equal(t.numpy(), 1)


@pytest.mark.parametrize("copied", [lambda t: pickle.loads(pickle.dumps(t)), copy.deepcopy, copy.copy])
def test_leaves_are_copied_with_their_gradient(copied):
    t = leaf([1.0, 2.0])
    (t * t).sum().backward()
    u = copied(t)
    np.testing.assert_array_equal(u.numpy(), t.numpy())
    np.testing.assert_array_equal(u.grad, t.grad)
    assert u.requires_grad
    assert u is not t
    assert not copied(mg.tensor(1.0)).requires_grad


def test_a_tensor_is_not_pickled_inside_grad():
    with pytest.raises(mg.TapeError, match="pickle of a tensor inside grad would cut it off"):
        mg.grad(lambda x: pickle.loads(pickle.dumps(x * x)).sum() + x.sum())(np.ones(2))


def test_a_tensor_of_a_tensor_is_a_copy_of_a_constant():
    constant = mg.tensor([1.0, 2.0])
    made = mg.tensor(constant, requires_grad=True)
    made.data[0] = 5.0
    np.testing.assert_array_equal(constant.data, [1, 2])
    with pytest.raises(mg.TapeError, match="data is a tensor that requires a gradient; use it as it is"):
        mg.tensor(made)
    with mg.no_grad():
        assert not mg.tensor(made).requires_grad


def test_results_are_copied_on_the_tape_and_pickled_as_numbers():
    t = leaf([1.0, 2.0])
    for copied in (copy.deepcopy, copy.copy):
        out = copied(t * 2)
        out.sum().backward()
    np.testing.assert_array_equal(t.grad, [4, 4])
    stored = pickle.loads(pickle.dumps(t * 2))
    assert not stored.requires_grad
    np.testing.assert_array_equal(stored.numpy(), [2, 4])


def test_repr():
    assert repr(mg.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(leaf([1.0])) == "tensor([1.], requires_grad=True)"
    assert repr(leaf([1.0]) * 2) == "tensor([2.], op=multiply)"
    assert repr(mg.tensor([1], dtype=np.int8)) == "tensor([1], dtype=int8)"
    assert repr(mg.tensor(1.0)) == "tensor(1.)"


def test_tensors_are_hashed_by_identity():
    t, u = leaf(1.0), leaf(1.0)
    assert len({t, u, t}) == 2
    assert {t: 1}[t] == 1


def test_a_tensor_of_tensors_stacks_them():
    x, y = leaf(1.0), leaf(2.0)
    t = mg.tensor([[x, 3.0], [y, x]])
    np.testing.assert_array_equal(t.data, [[1, 3], [2, 1]])
    t.backward(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert (x.grad, y.grad) == (5, 3)
    assert mg.tensor([x, y], dtype=np.float32).dtype == np.float32


def test_blocks_of_blocks():
    a, b = leaf([[1.0, 2.0]]), leaf([3.0])
    blocks = [[a, np.zeros((1, 1))], [b, b, b]]
    out = np.block(blocks)
    np.testing.assert_array_equal(out.data, [[1, 2, 0], [3, 3, 3]])
    out.sum().backward()
    np.testing.assert_array_equal(a.grad, [[1, 1]])
    np.testing.assert_array_equal(b.grad, [3])


# -- writes into arrays, and arrays of other kinds -------------------------------------------------------------


def _into_itself(a, t):
    np.add(a, t, out=a)


def _helper(a, t):
    def add(p, v):
        p += v

    add(a, t)


def _alias(a, t):
    kept = [a]
    a += t
    return kept


def _row_by_row(a, t):
    for row in a.reshape(1, -1):
        row += t


WRITES = {
    "out=a": _into_itself,
    "out by position": lambda a, t: np.multiply(a, t, a),
    "maximum": lambda a, t: np.maximum(a, t, out=a),
    "helper": _helper,
    "alias": _alias,
    "view": _row_by_row,
    "iadd": lambda a, t: iadd(a, t),
    "part": lambda a, t: setitem(a, slice(None), t),
    "fill": lambda a, t: a.fill(t[0]),
    "copyto": lambda a, t: np.copyto(a, t),
    "put": lambda a, t: np.put(a, 0, t[0]),
    "place": lambda a, t: np.place(a, a == 0, t),
    "putmask": lambda a, t: np.putmask(a, a == 0, t),
    "put_along_axis": lambda a, t: np.put_along_axis(a, np.array([0]), t[:1], 0),
    "fill_diagonal": lambda a, t: np.fill_diagonal(a[:, None], t[0]),
    "at": lambda a, t: np.add.at(a, [0], t[0]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@given(st.sampled_from([np.float32, np.float64]), st.integers(1, 3))
def test_a_write_into_an_array_by_a_tensor_is_never_lost(write, dtype, length):
    a = np.zeros(length, dtype)
    held = a
    with pytest.raises((mg.TapeError, ValueError)):
        write(a, leaf(np.ones(length, dtype)))
    np.testing.assert_array_equal(held, 0)


def test_a_write_into_an_array_says_what_to_write():
    t = leaf(np.ones(3))
    for write in (np.copyto, lambda a, t: np.put(a, 0, t[0]), lambda a, t: np.add.at(a, [0], t[0])):
        with pytest.raises(mg.TapeError, match=r"cannot be written into a plain array.* a = mg\.tensor\(a\)"):
            write(np.zeros(3), t)
    for filled in (lambda: np.full(3, t[0]), lambda: np.full(3, t[0], np.float32)):
        with pytest.raises(mg.TapeError, match=r"write np\.broadcast_to\(t, shape\)"):
            filled()


def test_augmented_assignment_of_an_array_that_one_name_holds_is_recorded():
    t = leaf([1.0, 2.0])

    class Model:
        def __init__(self):
            self.total = np.zeros(2)

    model, sums = Model(), {"a": np.zeros(2)}
    out = np.eye(2) @ np.ones(2)
    out += t
    model.total -= t
    sums["a"] += t * 3
    (out + model.total * 2 + sums["a"]).sum().backward()
    np.testing.assert_array_equal(t.grad, 1 - 2 + 3)


class Own(np.ndarray):
    """An array of another kind."""


FOREIGN = {
    "masked": np.ma.array([1.0, 2.0], mask=[True, False]),
    "matrix": np.zeros((1, 2)).view(np.matrix),
    "subclass": np.ones(2).view(Own),
    "object": [1.0, None],
    "text": "ab",
    "none": None,
}


@pytest.mark.parametrize("x", FOREIGN.values(), ids=FOREIGN)
def test_other_kinds_of_arrays_are_refused_by_name(x):
    t, c = leaf([1.0, 2.0]), mg.tensor([1.0, 2.0])
    for f in (
        lambda: t * x,
        lambda: x * t,
        lambda: np.maximum(t, x),
        lambda: np.where(t > 0, t, x),
        lambda: c * x,
        lambda: np.maximum(c, x),
    ):
        with pytest.raises(TypeError):
            f()
    for f in (lambda: mg.tensor(x), lambda: mg.grad(lambda x: x.sum())(x)):
        with pytest.raises(TypeError):
            f()


def test_the_refusal_names_the_kind():
    t = leaf([1.0, 2.0])
    own = np.ones(2).view(Own)
    for f in (lambda: own * t, lambda: np.multiply(t, own), lambda: np.multiply(own, t), lambda: own**t):
        with pytest.raises(TypeError, match=r"an operand is a .*Own, which does not compute as arrays do"):
            f()
    with pytest.raises(TypeError, match=r"multiply: an operand is a numpy\.ma.*MaskedArray.*x\.filled"):
        np.multiply(t, np.ma.array([1.0, 2.0]))
    with pytest.raises(TypeError, match=r"multiply: an operand is a numpy\.ma.*MaskedArray.*x\.filled"):
        t * np.ma.array([1.0, 2.0])
    with pytest.raises(TypeError, match=r"relu: an operand is a .*matrix"):
        mg.relu(np.zeros((1, 2)).view(np.matrix))


def test_memory_mapped_arrays_are_arrays(tmp_path):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=(2, 2))
    x[:] = [[1.0, 2.0], [3.0, 4.0]]
    t = leaf(np.ones((2, 2)))
    (t * x + x @ t + np.maximum(x, t)).sum().backward()
    np.testing.assert_array_equal(
        t.grad, np.array(x) + np.array([[4.0, 4.0], [6.0, 6.0]]) + (np.array(x) == 1) / 2
    )
    assert type(mg.softmax(x)) is not mg.Tensor
    np.testing.assert_allclose(mg.grad(lambda x: (x * x).sum())(x), 2 * np.array(x))


def test_an_attribute_that_there_is_not_says_what_to_write():
    t = leaf([1.0, 2.0])
    with pytest.raises(AttributeError, match=r"^a tensor has no 'tanh'; write np\.tanh\(t\)$"):
        t.tanh()
    with pytest.raises(
        AttributeError, match=r"^a tensor has no 'view'; the array, off the tape, has it: t\.numpy"
    ):
        t.view(-1)
    with pytest.raises(AttributeError, match=r"^a tensor has no 'relu'; write mg\.relu\(t\)$"):
        t.relu()
    with pytest.raises(AttributeError, match=r"^a tensor has no 'zero_grad'; write t\.grad = None$"):
        t.zero_grad()
    with pytest.raises(AttributeError, match=r"^a tensor has no 'strides'; how its entries lie in memory"):
        print(t.strides)
    with pytest.raises(AttributeError, match=r"^a tensor has no 'unknown'$"):
        t.unknown(0)
    assert not hasattr(t, "__array_interface__")
    assert not hasattr(t, "_repr_html_")


def test_messages_of_adding_at_an_index_and_of_a_mask_say_what_to_write():
    t = leaf([1.0, 2.0])
    with pytest.raises(mg.TapeError, match=r"write np\.add\.at\(a, index, t\), with a tensor of the array"):
        np.add.at(np.zeros(2), [0, 0], t)
    with pytest.raises(
        mg.TapeError, match=r"write np\.subtract\.at\(a, index, t\), with a tensor of the array"
    ):
        np.subtract.at(np.zeros(2), [0, 0], t)
    with pytest.raises(mg.TapeError, match=r"multiply\.at has no backward rule"):
        np.multiply.at(np.zeros(2), [0, 0], t)
    with pytest.raises(TypeError, match=r"^numpy\.log: no backward rule with 'where'; write np\.where"):
        np.log(t, where=t.numpy() > 1)
    with pytest.raises(
        TypeError, match=r"np\.where\(where, np\.divide\(x, y\), other\), with np\.where\(where, y, 1\)"
    ):
        np.divide(1.0, t, where=t.numpy() > 1)
    with pytest.raises(mg.TapeError, match=r"write t for np\.asarray\(t\)"):
        np.asarray(t)


def test_messages_name_functions_and_places():
    t = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=r"^numpy\.polydiv has no backward rule"):
        np.polydiv(t, t)
    with pytest.raises(TypeError, match=r"^at .*test_tensor\.py:\d+: .* became a plain array"):
        np.asarray(t)
    with pytest.raises(
        TypeError, match=r"\.ndenumerate, called at .*; write for i in np\.ndindex\(t\.shape\), and t\[i\]"
    ):
        list(np.ndenumerate(t))
    with pytest.raises(TypeError, match=r"\.r_, called at .*; write np\.concatenate"):
        np.r_[t, 1.0]
    with pytest.raises(TypeError, match=r"\.c_, called at .*; write np\.column_stack"):
        np.c_[t, t]
    with pytest.raises(TypeError, match=r"\.vectorize, called at .*; write NumPy's functions with axis="):
        np.vectorize(abs)(t)
    with pytest.raises(TypeError, match=r"^numpy\.kron, called at .* became a plain array"):
        np.kron([t[0], t[1]], t)


def filled_row_by_row(x):
    a = mg.tensor(np.zeros((2, 2)))
    a[0] = [x[0] * x[1], x[1]]
    a[1] = (2.0, x[0])
    np.add.at(a, (0, [0, 1]), [x[1], 1.0])
    np.fill_diagonal(a, [x[0] * 2, x[1]])
    a += [x[1], 0.5]
    return a @ [x[0], x[1]]


LISTS = {
    "product": lambda x: x * [x[1], 2.0],
    "reflected": lambda x: [x[1], 2.0] * x,
    "matrix": lambda x: [[x[0], x[1]], [0.5, 3.0]] @ x,
    "ufunc": lambda x: np.arctan2((x[0], x[1]), x[::-1]),
    "comparison": lambda x: np.where(x < [x[1], x[0]], [x[0], 2.0], x),
    "dot": lambda x: np.dot([x[0] ** 2, x[1]], x),
    "append": lambda x: np.append([x[0], 3.0], x) ** 2,
    "stack": lambda x: np.stack([[x[0] * x[1], x[1]], x]),
    "assignment": filled_row_by_row,
}


@pytest.mark.parametrize("f", LISTS.values(), ids=LISTS.keys())
def test_a_list_of_tensors_is_an_array_as_a_list_of_numbers_is(f):
    x = np.array([1.5, 0.75])
    np.testing.assert_array_equal(mg.vjp(f, x)[0], f(x))
    check_grads(f, x, order=2)
    both = mg.value_and_grad(lambda x: np.sum(f(x) ** 2))
    for got, want in zip(mg.jit(both)(x), both(x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14)


def test_a_list_of_tensors_promotes_as_numpy_does():
    t = leaf(np.float32([1.0, 2.0]))
    for other in ([t[0], t[1]], [t[0], 2.0], [t[0], np.float64(2.0)]):
        plain = [x.numpy()[()] if isinstance(x, mg.Tensor) else x for x in other]
        assert (t * other).dtype == (t.numpy() * plain).dtype


def test_numbers_are_rounded_filled_and_divided_as_numpys_are():
    def f(x):
        y = np.zeros_like(x)
        y.fill(x[0] ** 2)
        whole, rest = divmod(7.5, x[1])
        return np.sum(y * x) + rest * whole + round(x[1], 1) * x[0]

    check_grads(f, np.array([1.5, 2.0 / 3]))
    x = leaf([2.468, 2.5])
    assert (round(x[0], 1), round(x[0]), round(x[1])) == (2.5, 2, 2)
    assert type(round(x[0])) is int
    with pytest.raises((TypeError, ValueError)):
        round(x)


def test_numbers_that_would_be_cut_silently():
    t, out = leaf([1.0, 2.0]), np.zeros(2)
    for cut in (lambda: out.fill(t[0]), lambda: np.fromiter((x for x in t), float)):
        with pytest.raises((mg.TapeError, ValueError)):
            cut()
    np.testing.assert_array_equal(out, 0)
    assert float(t[0]) == 1


def test_full_like():
    t, c = leaf([1.0, 2.0]), leaf(3.0)
    np.testing.assert_array_equal(np.full_like(t, 2).numpy(), np.full_like(t.numpy(), 2), strict=True)
    assert not np.full_like(t, 2).requires_grad
    with pytest.raises(TypeError, match=r"numpy\.full_like has no backward rule"):
        np.full_like(t, c)


def test_threads_add_to_one_leaf_and_no_gradient_is_lost():
    leaf = mg.tensor(np.zeros(2000), requires_grad=True)
    start = threading.Barrier(8)

    def add():
        start.wait()
        for _ in range(300):
            np.sum(leaf * 2.0).backward()

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(leaf.grad, np.full(2000, 4800.0))


X32 = np.array([[0.5, 1.25, 2.5], [1.0, 0.75, 0.25]])
TENSOR_OPTIONS = {
    "sum": lambda a, o: np.sum(a, initial=o),
    "max": lambda a, o: np.max(a, initial=o),
    "prod": lambda a, o: np.prod(a, axis=0, initial=o),
    "pad": lambda a, o: np.pad(a, 1, constant_values=o),
    "var": lambda a, o: np.var(a, ddof=o),
    "std": lambda a, o: np.std(a, correction=o),
    "pinv": lambda a, o: np.linalg.pinv(a, rcond=o),
    "interp": lambda a, o: np.interp(a, [0.0, 1.0], [0.0, 1.0], period=o),
    "roll": lambda a, o: np.roll(a, o),
    "nan_to_num": lambda a, o: np.nan_to_num(a, nan=o),
    "quantile": lambda a, o: np.quantile(a, o),
    "cov": lambda a, o: np.cov(a, aweights=np.arange(3.0) + o),
}


@pytest.mark.parametrize("name", TENSOR_OPTIONS)
def test_a_tensor_as_an_option_is_refused_by_name(name):
    """Of a tensor, and of an array, inside grad and outside."""
    call = TENSOR_OPTIONS[name]
    for refused in (
        lambda: call(leaf(X32), leaf(0.5)),
        lambda: call(X32, leaf(0.5)),
        lambda: mg.grad(lambda o: np.sum(call(X32, o)))(0.5),
        lambda: mg.grad(lambda a, o: np.sum(call(a, o)), argnums=(0, 1))(X32, 0.5),
    ):
        with pytest.raises((TypeError, ValueError)) as error:
            refused()
        told = f"{error.value} {error.value.__cause__}"  # NumPy may raise its own error from this one
        assert f"{name}: no backward rule for a tensor as an option; detach it" in told


@pytest.mark.parametrize("value", [[1.0, 2.0], (), [1.0], np.ones((2, 2)), np.zeros(0)], ids=str)
def test_arrays_are_filled_with_a_number_alone(value):
    with pytest.raises(ValueError, match="fill: the value has shape"):
        mg.tensor(np.ones(2)).fill(value)
    with pytest.raises(ValueError, match="fill: the value has shape"):
        mg.grad(lambda x: (x * 1.0).fill(x * np.ones(2)))(np.ones(2))
    with pytest.raises(ValueError, match="fill: the value has shape"):
        mg.jit(lambda x, value: x.fill(value))(np.ones(2), value)
