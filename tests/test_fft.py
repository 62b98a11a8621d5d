"""The Fourier transforms beyond what the registry tests of them: dtypes, identities, and what is refused."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads

RNG = np.random.default_rng(0)
PAIRS = [
    (np.fft.fft, np.fft.ifft),
    (np.fft.rfft, np.fft.irfft),
    (np.fft.ihfft, np.fft.hfft),
    (np.fft.fft2, np.fft.ifft2),
    (np.fft.rfftn, np.fft.irfftn),
    (np.fft.fftshift, np.fft.ifftshift),
]


@pytest.mark.parametrize(("there", "back"), PAIRS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("side", [4, 5])
def test_there_and_back_the_gradient_is_as_it_was(there, back, side):
    x = RNG.standard_normal((3, side))
    shape = {"n": side} if back in (np.fft.irfft, np.fft.hfft) else {}
    shape = {"s": x.shape, "axes": (0, 1)} if back is np.fft.irfftn else shape
    weights = RNG.standard_normal(x.shape)
    got = mg.grad(lambda x: np.sum(np.real(back(there(x), **shape)) * weights))(x)
    np.testing.assert_allclose(got, weights, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_the_gradient_is_that_of_the_matrix(norm):
    """Of y = F z a loss w . y has, as direction of steepest ascent, F^H conj(w)."""
    n, m = 6, 4
    power = {"backward": 0, "ortho": 0.5, "forward": 1}[norm]
    matrix = np.exp(-2j * np.pi / n * np.outer(np.arange(n), np.arange(m))) / n**power
    z, w = (RNG.standard_normal(k) + 1j * RNG.standard_normal(k) for k in (m, n))
    np.testing.assert_allclose(np.fft.fft(z, n, norm=norm), matrix @ z, rtol=1e-12)
    got = mg.grad(lambda z: np.sum(np.real(w * np.fft.fft(z, n, norm=norm))))(z)
    np.testing.assert_allclose(got, matrix.conj().T @ w.conj(), rtol=1e-12)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("transform", [np.fft.fft, np.fft.irfft, np.fft.hfft, np.fft.ifftn])
def test_dtypes_are_numpys_and_a_real_signal_has_a_real_gradient(transform, kind):
    x = mg.tensor(np.ones(4), dtype=kind, requires_grad=True)
    y = transform(x)
    assert y.dtype == transform(x.data).dtype
    np.sum(np.square(np.abs(y))).backward()
    assert x.grad.dtype == kind


@pytest.mark.parametrize("transform", [np.fft.rfft, np.fft.ihfft, np.fft.rfft2, np.fft.rfftn])
def test_half_a_spectrum_is_that_of_a_real_signal(transform):
    with pytest.raises(TypeError):
        transform(mg.tensor(np.ones((3, 4), complex), requires_grad=True))


@pytest.mark.parametrize("transform", [np.fft.fftn, np.fft.rfftn, np.fft.irfftn, np.fft.ifft2])
def test_an_axis_twice_is_refused_by_name(transform):
    x = mg.tensor(np.ones((3, 4)), requires_grad=True)
    with pytest.raises(TypeError, match=rf"numpy\.fft\.{transform.__name__}: .* an axis twice"):
        transform(x, axes=(1, 1))


@pytest.mark.parametrize("transform", [np.fft.fft, np.fft.rfftn])
def test_out_is_refused_by_name(transform):
    x = mg.tensor(np.ones((3, 4)), requires_grad=True)
    with pytest.raises(TypeError, match=rf"numpy\.fft\.{transform.__name__}: .*'out'"):
        transform(x, out=np.zeros((3, 4), complex))


def test_no_axes_at_all():
    x = np.ones((2, 3))
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(np.fft.fftn(x, axes=()) ** 2))(x), 2 * x)


@pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning")
def test_lengths_without_axes_are_those_of_the_last():
    x = RNG.standard_normal((3, 4))
    for s in ((2,), (6,)):
        check_grads(lambda x, s=s: np.abs(np.fft.fftn(x, s)), x)
        check_grads(lambda x, s=s: np.abs(np.fft.rfftn(x, s)), x)


@pytest.mark.parametrize("transform", [np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn])
@pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning")
def test_lengths_for_more_axes_than_there_are(transform):
    with pytest.raises(np.exceptions.AxisError):
        transform(mg.tensor(np.ones(3), requires_grad=True), s=(2, 3))
