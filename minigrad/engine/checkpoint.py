"""Recomputation in the backward pass of values that would otherwise be kept for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..rules.conjugates import conj
from .arguments import names_itself
from .calls import any_requires_grad
from .containers import leaves_of, map_tree, rebuilt_of
from .derivatives import as_input, pulled_back, recorded
from .layer import again, is_again, layer
from .recording import Call, TapeError, no_grad, recording
from .tensor import Tensor
from .walk import ancestors
from .watch import as_read


@names_itself
def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return f as one call of the tape, which keeps its arguments only, and runs f again in the backward pass.

    Only f's arguments and its result are kept in memory, at the cost of one more forward pass (Griewank and Walther
    2000; Chen et al. 2016, "Training deep nets with sublinear memory cost").

    Parameters
    ----------
    f
        A function of arrays, or of nested containers of them, whose result is one array. It must give the same
        result when it runs again, and depend on no other tensor that requires a gradient.

    Raises
    ------
    RuntimeError
        In the backward pass, if f gives another result than the first time.
    TapeError
        If f returns no array, when called; if its result depends on a tensor that is no argument, in the backward
        pass, or when called with constants alone.
    """

    def forward(*leaves: Any, structure: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        with no_grad():
            out = f(*rebuilt_of(structure, leaves), **options)
        out = out.data if type(out) is Tensor else out
        if not isinstance(out, (np.ndarray, np.generic)):
            raise TapeError(f"checkpoint: f returned {type(out).__name__}; expected one array")
        return out, (leaves, structure, options, out)

    def backward(dout: Any, cache: Any, needs: Any) -> tuple[Any, ...]:
        leaves, structure, options, out = cache
        targets: dict[int, Call] = {}
        leaves = [as_read(leaf) for leaf in leaves]
        inputs = [as_input(targets, leaf) if need else leaf for leaf, need in zip(leaves, needs, strict=True)]
        result = again(recorded, f, rebuilt_of(structure, inputs), options, targets)
        if not is_again(result, out):
            raise RuntimeError(
                f"checkpoint: {op.name} ran again, and gave another result; draw random numbers outside of it, and "
                "change nothing that it reads"
            )
        call = result._call if type(result) is Tensor else None
        if call is not None and ancestors(call, targets)[1]:
            raise depends_on_others()
        # Inside a walk gradients are the conjugates of those outside.
        found = iter([conj(dx) for dx in pulled_back(call, conj(dout), targets)[0]])
        return tuple([next(found) if need else None for need in needs])

    def depends_on_others() -> TapeError:
        return TapeError(
            f"checkpoint: the result of {op.name} depends on a tensor that is none of its arguments; make it one"
        )

    op = layer(forward, backward, name=getattr(f, "__name__", "checkpoint"))
    op.complex_numbers = True

    @wraps(f)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if any_requires_grad(kwargs):
            raise TypeError(
                f"checkpoint: {op.name} was given a tensor that requires a gradient by keyword; give it by position"
            )
        leaves = leaves_of(args)
        if any_requires_grad(leaves) or recording.get() is None:
            return op(*leaves, structure=map_tree(lambda _, leaf: None, None, args), options=kwargs)
        out = f(*args, **kwargs)  # of constants: if it is none, it depends on something else
        if any_requires_grad(out):
            raise depends_on_others()
        return out

    return checkpointed
