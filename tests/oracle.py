"""Random programs over every rule in the table, against JAX: ``python -m tests.oracle [PROGRAMS] [FIRST SEED]``.

A program is a chain of calls, each drawn by its op's own ``inputs``; what the call before returned is mixed into its
operands. The gradients for all drawn arrays, of the tape and of the compiled function, are compared with JAX's. Where
rules hold for complex numbers, a third of the operands is complex. What JAX has not, or not with an option, is drawn
again.
"""

import sys
from collections import Counter
from copy import deepcopy

import numpy as np

import minigrad as mg
from minigrad.checks.proof import RandomDraw, float_places
from minigrad.rules import OPS
from minigrad.rules.facts import facts
from minigrad.rules.special import SPECIAL
from minigrad.rules.table import full_name

TABLE = {f: op for f, op in {**OPS, **SPECIAL}.items() if not facts(op.function).shape_from_values}
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
        "eigh": lambda a, UPLO="L": jnp.linalg.eigh(symmetric(jnp, a, UPLO)),
        "eigvalsh": lambda a, UPLO="L": jnp.linalg.eigvalsh(symmetric(jnp, a, UPLO)),
        "cholesky": lambda a, upper=False: jnp.linalg.cholesky(symmetric(jnp, a, "LU"[upper]), upper=upper),
        "svd": lambda a, full_matrices=True, compute_uv=True, hermitian=False: jnp.linalg.svd(
            symmetric(jnp, a) if hermitian else a, full_matrices, compute_uv, hermitian
        ),
        "pinv": lambda a, **options: pinv(jnp, a, **options),
        "eig": lambda a: with_real_entry(jnp, *jnp.linalg.eig(a)),
        "logsumexp": lambda x, axis=-1, keepdims=False: jax.scipy.special.logsumexp(
            x, axis, keepdims=keepdims
        ),
    }


def with_real_entry(jnp, w, v):
    """Eigenvectors of length 1 whose largest entry is real, as LAPACK's are: JAX's derivatives leave that open."""
    at = jnp.argmax(jnp.abs(v) * (jnp.imag(v) == 0), axis=-2, keepdims=True)
    largest = jnp.take_along_axis(v, at, axis=-2)
    return w, v / jnp.linalg.norm(v, axis=-2, keepdims=True) / largest * jnp.abs(largest)


def symmetric(jnp, a, triangle="L"):
    """The Hermitian matrix that has this triangle, which NumPy reads; JAX reads the mean of both."""
    low = jnp.tril(a if triangle == "L" else jnp.conj(jnp.swapaxes(a, -1, -2)))
    off = jnp.tril(low, -1)
    return jnp.real(low - off) + off + jnp.conj(jnp.swapaxes(off, -1, -2))


def pinv(jnp, a, rcond=None, hermitian=False, rtol=None):
    """A pseudoinverse by singular values: JAX's derivative holds where those dropped are 0."""
    u, s, vh = jnp.linalg.svd(symmetric(jnp, a) if hermitian else a, full_matrices=False)
    cutoff = rtol if rcond is None else rcond
    inverse = jnp.where(
        s > (1e-12 if cutoff is None else cutoff) * jnp.max(s, axis=-1, keepdims=True, initial=0), 1 / s, 0
    )
    return jnp.conj(jnp.swapaxes((u * inverse[..., None, :]) @ vh, -1, -2))


def counterparts(jax):
    """For each function of the table JAX's, where it has one."""
    found, own = {}, ours(jax)
    for function in TABLE:
        name = function.__name__
        if name == "partition":  # which leaves the order in each part open
            continue
        path = path_of(function)
        if path.startswith("minigrad.") or name in own:
            other = own.get(name)
        else:
            other = jax.scipy.special if path.startswith("scipy.") else jax.numpy
            for part in path.split(".")[2 if path.startswith("scipy.") else 1 :]:
                other = getattr(other, part, None)
        if other is not None:
            found[function] = other
    return found


def drawn_call(rng, function, other, jax):
    """A call that JAX makes too: (function, args, kwargs, places of the float arrays among the args); or None."""
    op = TABLE[function]
    args, kwargs = op.inputs(RandomDraw(int(rng.integers(2**31))))
    places = float_places(args)
    if not places or kwargs.get("method") == "nearest":  # JAX rounds a half otherwise
        return None
    if getattr(op, "complex_numbers", False) and function.__name__ not in OF_REAL and rng.random() < 1 / 3:
        args = [complexified(rng, x) for x in args]
        kwargs = {name: x for name, x in kwargs.items() if name != "dtype"}  # real ones
    call = op.function, args, kwargs, places
    xs = [jax.numpy.asarray(x) for x in arrays_of([call])]
    gradient = jax.grad(lambda xs: run([call], xs, jax.numpy, other))
    for attempt in (jax.make_jaxpr(gradient), gradient):  # to trace is quicker, but some calls need values
        try:
            attempt(xs)
            return call
        except Exception:  # an option that JAX has not
            continue
    return None


