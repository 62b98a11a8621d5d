"""`jit`: compile a function of arrays to straight-line NumPy code."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial, update_wrapper
from typing import Any, NamedTuple

import numpy as np

from ..engine.arguments import argument_names, names_itself
from ..engine.arrays import TOO_DEEP
from ..engine.containers import CONTAINERS
from ..engine.pickling import global_name
from ..engine.recording import RUN_LATER, recording
from ..engine.watch import Anomaly
from . import locks
from .environment.methods import BoundMethod, BoundWeakly, has_weak_references
from .environment.outside import Outside
from .environment.signature import Inlined, flatten, own_classes, refuse_overlap
from .ir import name_of
from .program import Compiled, compiled_fetching
from .recompilation import Recompilation
from .where import AsWritten, JitError

__all__ = ["JitError", "Jitted", "jit"]
MAXSIZE = 32
"""The size of a function's cache, in signatures."""


class CacheInfo(NamedTuple):
    """Cache statistics: hits, misses, maximum and current size."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


@names_itself
def jit(f: Callable[..., Any] | None = None, *, donate_argnums: int | tuple[int, ...] = ()) -> Any:
    """Compile a function of arrays to straight-line NumPy code with preallocated buffers.

    The first call with a signature (how the arguments are nested, the arrays' shapes and dtypes, the values of
    all other arguments) runs the function on stand-ins that record NumPy's calls, the backward pass of `grad`
    and `value_and_grad` included. What is recorded is simplified, given buffers, and written as Python source.
    Later calls run that. A function whose arguments are tensors, or which reads tensors from outside that require a
    gradient, or which is called in one that is compiled, is part of that computation and is not compiled on its own;
    in `detect_anomaly` it runs as it is written.

    Parameters
    ----------
    f
        A function of arrays, numbers, random generators, and nested dicts, lists and tuples of them, which
        returns arrays, however nested. Writing into an argument is allowed: the caller's array is modified, and the
        entries of dicts and lists are set, added and deleted as f does.
        Numbers, strings and functions are static: a new value is a new signature. So are the globals and closure
        variables that the function, and the functions it calls by name, read: numbers, strings and tuples of them
        compare by value, other objects (functions, classes) by identity; entries of lists and dicts and the attributes
        of objects and modules that the function names are followed, ``self`` of a method included; one that is
        decorated is compiled for each instance. Attributes of installed modules are read once.
        Arrays, NumPy's numbers and random generators outside are read in each call, as arguments are, and written to;
        so state in them works as it is written (``self.W -= lr * g``, ``self.m = 0.9 * self.m + g``). Where f needs
        their values (``if self.P[0] > 1``), and where another thread is in Python code in the first call, they are
        constants, compared by their entries (at most 65,536 of each, evenly spaced). A Python number that f changes
        (``self.t += 1``) is read in each call as well, if f does not need its value and all arrays are of float64 or
        int64; what f computes from it, and returns or leaves elsewhere, is a NumPy number. So is a dict, list or tuple
        of arrays that f replaces by one of the same structure. A call that initializes the state it reads
        (``if self.v is None``) runs f as it is written. What f sets outside is set in each call, including arrays
        that it computes (``self.cache = x, mask``). Arrays that f makes by ``np.zeros``, ``ones``, ``empty``, ``full``,
        ``eye`` and ``identity`` may be filled with what it computes, and looked up in; ``np.array`` joins it. What a
        mask selects is computed entry by entry and written back, ``x[mask] = f(x[mask])``, or summed. During
        tracing arrays are arrays to isinstance, but not to ``type(x) is np.ndarray``.
        `numpy.errstate` inside the function holds in the first call only: put it around the calls.
    donate_argnums
        The positions of arguments whose arrays may be overwritten and reused as results. Labels and indices
        are checked, and numpy.linalg's functions called, before anything is written that they do not depend on; any
        other error half-way, or Ctrl-C, can leave them partly updated.

    Returns
    -------
    Jitted
        Called as f. Its results share no memory with later calls. Where numpy.linalg raises LinAlgError, and no
        argument may have been overwritten, f runs as it is written, and may handle it.

    Raises
    ------
    JitError
        When first called, at a line whose outcome depends on the values of arrays (``if loss > 3``,
        ``float(x)``, ``x.item()``), or on NumPy's own random numbers; or if it changes what it reads from outside
        in another way, such as a list that grows.

    Warns
    -----
    UserWarning
        When it is compiled for the fifth value of one number (an argument, or from outside), such as a scheduled
        learning rate, or of one outside array; when the tenth call in a row initializes its state.

    Examples
    --------
    >>> @mg.jit(donate_argnums=0)
    ... def step(params, X, y):
    ...     loss, grads = mg.value_and_grad(objective)(params, X, y)
    ...     return loss, {name: params[name] - lr * grads[name] for name in params}
    """
    positions = donate_argnums if isinstance(donate_argnums, tuple) else (donate_argnums,)
    if not all(type(position) is int and position >= 0 for position in positions):
        raise TypeError(
            f"jit: donate_argnums is {donate_argnums!r}; expected a position, 0 or more, or a tuple of them"
        )
    if f is None:
        return lambda f: Jitted(f, positions)
    for kind, is_one in RUN_LATER.items():
        if is_one(f):
            raise TypeError(
                f"jit: {name_of(f)} is {kind}, whose body does not run when it is called; expected a function that "
                "returns arrays"
            )
    if isinstance(f, (classmethod, staticmethod)):
        kind = type(f).__name__
        raise TypeError(f"jit: got a {kind}; write @{kind} above @mg.jit")
    if not callable(f):
        raise TypeError(f"jit: got {f!r}; expected a function of arrays")
    return Jitted(f, positions)


class Call(NamedTuple):
    """The arguments of a call, and their part of its signature.

    Attributes
    ----------
    leaves
        The arrays in them.
    key
        How they are nested, the arrays' shapes and dtypes, and the values of the options.
    classes
        The classes of the objects in them, whose methods may be called.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    leaves: list[Any]
    key: list[Any]
    classes: tuple[type, ...]


