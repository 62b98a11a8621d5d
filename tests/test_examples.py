"""Programs as people write them, a dozen lines each: their gradients are those of differences, and they learn."""

from pathlib import Path
from re import findall
from textwrap import dedent

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

import minigrad as mg
from minigrad.gradient_check import check_grads

RNG = np.random.default_rng(0)


def minimized(f, params, **options):
    """The least value of f that SciPy finds, and where: nested parameters, as one vector."""
    start, unflatten = mg.flatten(params)
    found = minimize(mg.value_and_grad(lambda v: f(unflatten(v))), start, jac=True, **options)
    return found.fun, unflatten(found.x)


def test_rosenbrock():
    def rosenbrock(x):
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    check_grads(rosenbrock, np.array([-1.2, 1.0, 0.5]), order=2)
    value, x = minimized(rosenbrock, np.array([-1.2, 1.0, 0.5]), tol=1e-12)
    assert value < 1e-12
    np.testing.assert_allclose(x, 1, atol=1e-5)
    newton = minimize(
        mg.value_and_grad(rosenbrock), x + 0.1, jac=True, hess=mg.hessian(rosenbrock), method="Newton-CG"
    )
    np.testing.assert_allclose(newton.x, 1, atol=1e-4)


def test_the_marginal_likelihood_of_a_gaussian_process():
    """Rasmussen and Williams 2006, algorithm 2.1, its derivative for the kernel's parameters."""
    x = np.linspace(0, 3, 12)
    y = np.sin(2 * x) + 0.1 * RNG.standard_normal(12)

    def negative_log_likelihood(p):
        distances = (x[:, None] - x) ** 2
        K = np.exp(p["scale"]) * np.exp(-distances / (2 * np.exp(p["length"]) ** 2))
        L = np.linalg.cholesky(K + (np.exp(p["noise"]) + 1e-6) * np.eye(len(x)))
        alpha = np.linalg.solve(L.T, np.linalg.solve(L, y))
        return 0.5 * y @ alpha + np.sum(np.log(np.diagonal(L))) + 0.5 * len(x) * np.log(2 * np.pi)

    start = {"scale": np.float64(0.0), "length": np.float64(0.0), "noise": np.float64(-2.0)}
    check_grads(
        lambda s, ell, n: negative_log_likelihood({"scale": s, "length": ell, "noise": n}), 0.1, -0.2, -2.0
    )
    before = negative_log_likelihood(start)
    after, p = minimized(negative_log_likelihood, start)
    assert after < before - 1
    assert 0.2 < np.exp(p["length"]) < 2


def test_the_likelihood_of_a_kalman_filter():
    observed = np.cumsum(RNG.standard_normal(15)) + 0.3 * RNG.standard_normal(15)

    def negative_log_likelihood(log_q, log_r):
        F, H = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]])
        m, P, total = np.zeros(2), 10 * np.eye(2), 0.0
        for z in observed:
            m, P = F @ m, F @ P @ F.T + np.exp(log_q) * np.eye(2)
            S = H @ P @ H.T + np.exp(log_r)
            K = np.linalg.solve(S, H @ P).T
            residual = z - H @ m
            total = total + 0.5 * (
                np.linalg.slogdet(2 * np.pi * S)[1] + residual @ np.linalg.solve(S, residual)
            )
            m, P = m + K @ residual, P - K @ H @ P
        return total

    check_grads(negative_log_likelihood, np.array(-1.0), np.array(-0.5))


def test_an_lstm_with_its_gates_split():
    n, d, h = 3, 2, 4

    def step(p, x, hidden, cell):
        gates = np.hstack([x, hidden]) @ p["W"] + p["b"]
        i, f, o, g = np.split(gates, 4, axis=1)
        cell = mg.sigmoid(f) * cell + mg.sigmoid(i) * np.tanh(g)
        return mg.sigmoid(o) * np.tanh(cell), cell

    def loss(p, xs):
        hidden, cell = np.zeros((n, h)), np.zeros((n, h))
        for x in xs:
            hidden, cell = step(p, x, hidden, cell)
        return np.mean((hidden - 0.5) ** 2)

    xs = list(RNG.standard_normal((5, n, d)))
    W, b = 0.5 * RNG.standard_normal((d + h, 4 * h)), np.zeros(4 * h)
    check_grads(lambda W, b: loss({"W": W, "b": b}, xs), W, b)
    gradients = mg.jit(mg.grad(loss))({"W": W, "b": b}, xs)
    np.testing.assert_allclose(gradients["W"], mg.grad(loss)({"W": W, "b": b}, xs)["W"], rtol=1e-10)
    assert minimized(lambda p: loss(p, xs), {"W": W, "b": b}, options={"maxiter": 50})[0] < 1e-3


