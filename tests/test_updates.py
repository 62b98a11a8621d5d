"""A rule of `minigrad.optim` updates all parameters at once, compiled, as it would one by one."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_solver import SoftmaxRegression, assert_same, copy_of, make_solver

from minigrad import detect_anomaly, optim
from minigrad.training.returned import checked_gradients
from minigrad.training.updates import AtOnce, OneByOne, compiled, updating

STEPS = 4
SHAPES = [(), (1,), (3,), (0, 2), (2, 3), (4, 1, 2)]


def arrays(rng, shapes, dtype):
    """Return arrays by name, of either memory order."""
    made = {f"w{i}": np.asarray(rng.standard_normal(shape), dtype) for i, shape in enumerate(shapes)}
    return {name: w if rng.integers(2) else w.copy(order="F") for name, w in made.items()}


@settings(max_examples=60, deadline=None)
@given(
    rule=st.sampled_from(sorted(optim.update_rules)),
    shapes=st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    rates=st.lists(st.sampled_from([0.0, 1e-3, 0.1, 1]), min_size=STEPS, max_size=STEPS),
    seed=st.integers(0, 2**32),
)
def test_at_once_is_one_by_one(rule, shapes, dtype, rates, seed):
    rng = np.random.default_rng(seed)
    params = arrays(rng, shapes, dtype)
    expected = copy_of(params)
    given_ones = dict(params)
    at_once = AtOnce(optim.update_rules[rule], {}, params)
    one_by_one = OneByOne(optim.update_rules[rule], {}, expected)
    eps = np.finfo(dtype).eps
    for t, rate in enumerate(rates, 1):
        before, grads = copy_of(expected), arrays(rng, shapes, dtype)
        for update, each in ((at_once, params), (one_by_one, expected)):
            for config in update.configs.values():
                config["learning_rate"] = rate
            update(each, copy_of(grads))
        for name, w in expected.items():
            assert params[name] is given_ones[name]
            assert params[name].dtype == w.dtype
            if rule not in ("adam", "adamw"):
                np.testing.assert_array_equal(params[name], w)
            elif dtype != "float16":  # the learning rate is rounded before it is multiplied by another number
                step = np.abs(w - before[name]).max(initial=0)
                atol = 8 * t * eps * (step + np.abs(w).max(initial=0))
                np.testing.assert_allclose(params[name], w, rtol=0, atol=atol)
        for name, state in one_by_one.configs.items():
            for each in optim.update_rules[rule].state:
                kept = at_once.state()["state"][each]
                np.testing.assert_array_equal(kept if each == "t" else kept[name], state[each])


@pytest.mark.parametrize("rule", optim.update_rules)
def test_a_solver_has_the_histories_of_a_function(rule):
    options = {"optim_config": {"learning_rate": 0.1}, "lr_decay": 0.7, "average": 0.8}
    made = optim.update_rules[rule]
    one, other = (
        make_solver(update_rule=each, **options) for each in (rule, lambda w, dw, config: made(w, dw, config))
    )
    one.train()
    other.train()
    assert one.loss_history == pytest.approx(other.loss_history, rel=1e-12)
    assert one.val_acc_history == other.val_acc_history
    for name, w in other.best_params.items():
        np.testing.assert_allclose(one.best_params[name], w, rtol=1e-12)


def test_a_new_learning_rate_compiles_nothing_anew():
    settings = optim.adam.settings | {"epsilon": 1e-5}
    for _ in range(2):  # nor does another training
        params = {"w": np.ones(3), "half": np.ones(2, "float16")}
        update = AtOnce(optim.adam, settings, params)
        for rate in (0.1, 0.2, 0, 1, np.float32(0.3)):
            update.configs["all parameters"]["learning_rate"] = rate
            update(params, copy_of(params))
    del settings["learning_rate"]
    assert compiled(optim.adam, tuple(settings.items())).cache_info()[:2] == (9, 1)


@pytest.mark.parametrize("update", [AtOnce, OneByOne])
def test_a_gradient_may_be_a_parameter(update):
    a, b = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    params = {"a": a, "b": b}
    update(optim.sgd, {"learning_rate": 0.5}, params)(params, {"a": b[::-1], "b": a})
    np.testing.assert_array_equal(a, [1 - 2.5, 2 - 1.5])
    np.testing.assert_array_equal(b, [3 - 0.5, 5 - 1.0])


def test_parameters_may_be_views():
    w, other = np.arange(6.0), np.arange(6.0)
    params = {"even": w[::2], "odd": w[1::2], "own": np.zeros(3)}
    AtOnce(optim.sgd, {"learning_rate": 1.0}, params)(params, {name: np.full(3, 2.0) for name in params})
    np.testing.assert_array_equal(w, other - 2)


def test_parameters_that_share_memory_add_up_their_steps():
    w = np.zeros(3)
    params = {"whole": w, "first": w[:1]}
    updating(optim.sgd, {"learning_rate": 1.0}, params)(params, {"whole": np.ones(3), "first": np.ones(1)})
    np.testing.assert_array_equal(w, [-2, -1, -1])


def test_so_they_do_by_a_function_that_returns_new_arrays():
    w = np.zeros(3)
    params = {"whole": w, "first": w[:1]}
    updating(lambda w, dw, config: (w - dw, config), {}, params)(
        params, {"whole": np.ones(3), "first": np.ones(1)}
    )
    np.testing.assert_array_equal(w, [-2, -1, -1])


def test_and_read_only_parameters_are_replaced():
    model = SoftmaxRegression()
    model.params["W"].flags.writeable = False
    solver = make_solver(model, update_rule=lambda w, dw, config: (w - 0.1 * dw, config))
    solver._step("")
    assert np.abs(model.params["W"] - SoftmaxRegression().params["W"]).max() > 0


class WithProperty(SoftmaxRegression):
    """Its parameters are attributes; the dict of them is made anew each time."""

    def __init__(self):
        super().__init__()
        self.own = self.__dict__.pop("params")

    @property
    def params(self):
        return dict(self.own)

    @params.setter
    def params(self, params):
        self.__dict__["params"] = params


def test_a_function_that_returns_new_arrays_trains_parameters_in_place():
    solvers = [
        make_solver(model, update_rule=rule)
        for model, rule in [
            (WithProperty(), lambda w, dw, config: (w - 0.1 * dw, config)),
            (SoftmaxRegression(), optim.sgd),
        ]
    ]
    solvers[1]._update.configs["all parameters"]["learning_rate"] = 0.1
    for solver in solvers:
        solver.train()
    np.testing.assert_allclose(solvers[0].loss_history, solvers[1].loss_history)
    assert_same(solvers[0].model.own, solvers[0].best_params)


def test_parameters_that_cannot_be_written_to_are_refused_when_the_solver_is_made():
    model = SoftmaxRegression()
    model.params["b"].flags.writeable = False
    with pytest.raises(ValueError, match=r"model.params\['b'\] is read-only"):
        make_solver(model)


def depends_on_values(w, dw, state, settings):
    return (-settings["learning_rate"] * dw if dw.max() < 2 else 0 * dw), state


def test_a_rule_that_cannot_be_compiled_runs_as_it_is_written():
    w = np.zeros(2)
    update = AtOnce(optim.UpdateRule(depends_on_values, {"learning_rate": 0.5}, ()), {}, {"w": w})
    for largest in (1.0, 3.0, 1.0):
        update({"w": w}, {"w": np.array([0.0, largest])})
    np.testing.assert_array_equal(w, [0, -1])


def test_it_can_be_watched_for_nan():
    one, other = make_solver(update_rule="adam"), make_solver(update_rule="adam")
    one.train()
    with detect_anomaly():
        other.train()
    assert_same(one.model.params, other.model.params)


def test_settings_that_change_are_checked():
    params = {"w": np.ones(2)}
    for name, value in (("learning_rate", -1.0), ("beta1", 1.0), ("momentum", 0.5)):
        update = AtOnce(optim.adam, {}, params)
        update(params, {"w": np.ones(2)})
        before = copy_of(params)
        update.configs["all parameters"][name] = value
        with pytest.raises(ValueError, match=f"adam: .*{name}"):
            update(params, {"w": np.ones(2)})
        assert_same(params, before)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda w, config: w, TypeError, r"returned ndarray for 'b'; it must return \(w, config\)"),
        (lambda w, config: (w, None), TypeError, r"it must return \(w, config\), config a dict"),
        (lambda w, config: (w.tolist(), config), TypeError, "returned a list for 'b'"),
        (lambda w, config: (w[:2], config), ValueError, r"float64 of shape \(2,\) for 'b'.*shape \(3,\)"),
        (lambda w, config: (w > 0, config), ValueError, "bool of shape .* for 'b'.* float64"),
        (lambda w, config: (w + 0j, config), ValueError, "complex128 of shape .* for 'b'.* float64"),
    ],
)
def test_an_unfit_result_of_a_function_is_refused_before_any_is_taken_over(result, error, message):
    def rule(w, dw, config):
        return (w + 1, {"steps": 1}) if w.ndim == 2 else result(w, config)

    solver = make_solver(update_rule=rule)
    before = copy_of(solver.model.params)
    with pytest.raises(error, match=f"the update rule rule .*{message}"):
        solver.train()
    assert_same(solver.model.params, before)
    assert solver._update.configs == {"W": {}, "b": {}}


def test_what_a_function_returns_of_another_dtype_is_converted_to_the_parameters():
    w = np.ones(2, np.float32)
    params = {"w": w}
    rate = np.float64(0.5)  # as of 10 ** rng.uniform(-4, -3); it makes float64 of float32
    OneByOne(lambda w, dw, config: (w - rate * dw, config), {}, params)(params, {"w": np.ones(2, np.float32)})
    assert params["w"] is w and w.dtype == np.float32
    np.testing.assert_array_equal(w, 0.5)


def test_a_number_may_be_the_result_for_a_parameter_without_axes():
    params = {"w": np.array(1.0)}
    OneByOne(lambda w, dw, config: (w - dw, config), {}, params)(params, {"w": np.array(0.5)})
    assert isinstance(params["w"], np.ndarray) and params["w"] == 0.5


def test_a_parameter_may_have_any_name():
    params = {"100%": np.ones(2), "%d %s": np.ones(3)}
    for name in params:
        with pytest.raises(
            ValueError, match=re.escape(f"the gradient of {name!r} is float64 of shape (1,);")
        ):
            checked_gradients(params, params | {name: np.ones(1)})


@pytest.mark.parametrize("gradient", [[1.0, 1.0], None])
def test_a_gradient_that_is_no_array_is_refused(gradient):
    solver = make_solver()
    solver.model.loss = lambda X, y=None: (1.0, {"W": gradient, "b": gradient})
    with pytest.raises(TypeError, match=r"the gradient of 'W' is a \w+; it must be a NumPy array"):
        solver.train()
