"""The statements of random programs: each draws the values that it reads, and writes a line or a few."""

from __future__ import annotations

import math

import numpy as np

from .writer import NothingFits, Writer

ATTEMPTS = 4


def write_statement(writer: Writer) -> None:
    """Write a statement; none if the first few drawn do not fit."""
    for _ in range(ATTEMPTS):
        try:
            return writer.draw.choice(STATEMENTS)(writer)  # type: ignore[no-any-return]
        except NothingFits:
            pass


def _one(w: Writer) -> None:
    x = w.pick()
    b = w.bounds[x]
    expression, bound = w.draw.choice(
        [
            (f"-{x}", b),
            (f"2.5 * {x}", 2.5 * b),
            (f"{x} - 0.5", b + 0.5),
            (f"1.5 - {x} / 3", b + 1.5),
            (f"{x} ** 2", b * b),
            (f"np.square({x})", b * b),
            (f"{x} * {x}", b * b),
            (f"np.tanh({x})", 1.0),
            (f"np.sin({x}) + np.sin({x}) ** 3", 2.0),
            (f"np.exp(np.tanh({x}))", 3.0),
            (f"np.sqrt({x} ** 2 + 0.5)", b + 1),
            (f"np.log(1 + {x} ** 2)", b),
            (f"1 / (1 + {x} ** 2)", 1.0),
            (f"mg.sigmoid({x})", 1.0),
        ]
    )
    w.let(expression, bound)


def _kinked(w: Writer) -> None:
    x = w.pick()
    b = w.bounds[x]
    expression, kinks = w.draw.choice(
        [
            (f"np.maximum({x}, 0)", [f"{x}"]),
            (f"mg.relu({x})", [f"{x}"]),
            (f"np.abs({x})", [f"{x}"]),
            (f"np.where({x} > 0.25, {x}, 0.1 * {x})", [f"{x} - 0.25"]),
            (f"np.minimum({x}, 0.5)", [f"{x} - 0.5"]),
            (f"np.clip({x}, -0.75, 1.0)", [f"{x} + 0.75", f"{x} - 1.0"]),
            (f"({x} > 0) * {x}", [f"{x}"]),
        ]
    )
    for kink in kinks:
        w.keep_clear(kink)
    w.let(expression, b)


def _two(w: Writer) -> None:
    x = w.pick()
    y = w.fitting(x)
    b, c = w.bounds[x], w.bounds[y]
    expression, bound = w.draw.choice(
        [
            (f"{x} + {y}", b + c),
            (f"{x} - {y}", b + c),
            (f"{x} * {y}", b * c),
            (f"{x} / (1 + {y} ** 2)", b),
            (f"np.maximum({x}, {y})", max(b, c)),
            (f"np.where({x} > {y}, {y}, {x})", max(b, c)),
            (f"np.tanh({x} * {y}) + np.tanh({x} * {y})", 2.0),
        ]
    )
    if "max" in expression or ">" in expression:
        w.keep_clear(f"{x} - {y}")
    w.let(expression, bound)


def _reduction(w: Writer) -> None:
    x = w.pick()
    value, b = w.values[x], w.bounds[x]
    names = ["sum"] + ["mean", "max", "min"] * bool(value.size)
    name = w.draw.choice(names)
    axes = [None, *range(-value.ndim, value.ndim)] + [(0, -1)] * (value.ndim > 1)
    axis = w.draw.choice(axes)
    keepdims = f", keepdims={w.draw.choice([True, False])}"
    call = w.draw.choice([f"np.{name}({x}, axis={axis}{keepdims})", f"{x}.{name}(axis={axis}{keepdims})"])
    if name in ("max", "min"):
        w.keep_clear(f"{x} - np.{name}({x}, axis={axis}, keepdims=True)")
    w.let(call, b * max(value.size, 1) if name == "sum" else b)


def _view(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0)
    value = w.values[x]
    shape = value.shape
    forms = [
        f"{x}.T",
        f"np.transpose({x})",
        f"{x}.reshape({shape[::-1]})",
        f"np.ravel({x})",
        f"{x}[1:]",
        f"{x}[::-1]",
        f"{x}[..., ::2]",
        f"{x}[..., None]",
        f"np.expand_dims({x}, 0)",
        f"np.swapaxes({x}, 0, -1)",
        f"np.broadcast_to({x}, {(2, *shape)})",
    ]
    if shape[0]:
        forms += [f"{x}[0]", f"{x}[-1]", f"{x}[[0, -1, 0]]"]
    w.let(w.draw.choice(forms), w.bounds[x])


