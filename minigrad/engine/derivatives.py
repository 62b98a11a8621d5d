"""Derivatives as functions: of arrays, and of nested dicts, lists and tuples of arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np

from ..rules.elementwise import POSITIVE
from .arguments import names_itself, own_cause, raise_instead
from .arrays import STAND_INS, as_array, held, refuse_foreign
from .calls import NO_OPTIONS, bare, finish, lift, parent_of, variable
from .containers import leaves_of, map_tree
from .leaving import stacklevel_of_program
from .ownership import Neighbours
from .recording import RECORD, Array, Call, differentiated, next_number, recording
from .tensor import Tensor
from .walk import ancestors, walk_back
from .watch import forget, replaced


@names_itself
def grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return the function that computes the gradient of a scalar function.

    Parameters
    ----------
    f
        A function of arrays, or of nested dicts, lists and tuples of them, whose result has one entry. It is
        called with tensors in place of the arguments to differentiate for.
    argnums
        The position of the argument to differentiate for, or several.
    has_aux
        Whether f returns ``(result, aux)``: aux, nested arrays as they may be (running statistics, a hidden
        state), is returned beside the gradient and not differentiated for the arguments.

    Returns
    -------
    callable
        Takes the arguments of f. Returns the gradient for the argument at ``argnums``: plain arrays, each of
        its operand's shape and dtype, nested as the argument is; or a tuple of such, for several; with
        ``has_aux`` the pair ``(gradient, aux)``. Where the result depends on other tensors that require a
        gradient (an argument of an outer ``grad``, a leaf), it returns tensors on the tape, so that
        ``grad(grad(f))`` is the second derivative.

    Raises
    ------
    TypeError
        If an argument to differentiate for is not made of real floats, or f returns no real float.
    ValueError
        If the result of f has not one entry.

    Warns
    -----
    UserWarning
        If the result of f does not depend on the arguments at all; the gradient is then zeros.
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, taken = both(*args, **kwargs)
        return (taken, value[1]) if has_aux else taken

    return gradient


@names_itself
def value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return the function that computes ``(f(*args), gradient)``; see `grad`.

    With ``has_aux`` it computes ``((result, aux), gradient)``.
    """
    if not callable(f):
        raise TypeError(f"grad: got {f!r}; expected a function of arrays")
    several = isinstance(argnums, tuple)
    positions: tuple[int, ...] = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(isinstance(position, int) for position in positions):
        raise TypeError(f"grad: argnums is {argnums!r}; expected an integer, or a tuple of them")

    @wraps(f)
    def both(*args: Any, **kwargs: Any) -> Any:
        if several and len({position % len(args) for position in positions if args}) < len(positions):
            raise ValueError(f"grad: argnums {argnums} names an argument twice")
        targets: dict[int, Call] = {}
        options = Options(args, kwargs)
        try:
            return differentiated_at(args, kwargs, targets, options)
        finally:
            options.finish()
            if not differentiated:
                finish()
            if replaced:
                for _, _, _, (parent,), _, array in targets.values():
                    if parent is None:
                        forget(array)

    def differentiated_at(
        args: tuple[Any, ...], kwargs: dict[str, Any], targets: dict[int, Call], options: Options
    ) -> Any:
        inputs = list(args)
        for position in positions:
            if not -len(args) <= position < len(args):
                raise TypeError(
                    f"grad: argnums has {position}, but f was called with {len(args)} arguments by position"
                )
            inputs[position] = map_tree(argument, (targets, options), args[position])
        result = recorded(f, inputs, kwargs, targets)
        aux = None
        if has_aux:
            if not (isinstance(result, tuple) and len(result) == 2):
                raise TypeError(
                    f"grad: f returned {type(result).__name__}; with has_aux expected (result, aux)"
                )
            result, aux = result
        gradients, nested = _gradients(result, targets)
        each = iter(gradients)
        if several:
            taken: Any = tuple([map_tree(next, each, args[position]) for position in positions])
        else:
            taken = map_tree(next, each, args[positions[0]])
        value = result if nested else plain(None, result)
        return ((value, map_tree(released, targets, aux)) if has_aux else value), taken

    return both


class Options(dict[str, Any]):
    """An empty dict of options that also tells of the arguments, and whether their `grad` has finished.

    Attributes
    ----------
    given
        All arguments of the function, while it runs; one that it writes to may share memory with no other.
    originals : dict
        By the number of its call, the array of an argument whose tensor has a copy.
    found
        The arrays and the tensors among the arguments, when they have been asked for.
    """

    is_over = False
    found: tuple[Neighbours, list[Tensor]] | None = None

    def __init__(self, *given: Any) -> None:
        self.given: Any = given
        self.originals: dict[int, Array] = {}

    def arguments(self) -> tuple[Neighbours, list[Tensor]]:
        """Return the arrays among the arguments, and the tensors, whose arrays are to be asked for each time."""
        if self.found is None:
            leaves = leaves_of(self.given)
            arrays = [x for x in leaves if isinstance(x, np.ndarray) or type(x) in STAND_INS]
            self.found = Neighbours(arrays), [x for x in leaves if type(x) is Tensor]
        return self.found

    def let_go(self) -> None:
        """Release the arguments."""
        self.given, self.originals, self.found = (), {}, None

    def finish(self) -> None:
        """Note that the `grad` has finished, and release the arguments."""
        self.is_over = True
        self.let_go()


