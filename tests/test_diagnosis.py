"""The words of a diagnosis, for mistakes as they are written down, each beside its right twin.

A row is: a name, the forward, the right backward, the wrong one, the inputs, and what the diagnosis says.
"""

import numpy as np
import pytest

from minigrad.gradient_check import GradientMismatch, check_layer

RNG = np.random.default_rng(0)


def drawn(*shapes):
    return tuple(RNG.standard_normal(shape) for shape in shapes)


# -- affine ------------------------------------------------------------------------------------------------------


def affine(x, w, b):
    return x @ w + b, (x, w)


def affine_back(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def affine_db_not_summed(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout


def affine_db_over_axis_1(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=1)


def affine_db_mean(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.mean(axis=0)


def affine_dw_transposed(dout, cache):
    x, w = cache
    return dout @ w.T, dout.T @ x, dout.sum(axis=0)


def affine_dw_divided(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout / len(x), dout.sum(axis=0)


def affine_another_order(dout, cache):
    x, w = cache
    return x.T @ dout, dout @ w.T, dout.sum(axis=0)


def affine_sign(dout, cache):
    x, w = cache
    return -dout @ w.T, x.T @ dout, dout.sum(axis=0)


def affine_dout_forgotten(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ np.ones_like(dout), dout.sum(axis=0)


def affine_in_float32(dout, cache):
    x, w = cache
    return (dout.astype(np.float32) @ w.T.astype(np.float32)).astype(float), x.T @ dout, dout.sum(axis=0)


def affine_dw_never_assigned(dout, cache):
    _x, w = cache
    return dout @ w.T, np.zeros_like(w), dout.sum(axis=0)


def affine_dx_summed_too(dout, cache):
    x, w = cache
    return (dout @ w.T).sum(axis=0), x.T @ dout, dout.sum(axis=0)


LAST = {}


def affine_with_a_global(x, w, b):
    LAST["x"] = x.copy()
    return x @ w + b, (x, w)


def affine_stale(dout, cache):
    _x, w = cache
    return dout @ w.T, LAST["x"].T @ dout, dout.sum(axis=0)


def affine_decayed_twice(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout + 0.1 * w, dout.sum(axis=0)


# -- relu --------------------------------------------------------------------------------------------------------


def relu(x):
    return np.maximum(x, 0.0), x


def relu_back(dout, x):
    return dout * (x > 0)


def relu_in_place(dout, x):
    dout[x <= 0] = 0
    return dout


def relu_changes_its_input(x):
    x[x < 0] = 0
    return x.copy(), x


# -- softmax and svm losses --------------------------------------------------------------------------------------


def softmax(x, y):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    n = np.arange(len(y))
    return -np.mean(np.log(p[n, y])), (p, y)


def softmax_back(dout, cache):
    p, y = cache
    dx = p.copy()
    dx[np.arange(len(y)), y] -= 1
    return dout * dx / len(y)


def softmax_without_the_mean(dout, cache):
    return softmax_back(dout, cache) * len(cache[1])


def softmax_without_the_one(dout, cache):
    p, y = cache
    return dout * p / len(y)


def softmax_divided_after_for_one(dout, cache):
    p, y = cache
    dx = p / len(y)
    dx[np.arange(len(y)), y] -= 1
    return dout * dx


def softmax_into_its_cache(dout, cache):
    p, y = cache
    p[np.arange(len(y)), y] -= 1
    return dout * p / len(y)


def svm(x, y):
    n = np.arange(len(y))
    margins = np.maximum(0, x - x[n, y][:, None] + 1)
    margins[n, y] = 0
    return margins.sum() / len(y), (margins, y)


def svm_back(dout, cache):
    margins, y = cache
    dx = (margins > 0).astype(float)
    dx[np.arange(len(y)), y] = -dx.sum(axis=1)
    return dout * dx / len(y)


def svm_without_the_correct_class(dout, cache):
    margins, y = cache
    return dout * (margins > 0) / len(y)


def svm_counts_itself(dout, cache):
    margins, y = cache
    dx = (margins > 0).astype(float)
    dx[np.arange(len(y)), y] = -1
    return dout * dx / len(y)


# -- dropout, inverted, with the mask given ----------------------------------------------------------------------


def dropout(x, dropout_param):
    mask, p = dropout_param["mask"], dropout_param["p"]
    return x * mask / p, (mask, p)


def dropout_back(dout, cache):
    mask, p = cache
    return dout * mask / p


def dropout_unscaled(dout, cache):
    mask, _ = cache
    return dout * mask


def dropout_unmasked(dout, cache):
    _, p = cache
    return dout / p


# -- batch and layer normalization -------------------------------------------------------------------------------


def normalized(x, gamma, beta, axis):
    centred = x - x.mean(axis=axis, keepdims=True)
    sigma = np.sqrt((centred**2).mean(axis=axis, keepdims=True) + 1e-5)
    return gamma * centred / sigma + beta, (centred, sigma, gamma)


def batchnorm(x, gamma, beta):
    return normalized(x, gamma, beta, 0)


def batchnorm_staged(dout, cache):
    """Through the graph, a step at a time."""
    centred, sigma, gamma = cache
    n = len(centred)
    dnormal = dout * gamma
    dsigma = -(dnormal * centred).sum(axis=0) / sigma**2
    dvar = dsigma / (2 * sigma)
    dcentred = dnormal / sigma + dvar * 2 * centred / n
    dx = dcentred - dcentred.mean(axis=0)
    return dx, (dout * centred / sigma).sum(axis=0), dout.sum(axis=0)


def batchnorm_simplified(dout, cache):
    """On paper, in one formula."""
    centred, sigma, gamma = cache
    normal = centred / sigma
    dx = gamma / sigma * (dout - dout.mean(axis=0) - normal * (dout * normal).mean(axis=0))
    return dx, (dout * normal).sum(axis=0), dout.sum(axis=0)


def batchnorm_staged_without_the_mean(dout, cache):
    centred, sigma, gamma = cache
    dnormal = dout * gamma
    dvar = -(dnormal * centred).sum(axis=0) / (2 * sigma**3)
    dx = dnormal / sigma + dvar * 2 * centred / len(centred)
    return dx, (dout * centred / sigma).sum(axis=0), dout.sum(axis=0)


def batchnorm_staged_without_the_two(dout, cache):
    centred, sigma, gamma = cache
    dnormal = dout * gamma
    dvar = -(dnormal * centred).sum(axis=0) / (2 * sigma**3)
    dcentred = dnormal / sigma + dvar * centred / len(centred)
    dx = dcentred - dcentred.mean(axis=0)
    return dx, (dout * centred / sigma).sum(axis=0), dout.sum(axis=0)


def batchnorm_simplified_without_the_mean(dout, cache):
    centred, sigma, gamma = cache
    normal = centred / sigma
    dx = gamma / sigma * (dout - normal * (dout * normal).mean(axis=0))
    return dx, (dout * normal).sum(axis=0), dout.sum(axis=0)


def batchnorm_simplified_without_both(dout, cache):
    centred, sigma, gamma = cache
    return gamma * dout / sigma, (dout * centred / sigma).sum(axis=0), dout.sum(axis=0)


def batchnorm_dgamma_not_summed(dout, cache):
    dx, _, dbeta = batchnorm_simplified(dout, cache)
    return dx, dout * cache[0] / cache[1], dbeta


def batchnorm_dgamma_dbeta_swapped(dout, cache):
    dx, dgamma, dbeta = batchnorm_simplified(dout, cache)
    return dx, dbeta, dgamma


def batchnorm_gamma_forgotten(dout, cache):
    dx, dgamma, dbeta = batchnorm_simplified(dout, cache)
    return dx / cache[2], dgamma, dbeta


def layernorm(x, gamma, beta):
    return normalized(x, gamma, beta, 1)


def layernorm_back(dout, cache):
    centred, sigma, gamma = cache
    normal, g = centred / sigma, dout * gamma
    dx = (g - g.mean(axis=1, keepdims=True) - normal * (g * normal).mean(axis=1, keepdims=True)) / sigma
    return dx, (dout * normal).sum(axis=0), dout.sum(axis=0)


def layernorm_with_batchnorms_axis(dout, cache):
    centred, sigma, gamma = cache
    normal, g = centred / sigma, dout * gamma
    dx = (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0)) / sigma
    return dx, (dout * normal).sum(axis=0), dout.sum(axis=0)


def layernorm_without_the_mean(dout, cache):
    centred, sigma, gamma = cache
    normal, g = centred / sigma, dout * gamma
    dx = (g - normal * (g * normal).mean(axis=1, keepdims=True)) / sigma
    return dx, (dout * normal).sum(axis=0), dout.sum(axis=0)


def layernorm_dbeta_over_axis_1(dout, cache):
    dx, dgamma, _ = layernorm_back(dout, cache)
    return dx, dgamma, dout.sum(axis=1)


# -- convolution (one channel, valid) and max pooling ------------------------------------------------------------


def windows(shape, w):
    """Where each entry of the output looks, of a window of w's shape moved by 1."""
    return [
        (i, j, slice(i, i + w.shape[0]), slice(j, j + w.shape[1]))
        for i in range(shape[0] - w.shape[0] + 1)
        for j in range(shape[1] - w.shape[1] + 1)
    ]


def conv(x, w):
    out = np.zeros((x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1))
    for i, j, rows, columns in windows(x.shape, w):
        out[i, j] = np.sum(x[rows, columns] * w)
    return out, (x, w)


def conv_back(dout, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, j, rows, columns in windows(x.shape, w):
        dx[rows, columns] += dout[i, j] * w
        dw += dout[i, j] * x[rows, columns]
    return dx, dw


def conv_assigns(dout, cache):
    x, w = cache
    dx, dw = conv_back(dout, cache)
    for i, j, rows, columns in windows(x.shape, w):
        dx[rows, columns] = dout[i, j] * w
    return dx, dw


def conv_flips(dout, cache):
    dx, dw = conv_back(dout, cache)
    return dx, dw[::-1, ::-1]


def conv_off_by_one(dout, cache):
    dx, dw = conv_back(dout, cache)
    return np.roll(dx, 1, axis=1), dw


def pool(x):
    """Of rows of pairs."""
    return x.reshape(len(x), -1, 2).max(axis=2), x


def pool_back(dout, x):
    pairs = x.reshape(len(x), -1, 2)
    return (dout[:, :, None] * (pairs == pairs.max(axis=2, keepdims=True))).reshape(x.shape)


def pool_everywhere(dout, x):
    return np.repeat(dout, 2, axis=1)


def pool_as_a_mean(dout, x):
    return np.repeat(dout, 2, axis=1) / 2


def pool_at_the_minimum(dout, x):
    return pool_back(dout, -x)


# -- products, as in attention -----------------------------------------------------------------------------------


def attention(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return p @ v, (q, k, v, p)


def attention_back(dout, cache):
    q, k, v, p = cache
    dp = dout @ v.T
    ds = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, p.T @ dout


def attention_unscaled(dout, cache):
    dq, dk, dv = attention_back(dout, cache)
    return dq * np.sqrt(cache[0].shape[1]), dk, dv


def attention_dk_not_transposed(dout, cache):
    _q, _k, _v, _p = cache
    dq, dk, dv = attention_back(dout, cache)
    return dq, dk.T, dv


def attention_dv_dk_swapped(dout, cache):
    dq, dk, dv = attention_back(dout, cache)
    return dq, dv, dk


def softmax_rows(x):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return p, p


def softmax_rows_back(dout, p):
    return p * (dout - (dout * p).sum(axis=1, keepdims=True))


def softmax_rows_diagonal(dout, p):
    return dout * p


def gram(x):
    return x @ x.T, x


def gram_back(dout, x):
    return (dout + dout.T) @ x


def gram_once(dout, x):
    return dout @ x


def tanh(x):
    out = np.tanh(x)
    return out, out


def tanh_back(dout, out):
    return dout * (1 - out**2)


def square(x):
    return x**2, x


def square_back(dout, x):
    return 2 * dout * x


def square_without_the_two(dout, x):
    return dout * x


def square_twice_dout(dout, x):
    return 2 * dout**2 * x


XWB = drawn((4, 3), (3, 5), 5)
SQUARE = drawn((4, 3), (3, 4), 4)  # an axis of the batch as long as that of the features
X = drawn((4, 6))
SCORES = (*drawn((5, 4)), np.array([0, 3, 1, 2, 3]))
MASKED = (*X, {"p": 0.7, "mask": RNG.random((4, 6)) < 0.7})
NORM = drawn((6, 5), 5, 5)
IMAGE = drawn((5, 5), (3, 3))
QKV = drawn((4, 5), (4, 5), (4, 5))

MISTAKES = [
    ("affine, db not summed", affine, affine_back, affine_db_not_summed, XWB, "sum over axis 0 missing"),
    ("affine, db over axis 1", affine, affine_back, affine_db_over_axis_1, SQUARE, "sum over the wrong axis"),
    ("affine, db a mean", affine, affine_back, affine_db_mean, XWB, "0.25 = 1/N"),
    ("affine, dw transposed", affine, affine_back, affine_dw_transposed, XWB, "transposed"),
    ("affine, dw divided by N", affine, affine_back, affine_dw_divided, XWB, "0.25 = 1/N"),
    ("affine, another order", affine, affine_back, affine_another_order, XWB, "another order"),
    ("affine, dx negative", affine, affine_back, affine_sign, XWB, "sign"),
    ("affine, dout forgotten", affine, affine_back, affine_dout_forgotten, XWB, "dout is not used"),
    ("affine, dx in float32", affine, affine_back, affine_in_float32, XWB, "float32 somewhere inside"),
    ("affine, a global", affine_with_a_global, affine_back, affine_stale, XWB, "stale cache"),
    ("affine, dw 0", affine, affine_back, affine_dw_never_assigned, XWB, "0 everywhere"),
    ("affine, dx summed", affine, affine_back, affine_dx_summed_too, XWB, "summed over axis 0, which the"),
    ("relu, 0 / 0", relu, relu_back, lambda dout, x: dout * np.where(x > 0, 1, np.nan), X, "NaN"),
    ("affine, a penalty", affine, affine_back, affine_decayed_twice, XWB, "0.1 times w"),
    (
        "relu, no mask",
        relu,
        relu_back,
        lambda dout, x: dout.copy(),
        X,
        "mask ignored: wrong only where x < 0",
    ),
    ("relu, mask of the other side", relu, relu_back, lambda dout, x: dout * (x < 0), X, "mask inverted"),
    ("relu, mask in place", relu, relu_back, relu_in_place, X, "mutates its dout"),
    ("relu, mask not times dout", relu, relu_back, lambda dout, x: (x > 0) * 1.0, X, "dout is not used"),
    ("softmax, no mean", softmax, softmax_back, softmax_without_the_mean, SCORES, "factor 5 = N"),
    ("softmax, no one", softmax, softmax_back, softmax_without_the_one, SCORES, "column y"),
    ("softmax, the one not / N", softmax, softmax_back, softmax_divided_after_for_one, SCORES, "column y"),
    ("softmax, into its cache", softmax, softmax_back, softmax_into_its_cache, SCORES, "mutates its cache"),
    ("svm, correct class missing", svm, svm_back, svm_without_the_correct_class, SCORES, "column y"),
    ("svm, correct class counted once", svm, svm_back, svm_counts_itself, SCORES, "column y"),
    ("dropout, not scaled", dropout, dropout_back, dropout_unscaled, MASKED, "0.7 = p"),
    ("dropout, no mask", dropout, dropout_back, dropout_unmasked, MASKED, "wrong only where mask == 0"),
    (
        "batchnorm, staged, no mean",
        batchnorm,
        batchnorm_staged,
        batchnorm_staged_without_the_mean,
        NORM,
        "constant along axis 0",
    ),
    (
        "batchnorm, staged, no 2",
        batchnorm,
        batchnorm_staged,
        batchnorm_staged_without_the_two,
        NORM,
        "variance's contribution",
    ),
    (
        "batchnorm, simplified, no mean",
        batchnorm,
        batchnorm_simplified,
        batchnorm_simplified_without_the_mean,
        NORM,
        "constant along axis 0",
    ),
    (
        "batchnorm, simplified, constants",
        batchnorm,
        batchnorm_simplified,
        batchnorm_simplified_without_both,
        NORM,
        "a mean's contribution and a variance's",
    ),
    (
        "batchnorm, dgamma not summed",
        batchnorm,
        batchnorm_simplified,
        batchnorm_dgamma_not_summed,
        NORM,
        "sum over axis 0 missing",
    ),
    (
        "batchnorm, dgamma for dbeta",
        batchnorm,
        batchnorm_simplified,
        batchnorm_dgamma_dbeta_swapped,
        NORM,
        "another order",
    ),
    (
        "batchnorm, dx without gamma",
        batchnorm,
        batchnorm_staged,
        batchnorm_gamma_forgotten,
        NORM,
        "a factor gamma missing",
    ),
    ("layernorm, axis 0", layernorm, layernorm_back, layernorm_with_batchnorms_axis, NORM, "not known"),
    (
        "layernorm, no mean",
        layernorm,
        layernorm_back,
        layernorm_without_the_mean,
        NORM,
        "constant along axis 1",
    ),
    (
        "layernorm, dbeta over axis 1",
        layernorm,
        layernorm_back,
        layernorm_dbeta_over_axis_1,
        drawn((5, 5), 5, 5),
        "sum over the wrong axis",
    ),
    ("conv, = for +=", conv, conv_back, conv_assigns, IMAGE, "= in place of +="),
    ("conv, dw flipped", conv, conv_back, conv_flips, IMAGE, "reversed"),
    ("conv, off by one", conv, conv_back, conv_off_by_one, IMAGE, "off by one"),
    ("pool, everywhere", pool, pool_back, pool_everywhere, X, "mask ignored"),
    ("pool, as a mean", pool, pool_back, pool_as_a_mean, X, "not known"),
    ("pool, at the minimum", pool, pool_back, pool_at_the_minimum, X, "mask inverted"),
    (
        "attention, dq not scaled",
        attention,
        attention_back,
        attention_unscaled,
        QKV,
        "square root of the length of axis 1",
    ),
    ("attention, dk transposed", attention, attention_back, attention_dk_not_transposed, QKV, "transposed"),
    ("attention, dk for dv", attention, attention_back, attention_dv_dk_swapped, QKV, "another order"),
    (
        "softmax of rows, diagonal alone",
        softmax_rows,
        softmax_rows_back,
        softmax_rows_diagonal,
        X,
        "in proportion to the output",
    ),
    ("x x^T, one of two", gram, gram_back, gram_once, X, "not known"),
    ("tanh, 1 - out", tanh, tanh_back, lambda dout, out: dout * (1 - out), X, "not known"),
    ("tanh, no derivative", tanh, tanh_back, lambda dout, out: dout * out, X, "not known"),
    ("square, no 2", square, square_back, square_without_the_two, X, "a square's factor 2"),
    ("square, dout twice", square, square_back, square_twice_dout, X, "a factor dout too many"),
]
EACH = pytest.mark.parametrize(
    ("forward", "right", "wrong", "inputs", "words"),
    [row[1:] for row in MISTAKES],
    ids=[row[0] for row in MISTAKES],
)


@EACH
def test_the_right_twin_passes(forward, right, wrong, inputs, words):
    check_layer((forward, right), *inputs)


@EACH
def test_the_mistake_is_caught_and_named(forward, right, wrong, inputs, words):
    with pytest.raises(GradientMismatch) as mismatch:
        check_layer((forward, wrong), *inputs)
    assert words in str(mismatch.value).partition("diagnosis: ")[2]
