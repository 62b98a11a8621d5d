"""Random programs over every rule in the table, against JAX: ``python -m tests.oracle [PROGRAMS] [FIRST SEED]``.

A program is a chain of calls, each drawn by its op's own ``inputs``; what the call before returned is mixed into its
operands. The gradients for all drawn arrays, of the tape and of the compiled function, are compared with JAX's.
"""

import sys
from collections import Counter
from copy import deepcopy

import numpy as np

import minigrad as mg
from minigrad.checks.proof import RandomDraw, float_places
from minigrad.rules import OPS
from minigrad.rules.special import SPECIAL
from minigrad.rules.table import full_name

TABLE = {**OPS, **SPECIAL}
STEPS = 4
TOLERANCE = 1e-9


def path_of(function):
    """The dotted name of a function: numpy.linalg.norm, minigrad.rules.indexing.getitem."""
    if isinstance(function, np.ufunc):
        return full_name(function)
    return f"{function.__module__}.{function.__name__}"


def ours(jax):
    """JAX's counterparts of our own functions."""
    jnp = jax.numpy
    return {
        "getitem": lambda a, index: a[index],
        "setitem": lambda a, value, index: a.at[index].set(value),
        "scatter": lambda part, index, shape: jnp.zeros(shape, part.dtype).at[index].add(part),
        "astype": lambda x, dtype, casting="unsafe": x.astype(dtype),
        "sigmoid": jax.nn.sigmoid,
        "softmax": lambda x, axis=-1: jax.nn.softmax(x, axis),
        "log_softmax": lambda x, axis=-1: jax.nn.log_softmax(x, axis),
        "logsumexp": lambda x, axis=-1, keepdims=False: jax.scipy.special.logsumexp(
            x, axis, keepdims=keepdims
        ),
    }


def counterparts(jax):
    """For each function of the table JAX's, where it has one."""
    found, own = {}, ours(jax)
    for function in TABLE:
        name = function.__name__
        path = path_of(function)
        if path.startswith("minigrad."):
            other = own.get(name)
        else:
            other = jax.scipy.special if path.startswith("scipy.") else jax.numpy
            for part in path.split(".")[2 if path.startswith("scipy.") else 1 :]:
                other = getattr(other, part, None)
        if other is not None:
            found[function] = other
    return found


def drawn_program(rng, functions):
    """A list of calls: (function, args, kwargs, places of the float arrays among the args)."""
    program = []
    while len(program) < STEPS:
        function = functions[rng.integers(len(functions))]
        op = TABLE[function]
        args, kwargs = op.inputs(RandomDraw(int(rng.integers(2**31))))
        places = float_places(args)
        if places:
            program.append((op.function, args, kwargs, places))
    return program


def run(program, xs, xp, functions):
    """The value of a program for other arrays in place of its own; xp is numpy or jax.numpy."""
    xs, before = iter(xs), None
    total = 0.0
    for function, args, kwargs, places in program:
        args = deepcopy(list(args))  # arrays of the function's own, which may be compiled
        for i, j in places:
            x = next(xs)
            if before is not None and before.size:
                at = np.resize(np.arange(before.size), x.shape)
                x = x + 0.01 * xp.sin(xp.ravel(before)[at])
            if isinstance(args[i], list):
                args[i][j] = x
            else:
                args[i] = x
        out = functions.get(function, function)(*args, **kwargs)
        for each in out if isinstance(out, (list, tuple)) else [out]:
            if each.dtype.kind == "c":
                each = xp.real(each) + 2 * xp.imag(each)
            if each.dtype.kind == "f":
                weights = np.cos(np.arange(each.size)).reshape(each.shape)
                total = total + xp.sum(each * weights)
                before = each
    return total


def main(count=2000, first=0):
    """Compare programs; return how many differ."""
    import jax

    jax.config.update("jax_enable_x64", True)
    other = counterparts(jax)
    functions = sorted(other, key=path_of)
    print(
        f"{len(functions)} of {len(TABLE)} functions have a counterpart; without: "
        + ", ".join(sorted({path_of(f) for f in TABLE if f not in other}))
    )
    used, refused, wrong = Counter(), Counter(), 0
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        program = drawn_program(rng, functions)
        names = [path_of(step[0]) for step in program]
        xs = []
        for _, args, _, places in program:
            xs += [np.array(args[i][j] if isinstance(args[i], list) else args[i]) for i, j in places]
        try:
            value, expected = jax.value_and_grad(
                lambda xs, program=program: run(program, xs, jax.numpy, other)
            )([jax.numpy.asarray(x) for x in xs])
        except Exception as error:  # an option that JAX has not
            refused[type(error).__name__] += 1
            continue
        f = mg.value_and_grad(lambda xs, program=program: run(program, xs, np, {}))
        for way, call in (("eager", f), ("jit", mg.jit(f))):
            try:
                got_value, got = call(xs)
            except Exception as error:
                wrong += 1
                print(f"seed {seed}, {way}: {names}: {type(error).__name__}: {error}")
                continue
            size = max([1.0, *(float(np.max(np.abs(g), initial=0)) for g in expected)])
            apart = max(
                [abs(float(got_value) - float(value)) / max(1.0, abs(float(value)))]
                + [
                    float(np.max(np.abs(g - np.asarray(e)), initial=0)) / size
                    for g, e in zip(got, expected, strict=True)
                ]
            )
            if not apart < TOLERANCE:
                wrong += 1
                print(f"seed {seed}, {way}: {names}: {max(apart):.2g} apart")
        used.update(names)
    print(f"{sum(used.values()) // STEPS} programs compared, {wrong} differ; refused by JAX: {dict(refused)}")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])) > 0)
