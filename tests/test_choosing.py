"""Rules of functions that choose entries."""

import numpy as np
import pytest

from minigrad.rules.choosing import selected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_selected_by_its_bits_is_what_where_selects(dtype):
    x, y = (np.array(values, dtype) for values in ([[1.5, np.nan, -0.0]], [[np.inf], [-2.0]]))
    mask = np.array([True, False, True])
    want, out = np.where(mask, x, y), np.empty((2, 3), dtype)
    for got in (selected(mask, x, y), selected(mask, x, y, out)):
        np.testing.assert_array_equal(got.view(f"i{got.itemsize}"), want.view(f"i{got.itemsize}"))
    assert got is out
