"""The classic mistakes of students of the course: each is caught, and the hint names it; its right twin passes."""

import numpy as np
import pytest

from minigrad.gradient_check import GradientMismatch, check_layer
from minigrad.layers import softmax_loss, svm_loss

N, D, M, C = 4, 5, 3, 6


# -- the right twins ---------------------------------------------------------------------------------------------


def affine(x, w, b):
    return x @ w + b, (x, w)


def affine_back(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def relu(x):
    return np.maximum(x, 0), x


def relu_back(dout, x):
    return dout * (x > 0)


def dropout(x, mask, keep=0.8):
    return x * mask / keep, (mask, keep)


def dropout_back(dout, cache):
    mask, keep = cache
    return dout * mask / keep


def batchnorm(x, gamma, beta, eps=1e-5):
    centred = x - x.mean(axis=0)
    std = np.sqrt((centred**2).mean(axis=0) + eps)
    normal = centred / std
    return gamma * normal + beta, (normal, centred, std, gamma)


def batchnorm_back(dout, cache):
    """By the staged graph."""
    normal, centred, std, gamma = cache
    dnormal = dout * gamma
    dstd = -(dnormal * centred).sum(axis=0) / std**2
    dvar = dstd / (2 * std)
    dcentred = dnormal / std + 2 * centred * dvar / len(dout)
    dx = dcentred - dcentred.mean(axis=0)
    return dx, (dout * normal).sum(axis=0), dout.sum(axis=0)


def batchnorm_back_simplified(dout, cache):
    normal, _, std, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0)) / std
    return dx, (dout * normal).sum(axis=0), dout.sum(axis=0)