def test_the_parameters_of_an_ordinary_differential_equation():
    """Lotka and Volterra by Runge-Kutta's fourth order: the adjoint is the tape of the loop."""

    def solution(p, steps=60, dt=0.05):
        def f(u):
            prey, predators = u
            return np.stack(
                [p[0] * prey - p[1] * prey * predators, p[2] * prey * predators - p[3] * predators]
            )

        u = np.array([1.0, 1.0])
        for _ in range(steps):
            k1 = f(u)
            k2 = f(u + dt / 2 * k1)
            k3 = f(u + dt / 2 * k2)
            u = u + dt / 6 * (k1 + 2 * k2 + 2 * k3 + f(u + dt * k3))
        return u

    truth = np.array([1.5, 1.0, 1.0, 3.0])
    target = solution(truth)

    def loss(p):
        return np.sum((solution(p) - target) ** 2)

    start = np.array([1.4, 1.1, 0.9, 2.8])
    check_grads(loss, start)
    assert minimized(loss, start)[0] < 1e-8


def test_a_net_that_solves_an_equation():
    """u'' = -sin, u(0) = u(pi) = 0: a physics-informed net, by second derivatives for its input."""
    x = np.linspace(0, np.pi, 15)

    def u(p, x):
        return x * (np.pi - x) * (np.tanh(x[:, None] @ p["W"] + p["b"]) @ p["v"])

    def loss(p):
        second = mg.elementwise_grad(mg.elementwise_grad(lambda x: u(p, x)))(x)
        return np.mean((second + np.sin(x)) ** 2)

    p = {"W": RNG.standard_normal((1, 6)), "b": RNG.standard_normal(6), "v": 0.1 * RNG.standard_normal(6)}
    check_grads(lambda W, b, v: loss({"W": W, "b": b, "v": v}), p["W"], p["b"], p["v"])
    value, p = minimized(loss, p, options={"maxiter": 300})
    assert value < 1e-4
    np.testing.assert_allclose(u(p, x), np.sin(x), atol=0.02)


def test_the_stiffest_chain_of_springs():
    """The least frequency of a chain of fixed total stiffness is largest where the springs are equal."""
    n = 4

    def negative_least_frequency(log_k):
        k = np.exp(log_k) / np.sum(np.exp(log_k)) * (n + 1)
        K = np.diag(k[:-1] + k[1:]) - np.diag(k[1:-1], 1) - np.diag(k[1:-1], -1)
        return -np.linalg.eigvalsh(K)[0]

    start = 0.3 * RNG.standard_normal(n + 1)
    check_grads(negative_least_frequency, start)
    value, _ = minimized(negative_least_frequency, start)
    assert value <= negative_least_frequency(np.zeros(n + 1)) + 1e-9


def test_a_spectral_filter_is_learned():
    """The response of a smoothing kernel is found from signals and their smoothed ones."""
    kernel = np.array([0.25, 0.5, 0.25] + [0.0] * 13)
    signals = RNG.standard_normal((20, 16))
    smoothed = np.fft.irfft(np.fft.rfft(signals) * np.fft.rfft(kernel), 16)

    def loss(p, x, y):
        response = p["gain"] * np.exp(1j * p["phase"])
        return np.mean((np.fft.irfft(np.fft.rfft(x) * response, x.shape[-1]) - y) ** 2)

    p = {"gain": np.full(9, 0.5), "phase": np.linspace(0, -3, 9)}
    check_grads(lambda gain, phase: loss({"gain": gain, "phase": phase}, signals, smoothed), *p.values())
    value, p = minimized(lambda p: loss(p, signals, smoothed), p, tol=1e-14)
    assert value < 1e-10
    learned = np.fft.irfft(p["gain"] * np.exp(1j * p["phase"]), 16)
    np.testing.assert_allclose(learned, kernel, atol=1e-3)