def _join(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0)
    shape = w.values[x].shape
    y = w.of_shape(shape)
    axis = w.draw.integer(-len(shape), len(shape) - 1)
    name = w.draw.choice(["concatenate", "stack"])
    w.let(f"np.{name}([{x}, {y}], axis={axis})", max(w.bounds[x], w.bounds[y]))


def _product(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0)
    k = w.values[x].shape[-1]
    y = w.of_shape(w.draw.choice([(k,), (k, 1), (k, 2), (k, 3)]))
    w.let(f"{x} @ {y}", max(k, 1) * w.bounds[x] * w.bounds[y])


def _in_place(w: Writer) -> None:
    """Change a copy in place, so that no view is written through; earlier readers keep their values."""
    x = w.pick()
    shape = w.values[x].shape
    copy = w.let(w.draw.choice([f"np.copy({x})", f"{x} * 1"]), w.bounds[x])
    if w.draw.choice([False, True]):
        w.let(f"np.tanh({copy}) * {copy}", w.bounds[copy])
    if not isinstance(w.values[copy], np.ndarray):  # a NumPy scalar cannot be written to
        raise NothingFits
    targets = [f"{copy}[...]"] + [f"{copy}[:1]", f"{copy}[1:]", f"{copy}[..., -1:]"] * bool(shape)
    target = w.draw.choice(targets)
    if w.draw.choice([True, False]):
        y = w.of_shape(w.draw.choice([shape, ()]))
        w.write(f"{copy} {w.draw.choice(['+=', '-='])} {y}", copy, w.bounds[copy] + w.bounds[y])
    else:
        y = w.of_shape(w.draw.choice([w.run(target).shape, ()]))
        w.write(f"{target} = {y}", copy, max(w.bounds[copy], w.bounds[y]))


def _constant(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0)
    row = f"np.linspace(-1, 1, {w.values[x].shape[-1]}, dtype={x}.dtype)"
    w.let(w.draw.choice([f"{x} * {row}", f"{row} - {x}"]), w.bounds[x] + 1)


def _again(w: Writer) -> None:
    if not w.expressions:
        raise NothingFits
    w.let(*w.draw.choice(w.expressions))


def _layer(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 1)
    d, m = math.prod(w.values[x].shape[1:]), w.draw.integer(1, 3)
    weights, b = w.of_shape((d, m)), w.of_shape((m,))
    bound = max(d, 1) * w.bounds[x] * w.bounds[weights] + w.bounds[b]
    if w.draw.choice([True, False]):
        w.let(f"mg.affine({x}, {weights}, {b})", bound)
    else:
        w.keep_clear(f"mg.affine({x}, {weights}, {b})")
        w.let(f"mg.affine_relu({x}, {weights}, {b})", bound)


def _softmax(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0 and x.size > 0)
    log_n = math.log(w.values[x].shape[-1])
    forms = [(f"mg.softmax({x})", 1.0)]
    forms += [(f"mg.{name}({x})", 2 * w.bounds[x] + log_n) for name in ("log_softmax", "logsumexp")]
    w.let(*w.draw.choice(forms))


def _loss(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim == 2 and x.size > 0)
    n, classes = w.values[x].shape
    labels = [w.draw.integer(0, classes - 1) for _ in range(n)]
    loss = w.let(f"mg.softmax_cross_entropy({x}, np.array({labels}))", 2 * w.bounds[x] + math.log(classes))
    y = w.pick()
    penalty = w.bounds[y] ** 2 * max(w.values[y].size, 1) / 20
    w.let(f"mg.l2_regularized({loss}, {y}, reg=0.1)", w.bounds[loss] + penalty)


STATEMENTS = (
    _one,
    _two,
    _view,
    _reduction,
    _kinked,
    _product,
    _in_place,
    _join,
    _constant,
    _again,
    _softmax,
    _layer,
    _loss,
)