def as_input(targets: dict[int, Call], leaf: Any) -> Tensor:
    """Wrap an argument in the result of an identity call: f may write to it, and the walk ends there."""
    return argument((targets, NO_OPTIONS), leaf)


def argument(shared: tuple[dict[int, Call], dict[str, Any]], leaf: Any) -> Tensor:
    """Do as `as_input`, with the options of the call."""
    targets, options = shared
    parent, given = None, leaf
    if type(leaf) is not np.ndarray:
        if type(leaf) is Tensor:
            parent = parent_of(leaf) if leaf.requires_grad else None
            leaf = leaf.data
        else:
            refuse_foreign(leaf, "grad")
        leaf = held(leaf)
    if leaf.dtype.kind not in "fc":
        what = f"dtype {leaf.dtype}" if hasattr(given, "dtype") else repr(given)
        instead = "give real floats, and all else in an argument of its own, which argnums leaves out"
        if leaf.dtype == object and not hasattr(given, "dtype") and given is not None:
            what = f"a {type(given).__name__}"
            instead += (
                f"; a class that holds arrays is registered, mg.register_container({type(given).__name__}, …)"
            )
        raise TypeError(f"grad: an argument holds {what}, which has no gradient; {instead}")
    number = next_number()
    result = Tensor()  # as `lift` makes it
    result.data = leaf
    result._grad = None
    result.requires_grad = True
    result._call = targets[number] = number, POSITIVE, (leaf,), (parent,), options, leaf
    return result


def recorded(
    f: Callable[..., Any], inputs: Iterable[Any], kwargs: dict[str, Any], targets: Iterable[int]
) -> Any:
    """Call f on the inputs made of the targets, and record it, inside `no_grad` too."""
    mode = recording.set(RECORD) if recording.get() is None else None
    differentiated.update(targets)
    try:
        return f(*inputs, **kwargs)
    except ValueError as error:
        raise_instead(own_cause(error), error)
    finally:
        differentiated.difference_update(targets)
        if mode is not None:
            recording.reset(mode)


def plain(_: Any, x: Any) -> Any:
    """Return a tensor's values in an array of their own, of no axes as a NumPy number; anything else as it is."""
    if type(x) is not Tensor:
        return x
    array = bare(x)
    return array.copy() if array.ndim else array[()]


def are_outer(targets: dict[int, Call]) -> bool:
    """Tell whether one of the targets comes from outside: an argument of an outer `grad`, a leaf."""
    for target in targets.values():
        if target[3][0] is not None:
            return True
    return False


def released(targets: dict[int, Call], x: Any) -> Any:
    """Turn results into plain arrays, except tensors that depend on other tensors than the targets.

    These are the other tensors that require a gradient: one from outside that the function reads, an argument of an
    outer `grad`.
    """
    if type(x) is not Tensor or not x.requires_grad or recording.get() is None:
        return plain(None, x)
    others = are_outer(targets) or x._call is None or ancestors(x._call, targets)[1]
    return x if others else plain(None, x)


def pulled_back(call: Call | None, g: Any, targets: dict[int, Call]) -> tuple[list[Any], bool]:
    """Walk back from a call to the targets: their gradients, zeros where it does not depend on one.

    They are tensors on the tape where the call or g depends on other tensors that require a gradient: whether it
    does is the second result.
    """
    found: dict[int, Any] = {}
    if call is None:
        nested = False
    else:
        behind = ancestors(call, targets)
        others = behind[1] or are_outer(targets)
        nested = recording.get() is not None and (others or (type(g) is Tensor and g.requires_grad))
        on_tape = lift if others else _constant  # nobody outside differentiates for the targets
        found, _ = walk_back(call, g, targets, on_tape if nested else None, behind)
    if targets and targets.keys().isdisjoint(found):
        warnings.warn(
            "grad: the result of f does not depend on its arguments, or this is a second derivative and f is linear; "
            "the gradient is zeros",
            stacklevel=stacklevel_of_program(),
        )
    gradients = [found[n] if n in found else np.zeros_like(target[-1]) for n, target in targets.items()]
    return [g if type(g) is Tensor else variable(g) for g in gradients] if nested else gradients, nested


def _constant(array: Any, _: Any) -> Any:
    """Return the tensor of an array that is on the tape for the targets alone; see `lift`."""
    return variable(array)


def _gradients(result: Any, targets: dict[int, Call]) -> tuple[list[Any], bool]:
    """Walk back from a result of one entry; see `pulled_back`."""
    if type(result) is Tensor:
        value = result.data
    elif isinstance(result, (np.ndarray, np.generic, float)) or type(result) is int:
        value = as_array(result)
    else:
        raise TypeError(f"grad: f returned {type(result).__name__}; expected a tensor with one entry")
    if value.size != 1:
        raise ValueError(f"grad: f returned shape {value.shape}; expected one entry: reduce it, as by .sum()")
    if value.dtype.kind != "f" and type(result) is not int:
        raise TypeError(f"grad: f returned dtype {value.dtype}, which has no gradient; expected a real float")
    one = np.ones(value.shape, value.dtype) if value.ndim else value.dtype.type(1)
    return pulled_back(result._call if type(result) is Tensor else None, one, targets)
