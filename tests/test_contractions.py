"""Large contractions, which are made matrix products: tried on small ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minigrad.checks.proof import of_arrays
from minigrad.gradient_check import check_grads
from minigrad.rules import OPS, contractions
from minigrad.testing import calls


@given(data=st.data())
def test_by_matrix_products_the_gradients_are_the_same(data):
    args, options = data.draw(calls(OPS[np.einsum].inputs))
    f, arrays = of_arrays(np.einsum, args, options)
    kept, contractions.BLAS_PAYS = contractions.BLAS_PAYS, 1
    try:
        check_grads(f, *arrays, order=2)
    finally:
        contractions.BLAS_PAYS = kept
