"""NumPy's functions without a rule: why they have none, and what to write instead."""

from __future__ import annotations

from typing import Any

import numpy as np

from .facts import Facts, named, state
from .table import OPS

# -- constant: float results that carry no gradient ----------------------------------------------------------------

state(*named("floor ceil rint trunc floor_divide round around fix"), constant="piecewise constant")
state(
    *named("zeros_like ones_like empty_like full_like"), constant="new arrays, of an array's shape and dtype"
)
state(*named("shape ndim size"), constant="reads shape and dtype alone")
state(*named("shape ndim size result_type can_cast iscomplexobj isrealobj einsum_path"), metadata=True)

# -- discrete: results that could carry none -------------------------------------------------------------------------

state(
    *named("all any allclose array_equal array_equiv equal not_equal greater greater_equal less less_equal"),
    *named("logical_and logical_not logical_or logical_xor signbit isin in1d isclose isfinite isinf isnan"),
    *named("isnat isneginf isposinf isreal iscomplex may_share_memory shares_memory is_busday isfortran"),
    *named("isscalar iterable"),
    discrete="booleans",
)
state(
    *named("argmax argmin argsort argpartition argwhere nonzero flatnonzero lexsort searchsorted digitize"),
    *named("nanargmax nanargmin diag_indices diag_indices_from tril_indices tril_indices_from triu_indices"),
    *named("triu_indices_from mask_indices indices ix_ unravel_index ravel_multi_index"),
    discrete="indices",
)
state(
    *named("bitwise_and bitwise_or bitwise_xor bitwise_not bitwise_count left_shift right_shift gcd lcm"),
    *named("packbits unpackbits count_nonzero busday_count busday_offset"),
    np.linalg.matrix_rank,
    discrete="integers",
)
state(
    *named("result_type can_cast iscomplexobj isrealobj broadcast_shapes common_type isdtype issubdtype"),
    *named("min_scalar_type mintypecode promote_types typename einsum_path datetime_data"),
    discrete="shapes, dtypes and places in memory",
)
state(
    *named("array2string array_repr array_str base_repr binary_repr format_float_positional"),
    *named("format_float_scientific datetime_as_string save savetxt savez savez_compressed load loadtxt"),
    *named("genfromtxt fromfile fromregex fromstring frombuffer from_dlpack fromiter get_include"),
    *named("get_printoptions set_printoptions printoptions info getbufsize setbufsize geterr seterr"),
    *named("geterrcall seterrcall nested_iters show_config show_runtime test"),
    *named("test", np.linalg),
    *named("test", np.fft),
    discrete="text, files and settings",
)
state(
    *named("arange eye empty ones zeros identity tri bartlett blackman hamming hanning kaiser"),
    *named("fftfreq rfftfreq", np.fft),
    discrete="new arrays of numbers",
)

# -- no gradient, and what to write instead -------------------------------------------------------------------------

state(
    *named("array asarray asanyarray ascontiguousarray asfortranarray asarray_chkfinite require asmatrix"),
    *named("bmat"),
    no_gradient="makes a plain array",
    instead="join tensors by np.stack or np.block, or by mg.tensor([t, ...])",
)
state(np.emath.logn, no_gradient="a quotient of logarithms", instead="np.emath.log(x) / np.emath.log(n)")
state(*named("r_"), no_gradient="makes a plain array", instead="np.concatenate")
state(*named("c_"), no_gradient="makes a plain array", instead="np.column_stack")
state(*named("full_like"), no_gradient="its value is an option", instead="np.zeros_like(t) + value")
state(*named("full"), no_gradient="makes a plain array", instead="np.broadcast_to(t, shape)")
state(
    np.geomspace,
    no_gradient="its ends may be complex, but not 0",
    instead="np.exp(np.linspace(np.log(start), np.log(stop), n))",
)
state(
    *named("unique unique_all unique_counts unique_inverse unique_values intersect1d union1d setdiff1d"),
    *named("setxor1d trim_zeros"),
    no_gradient="the shape of its result depends on values",
    instead="t[indices], with indices found on t.numpy()",
)
state(
    *named("histogram histogram2d histogramdd histogram_bin_edges"),
    no_gradient="counts, which are piecewise constant in the data",
    instead="a sum of smooth kernels about the bins' centers, or, for the weights, np.bincount(places, weights)",
)
state(
    *named("fromfunction frompyfunc vectorize"),
    no_gradient="calls a Python function for each of many parts",
    instead="NumPy's functions with axis=, np.where and np.select, or mg.rule",
)
state(
    *named("ndenumerate"),
    no_gradient="reads a plain array",
    instead="for i in np.ndindex(t.shape), and t[i]",
)
state(
    *named("as_strided", np.lib.stride_tricks),
    no_gradient="reads memory, however it lies",
    instead="np.lib.stride_tricks.sliding_window_view(t, n)[::hop]",
)
state(
    *named("polydiv"),
    no_gradient="rounding decides the length of its remainder",
    instead="np.polyval of both, divided",
    shape_from_values=True,
)
state(*named("sort_complex real_if_close"), no_gradient="for complex numbers", instead="np.sort and np.real")

# -- old names of functions ------------------------------------------------------------------------------------------

_OLD_NAMES: dict[str, Any] = {"row_stack": np.vstack, "trapz": np.trapezoid}
for _old, _new in _OLD_NAMES.items():
    for _function in named(_old) if _old in np.__all__ else ():
        OPS.setdefault(_function, OPS[_new])

# -- what the compiler asks -----------------------------------------------------------------------------------------

state(*named("argmax argmin argsort full sort take"), memory="new")
state(np.cumprod, memory="out")
state(
    *named("argwhere flatnonzero intersect1d nonzero setdiff1d setxor1d trim_zeros union1d unique"),
    *named("unique_all unique_counts unique_inverse unique_values"),
    np.linalg.lstsq,
    shape_from_values=True,
)

# -- functions that write into an argument: on arrays their result has no name that the tape could follow -----------

state(
    *named("copyto put place putmask fill_diagonal put_along_axis"), in_place=True, instead="t[index] = value"
)

# -- what arrays have and tensors have not ---------------------------------------------------------------------------

state(*named("astype"), no_gradient="takes arrays alone", instead="t.astype(dtype)")

ARRAYS_ALONE: dict[str, Facts] = {
    **dict.fromkeys(
        ["base", "ctypes", "data", "device", "flags", "strides"],
        Facts(discrete="places in memory", instead="t.data has it"),
    ),
    **dict.fromkeys(
        ["dump", "dumps", "tobytes", "tofile", "tostring", "to_device"],
        Facts(discrete="bytes and files", instead="t.numpy()"),
    ),
    **dict.fromkeys(
        ["byteswap", "getfield", "newbyteorder", "setfield", "view"],
        Facts(no_gradient="reads bytes as other numbers", instead="t.astype"),
    ),
    **dict.fromkeys(
        ["itemset", "resize", "setflags"],
        Facts(
            in_place=True,
            instead="t[index] = value, or the function of that name, which returns a new tensor",
        ),
    ),
    "choose": Facts(discrete="chooses by an array of integers", instead="np.choose(indices, tensors)"),
    "ptp": Facts(no_gradient="gone since NumPy 2", instead="np.ptp(t)"),
}
"""By the name of the attribute or method."""
