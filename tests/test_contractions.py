"""Large contractions, which are made matrix products: tried on small ones."""

from string import ascii_lowercase, ascii_uppercase

import numpy as np
import pytest
from derivatives import check_rule
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.checks.proof import of_arrays
from minigrad.gradient_check import check_grads
from minigrad.rules import OPS, contractions
from minigrad.testing import calls


@pytest.fixture(scope="module")
def always():
    """Matrix products of any size."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(contractions, "BLAS_PAYS", 1)
        yield


@pytest.mark.usefixtures("always")
@given(data=st.data())
def test_by_matrix_products_the_gradients_are_the_same(data):
    args, options = data.draw(calls(OPS[np.einsum].inputs))
    f, arrays = of_arrays(np.einsum, args, options)
    check_grads(f, *arrays, order=2)


@pytest.mark.usefixtures("always")
@given(data=st.data())
def test_compiled_the_values_are_the_same(data):
    args, options = data.draw(calls(OPS[np.einsum].inputs))
    places = [i for i, x in enumerate(args) if isinstance(x, np.ndarray)]
    compiled = mg.jit(
        lambda *arrays: np.einsum(
            *[arrays[places.index(i)] if i in places else x for i, x in enumerate(args)], **options
        )
    )
    got, want = compiled(*[args[i] for i in places]), np.einsum(*args, **options)
    assert (type(got), got.dtype, got.shape) == (type(want), want.dtype, want.shape)
    np.testing.assert_allclose(got, want, rtol=1e-5 if want.dtype == np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize("subscripts", ["ij,jk->iz", "ij,jk->iik", "ijk,jk->i", "ij,jk,kl->z"])
def test_compiled_wrong_subscripts_are_told_as_numpy_tells_them(subscripts):
    arrays = [np.ones((20, 20))] * (subscripts.count(",") + 1)
    with pytest.raises(ValueError, match="einstein sum") as plain:
        np.einsum(subscripts, *arrays)
    with pytest.raises(ValueError, match="einstein sum") as traced:
        mg.jit(lambda *xs: np.einsum(subscripts, *xs))(*arrays)
    assert str(traced.value) == str(plain.value)


def test_compiled_products_are_of_matrices_and_those_entry_by_entry_are_not():
    def source(subscripts, *shapes):
        compiled = mg.jit(lambda *xs: np.einsum(subscripts, *xs))
        compiled(*map(np.ones, shapes))
        return compiled.source

    assert "einsum" not in source("bqhd,bkhd->bhqk", (2, 16, 2, 16), (2, 16, 2, 16))
    assert source("ij,jk,kl->il", *[(16, 16)] * 3).count("dot(") == 2
    mixed = mg.jit(lambda x, y: np.einsum("ij,jk->ik", x, y))
    assert mixed(np.ones((16, 16), np.float32), np.ones((16, 16))).dtype == np.float64
    assert "einsum" not in mixed.source
    assert "einsum" in source("bij,bj->bi", (1024, 4, 4), (1024, 4))
    for by_entries in ("ij,ij->ij", "ij,j->ij", "ij,ij->i", "i,j->ij"):
        shapes = [(128,) * len(term) for term in by_entries.partition("->")[0].split(",")]
        assert "einsum" in source(by_entries, *shapes)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("subscripts", "shapes"), [("ij,ij->ij", [(2, 3), (1, 1)]), ("j,kj->", [(3,), (2, 3)])]
)
def test_and_those_of_what_is_broadcast_or_summed_alone(subscripts, shapes):
    arrays = [1.0 + np.arange(np.prod(shape)).reshape(shape) for shape in shapes]
    check_rule(lambda *xs: np.einsum(subscripts, *xs), *arrays)


@st.composite
def products_of_many(draw):
    """Three to five operands of up to three labels, and labels to keep."""
    sides = dict(zip("abcd", draw(st.tuples(*[st.integers(1, 3)] * 4)), strict=True))
    terms = draw(st.lists(st.text("abcd", max_size=3), min_size=3, max_size=5))
    used = sorted(set("".join(terms)))
    kept = draw(st.permutations(used))[: draw(st.integers(0, 2))]
    shapes = [[sides[c] if draw(st.integers(0, 5)) else 1 for c in term] for term in terms]
    for term, shape in zip(terms, shapes, strict=True):
        shape[:] = [shape[term.index(c)] for c in term]  # a label twice: as long
    arrays = [0.5 + np.arange(np.prod(shape)).reshape(shape) % 5 / 4 for shape in map(tuple, shapes)]
    return f"{','.join(terms)}->{''.join(kept)}", arrays


@given(products_of_many())
def test_of_many_operands_two_are_multiplied_at_a_time(product):
    """As compiled: the order is found once."""
    subscripts, arrays = product

    def f(*xs):
        return np.sum(np.cos(np.einsum(subscripts, *xs)))

    check_grads(f, *arrays)
    every = tuple(range(len(arrays)))
    gradients = mg.grad(f, argnums=every)
    compiled = mg.jit(gradients)
    for got, want in zip(compiled(*arrays), gradients(*arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    assert "optimize=True" not in compiled.source


@pytest.mark.parametrize("letters", [ascii_lowercase, ascii_uppercase])
def test_labels_for_what_has_none_are_found_beside_all_of_one_case(letters):
    """For the axes of ``...``, and for a diagonal."""
    x, y = np.arange(1.0, 5).reshape(*[1] * 26, 2, 2), np.arange(2.0)
    check_rule(lambda x, y: np.einsum(f"{letters}...,...->...", x, y), x, y)
    square = x.reshape(2, 2, *[1] * 25)
    check_rule(lambda x: np.einsum(f"{letters[0]}{letters}->{letters[0]}", x), square)


def test_what_einsum_is_not_differentiated_with_is_refused_by_name():
    with pytest.raises(TypeError, match=r"^numpy\.einsum: no backward rule with out; it knows subscripts"):
        mg.grad(lambda x: np.einsum("ij->i", x, out=np.zeros(3)).sum())(np.ones((3, 2)))