def test_a_complex_parameter_goes_downhill():
    """The gradient is the direction of steepest ascent, dL/dre + i dL/dim: z - rate * gradient descends."""
    target = 2.0 - 1.0j

    def loss(z):
        return np.abs(z * z - target) ** 2

    z = np.complex128(1.0 + 0.1j)
    for _ in range(200):
        z = z - 0.02 * mg.grad(loss)(z)
    assert z * z == pytest.approx(target, abs=1e-6)


# -- the reference's page on SciPy, its code run ----------------------------------------------------------------

PAGE = (Path(__file__).parent.parent / ".ci/reference/scipy.rst").read_text()


@pytest.fixture(scope="module")
def page():
    """What the code of the page defines: all but the call of the optimizer, which is of the reader's own names."""
    namespace = {"np": np, "mg": mg}
    for block in findall(r"code-block:: python\n\n((?:(?:    ?)+.*\n|\n)+)", PAGE):
        if "minimize" not in block:
            exec(dedent(block), namespace)
    return namespace


@pytest.mark.parametrize(
    ("name", "expected", "args"),
    [
        ("norm_logpdf", stats.norm.logpdf, (0.3, 0.1, 1.5)),
        ("norm_logcdf", stats.norm.logcdf, (0.3, 0.1, 1.5)),
        ("laplace_logpdf", stats.laplace.logpdf, (0.3, 0.1, 1.5)),
        ("logistic_logpdf", stats.logistic.logpdf, (0.3,)),
        ("t_logpdf", stats.t.logpdf, (0.3, 4.5, 0.1, 1.5)),
        ("gamma_logpdf", lambda x, a, scale: stats.gamma.logpdf(x, a, scale=scale), (0.3, 2.5, 1.5)),
        ("poisson_logpmf", stats.poisson.logpmf, (3.0, 2.5)),
        ("nbinom_logpmf", stats.nbinom.logpmf, (3.0, 2.5, 0.4)),
        (
            "multivariate_normal_logpdf",
            stats.multivariate_normal.logpdf,
            (np.array([0.5, 1.0]), np.zeros(2), np.array([[2.0, 0.3], [0.3, 1.0]])),
        ),
    ],
)
def test_densities_in_a_few_lines(page, name, expected, args):
    np.testing.assert_allclose(page[name](*args), expected(*args), rtol=1e-12)
    check_grads(page[name], *map(np.asarray, args))


def test_losses_of_the_page(page):
    w, X, signs = RNG.standard_normal(3), RNG.standard_normal((6, 3)), np.array([1, 1, -1, 1, -1, -1])
    probabilities = {"probit_loss": stats.norm.logcdf, "logistic_regression_loss": stats.logistic.logcdf}
    for name, log_probability in probabilities.items():
        loss = page[name]
        np.testing.assert_allclose(loss(w, X, signs), -np.sum(log_probability(signs * (X @ w))), rtol=1e-12)
        check_grads(lambda w, loss=loss: loss(w, X, signs), w, order=2)
        gradient = mg.grad(loss)
        np.testing.assert_allclose(mg.jit(gradient)(w, X, signs), gradient(w, X, signs), rtol=1e-12)


def test_a_triangular_solve_with_rules_of_ones_own(page):
    L = np.tril(RNG.standard_normal((3, 3))) + 3 * np.eye(3)
    b = RNG.standard_normal(3)
    check_grads(lambda L, b: page["triangular_solve"](np.tril(L), b), L, b, order=2)
    A = L @ L.T
    np.testing.assert_allclose(page["cho_solve"](L, b), np.linalg.solve(A, b), rtol=1e-12)
    check_grads(lambda L, b: page["cho_solve"](np.tril(L), b), L, b, order=2)
