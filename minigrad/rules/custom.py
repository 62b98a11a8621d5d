"""User-defined rules: backward rules for any function of arrays, in the form of the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .facts import MADE, Facts, state
from .metadata import read_only
from .overriding import dispatched
from .table import OPS, Arguments, Draw, Op, Rule


def rule(
    function: Callable[..., Any],
    *rules: Rule,
    inputs: Callable[[Draw], Arguments] | None = None,
    complex_numbers: bool = False,
) -> Callable[..., Any]:
    """Give a function of arrays (SciPy's, compiled code, a callback) its backward rules.

    Parameters
    ----------
    function
        ``function(*operands, **options)`` of arrays, which returns one array and changes nothing. The parameters
        that the rules name after ``out`` are those that may be given; the first of them, one a rule, are the
        operands.
    *rules
        One for each operand: ``rule(g, out, *operands, **options)``, the operand's gradient, given the gradient g
        of the output ``out``. It is written in NumPy (and in functions that have rules), so that it runs on tensors
        for higher derivatives. Where operands were broadcast the tape sums its result down to their shapes.
    inputs : optional
        Draws ``(operands, options)`` for the property tests of `minigrad.testing.calls`.
    complex_numbers
        Whether the rules hold for complex numbers, too, which are refused otherwise. Those of a holomorphic function
        do as they are. In general g and the results are the conjugates of the gradients ``dL/dx + i dL/dy``: the rule
        of `numpy.conj` is ``np.conj(g)``, that of `numpy.abs` is ``g * np.conj(x) / out``.

    Returns
    -------
    callable
        The function, to be called on arrays and tensors; one call of the tape. To `jit` it is the NumPy that it is
        written in, or one call, if it needs the entries of arrays, as compiled code does. A ufunc is given its rules
        as it is, too: ``scipy.special.erf(t)`` works afterwards.

    Raises
    ------
    TypeError
        If the function or a rule is not callable, or there is no rule.

    Examples
    --------
    >>> softplus = mg.rule(lambda x: np.logaddexp(x, 0), lambda g, out, x: g * mg.sigmoid(x))
    >>> mg.grad(softplus)(0.0)
    array(0.5)
    """
    if not callable(function):
        raise TypeError(f"rule: got {type(function).__name__}; expected a function of arrays")
    if not rules or not all(map(callable, rules)):
        raise TypeError(
            f"rule: got the rules {[type(each).__name__ for each in rules]}; expected one function for each operand"
        )
    if isinstance(function, np.ufunc):
        OPS[function] = Op(function, rules, inputs)
        state(function, complex_numbers=complex_numbers)
    called = _changing_nothing(function)
    dispatcher: Any = dispatched(function)
    forward: Any = dispatched(called)  # on what a tensor holds: an array, or a stand-in for one
    op = Op(dispatcher, rules, inputs, forward=forward)
    if inputs is not None:
        OPS[dispatcher] = op
    dispatcher.op = op  # which goes with it, as the facts do
    dispatcher.facts = forward.facts = Facts(whole=called, complex_numbers=complex_numbers, made=next(MADE))
    return dispatcher  # type: ignore[no-any-return]  # a function


def _changing_nothing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose operands cannot be written to: the tape keeps them; and that gives one array.

    Raises
    ------
    TypeError
        If it returns several, or nothing.
    """

    @wraps(function)
    def called(*operands: Any, **options: Any) -> Any:
        result = function(*map(read_only, operands), **options)
        if result is None or isinstance(result, tuple):
            raise TypeError(
                f"{getattr(function, '__name__', 'rule')}: returned a {type(result).__name__}; expected one array: "
                "join several, as by np.stack, or give each a function and rules of its own"
            )
        return np.asarray(result) if type(result) in (bool, int, float, complex) else result

    return called
