"""Complex numbers: which functions take them with a gradient.

A real loss L of a complex z = x + iy has the gradient ``dL/dx + i dL/dy``, the direction of steepest ascent, as in
PyTorch; JAX's and HIPS autograd's is its conjugate. So ``z -= lr * z.grad`` descends. Inside the backward pass goes
the conjugate, which leaves the rules of holomorphic functions as they are for real numbers; where an operand is real
and the result is complex, the operand has the real part. Other functions refuse complex numbers that require a
gradient.
"""

from __future__ import annotations

import numpy as np

from .conjugates import of_parts
from .cumulative import recurrence
from .decompositions import eigenpairs, orthogonal_triangular, singular_triples, singular_values
from .diagonals import on_diagonal
from .eig import general_eigenpairs, general_eigenvalues
from .elementwise import astype, direction
from .facts import named, state
from .indexing import getitem, scatter, setitem
from .least_squares import least_squares
from .linalg import inverses, length, sign_and_log
from .reductions import products_of_others
from .sliding import windows_added, windows_at

state(
    *named("add subtract multiply divide positive negative square copy power float_power absolute sqrt"),
    *named("reciprocal exp expm1 exp2 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh"),
    *named("arcsinh arccosh arctanh where real imag conjugate angle sum mean prod cumsum cumprod matmul dot"),
    *named("vdot inner outer tensordot einsum reshape ravel transpose swapaxes moveaxis expand_dims squeeze"),
    *named("broadcast_to flip roll pad concatenate cov polyval vander diff trapezoid take choose append"),
    *named("vstack hstack dstack column_stack insert resize convolve correlate corrcoef trace diag diagflat"),
    *named(
        "matvec vecmat rollaxis matrix_transpose flipud fliplr rot90 stack tile repeat diagonal tril triu"
    ),
    *named("var std cross"),
    *named("sliding_window_view", np.lib.stride_tricks),
    *named("nansum nanmean nanprod nancumsum nancumprod nanvar nanstd"),
    *named("diagonal trace", np.linalg),
    *named("fftshift ifftshift", np.fft),
    *named("inv solve det pinv cholesky eigvalsh", np.linalg),
    *named("fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn", np.fft),
    *(recurrence, astype, direction, getitem, setitem, scatter, products_of_others, on_diagonal),
    *(sign_and_log, inverses, least_squares, length, windows_at, windows_added),
    *(general_eigenpairs, general_eigenvalues, of_parts),
    *(eigenpairs, singular_triples, singular_values, orthogonal_triangular),
    complex_numbers=True,
)