OF_REAL = {"rfft", "ihfft", "rfft2", "rfftn"}


def complexified(rng, x):
    """An array of floats with an imaginary part beside; all else as it is."""
    if isinstance(x, list):
        return [complexified(rng, each) for each in x]
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return x + 0.2j * rng.standard_normal(x.shape)
    return x


def drawn_program(seed, functions, other, jax):
    """A list of calls; those of one seed after another begin with one function after another."""
    rng, program = np.random.default_rng(seed), []
    for attempt in range(TRIES):
        first = not program and attempt < TRIES // 2
        function = functions[seed % len(functions) if first else rng.integers(len(functions))]
        call = drawn_call(rng, function, other, jax)
        if call is not None:
            program.append(call)
        if len(program) == STEPS:
            break
    return program


TRIES = 20
"""How many calls are drawn for a program: JAX refuses some."""


def arrays_of(program):
    """The float arrays among the arguments of a program."""
    return [
        np.array(args[i][j] if isinstance(args[i], list) else args[i])
        for _, args, _, places in program
        for i, j in places
    ]


UP_TO_SIGN = {"eigh", "svd", "qr"}
"""Functions whose vectors LAPACK may return with either sign."""


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
            if function.__name__ in UP_TO_SIGN:
                each = xp.abs(each)
            if each.dtype.kind == "c":
                each = xp.real(each) + 2 * xp.imag(each)
            if each.dtype.kind == "f":
                weights = np.cos(np.arange(each.size)).reshape(each.shape)
                total = total + xp.sum(each * weights)
                before = each
    return total


def apart(got, expected):
    """How far a value and gradients are from JAX's, relative to the largest; its gradients are conjugates of ours."""
    (got_value, gradients), (value, others) = got, expected
    others = [np.conj(np.asarray(each)) for each in others]
    size = max([1.0, *(float(np.max(np.abs(each), initial=0)) for each in others)])
    return max(
        [abs(float(got_value) - float(value)) / max(1.0, abs(float(value)))]
        + [float(np.max(np.abs(g - e), initial=0)) / size for g, e in zip(gradients, others, strict=True)]
    )


def main(count=2000, first=0):
    """Compare programs; return how many differ."""
    import jax

    jax.config.update("jax_enable_x64", True)
    other = counterparts(jax)
    functions = sorted(other, key=path_of)
    without = sorted({path_of(f) for f in TABLE if f not in other})
    print(f"{len(functions)} of {len(TABLE)} functions have a counterpart; without: {', '.join(without)}")
    used, wrong, most = Counter(), 0, Counter()
    for seed in range(first, first + count):
        program = drawn_program(seed, functions, other, jax)
        names = [path_of(call[0]) for call in program]
        used.update(names)
        xs = arrays_of(program)
        theirs = jax.value_and_grad(lambda xs, program=program: run(program, xs, jax.numpy, other))
        given = [jax.numpy.asarray(x) for x in xs]
        try:
            expected = jax.jit(theirs)(given)  # one compilation is quicker than one a call
        except Exception:  # some calls need values
            expected = theirs(given)
        f = mg.value_and_grad(lambda xs, program=program: run(program, xs, np, {}))
        for way, call in (("eager", f), ("jit", mg.jit(f))):
            try:
                error = apart(call(xs), expected)
            except Exception as refusal:
                error = np.inf
                print(f"seed {seed}, {way}: {type(refusal).__name__}: {refusal}")
            if error < TOLERANCE:
                most[way] = max(most[way], error)
            else:
                wrong += 1
                print(f"seed {seed}, {way}: {names}: {error:.2g} apart", flush=True)
    never = sorted(path for path in map(path_of, functions) if not used[path])
    print(
        f"{count} programs of up to {STEPS} calls compared, eager and jit; {wrong} differ; the others by at most "
        f"{most['eager']:.1e} (eager), {most['jit']:.1e} (jit); never used: {', '.join(never) or 'none'}"
    )
    return wrong


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])) > 0)
