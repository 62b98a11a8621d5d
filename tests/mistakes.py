"""The classic mistakes of students of the course, planted in layers that are right, and what must be said of each.

``LAYERS`` are the right ones: forward, backward, inputs. A row of ``MISTAKES`` is a layer's name, what was done, the
gradients that this makes of the right ones ``g``, of ``dout`` and of the cache, and words of the diagnosis.
"""

import numpy as np

# -- affine, relu, dropout (inverted, with the mask given) -------------------------------------------------------


def affine(x, w, b):
    return x @ w + b, (x, w)


def affine_back(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


LAST = {}


def affine_with_a_global(x, w, b):
    LAST["x"] = x.copy()
    return affine(x, w, b)


def in_float32(dout, w):
    return (dout.astype(np.float32) @ w.T.astype(np.float32)).astype(float)


def relu(x):
    return np.maximum(x, 0), x


def relu_back(dout, x):
    return dout * (x > 0)


def masked_in_place(dout, x):
    dout[x <= 0] = 0
    return dout


def dropout(x, dropout_param):
    mask, p = dropout_param["mask"], dropout_param["p"]
    return x * mask / p, (mask, p)


def dropout_back(dout, cache):
    mask, p = cache
    return dout * mask / p


# -- losses ------------------------------------------------------------------------------------------------------


def softmax_loss(x, y):
    p, _ = softmax(x)
    return -np.mean(np.log(p[np.arange(len(y)), y])), (p, y)


def less_one_at(dx, y):
    dx[np.arange(len(y)), y] -= 1
    return dx


def softmax_loss_back(dout, cache):
    p, y = cache
    return dout * less_one_at(p.copy(), y) / len(y)


def svm_loss(x, y):
    rows = np.arange(len(y))
    margins = np.maximum(0, x - x[rows, y][:, None] + 1)
    margins[rows, y] = 0
    return margins.sum() / len(y), (margins, y)


def svm_loss_back(dout, cache, count=None):
    """Where ``count`` is given, so many classes with a margin are counted, in the place of all."""
    margins, y = cache
    dx = (margins > 0).astype(margins.dtype)
    dx[np.arange(len(y)), y] = -(dx.sum(axis=1) if count is None else count)
    return dout * dx / len(y)


def as_loss(forward, backward):
    """Return a loss in the course's form, which finds its own gradient."""

    def loss(x, y):
        value, cache = forward(x, y)
        return value, backward(1.0, cache)

    return loss


# -- batch and layer normalization -------------------------------------------------------------------------------


def normalized(x, gamma, beta, axis):
    centred = x - x.mean(axis=axis, keepdims=True)
    sigma = np.sqrt((centred**2).mean(axis=axis, keepdims=True) + 1e-5)
    return gamma * centred / sigma + beta, (centred, sigma, gamma)


def batchnorm(x, gamma, beta):
    return normalized(x, gamma, beta, 0)


def staged(dout, cache, two=2, mean=1):
    """The gradient of x through the graph, a step at a time."""
    centred, sigma, gamma = cache
    dnormal = dout * gamma
    dsigma = -(dnormal * centred).sum(axis=0) / sigma**2
    dvar = dsigma / (2 * sigma)
    dcentred = dnormal / sigma + dvar * two * centred / len(centred)
    return dcentred - mean * dcentred.mean(axis=0)


def on_paper(dout, cache, axis=0, mean=1, variance=1):
    """The gradient of x in one formula, found on paper."""
    centred, sigma, gamma = cache
    normal, g = centred / sigma, dout * gamma
    means = [each.mean(axis=axis, keepdims=True) for each in (g, g * normal)]
    return (g - mean * means[0] - variance * normal * means[1]) / sigma


def of_gamma_and_beta(dout, cache):
    centred, sigma, _ = cache
    return (dout * centred / sigma).sum(axis=0), dout.sum(axis=0)


def batchnorm_staged(dout, cache):
    return staged(dout, cache), *of_gamma_and_beta(dout, cache)


def batchnorm_simplified(dout, cache):
    return on_paper(dout, cache), *of_gamma_and_beta(dout, cache)


def layernorm(x, gamma, beta):
    return normalized(x, gamma, beta, 1)


def layernorm_back(dout, cache):
    return on_paper(dout, cache, axis=1), *of_gamma_and_beta(dout, cache)


# -- convolution (one channel, valid) and max pooling (of pairs in a row) ----------------------------------------


def windows(x, w):
    """Where each entry of the output looks, of a window of w's shape moved by 1."""
    return [
        (i, j, slice(i, i + w.shape[0]), slice(j, j + w.shape[1]))
        for i in range(x.shape[0] - w.shape[0] + 1)
        for j in range(x.shape[1] - w.shape[1] + 1)
    ]


def conv(x, w):
    out = np.zeros((x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1), np.result_type(x, w))
    for i, j, rows, columns in windows(x, w):
        out[i, j] = np.sum(x[rows, columns] * w)
    return out, (x, w)


def conv_back(dout, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, j, rows, columns in windows(x, w):
        dx[rows, columns] += dout[i, j] * w
        dw += dout[i, j] * x[rows, columns]
    return dx, dw


def dx_assigned(dout, cache):
    x, w = cache
    dx = np.zeros_like(x)
    for i, j, rows, columns in windows(x, w):
        dx[rows, columns] = dout[i, j] * w
    return dx


def filters(x, w):
    """Convolve images (N, C, H, W) with filters (F, C, h, w)."""
    seen = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.tensordot(seen, w, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2), (x, w)


def filters_back(dout, cache, assigned=False):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            place = np.s_[:, :, i : i + w.shape[2], j : j + w.shape[3]]
            term = np.tensordot(dout[:, :, i, j], w, axes=1)
            dx[place] = term if assigned else dx[place] + term
            dw += np.tensordot(dout[:, :, i, j].T, x[place], axes=1)
    return dx, dw


def pool(x):
    return x.reshape(len(x), -1, 2).max(axis=2), x


def pool_back(dout, x):
    pairs = x.reshape(len(x), -1, 2)
    return (dout[:, :, None] * (pairs == pairs.max(axis=2, keepdims=True))).reshape(x.shape)


def pool_back_by_index(dout, x):
    pairs = x.reshape(-1, 2)
    dx = np.zeros_like(pairs)
    dx[np.arange(len(pairs)), pairs.argmax(axis=1)] = dout.ravel()
    return dx.reshape(x.shape)


# -- products, as in attention, and functions of each entry ------------------------------------------------------


def softmax(x):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return p, p


def softmax_back(dout, p):
    return p * (dout - (dout * p).sum(axis=1, keepdims=True))


def attention(q, k, v):
    p, _ = softmax(q @ k.T / q.shape[1] ** 0.5)
    return p @ v, (q, k, v, p)


def attention_back(dout, cache):
    q, k, v, p = cache
    ds = softmax_back(dout @ v.T, p) / q.shape[1] ** 0.5
    return ds @ k, ds.T @ q, p.T @ dout


def gram(x):
    return x @ x.T, x


def gram_back(dout, x):
    return (dout + dout.T) @ x


def tanh(x):
    out = np.tanh(x)
    return out, out


def tanh_back(dout, out):
    return dout * (1 - out**2)


def square(x):
    return x**2, x


def square_back(dout, x):
    return 2 * dout * x


def log_softmax(x):
    shifted = x - x.max(axis=1, keepdims=True)
    out = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return out, out


def log_softmax_back(dout, out):
    return dout - np.exp(out) * dout.sum(axis=1, keepdims=True)


def half(x):
    """Dropout of every other entry, whose keep probability no argument tells."""
    mask = np.arange(x.size).reshape(x.shape) % 2 == 0
    return x * mask * 2, mask


def half_back(dout, mask):
    return dout * mask * 2


def batched(x, w):
    return x @ w, (x, w)


def batched_back(dout, cache):
    x, w = cache
    return dout @ w.swapaxes(1, 2), x.swapaxes(1, 2) @ dout


def bias(x, b):
    return x + b[:, None, None], None


def bias_back(dout, cache):
    return dout, dout.sum(axis=(0, 2, 3))


RNG = np.random.default_rng(0)


# -- of images: batch normalization, group normalization, a convolution of rows, an affine layer and a relu -----------


def normalized_images(x, gamma, beta, groups=None):
    """Over all but the channels, or over groups of an example's channels."""
    shape = (1, *x.shape) if groups is None else (len(x), groups, -1)
    rows = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1) if groups is None else x.reshape(shape)
    centred = rows - rows.mean(axis=-1, keepdims=True)
    sigma = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    hat = centred / sigma
    if groups is None:
        hat = np.moveaxis(hat.reshape(x.shape[1], len(x), *x.shape[2:]), 0, 1)
    hat = hat.reshape(x.shape)
    return gamma[:, None, None] * hat + beta[:, None, None], (hat, sigma, gamma, groups)


def normalized_images_back(dout, cache, gamma=True, mean=1, variance=1):
    hat, sigma, factor, groups = cache
    g = dout * factor[:, None, None] if gamma else dout

    def rows(x):
        return (
            np.moveaxis(x, 1, 0).reshape(x.shape[1], -1) if groups is None else x.reshape(len(x), groups, -1)
        )

    g, h = rows(g), rows(hat)
    dx = (
        g - mean * g.mean(axis=-1, keepdims=True) - variance * h * (g * h).mean(axis=-1, keepdims=True)
    ) / sigma
    if groups is None:
        dx = np.moveaxis(dx.reshape(hat.shape[1], len(hat), *hat.shape[2:]), 0, 1)
    return dx.reshape(hat.shape), (dout * hat).sum(axis=(0, 2, 3)), dout.sum(axis=(0, 2, 3))


def grouped(x, gamma, beta):
    return normalized_images(x, gamma, beta, 2)


def fir(x, w):
    """Each row of x, correlated with the taps w."""
    n = x.shape[1] - len(w) + 1
    return sum(w[k] * x[:, k : k + n] for k in range(len(w))), (x, w)


def fir_back(dout, cache, taps=None):
    x, w = cache
    n, dx = dout.shape[1], np.zeros_like(x)
    for k, tap in enumerate(w if taps is None else taps(w)):
        dx[:, k : k + n] += tap * dout
    return dx, np.array([np.sum(dout * x[:, k : k + n]) for k in range(len(w))])


def affine_relu(x, w, b):
    out = np.maximum(x @ w + b, 0)
    return out, (x, w, out)


def affine_relu_back(dout, cache, mask=True):
    x, w, out = cache
    g = dout * (out > 0) if mask else dout
    return g @ w.T, x.T @ g, g.sum(axis=0)


# -- outputs, gates, orders of axes, lengths, steps ----------------------------------------------------------------


def halves(x):
    """Two outputs, in a tuple."""
    return (x[:, :3], x[:, 3:]), None


def halves_back(dout, _):
    return np.hstack(dout)


def gated(x):
    """The first half of each row, times a sigmoid of the second."""
    s = 1 / (1 + np.exp(-x[:, 3:]))
    return x[:, :3] * s, (x, s)


def gated_back(dout, cache):
    x, s = cache
    return np.hstack([dout * s, dout * x[:, :3] * s * (1 - s)])


def pointwise(x, w):
    """A convolution of images (N, C, H, W) with 1 by 1 filters (C, F)."""
    return np.einsum("nchw,cf->nfhw", x, w), (x, w)


def pointwise_back(dout, cache):
    x, w = cache
    return np.einsum("nfhw,cf->nchw", dout, w), np.einsum("nchw,nfhw->cf", x, dout)


def turned(x, times=1):
    """Pairs of entries, each turned by an angle of its own."""
    by = (times * np.array([0.3, 0.7, 1.2])).astype(x.dtype)
    a, b = x[:, ::2], x[:, 1::2]
    out = np.empty_like(x)
    out[:, ::2], out[:, 1::2] = np.cos(by) * a - np.sin(by) * b, np.sin(by) * a + np.cos(by) * b
    return out, None


def turned_back(dout, _):
    return turned(dout, -1)[0]


def mean_of_sequences(x, lengths):
    mask = (np.arange(x.shape[1]) < lengths[:, None])[:, :, None]
    return (x * mask).sum(axis=1) / lengths[:, None].astype(x.dtype), (mask, lengths)


def mean_of_sequences_back(dout, cache, lengths=None):
    mask, n = cache
    n = n if lengths is None else lengths
    return dout[:, None] * mask / n[:, None, None].astype(dout.dtype)


def rounded(x):
    return np.round(x), None


def rounded_back(dout, _):
    return 0 * dout


def overlapping(x):
    """The maxima of overlapping windows of 3 along a row."""
    return np.lib.stride_tricks.sliding_window_view(x, 3, axis=1).max(axis=2), x


def overlapping_back(dout, x, assigned=False):
    dx = np.zeros_like(x)
    for i in range(dout.shape[1]):
        window = x[:, i : i + 3]
        here = (window == window.max(axis=1, keepdims=True)) * dout[:, i : i + 1]
        dx[:, i : i + 3] = here if assigned else dx[:, i : i + 3] + here
    return dx


def drawn(*shapes):
    return tuple(RNG.standard_normal(shape) for shape in shapes)


XWB = drawn((4, 3), (3, 5), 5)
X = drawn((4, 6))
SCORES = (*drawn((5, 4)), np.array([0, 3, 1, 2, 3]))
NORM = drawn((6, 5), 5, 5)

LAYERS = {
    "affine": (affine, affine_back, XWB),
    "square affine": (affine, affine_back, drawn((4, 4), (4, 4), 4)),
    "affine with a global": (affine_with_a_global, affine_back, XWB),
    "relu": (relu, relu_back, X),
    "dropout": (dropout, dropout_back, (*X, {"p": 0.7, "mask": RNG.random((4, 6)) < 0.7})),
    "softmax loss": (softmax_loss, softmax_loss_back, SCORES),
    "svm loss": (svm_loss, svm_loss_back, SCORES),
    "batchnorm": (batchnorm, batchnorm_staged, NORM),
    "batchnorm on paper": (batchnorm, batchnorm_simplified, NORM),
    "layernorm": (layernorm, layernorm_back, drawn((5, 5), 5, 5)),
    "conv": (conv, conv_back, drawn((5, 5), (3, 3))),
    "conv of a row": (conv, conv_back, drawn((1, 7), (1, 3))),
    "filters": (filters, filters_back, drawn((2, 2, 3, 4), (2, 2, 2, 2))),
    "max pooling": (pool, pool_back, X),
    "max pooling, by index": (pool, pool_back_by_index, X),
    "attention": (attention, attention_back, drawn((4, 5), (4, 5), (4, 5))),
    "softmax": (softmax, softmax_back, X),
    "log softmax": (log_softmax, log_softmax_back, X),
    "half": (half, half_back, X),
    "batched": (batched, batched_back, drawn((2, 3, 4), (2, 4, 5))),
    "bias": (bias, bias_back, drawn((2, 3, 4, 5), 3)),
    "x x^T": (gram, gram_back, X),
    "tanh": (tanh, tanh_back, X),
    "square": (square, square_back, X),
}
IMAGES = drawn((2, 4, 2, 3), 4, 4)
LAYERS |= {
    "images": (normalized_images, normalized_images_back, IMAGES),
    "groups": (grouped, normalized_images_back, IMAGES),
    "taps": (fir, fir_back, drawn((2, 6), 3)),
    "affine relu": (affine_relu, affine_relu_back, XWB),
}
LAYERS |= {
    "halves": (halves, halves_back, X),
    "gated": (gated, gated_back, X),
    "pointwise": (pointwise, pointwise_back, drawn((2, 3, 2, 4), (3, 2))),
    "turned": (turned, turned_back, X),
    "mean of sequences": (
        mean_of_sequences,
        mean_of_sequences_back,
        (*drawn((3, 4, 2)), np.array([1, 2, 3])),
    ),
    "rounded": (rounded, rounded_back, X),
    "overlapping windows": (overlapping, overlapping_back, drawn((3, 8))),
}
LOSSES = "softmax loss", "svm loss"


def _of(backward, **mistake):
    """A mistake that is an option of a backward."""
    return lambda g, d, c: backward(d, c, **mistake)


MISTAKES = [
    ("affine", "db not summed", lambda g, d, c: (g[0], g[1], d), "sum over axis 0 missing"),
    ("affine", "db over axis 1", lambda g, d, c: (g[0], g[1], d.sum(axis=1)), "over the wrong axis"),
    ("affine", "db a mean", lambda g, d, c: (g[0], g[1], d.mean(axis=0)), "0.25 = 1/N"),
    ("affine", "db with keepdims", lambda g, d, c: (g[0], g[1], g[2][None]), "an axis too many"),
    ("affine", "dw transposed", lambda g, d, c: (g[0], d.T @ c[0], g[2]), "transposed"),
    ("affine", "dw divided by N", lambda g, d, c: (g[0], g[1] / len(d), g[2]), "0.25 = 1/N"),
    ("affine", "dw times a number", lambda g, d, c: (g[0], 1.1 * g[1], g[2]), "constant factor 1.1"),
    ("affine", "dw forgotten", lambda g, d, c: (g[0], None, g[2]), "missing, or None"),
    ("affine", "dw never assigned", lambda g, d, c: (g[0], 0 * g[1], g[2]), "0 everywhere"),
    ("affine", "dout forgotten", lambda g, d, c: (g[0], c[0].T @ np.ones_like(d), g[2]), "dout is not used"),
    ("affine", "a penalty", lambda g, d, c: (g[0], g[1] + 0.1 * c[1], g[2]), "0.1 times w"),
    ("affine", "dx with the wrong sign", lambda g, d, c: (-g[0], g[1], g[2]), "sign"),
    ("affine", "dx and dw swapped", lambda g, d, c: (g[1], g[0], g[2]), "another order"),
    ("affine", "dx in float32", lambda g, d, c: (in_float32(d, c[1]), g[1], g[2]), "float32 somewhere"),
    ("affine", "dx summed", lambda g, d, c: (g[0].sum(axis=0), g[1], g[2]), "summed over axis 0, which the"),
    ("square affine", "db over axis 1", lambda g, d, c: (g[0], g[1], d.sum(axis=1)), "over the wrong axis"),
    ("square affine", "dw transposed", lambda g, d, c: (g[0], g[1].T, g[2]), "transposed"),
    (
        "square affine",
        "w for its transpose",
        lambda g, d, c: (d @ c[1], g[1], g[2]),
        "with w where its transpose",
    ),
    ("affine with a global", "used", lambda g, d, c: (g[0], LAST["x"].T @ d, g[2]), "stale cache"),
    ("relu", "no mask", lambda g, d, x: d, "mask ignored: wrong only where x < 0"),
    ("relu", "mask of the other side", lambda g, d, x: d * (x < 0), "mask inverted"),
    ("relu", "mask in place", lambda g, d, x: masked_in_place(d, x), "mutates its dout"),
    ("relu", "mask not times dout", lambda g, d, x: (x > 0) * 1.0, "dout is not used"),
    ("relu", "0 / 0", lambda g, d, x: d * np.where(x > 0, 1, np.nan), "NaN"),
    ("dropout", "not divided by p", lambda g, d, c: d * c[0], "constant factor 0.7 = p"),
    ("dropout", "no mask", lambda g, d, c: d / c[1], "mask ignored: wrong only where mask == 0"),
    ("softmax loss", "not divided by N", lambda g, d, c: g * len(g), "factor 5 = N"),
    ("softmax loss", "divided by N twice", lambda g, d, c: g / len(g), "0.2 = 1/N"),
    ("softmax loss", "the sign", lambda g, d, c: -g, "sign"),
    ("softmax loss", "no 1 subtracted", lambda g, d, c: d * c[0] / len(g), "at column y"),
    ("softmax loss", "the 1 not / N", lambda g, d, c: d * less_one_at(c[0] / len(g), c[1]), "at column y"),
    ("softmax loss", "into its cache", lambda g, d, c: d * less_one_at(*c) / len(g), "mutates its cache"),
    ("svm loss", "not divided by N", lambda g, d, c: g * len(g), "factor 5 = N"),
    ("svm loss", "correct class left 0", lambda g, d, c: svm_loss_back(d, c, count=0), "at column y"),
    ("svm loss", "correct class counted once", lambda g, d, c: svm_loss_back(d, c, count=1), "at column y"),
    ("batchnorm", "no mean", lambda g, d, c: (staged(d, c, mean=0), *g[1:]), "constant along axis 0"),
    ("batchnorm", "no 2", lambda g, d, c: (staged(d, c, two=1), *g[1:]), "variance's contribution"),
    ("batchnorm", "no variance", lambda g, d, c: (staged(d, c, two=0), *g[1:]), "variance's contribution"),
    ("batchnorm", "dx without gamma", lambda g, d, c: (g[0] / c[2], *g[1:]), "a factor gamma missing"),
    (
        "batchnorm",
        "dgamma without x",
        lambda g, d, c: (g[0], d.sum(axis=0), g[2]),
        "it is the gradient of beta, whose own is right",
    ),
    (
        "batchnorm on paper",
        "no mean",
        lambda g, d, c: (on_paper(d, c, mean=0), *g[1:]),
        "constant along axis 0",
    ),
    (
        "batchnorm on paper",
        "constants",
        lambda g, d, c: (on_paper(d, c, mean=0, variance=0), *g[1:]),
        "a mean's contribution and a variance's",
    ),
    (
        "batchnorm on paper",
        "dgamma not summed",
        lambda g, d, c: (g[0], d * c[0] / c[1], g[2]),
        "sum over axis 0 missing",
    ),
    ("batchnorm on paper", "dgamma for dbeta", lambda g, d, c: (g[0], g[2], g[1]), "another order"),
    ("layernorm", "batchnorm's axis", lambda g, d, c: (on_paper(d, c, axis=0), *g[1:]), "not known"),
    (
        "layernorm",
        "no mean",
        lambda g, d, c: (on_paper(d, c, axis=1, mean=0), *g[1:]),
        "constant along axis 1",
    ),
    ("layernorm", "dbeta over axis 1", lambda g, d, c: (g[0], g[1], d.sum(axis=1)), "over the wrong axis"),
    ("layernorm", "dbeta not summed", lambda g, d, c: (g[0], g[1], d), "sum over axis 0 missing"),
    ("conv", "= for +=", lambda g, d, c: (dx_assigned(d, c), g[1]), "= in place of +="),
    ("conv", "dw flipped", lambda g, d, c: (g[0], g[1][::-1, ::-1]), "reversed along all axes"),
    ("conv", "off by one", lambda g, d, c: (np.roll(g[0], 1, axis=1), g[1]), "off by one"),
    ("conv of a row", "= for +=", lambda g, d, c: (dx_assigned(d, c), g[1]), "= in place of +="),
    ("conv of a row", "dw flipped", lambda g, d, c: (g[0], g[1][:, ::-1]), "reversed along axis 1"),
    ("filters", "= for +=", lambda g, d, c: filters_back(d, c, assigned=True), "= in place of +="),
    ("max pooling", "everywhere", lambda g, d, x: np.repeat(d, 2, axis=1), "mask ignored"),
    ("max pooling", "as a mean", lambda g, d, x: np.repeat(d, 2, axis=1) / 2, "not known"),
    ("max pooling", "at the minimum", lambda g, d, x: pool_back(d, -x), "mask inverted"),
    ("attention", "dq not scaled", lambda g, d, c: (g[0] * 5**0.5, *g[1:]), "root of the length of axis 1"),
    ("attention", "dk transposed", lambda g, d, c: (g[0], g[1].T, g[2]), "transposed"),
    ("attention", "dv for dk", lambda g, d, c: (g[0], g[2], g[1]), "another order"),
    ("softmax", "the diagonal alone", lambda g, d, p: d * p, "in proportion to the output (a sum's"),
    ("softmax", "as a sigmoid", lambda g, d, p: d * p * (1 - p), "reduced to its diagonal, a(1 - a)"),
    (
        "softmax",
        "axis",
        lambda g, d, p: p * (d - (d * p).sum(axis=0)),
        "inner sum over the wrong axis: over axis 0",
    ),
    (
        "log softmax",
        "log p",
        lambda g, d, o: d - o * d.sum(axis=1, keepdims=True),
        "the logarithm of p where p",
    ),
    ("half", "not divided by p", lambda g, d, mask: d * mask, "as dropout's 1 / p"),
    ("batched", "not transposed", lambda g, d, c: (g[0], g[1].swapaxes(1, 2)), "axes 1 and 2 are swapped"),
    (
        "bias",
        "a mean",
        lambda g, d, c: (g[0], d.mean(axis=(0, 2, 3))),
        "lengths of axes 0, 2, 3 of dout: a mean",
    ),
    ("x x^T", "one of two", lambda g, d, x: d @ x, "the product of dout^T and x"),
    ("tanh", "1 - out", lambda g, d, out: d * (1 - out), "not known"),
    ("tanh", "no derivative", lambda g, d, out: d * out, "not known"),
    ("square", "no 2", lambda g, d, x: d * x, "a square's factor 2"),
    ("square", "dout twice", lambda g, d, x: 2 * d**2 * x, "a factor dout too many"),
    ("images", "gamma forgotten", _of(normalized_images_back, gamma=False), "gamma missing, along axis 1"),
    ("images", "the mean's term", _of(normalized_images_back, mean=0), "a mean's contribution"),
    ("images", "the variance's term", _of(normalized_images_back, variance=0), "a variance's contribution"),
    ("groups", "the mean's term", _of(normalized_images_back, mean=0), "a mean's contribution"),
    ("groups", "the variance's term", _of(normalized_images_back, variance=0), "2 groups of channels"),
    ("taps", "reversed", _of(fir_back, taps=lambda w: w[::-1]), "reversed taps"),
    ("taps", "the last missing", _of(fir_back, taps=lambda w: w[:-1]), "a tap missing"),
    ("taps", "the first missing", _of(fir_back, taps=lambda w: w * [0, 1, 1]), "a tap missing"),
    ("affine relu", "no mask", _of(affine_relu_back, mask=False), "a mask forgotten"),
    (
        "halves",
        "dout of one alone",
        lambda g, d, c: np.hstack([d[0], 0 * d[1]]),
        "dout of output 1 is not used",
    ),
    ("halves", "exchanged", lambda g, d, c: np.hstack(d[::-1]), "outputs 0 and 1 are exchanged"),
    (
        "gated",
        "gate in front",
        lambda g, d, c: np.roll(g, 3, axis=1),
        "in another order along axis 1: the right gradient's 3, 4, 5, 0, 1, 2",
    ),
    (
        "gated",
        "sign of the gate",
        lambda g, d, c: g * [1, 1, 1, -1, -1, -1],
        "along axis 1 at 3, 4, 5 alone: sign",
    ),
    (
        "pointwise",
        "a reshape for a transpose",
        lambda g, d, c: pointwise_back(d.reshape(2, 2, 4, 2).transpose(0, 3, 1, 2), c),
        "w: dout read in another order",
    ),
    ("turned", "the same way", lambda g, d, c: turned(d)[0], "Jacobian where its transpose is meant"),
    (
        "mean of sequences",
        "as if of one length",
        lambda g, d, c: mean_of_sequences_back(d, c, np.full(3, 4)),
        "off by a factor for each place along axis 0: 0.25, 0.5, 0.75",
    ),
    ("rounded", "straight through", lambda g, d, c: d, "straight-through estimator is checked with"),
    (
        "overlapping windows",
        "assigned",
        _of(overlapping_back, assigned=True),
        "only one counts: = in place of +=",
    ),
    ("filters", "dw flipped", lambda g, d, c: (g[0], np.flip(g[1], (2, 3))), "reversed along axes 2 and 3"),
    ("affine", "a square root", lambda g, d, c: (g[0], 2**0.5 * g[1], g[2]), "the square root of 2"),
    ("affine", "a fraction", lambda g, d, c: (g[0], 3 / 7 * g[1], g[2]), "0.428571 = 3/7"),
    (
        "affine",
        "entries elsewhere",
        lambda g, d, c: (g[0].reshape(3, 4).T, *g[1:]),
        "the right numbers in other places",
    ),
    (
        "tanh",
        "of a row",
        lambda g, d, c: g * [[1], [3], [1], [3]],
        "along axis 0 at 1, 3 alone: off by a constant factor 3",
    ),
]
