"""Inverted dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.layer import layer
from ..engine.recording import Array
from ..rules.table import Arguments, Draw
from .parameters import check_keys

_KEYS = frozenset({"p", "mode", "rng", "seed"})


@takes_arrays
def dropout_forward(
    x: Array, dropout_param: Mapping[str, Any]
) -> tuple[Array, tuple[Mapping[str, Any], Any]]:
    """Keep each entry with probability p, divided by p, and drop the others; in test mode keep all as they are.

    Srivastava et al.: "Dropout: a simple way to prevent neural networks from overfitting", 2014; inverted, as in the
    notes of CS231n.

    Parameters
    ----------
    x : ndarray of any shape
    dropout_param : dict
        ``p``: the probability to KEEP an entry, in (0, 1]. ``mode``: ``"train"`` or ``"test"``. To train, ``rng``,
        a `numpy.random.Generator` that goes on from call to call (under `minigrad.jit` among the arguments); or
        ``seed``, which goes before it, for the same mask at each call, as a check of the gradient needs.
        Without either the mask is drawn anew, from the operating system's entropy.

    Returns
    -------
    out : ndarray of x's shape and dtype
    cache : (dropout_param, mask)
        The mask's entries are 0 and 1 / p; it is None in test mode.

    Raises
    ------
    ValueError
        If p is not in (0, 1], the mode is another, or ``dropout_param`` has other keys.
    """
    check_keys("dropout: dropout_param", dropout_param, _KEYS)
    p, mode = dropout_param.get("p"), dropout_param.get("mode")
    if not isinstance(p, (float, int, np.floating)) or not 0 < p <= 1:
        raise ValueError(f"dropout: p is {p!r}; expected the probability to keep an entry, in (0, 1]")
    if mode not in ("train", "test"):
        raise ValueError(f"dropout: mode is {mode!r}; expected 'train' or 'test'")
    if mode == "test":
        return x.copy(), (dropout_param, None)
    seed, rng = dropout_param.get("seed"), dropout_param.get("rng")
    if seed is not None or rng is None:
        rng = np.random.default_rng(seed)
    elif rng is np.random or isinstance(rng, np.random.RandomState):
        raise TypeError(
            "dropout: rng is NumPy's legacy generator; expected one of np.random.default_rng(seed)"
        )
    kept = rng.random(x.shape, np.float32) < p  # of one dtype: a seed's mask is the same for any x
    mask = kept * x.dtype.type(1 / p)
    return x * mask, (dropout_param, mask)


@takes_arrays
def dropout_backward(dout: Array, cache: tuple[Mapping[str, Any], Any]) -> Array:
    """Compute the gradient of `dropout_forward`: dout times the mask."""
    _, mask = cache
    return dout.copy() if mask is None else dout * mask


def _dropout_inputs(draw: Draw) -> Arguments:
    mode = draw.choice(["train", "train", "test"])
    return (draw.array(),), {"dropout_param": {"p": draw.choice([0.5, 0.8]), "mode": mode, "seed": 3}}


dropout = layer(dropout_forward, dropout_backward, linear=True, inputs=_dropout_inputs)
