"""Schedules of the learning rate and augmentation of images."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.training import chain, cosine, cutout, flip, shift, step_decay, warmup

rates = st.floats(1e-6, 10)
counts = st.integers(1, 1000)


@given(rate=rates, num_steps=counts, final=st.floats(0, 1e-6))
def test_cosine_falls_from_one_rate_to_the_other(rate, num_steps, final):
    schedule = cosine(rate, num_steps, final)
    values = [schedule(step) for step in range(num_steps + 3)]
    assert values[0] == pytest.approx(rate)
    assert values[-3:] == pytest.approx([final] * 3, abs=1e-15)
    assert all(a >= b for a, b in itertools.pairwise(values))
    assert cosine(rate, 2 * num_steps)(num_steps) == pytest.approx(rate / 2)
    assert cosine(1, 6)(2) == pytest.approx((1 + math.cos(math.pi / 3)) / 2)


@given(rate=rates, every=counts, factor=st.floats(0.1, 1), step=st.integers(0, 3000))
def test_step_decay_multiplies_after_so_many_steps(rate, every, factor, step):
    assert step_decay(rate, every, factor)(step) == pytest.approx(rate * factor ** (step // every))
    assert [step_decay(8, 2, 0.5)(step) for step in range(5)] == [8, 8, 4, 4, 2]


@given(rate=rates, num_steps=counts)
def test_warmup_raises_linearly_and_then_leaves_the_schedule(rate, num_steps):
    constant, falling = warmup(rate, num_steps), warmup(cosine(rate, 50), num_steps)
    for step in (0, num_steps // 2, num_steps - 1, num_steps, 5 * num_steps):
        part = min((step + 1) / num_steps, 1)
        assert constant(step) == pytest.approx(rate * part)
        assert falling(step) == pytest.approx(cosine(rate, 50)(step) * part)


def of_last_channels(augment, channels):
    return augment(np.zeros((2, 8, 8, channels)), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cosine(0, 5), ValueError, "cosine: learning_rate must be in .0, inf., got 0"),
        (lambda: cosine(0.1, 0), ValueError, "cosine: num_steps must be an int >= 1, got 0"),
        (lambda: cosine(0.1, 5.0), TypeError, "cosine: num_steps must be an int >= 1, got 5.0"),
        (lambda: cosine(0.1, 5, -1), ValueError, "cosine: final must be in .0, inf., got -1"),
        (lambda: cosine("0.1", 5), TypeError, "cosine: learning_rate must be a number"),
        (lambda: step_decay(0.1, 5, math.nan), ValueError, "step_decay: factor must be in .0, inf."),
        (lambda: step_decay(0.1, True), TypeError, "step_decay: every must be an int >= 1, got True"),
        (lambda: warmup(0.1, 0), ValueError, "warmup: num_steps must be an int >= 1"),
        (lambda: warmup(None, 1), TypeError, "warmup: schedule must be a number, got None"),
        (lambda: flip(1.5), ValueError, "flip: p must be between 0 and 1, got 1.5"),
        (lambda: shift(0), ValueError, "shift: pixels must be an int >= 1, got 0"),
        (lambda: cutout(2.0), TypeError, "cutout: size must be an int >= 1, got 2.0"),
        (lambda: chain(flip(), 3), TypeError, r"chain: expected functions augment\(X, rng\) -> X, got 3"),
        (lambda: of_last_channels(flip(), 3), ValueError, r"flip: X has shape .* X\.transpose\(0, 3, 1, 2\)"),
        (lambda: of_last_channels(shift(1), 1), ValueError, r"shift: .*expected images \(N, C, H, W\)"),
        (lambda: of_last_channels(cutout(1), 3), ValueError, r"cutout: .*as of images \(N, H, W, C\)"),
        (lambda: flip()(np.zeros((3, 4)), np.random.default_rng(0)), ValueError, r"X has shape \(3, 4\)"),
    ],
)
def test_unfit_arguments_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_numpys_numbers_are_numbers():
    rate, count = np.float32(0.5), np.uint8(200)
    for one, other in (
        (cosine(rate, count, np.float32(0)), cosine(0.5, 200)),
        (step_decay(np.int64(2), count, rate), step_decay(2, 200, 0.5)),
        (warmup(rate, count), warmup(0.5, 200)),
    ):
        assert [one(step) for step in range(0, 500, 50)] == [other(step) for step in range(0, 500, 50)]
        assert type(one(3)) is float
    X = np.random.default_rng(0).uniform(1, 2, (4, 1, 3, 3))
    for one, other in ((flip(rate), flip(0.5)), (shift(count), shift(200)), (cutout(np.uint8(1)), cutout(1))):
        np.testing.assert_array_equal(one(X, np.random.default_rng(0)), other(X, np.random.default_rng(0)))


images = st.builds(
    lambda shape, dtype, seed: np.random.default_rng(seed).uniform(1, 2, shape).astype(dtype),
    st.tuples(st.integers(0, 6), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 99),
)


@given(X=images, seed=st.integers(0, 99))
def test_each_image_is_changed_as_it_is_said(X, seed):
    before = X.copy()
    for augment in (flip(), shift(2), cutout(3), chain(flip(), shift(1), cutout(1))):
        out = augment(X, np.random.default_rng(seed))
        assert (out.shape, out.dtype) == (X.shape, X.dtype)
        np.testing.assert_array_equal(out, augment(X, np.random.default_rng(seed)))
        np.testing.assert_array_equal(X, before)
    for image, out in zip(X, flip()(X, np.random.default_rng(seed)), strict=True):
        assert any(np.array_equal(out, each) for each in (image, image[..., ::-1]))
    height, width = X.shape[2:]
    for image, out in zip(X, shift(2)(X, np.random.default_rng(seed)), strict=True):
        padded = np.pad(image, [(0, 0), (2, 2), (2, 2)])
        windows = [padded[:, i : i + height, j : j + width] for i in range(5) for j in range(5)]
        assert any(np.array_equal(out, window) for window in windows)
    for image, out in zip(X, cutout(3)(X, np.random.default_rng(seed)), strict=True):
        rows, columns = np.nonzero((out == 0).all(axis=0))
        assert 1 <= len(rows) <= 9 and np.ptp(rows) < 3 and np.ptp(columns) < 3
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        kept = (out != 0).all(axis=0)
        np.testing.assert_array_equal(out[:, kept], image[:, kept])


def test_they_change_as_many_as_they_should():
    X, rng = np.random.default_rng(0).uniform(1, 2, (4000, 1, 3, 3)), np.random.default_rng(1)
    flipped = (flip(0.3)(X, rng) != X).any(axis=(1, 2, 3))
    assert 0.27 < flipped.mean() < 0.33
    still = (shift(1)(X, rng) == X).all(axis=(1, 2, 3))
    assert 0.09 < still.mean() < 0.13  # 1 of 9
    hidden = cutout(1)(X, rng) == 0
    assert hidden.sum() == 4000
    np.testing.assert_allclose(hidden.mean(axis=(0, 1)), 1 / 9, atol=0.02)
    assert (flip(0)(X, rng) == X).all() and (flip(1)(X, rng) == X[..., ::-1]).all()
