"""The windows of images are those of NumPy's sliding windows, in another order of axes."""

import numpy as np
import pytest

import minigrad.rules.windows
from minigrad.rules.windows import (
    add_windows,
    add_windows_of_product,
    examples_last,
    product_with_windows,
    rows_with_windows,
    windows,
)


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


@pytest.mark.parametrize("entries", [1, 150, 10**6])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"), [((2, 3), 1, 0), ((1, 2), 2, 1), ((3, 1), 2, 2)], ids=str
)
def test_products_of_a_few_columns_at_a_time_are_those_of_all(kernel, stride, pad, entries, monkeypatch):
    monkeypatch.setattr(minigrad.rules.windows, "ENTRIES_AT_ONCE", entries)
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (3, 2, 9, 5)).astype(np.float32)
    parts = windows(x, kernel, stride, pad)
    columns = parts.reshape(len(parts) * 2, -1)
    w, rows = (rng.integers(-9, 9, (4, n)).astype(np.float64) for n in columns.shape)
    geometry = (kernel, stride, pad)
    for found, expected in (
        (product_with_windows(w, x, *geometry), w @ columns),
        (rows_with_windows(rows, x, *geometry), rows @ columns.T),
        (
            add_windows_of_product(w, rows, x.shape, *geometry),
            add_windows((w.T @ rows).reshape(parts.shape), x.shape, *geometry),
        ),
    ):
        np.testing.assert_array_equal(found, expected, strict=True)