def layernorm(x, gamma, beta, eps=1e-5):
    centred = x - x.mean(axis=1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
    normal = centred / std
    return gamma * normal + beta, (normal, std, gamma)


def layernorm_back(dout, cache):
    normal, std, gamma = cache
    g = dout * gamma
    dx = (g - g.mean(axis=1, keepdims=True) - normal * (g * normal).mean(axis=1, keepdims=True)) / std
    return dx, (dout * normal).sum(axis=0), dout.sum(axis=0)


def conv(x, w):
    """Along one axis, as the course's naive one: out[i] = sum(x[i : i + k] w)."""
    out = np.zeros(len(x) - len(w) + 1, np.result_type(x, w))
    for i in range(len(out)):
        out[i] = np.sum(x[i : i + len(w)] * w)
    return out, (x, w)


def conv_back(dout, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, d in enumerate(dout):
        dx[i : i + len(w)] += d * w
        dw += d * x[i : i + len(w)]
    return dx, dw


def pool(x):
    return x.reshape(-1, 2).max(axis=1), x


def pool_back(dout, x):
    windows = x.reshape(-1, 2)
    dx = np.zeros_like(windows)
    dx[np.arange(len(windows)), windows.argmax(axis=1)] = dout
    return dx.reshape(x.shape)


def attention(q, k):
    """Scores of queries against keys."""
    return q @ k.T / q.shape[1] ** 0.5, (q, k)


def attention_back(dout, cache):
    q, k = cache
    return dout @ k / q.shape[1] ** 0.5, dout.T @ q / q.shape[1] ** 0.5


def softmax(x):
    exps = np.exp(x - x.max(axis=1, keepdims=True))
    out = exps / exps.sum(axis=1, keepdims=True)
    return out, out


def softmax_back(dout, out):
    return out * (dout - (dout * out).sum(axis=1, keepdims=True))


RNG = np.random.default_rng(3)
X, W, B = RNG.standard_normal((N, D)), RNG.standard_normal((D, M)), RNG.standard_normal(M)
SQUARE = RNG.standard_normal((D, D))
GAMMA, BETA = RNG.uniform(0.5, 2, D), RNG.standard_normal(D)
MASK = RNG.random((N, D)) < 0.8
SCORES, Y = RNG.standard_normal((N, C)), np.array([0, 2, 5, 2])
SIGNAL, FILTER = RNG.standard_normal(7), RNG.standard_normal(3)
KEYS = RNG.standard_normal((M, D))

LAYERS = {
    "affine": (affine, affine_back, (X, W, B)),
    "square affine": (affine, affine_back, (X, SQUARE, BETA)),
    "relu": (relu, relu_back, (X,)),
    "dropout": (dropout, dropout_back, (X, MASK)),
    "batch norm": (batchnorm, batchnorm_back, (X, GAMMA, BETA)),
    "batch norm, simplified": (batchnorm, batchnorm_back_simplified, (X, GAMMA, BETA)),
    "layer norm": (layernorm, layernorm_back, (X, GAMMA, BETA)),
    "conv": (conv, conv_back, (SIGNAL, FILTER)),
    "max pooling": (pool, pool_back, (RNG.standard_normal((3, 4)),)),
    "attention": (attention, attention_back, (X, KEYS)),
    "softmax": (softmax, softmax_back, (SCORES,)),
}
LOSSES = {"softmax loss": softmax_loss, "svm loss": svm_loss}


# -- the mistakes: the layer, what was done, the wrong backward, and words of the hint; None: it is only caught ------


def wrong_softmax_loss(change):
    def loss(x, y):
        value, dx = softmax_loss(x, y)
        return value, change(dx, x, y)

    loss.__name__ = "softmax_loss"
    return loss


def wrong_svm_loss(change):
    def loss(x, y):
        value, dx = svm_loss(x, y)
        return value, change(dx, x, y)

    loss.__name__ = "svm_loss"
    return loss


def at_labels(dx, y, value):
    dx = dx.copy()
    dx[np.arange(len(y)), y] = value
    return dx


def replace(place, value):
    """The right backward with one gradient replaced; value(gradients, dout, cache)."""

    def of(back):
        def wrong(dout, cache):
            grads = list(back(dout, cache))
            grads[place] = value(grads, dout, cache)
            return tuple(grads)

        return wrong

    return of


def conv_assigned(dout, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, d in enumerate(dout):
        dx[i : i + len(w)] = d * w
        dw += d * x[i : i + len(w)]
    return dx, dw


def in_place(dout, x):
    dout[x <= 0] = 0
    return dout


MISTAKES = [
    ("affine", "db without a sum", replace(2, lambda g, d, c: d), "sum over axis 0 missing"),
    ("affine", "db a mean", replace(2, lambda g, d, c: d.mean(axis=0)), "= 1/N"),
    ("affine", "dw divided by N", replace(1, lambda g, d, c: g[1] / N), "= 1/N"),
    ("affine", "dw transposed", replace(1, lambda g, d, c: d.T @ c[0]), "transposed"),
    ("affine", "dx with the wrong sign", replace(0, lambda g, d, c: -g[0]), "sign"),
    (
        "affine",
        "dw and dx swapped",
        lambda b: lambda d, c: (b(d, c)[1], b(d, c)[0], b(d, c)[2]),
        "another order",
    ),
    (
        "affine",
        "db with keepdims",
        replace(2, lambda g, d, c: d.sum(axis=0, keepdims=True)),
        "an axis too many",
    ),
    ("affine", "db over the wrong axis", replace(2, lambda g, d, c: d.sum(axis=1)), "wrong axis"),
    ("affine", "dw forgotten", replace(1, lambda g, d, c: None), "returns None"),
    ("affine", "dx in float32", replace(0, lambda g, d, c: g[0].astype("f4").astype(float)), "float32"),
    ("square affine", "w in place of its transpose", replace(0, lambda g, d, c: d @ c[1]), None),
    ("square affine", "dw transposed", replace(1, lambda g, d, c: g[1].T), "transposed"),
    ("relu", "mask ignored", lambda b: lambda d, x: d, "mask ignored"),
    ("relu", "mask reversed", lambda b: lambda d, x: d * (x < 0), None),
    ("relu", "dout changed in place", lambda b: in_place, "mutates its dout"),
    ("relu", "dout not used", lambda b: lambda d, x: (x > 0).astype(float), "dout is not used"),
    ("dropout", "mask ignored", lambda b: lambda d, c: d / c[1], "mask ignored"),
    ("dropout", "not divided by keep", lambda b: lambda d, c: d * c[0], "constant factor"),
    (
        "batch norm",
        "the mean's term missing",
        replace(0, lambda g, d, c: staged(d, c, mean=False)),
        "constant along axis 0",
    ),
    (
        "batch norm",
        "the variance's term missing",
        replace(0, lambda g, d, c: staged(d, c, variance=False)),
        "term missing",
    ),
    ("batch norm", "dgamma without normal", replace(1, lambda g, d, c: d.sum(axis=0)), "another order"),
    ("batch norm, simplified", "gamma forgotten", replace(0, lambda g, d, c: g[0] / c[3]), "a factor"),
    (
        "batch norm, simplified",
        "both terms missing",
        replace(0, lambda g, d, c: d * c[3] / c[2]),
        "terms missing",
    ),
    (
        "layer norm",
        "the mean's term missing",
        replace(0, lambda g, d, c: g[0] + (d * c[2]).mean(1, keepdims=True) / c[1]),
        "constant along axis 1",
    ),
    ("layer norm", "dbeta without a sum", replace(2, lambda g, d, c: d), "sum over axis 0 missing"),
    ("conv", "= for +=", lambda b: conv_assigned, "= in place of +="),
    ("conv", "the filter's gradient reversed", replace(1, lambda g, d, c: g[1][::-1]), "reversed"),
    (
        "max pooling",
        "to every entry of a window",
        lambda b: lambda d, x: np.repeat(d, 2).reshape(x.shape),
        None,
    ),
    ("attention", "the scale forgotten", replace(0, lambda g, d, c: g[0] * D**0.5), "square root"),
    ("attention", "dk transposed", replace(1, lambda g, d, c: g[1].T), "transposed"),
    ("softmax", "the sum's term missing", lambda b: lambda d, p: p * d, "term missing"),
    ("softmax", "treated as a sigmoid", lambda b: lambda d, p: d * p * (1 - p), None),
]
MISTAKES_OF_LOSSES = [
    ("not divided by N", wrong_softmax_loss(lambda dx, x, y: dx * N), "= N"),
    (
        "1 not subtracted at the label",
        wrong_softmax_loss(lambda dx, x, y: at_labels(dx, y, dx[np.arange(N), y] + 1 / N)),
        "correct class",
    ),
    ("divided by N twice", wrong_softmax_loss(lambda dx, x, y: dx / N), "= 1/N"),
    ("the sign", wrong_softmax_loss(lambda dx, x, y: -dx), "sign"),
    ("not divided by N", wrong_svm_loss(lambda dx, x, y: dx * N), "= N"),
    ("the label's column left 0", wrong_svm_loss(lambda dx, x, y: at_labels(dx, y, 0)), "correct class"),
    (
        "the label's column not counted",
        wrong_svm_loss(lambda dx, x, y: at_labels(dx, y, -1 / N)),
        "correct class",
    ),
]


def staged(dout, cache, mean=True, variance=True):
    normal, _, std, gamma = cache
    g = dout * gamma
    return (g - mean * g.mean(axis=0) - variance * normal * (g * normal).mean(axis=0)) / std


@pytest.mark.parametrize("name", LAYERS)
def test_the_right_twin_passes(name):
    forward, backward, inputs = LAYERS[name]
    check_layer((forward, backward), *inputs)
    check_layer((forward, backward), *[x.astype(np.float32) if x.dtype.kind == "f" else x for x in inputs])


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_right_loss_passes(loss):
    check_layer(loss, SCORES, Y)
    check_layer(loss, np.zeros((N, C)), Y)
    check_layer(loss, np.eye(C)[Y], Y)  # margins of exactly 0


def hint_of(layer, *inputs):
    """What a check that does not raise says; one that raises says the same."""
    report = check_layer(layer, *inputs, raise_on_error=False)
    assert report.problems
    with pytest.raises(GradientMismatch) as raised:
        check_layer(layer, *inputs)
    assert str(raised.value) == str(report)
    return report.diagnosis


@pytest.mark.parametrize(
    ("name", "what", "wrong", "words"), MISTAKES, ids=[f"{m[0]}: {m[1]}" for m in MISTAKES]
)
def test_a_mistake_is_caught_and_named(name, what, wrong, words):
    forward, backward, inputs = LAYERS[name]
    assert (words or "") in hint_of((forward, wrong(backward)), *inputs)


@pytest.mark.parametrize(
    ("what", "wrong", "words"),
    MISTAKES_OF_LOSSES,
    ids=[f"{m[1].__name__}: {m[0]}" for m in MISTAKES_OF_LOSSES],
)
def test_a_mistake_in_a_loss_is_caught_and_named(what, wrong, words):
    assert words in hint_of(wrong, SCORES, Y)
