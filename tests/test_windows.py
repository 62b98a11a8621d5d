"""The windows of images are those of NumPy's sliding windows, in another order of axes."""

import numpy as np
import pytest

from minigrad.rules.windows import add_windows, add_windows_of_product, examples_last, windows, windows_along


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [0, 1, 9, 17])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"), [((2, 3), 1, 0), ((1, 2), 2, 1), ((3, 1), 2, 2)], ids=str
)
def test_windows_are_numpys(n, kernel, stride, pad, order):
    x = np.asarray(np.arange(n * 2 * 4 * 5.0).reshape(n, 2, 4, 5), order=order)
    padded = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    parts = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))[:, :, ::stride, ::stride]
    expected = parts.transpose(4, 5, 1, 2, 3, 0).reshape(kernel[0] * kernel[1], *parts.shape[1:4], n)
    np.testing.assert_array_equal(windows(x, kernel, stride, pad), expected)
    last = examples_last(x)
    np.testing.assert_array_equal(last, x.transpose(1, 2, 3, 0))
    assert last.flags.c_contiguous


@pytest.mark.parametrize("channels", [1, 30, 101])
def test_a_product_added_a_few_offsets_at_a_time_is_added_whole(channels):
    shape, geometry = (2, channels, 4, 5), ((2, 3), 2, 1)
    places = (*windows_along(shape, *geometry), 2)
    rng = np.random.default_rng(0)
    w = rng.integers(-9, 9, (4, 6 * channels)).astype(np.float64)
    rows = rng.integers(-9, 9, (4, np.prod(places))).astype(np.float32)
    whole = add_windows((w.T @ rows).reshape(6, channels, *places), shape, *geometry)
    np.testing.assert_array_equal(add_windows_of_product(w, rows, shape, *geometry), whole, strict=True)