def call_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Return a call with these arguments."""
    leaves: list[Any] = []
    key: list[Any] = []
    flatten(args, leaves, key)
    if kwargs:
        key.append("keywords")
        flatten((kwargs,), leaves, key)
    return Call(args, kwargs, leaves, key, tuple(dict.fromkeys(own_classes((args, kwargs)))))


class Jitted:
    """A compiled function; made by `jit`.

    Attributes
    ----------
    source : str
        The Python source that the last call ran.
    tape : Tape
        The calls in it; ``print`` it.
    buffers : int
        The memory kept between calls, in bytes.
    """

    def __init__(self, f: Callable[..., Any], donated: tuple[int, ...]) -> None:
        update_wrapper(self, f)
        self.function = f
        self.donated = donated
        self.programs: dict[Any, Compiled] = {}  # the oldest first; list(…) of it is safe in threads
        self.recent: tuple[Outside, Compiled] | None = None
        self.recompilation = Recompilation(name_of(f))
        self.hits = self.misses = 0
        self.methods: dict[int, tuple[weakref.ref[Any], Jitted]] = {}  # by the ``id`` of their instances

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function; compile it first if the signature is new."""
        if self.recent is None:
            return self._call(args, kwargs)
        outside, program = self.recent
        leaves = program.leaves_of(args, kwargs)
        if leaves is None or outside.changed(leaves) or type(recording.get()) is Anomaly:
            return self._call(args, kwargs)
        self.hits += 1
        return self._run(program, leaves, args, kwargs)

    def _run(
        self, program: Compiled, leaves: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a program; on a LinAlgError run the function itself, which may handle it."""
        try:
            with program.lock:
                outcome = program.run(*leaves)
        except np.linalg.LinAlgError:
            if program.changes_arguments:
                raise
            return self.function(*args, **kwargs)
        return program.apply_effects(outcome, args, kwargs) if program.has_effects else outcome

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Slow path: look the signature up; compile if it is new."""
        try:
            call = call_of(args, kwargs)
        except Inlined:
            return self.function(*args, **kwargs)
        except RecursionError:
            raise ValueError(f"jit: {TOO_DEEP}") from None
        if type(recording.get()) is Anomaly:
            return self.function(*args, **kwargs)
        with locks.compiling:
            try:
                hit = self._cached(call)
                program, given = hit or self._compiled(call)
            except (AsWritten, Inlined) as error:
                self.recompilation.warn_of_a_beginning(error)
                return self.function(*args, **kwargs)
        is_new = hit is None and program.may_be_kept
        fetched = program.fetched.key() if is_new else None
        self.recompilation.beginnings = 0
        outcome = self._run(program, given, args, kwargs)
        if is_new and program.sets_only_unread:  # the call changed outside state: another key
            with locks.compiling:
                if program.fetched.key() == fetched:  # else of other shapes, say, than it is compiled for
                    self._keep(program, *self._snapshot(program, program.fetched.arrays() or {}, call)[1:])
        return outcome

    def _cached(self, call: Call) -> tuple[Compiled, list[Any]] | None:
        """Return the cached program of a call's signature, and its inputs; None on a miss."""
        programs = reversed([*self.programs.values()])
        ways = {(frozenset(each.left_out), each.fetched.together): each for each in programs}
        for way in ways.values():
            arrays = way.fetched.arrays_apart()
            if arrays is None:
                continue
            given, signature, outside = self._snapshot(way, arrays, call)
            program = self.programs.get(signature)
            if program is not None:
                refuse_overlap(given, program.overwritten, program.apart, program.contiguous)
                self.programs[signature] = self.programs.pop(signature, program)  # the latest, now
                self.hits += 1
                self.recent = outside, program
                return program, given
        return None

    def _compiled(self, call: Call) -> tuple[Compiled, list[Any]]:
        """Compile the function for a call; return the program and its inputs."""
        before = self.recent and self.recent[0]
        program = self._program_for(call)
        given, signature, outside = self._snapshot(program, program.fetched.arrays() or {}, call)
        names = argument_names(self.function, len(call.args))
        named = [*zip(names, call.args, strict=True), *call.kwargs.items()]
        self.recompilation.warn_of_a_number(signature, list(self.programs), named)
        self.recompilation.warn_of_a_change(before)
        refuse_overlap(given, program.overwritten, program.apart, program.contiguous)
        self.misses += 1
        if program.may_be_kept:
            self._keep(program, signature, outside)
        return program, given

    def _program_for(self, call: Call) -> Compiled:
        """Compile the function for a call."""
        outside = Outside(self.function, call.leaves, (), call.classes, stores=True)
        if outside.is_on_a_tape():
            raise Inlined
        count = len(call.args) + len(call.kwargs)
        if any(position >= count for position in self.donated):
            raise TypeError(
                f"jit: donate_argnums is {self.donated}, but {name_of(self.function)} was called with {count} arguments"
            )
        others = {
            place: namespace
            for each in list(self.programs.values())
            for place, namespace in each.unread.items()
        }
        compiled = partial(
            Compiled, self.function, call.args, call.kwargs, self.donated, outside, call.leaves, others
        )
        errors: list[Exception] = []
        try:
            return compiled_fetching(compiled, outside, errors)
        finally:
            errors.clear()  # they are in a circle with the frames that they come from

    def _snapshot(
        self, program: Compiled, arrays: dict[str, Any], call: Call
    ) -> tuple[list[Any], tuple[Any, ...], Outside]:
        """Return a program's inputs, these arrays included, its signature, and a snapshot of what is outside."""
        given, key = [*call.leaves], [*call.key]
        flatten((arrays,), given, key)
        places, before = frozenset(program.left_out), self.recent and self.recent[0]
        if before is not None and before.classes == call.classes and before.unread == places:
            outside = before.now(given)
        else:
            outside = Outside(self.function, given, places, call.classes)
        if outside.tensors and outside.is_on_a_tape():
            raise Inlined
        return given, (places, program.fetched.together, *key, *outside.key), outside

    def _keep(self, program: Compiled, signature: tuple[Any, ...], outside: Outside) -> None:
        """Cache a program under a signature, the latest one, evicting the oldest entries."""
        self.recent = outside, program
        self.programs[signature] = program
        while len(self.programs) > MAXSIZE:
            oldest, *_ = list(self.programs)
            self.programs.pop(oldest, None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Jitted:
        """Return a copy of the function, a method of the copied object, with an empty cache."""
        return Jitted(deepcopy(self.function, memo), self.donated)

    def __reduce__(self) -> Any:
        """Pickle a decorated function by name, any other by the function that it wraps."""
        return global_name(self) or (Jitted, (self.function, self.donated))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind a method: it is compiled for each instance, whose attributes it follows.

        An instance that is a container of arrays itself (a tuple, list, dict or registered class) is an argument.
        """
        if instance is None:
            return self
        key = id(instance)
        known, compiled = self.methods.get(key, (None, None))
        if known is not None and known() is instance:
            return BoundMethod(self, compiled, instance)
        is_argument = isinstance(instance, (type, tuple, list, dict)) or type(instance) in CONTAINERS
        if is_argument or not has_weak_references(instance):
            return lambda *args, **kwargs: self(instance, *args, **kwargs)
        reference = weakref.ref(instance, lambda _: self.methods.pop(key, None))
        donated = tuple([position - 1 for position in self.donated if position > 0])
        compiled = Jitted(BoundWeakly(self.function, reference), donated)
        self.methods[key] = reference, compiled
        return BoundMethod(self, compiled, instance)

    def _program(self) -> Compiled:
        if self.recent is None:
            raise AttributeError(
                f"jit: {name_of(self.function)} has not been called yet; it is compiled in its first call"
            )
        return self.recent[1]

    @property
    def source(self) -> str:
        """The Python source that the last call ran."""
        return self._program().source

    @property
    def tape(self) -> Any:
        """The calls that the last call made, as a `minigrad.pictures.tape.Tape`."""
        return self._program().tape()

    @property
    def buffers(self) -> int:
        """The memory that the last call's program keeps between calls, in bytes."""
        return self._program().buffers

    def cache_info(self) -> CacheInfo:
        """Return cache statistics: hits, misses, maximum and current size."""
        return CacheInfo(self.hits, self.misses, MAXSIZE, len(self.programs))
