"""The forms in which a layer may be written."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import GradientMismatch, check_grads, check_layer

PAIR = tuple(np.random.default_rng(0).standard_normal((2, 3, 4)))


@pytest.mark.parametrize("as_tuple", [False, True])
def test_several_outputs(as_tuple):
    def forward(x, w):
        outs = np.sin(x) * w, x.sum(axis=0)
        return (outs, (x, w)) if as_tuple else (*outs, (x, w))

    def gradients(da, db, x, w):
        return da * np.cos(x) * w + db, da * np.sin(x)

    def backward(*args):
        (da, db), cache = (args[0], args[1]) if as_tuple else (args[:2], args[2])
        return gradients(da, db, *cache)

    def without_the_second(*args):
        (da, db), cache = (args[0], args[1]) if as_tuple else (args[:2], args[2])
        return gradients(da, 0 * db, *cache)

    report = check_layer((forward, backward), *PAIR)
    assert "tape" in report.ways
    with pytest.raises(GradientMismatch, match="gradient of input 0"):
        check_layer((forward, without_the_second), *PAIR)


def mean_squared_error(x, y):
    return np.sum((x - y) ** 2), 2 * (x - y)


def test_a_loss_finds_its_own_gradient():
    """That of its first input, if it returns one."""
    check_layer(mean_squared_error, *PAIR)
    check_layer(mean_squared_error, PAIR[0], 1)
    with pytest.raises(GradientMismatch, match="backward returned no gradient for input 1"):
        check_layer(mean_squared_error, *PAIR, argnums=(0, 1))
    with pytest.raises(GradientMismatch, match="a square's factor 2"):
        check_layer(lambda x: (np.sum(x**2), x), PAIR[0])


# -- what is differentiated, and what belongs to the layer ---------------------------------------------------------


def weighted(x, w, target, slope=1.0):
    return np.sum(w * (x - target) ** 2) * slope, (x, w, target, slope)


def weighted_back(dout, cache):
    x, w, target, slope = cache
    return 2 * dout * slope * w * (x - target), dout * slope * (x - target) ** 2


def test_constants_are_told_by_position():
    x, w = PAIR
    check_layer(weighted, weighted_back, x, w, x[::-1], argnums=(0, 1))
    check_layer((weighted, weighted_back), x, w, x[::-1], 2.0, argnums=0)
    with pytest.raises(GradientMismatch, match="no gradient for input 2"):
        check_layer((weighted, weighted_back), x, w, x[::-1])
    for argnums in (4, "x", (0, 1.0)):
        with pytest.raises(ValueError, match=r"argnums has .*; expected positions of the 3 inputs"):
            check_layer((weighted, weighted_back), x, w, x, argnums=argnums)
    with pytest.raises(TypeError, match="input 1 holds no floats"):
        check_layer(mg.softmax_cross_entropy, x, np.arange(3), argnums=1)


def test_a_python_number_by_position_stays_one():
    def forward(x, count):
        assert type(count) is int
        return x * count, count

    check_layer((forward, lambda dout, count: dout * count), np.ones(3), 3)


def dropout(x, keep=0.5, seed=None):
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
    mask = (rng.random(x.shape) < keep) / keep
    return x * mask, mask


def dropout_back(dout, mask):
    return dout * mask


def test_keywords_that_clash_are_refused_and_options_are_the_forwards():
    seen = []

    def forward(x, seed=None):
        seen.append(seed)
        return dropout(x, seed=seed)

    with pytest.raises(TypeError, match="seed is a keyword of check_layer and of the forward"):
        check_layer((forward, dropout_back), np.ones(9), seed=3)
    check_layer((forward, dropout_back), np.ones(9), options={"seed": 3})
    assert set(seen) == {3}


def test_a_generator_is_copied():
    rng = np.random.default_rng(0)
    check_layer((dropout, dropout_back), np.ones(9), 0.5, rng)
    check_layer((dropout, dropout_back), np.ones(9), options={"seed": rng})
    assert rng.random() == np.random.default_rng(0).random()


def test_two_functions_and_a_pair_are_the_same():
    check_layer(dropout, dropout_back, np.ones(9), options={"seed": 0})


class Dense:
    def forward(self, x):
        self.x = x
        return 2 * x

    def backward(self, dout):
        return 2 * dout


@pytest.mark.parametrize("layer", [Dense, Dense()], ids=["class", "object"])
def test_a_layer_that_keeps_its_cache_in_itself_is_refused(layer):
    with pytest.raises(
        TypeError, match=r"Dense, whose forward and backward are methods.*keeps its cache in self"
    ):
        check_layer(layer, np.ones(3))
    with pytest.raises(
        TypeError, match=r"expected \(out, cache\)\. A layer that keeps its cache in self is checked by"
    ):
        check_layer((Dense().forward, Dense().backward), np.ones(3))


class Affine:
    def __init__(self, w):
        self.w = w

    def forward(self, x):
        self.x = x
        return x @ self.w

    def backward(self, dout):
        self.dw = self.x.T @ dout
        return dout @ self.w.T


def test_but_two_functions_around_it_are_checked():
    def forward(x, w):
        layer = Affine(w)
        return layer.forward(x), layer

    def backward(dout, layer):
        return layer.backward(dout), layer.dw

    inputs = np.random.default_rng(0).standard_normal((2, 3, 3))
    check_layer(forward, backward, *inputs)
    with pytest.raises(GradientMismatch, match="w: transposed"):
        check_layer(forward, lambda dout, layer: (layer.backward(dout), layer.dw.T), *inputs)


@pytest.mark.parametrize(
    ("forward", "backward", "message"),
    [
        (
            lambda x: (x**2, x, x),
            lambda dout, cache: 2 * dout * cache,
            r"the forward returned 2 outputs and the cache, so the backward is called with 3 arguments.*but it has "
            r"\(dout, cache\)\. A cache of several values is a tuple",
        ),
        (lambda x: (x**2, x), lambda dout: dout, r"returned its output and the cache.*but it has \(dout\)"),
    ],
)
def test_a_backward_of_other_arguments_is_told(forward, backward, message):
    with pytest.raises(TypeError, match=message):
        check_layer(forward, backward, np.ones(2))


def test_a_gradient_too_many():
    with pytest.raises(GradientMismatch, match="the backward returned 2 gradients for 1 inputs"):
        check_layer((lambda x: (2 * x, None), lambda dout, cache: (2 * dout, 3 * dout)), np.ones(3))


def test_the_courses_dicts_of_parameters():
    """They may be given by position or by name, and are not changed."""

    def forward(x, param):
        param["calls"] = param.get("calls", 0) + 1
        return x * param["scale"], param["scale"]

    param = {"scale": 3.0}
    for args, options in (((param,), {}), ((), {"param": param})):
        check_layer((forward, lambda dout, scale: dout * scale), np.ones(3), *args, **options)
    assert param == {"scale": 3.0}
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    mg.layer(forward, lambda dout, scale: dout * scale)(x, {"scale": 2.0}).sum().backward()
    np.testing.assert_array_equal(x.grad, 2)


def test_what_cannot_be_checked_is_told():
    with pytest.raises(TypeError, match="no input holds real floats"):
        check_layer((lambda x: (x, x), lambda d, c: 7 * d), np.array([1, 2]))
    with pytest.raises(TypeError, match="no input holds real floats"):
        check_grads(np.sum, np.arange(3))
    for forward in (lambda x: x * 2, lambda x: np.sum(x), lambda x: (x,)):
        with pytest.raises(TypeError, match=r"the forward returned \w+; expected \(out, cache\)"):
            check_layer((forward, lambda dout, cache: 2 * dout), np.ones((4, 3)))
    with pytest.raises(TypeError, match="got sigmoid; expected a layer made by"):
        check_layer(mg.sigmoid, np.ones(2))


@pytest.mark.parametrize("seed", range(12))
def test_dout_is_never_what_the_inputs_are(seed):
    """Errors that vanish where dout is an input would not be seen."""
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((5, 5)), rng.standard_normal((5, 5))
    turned = (lambda x, w: (x @ w, (x, w)), lambda dout, cache: (dout @ cache[1].T, dout.T @ cache[0]))
    with pytest.raises(GradientMismatch, match="input 1"):
        check_layer(turned, x, w, seed=seed)
    unit = mg.rule(lambda x: x / np.sqrt(x @ x), lambda g, out, x: g - out * (g @ out))  # not divided
    with pytest.raises(GradientMismatch):
        check_grads(unit, np.random.default_rng(seed).standard_normal(5), seed=seed)
    with pytest.raises(GradientMismatch):  # many entries: in random directions
        check_layer((lambda x: (x * x, x), lambda d, x: 2.001 * x * d), rng.standard_normal((40, 500)))


def nditer_tanh(x):
    out = np.zeros(x.shape)
    entries = np.nditer(x, flags=["multi_index"])
    for value in entries:
        out[entries.multi_index] = np.tanh(float(value))
    return out, out


def checked_tanh(x):
    assert isinstance(x, np.ndarray)
    return np.tanh(x), np.tanh(x)


def strided_tanh(x):
    rows = np.lib.stride_tricks.as_strided(x, x.shape, x.strides)
    return np.tanh(rows), np.tanh(rows)


@pytest.mark.parametrize("forward", [nditer_tanh, checked_tanh, strided_tanh], ids=lambda f: f.__name__)
def test_a_forward_that_tensors_cannot_go_through_is_checked_without_the_tape(forward):
    x = np.random.default_rng(1).standard_normal((2, 3))
    ways = check_layer((forward, lambda dout, out: dout * (1 - out * out)), x).ways
    assert "tape" not in ways and "finite differences" in ways
    with pytest.raises(GradientMismatch):
        check_layer((forward, lambda dout, out: dout * (1 - out)), x)


def rows_of(numbers, w):
    return w[numbers], (numbers, w)


def added_up(dout, cache):
    numbers, w = cache
    dw = np.zeros_like(w)
    np.add.at(dw, numbers, dout)
    return dw


def test_the_only_gradient_is_that_of_the_only_input_of_floats():
    """The course's embedding of words returns that of the words' vectors alone."""
    numbers, w = np.array([[0, 3, 1], [2, 0, 3]]), np.random.default_rng(1).standard_normal((5, 4))
    check_layer((rows_of, added_up), numbers, w)
    check_layer((rows_of, added_up), numbers, w, argnums=1)
    embed = mg.layer(rows_of, added_up)
    for compiled in (mg.grad, lambda f: mg.jit(mg.grad(f))):
        got = compiled(lambda w, numbers: np.sum(np.sin(embed(numbers, w))))(w, numbers)
        want = added_up(np.cos(w[numbers]), (numbers, w))
        np.testing.assert_allclose(got, want, rtol=1e-12)

    def overwritten(dout, cache):
        numbers, w = cache
        dw = np.zeros_like(w)
        dw[numbers] += dout
        return dw

    with pytest.raises(GradientMismatch, match=r"input 1 is wrong at index"):
        check_layer((rows_of, overwritten), numbers, w)


@pytest.mark.parametrize(
    ("forward", "backward", "message"),
    [
        (
            lambda x: (2 * x, None),
            lambda d, _: {"dx": 2 * d},
            "the backward returned a dict; expected the gradients as",
        ),
        (lambda x: (None, x), lambda d, x: d, "the forward returned None as its output; expected an array"),
        (lambda x: ({"y": x}, x), lambda d, x: d, "the forward returned a dict as its output"),
        (lambda x: ([x], x), lambda d, x: d, "the forward returned a list as its output"),
    ],
)
def test_what_is_no_array_is_told(forward, backward, message):
    with pytest.raises(TypeError, match=message):
        check_layer((forward, backward), np.ones(2))
