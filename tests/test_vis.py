import itertools
import math
import subprocess
import sys
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad.preprocess import pca_whitening
from minigrad.sweep import SweepResult, Trial
from minigrad.vis import plot_history, plot_sweep, show_net_weights, visualize_grid

IMAGES = hnp.arrays(
    st.sampled_from([np.float64, np.float32]),
    hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=6),
    elements=st.floats(-100, 100, width=16),
).filter(lambda Xs: Xs.shape[1] not in (1, 3, 4) or Xs.shape[3] in (1, 3, 4))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_channels_first_are_refused():
    with pytest.raises(ValueError, match=r"looks like \(N, C, H, W\).*Xs\.transpose\(0, 2, 3, 1\)"):
        visualize_grid(np.zeros((15, 3, 32, 32)))


def net(D, units, seed=0):
    return SimpleNamespace(params={"W1": np.random.default_rng(seed).standard_normal((D, units))})


def history(num_epochs=5):
    return SimpleNamespace(
        loss_history=[2.3, 2.2, 2.25, 2.1],
        train_acc_history=[0.1 + 0.05 * epoch for epoch in range(num_epochs + 1)],
        val_acc_history=[0.12 + 0.04 * epoch for epoch in range(num_epochs + 1)],
    )


# visualize_grid


@settings(deadline=None)
@given(Xs=IMAGES, ubound=st.floats(0.5, 300), padding=st.integers(0, 3))
def test_grid_holds_every_image_in_its_place_and_zeros_elsewhere(Xs, ubound, padding):
    N, H, W, C = Xs.shape
    side = math.ceil(math.sqrt(N))
    grid = visualize_grid(Xs, ubound, padding)
    assert grid.dtype == np.float64
    assert grid.shape == (side * H + (side - 1) * padding, side * W + (side - 1) * padding, C)
    for i, image in enumerate(Xs.astype(np.float64)):
        top, left = (i // side) * (H + padding), (i % side) * (W + padding)
        tile = grid[top : top + H, left : left + W]
        extent = image.max() - image.min()
        expected = ubound * (image - image.min()) / extent if extent else np.zeros_like(image)
        np.testing.assert_allclose(tile, expected, rtol=1e-12)
        tile[...] = 0
    assert not grid.any()


@settings(deadline=None)
@given(Xs=IMAGES, ubound=st.floats(0.5, 300))
def test_grid_fills_the_range_from_zero_to_ubound_and_no_more(Xs, ubound):
    grid = visualize_grid(Xs, ubound)
    constant = all(image.min() == image.max() for image in Xs)
    assert grid.min() >= 0
    assert grid.max() == (0 if constant else ubound)


@settings(deadline=None)
@given(Xs=IMAGES, scale=st.sampled_from([0.5, 2.0, 1024.0]))
def test_grid_does_not_depend_on_the_images_scale_and_leaves_them_alone(Xs, scale):
    before = Xs.copy()
    np.testing.assert_array_equal(visualize_grid(Xs), visualize_grid(Xs.astype(np.float64) * scale))
    np.testing.assert_array_equal(Xs, before)


def test_grid_by_hand():
    Xs = np.array([[[[1.0], [3.0]]], [[[5.0], [5.0]]], [[[-2.0], [-6.0]]]])  # three images of 1 x 2 pixels
    expected = [[0, 255, 0, 0, 0], [0, 0, 0, 0, 0], [255, 0, 0, 0, 0]]
    np.testing.assert_array_equal(visualize_grid(Xs)[..., 0], expected)


def test_grid_of_bytes_does_not_wrap_around():
    Xs = np.array([0, 200, 255], np.uint8).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(visualize_grid(Xs).ravel(), [0, 200, 255])


@pytest.mark.parametrize(
    ("Xs", "padding", "message"),
    [
        (np.zeros((4, 32, 32)), 1, r"\(N, H, W, C\), got shape \(4, 32, 32\)"),
        (np.zeros((0, 32, 32, 3)), 1, "non-empty"),
        (np.full((1, 2, 2, 1), np.nan), 1, "NaN or infinity"),
        (np.full((1, 2, 2, 1), np.inf), 1, "NaN or infinity"),
        (np.zeros((1, 2, 2, 1)), -1, "padding must be >= 0, got -1"),
    ],
)
def test_grid_refuses_what_is_no_image(Xs, padding, message):
    with pytest.raises(ValueError, match=message):
        visualize_grid(Xs, padding=padding)


# show_net_weights


def test_weights_of_3072_rows_are_colour_images_channels_first():
    two_layer_net = net(3 * 32 * 32, 50)
    images = np.stack([column.reshape(3, 32, 32) for column in two_layer_net.params["W1"].T])
    expected = visualize_grid(np.moveaxis(images, 1, -1), padding=3).astype(np.uint8)
    (picture,) = show_net_weights(two_layer_net).images
    assert expected.shape == (8 * 32 + 7 * 3, 8 * 32 + 7 * 3, 3)
    np.testing.assert_array_equal(picture.get_array(), expected)


def test_weights_of_64_rows_are_grey_images():
    two_layer_net = net(8 * 8, 10)
    images = two_layer_net.params["W1"].T.reshape(10, 8, 8, 1)
    (picture,) = show_net_weights(two_layer_net).images
    np.testing.assert_array_equal(
        picture.get_array(), visualize_grid(images, padding=3).astype(np.uint8)[..., 0]
    )
    assert picture.get_cmap().name == "gray"
    assert picture.get_clim() == (0, 255)


@settings(deadline=None)
@given(side=st.integers(1, 9), channels=st.sampled_from([1, 3]), units=st.integers(1, 5))
def test_weights_of_any_square_image_are_shown(side, channels, units):
    ax = show_net_weights(net(channels * side * side, units))
    width = math.ceil(math.sqrt(units)) * (side + 3) - 3
    assert ax.images[0].get_array().shape == ((width, width, 3) if channels == 3 else (width, width))
    plt.close(ax.figure)


def test_weights_of_principal_components_are_drawn_as_those_of_the_pixels():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 1, 4, 4))
    whitening, on_components = pca_whitening(X, 5), net(5, 3)
    W1 = on_components.params["W1"]
    on_pixels = SimpleNamespace(params={"W1": whitening.projection @ W1})
    np.testing.assert_allclose(
        (X.reshape(50, 16) - whitening.mean) @ on_pixels.params["W1"], whitening(X) @ W1, atol=1e-12
    )
    (drawn,) = show_net_weights(on_components, whitening=whitening).images
    (expected,) = show_net_weights(on_pixels).images
    np.testing.assert_array_equal(drawn.get_array(), expected.get_array())


@pytest.mark.parametrize("shape", [(6, 3), (5,), (5, 1, 1, 1)])
def test_weights_of_other_components_are_refused(shape):
    whitening = pca_whitening(np.random.default_rng(0).standard_normal((50, 16)), 5)
    with pytest.raises(ValueError, match=r"but whitening gives 5 components; expected \(5, units\)"):
        show_net_weights(SimpleNamespace(params={"W1": np.zeros(shape)}), whitening=whitening)


def test_weights_are_drawn_where_they_are_asked_for():
    _, (left, right) = plt.subplots(1, 2)
    assert show_net_weights(net(64, 4), ax=right) is right
    assert not right.axison
    assert (len(left.images), len(right.images)) == (0, 1)
    assert len(plt.get_fignums()) == 1


@settings(deadline=None)
@given(
    filters=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
)
def test_filters_are_images_of_their_own_size(filters, channels, height, width):
    W1 = np.random.default_rng(0).standard_normal((filters, channels, height, width))
    ax = show_net_weights(SimpleNamespace(params={"W1": W1}))
    drawn = ax.images[0].get_array().reshape(-1, ax.images[0].get_array().shape[1], channels)
    side = math.ceil(math.sqrt(filters))
    assert drawn.shape[:2] == (side * (height + 1) - 1, side * (width + 1) - 1)
    for i, weights in enumerate(W1):
        top, left = (i // side) * (height + 1), (i % side) * (width + 1)
        scaled = 255 * (weights - weights.min()) / (np.ptp(weights) or 1)
        tile = drawn[top : top + height, left : left + width]
        assert np.abs(tile - scaled.transpose(1, 2, 0)).max() <= 1  # cut to whole numbers
    plt.close(ax.figure)


@pytest.mark.parametrize("shape", [(13, 4), (2 * 8 * 8, 4), (64,), (8, 2, 3, 3), (8, 16, 3, 3), (8, 3, 3)])
def test_weights_that_are_no_images_are_refused_before_a_figure_is_made(shape):
    with pytest.raises(ValueError, match="W1"):
        show_net_weights(SimpleNamespace(params={"W1": np.zeros(shape)}))
    assert plt.get_fignums() == []


# plot_history


def test_history_is_plotted_as_dots_above_and_lines_below():
    solver = history()
    loss_axes, accuracy_axes = plot_history(solver)

    (losses,) = loss_axes.lines
    np.testing.assert_array_equal(losses.get_ydata(), solver.loss_history)
    assert (losses.get_marker(), losses.get_linestyle()) == ("o", "None")

    train, val, half = accuracy_axes.lines
    np.testing.assert_array_equal(train.get_xdata(), range(6))
    np.testing.assert_array_equal(train.get_ydata(), solver.train_acc_history)
    np.testing.assert_array_equal(val.get_ydata(), solver.val_acc_history)
    assert {(line.get_marker(), line.get_linestyle()) for line in (train, val)} == {("o", "-")}
    assert set(half.get_ydata()) == {0.5}
    assert half.get_linestyle() == "--"


def test_history_is_labelled():
    loss_axes, accuracy_axes = plot_history(history())
    assert (loss_axes.get_title(), loss_axes.get_xlabel()) == ("Training loss", "Iteration")
    assert (accuracy_axes.get_title(), accuracy_axes.get_xlabel()) == ("Accuracy", "Epoch")
    legend = accuracy_axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["train", "val"]
    assert legend._loc == 4  # matplotlib's code of "lower right"


def test_a_metric_is_not_called_an_accuracy():
    solver = history()
    solver.metric = lambda outputs, y: -np.mean((outputs - y) ** 2)
    _, axes = plot_history(solver)
    assert axes.get_title() == "Metric"
    assert len(axes.lines) == 2  # and none at 0.5


@pytest.mark.parametrize("num_epochs", [1, 2, 5, 20])
def test_epochs_are_whole_numbers_on_the_axis(num_epochs):
    _, accuracy_axes = plot_history(history(num_epochs))
    assert all(tick == int(tick) for tick in accuracy_axes.get_xticks())


def test_loss_lies_above_accuracy_and_nothing_is_cut():
    loss_axes, accuracy_axes = plot_history(history())
    figure = loss_axes.figure
    figure.canvas.draw()
    above, below = loss_axes.get_tightbbox(), accuracy_axes.get_tightbbox()
    assert above.y0 >= below.y1
    for box in (above, below):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height


def test_history_is_plotted_where_it_is_asked_for():
    _, axes = plt.subplots(1, 2)
    assert plot_history(history(), axes) == tuple(axes)
    assert len(plt.get_fignums()) == 1


def test_an_empty_history_is_an_empty_plot():
    plot_history(SimpleNamespace(loss_history=[], train_acc_history=[], val_acc_history=[]))


# matplotlib


@pytest.mark.parametrize("draw", [lambda: show_net_weights(net(64, 4)), lambda: plot_history(history())])
def test_without_matplotlib_the_extra_is_named(monkeypatch, draw):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[plot\]"'):
        draw()


def test_importing_vis_does_not_import_matplotlib():
    program = "import sys, minigrad.vis; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_net_without_first_weights_is_told():
    class Net:
        params = {"W": np.zeros((4, 2))}  # noqa: RUF012

    with pytest.raises(ValueError, match=r"params\['W1'\], but there is only \['W'\]"):
        show_net_weights(Net())


def trial(setting, val_acc=None):
    return Trial(setting, "diverged" if val_acc is None else "finished", val_acc)


@given(
    grid=st.dictionaries(
        st.sampled_from("abcde"),
        st.lists(
            st.one_of(
                st.integers(1, 9),
                st.floats(1e-6, 1e3),
                st.sampled_from(["x", "y"]),
                st.none(),
                st.booleans(),
                st.lists(st.integers(0, 3)),
                st.dictionaries(st.sampled_from("pq"), st.integers(0, 3)),
            ),
            min_size=1,
            max_size=4,
        ),
        min_size=1,
        max_size=4,
    ),
    diverges=st.integers(1, 4),
)
@settings(max_examples=10)
def test_plot_sweep_has_a_panel_for_each_name_that_varies_and_shows_every_setting(grid, diverges):
    chosen = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    trials = [
        trial(setting, None if i % diverges == 0 else 0.5 - i / 1000) for i, setting in enumerate(chosen)
    ]
    trials.sort(key=lambda each: -(each.val_acc or 0))
    axes = plot_sweep(SweepResult(trials))
    varied = [name for name, values in grid.items() if len(set(map(repr, values))) > 1] or list(grid)[:1]
    assert [ax.get_xlabel() for ax in axes] == varied
    for ax in axes:
        finished, lost = ax.collections[:2]
        assert len(finished.get_offsets()) + len(lost.get_offsets()) == len(trials)
        assert len(lost.get_offsets()) == sum(each.val_acc is None for each in trials)
        assert np.isfinite(np.concatenate([finished.get_offsets(), lost.get_offsets()])).all()
    axes[0].figure.canvas.draw()
    plt.close(axes[0].figure)


def test_plot_sweep_marks_the_best_and_takes_axes():
    trials = [trial({"lr": lr, "kind": "a"}, acc) for lr, acc in [(0.1, 0.5), (1.0, 0.4), (10.0, None)]]
    _, ax = plt.subplots()
    assert plot_sweep(SweepResult(trials), [ax]) == [ax]
    (star,) = ax.lines
    np.testing.assert_array_equal(star.get_xydata(), [[0, 0.5]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.1", "1", "10"]
    assert any("diverged" in text.get_text() for text in ax.texts)


def test_plot_sweep_tells_values_apart_that_are_equal_or_unhashable():
    values = [[1, 2], {"p": 1}, True, 1, None]
    (ax,) = plot_sweep(SweepResult([trial({"a": value}, 0.5) for value in values]))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["[1, 2]", "{'p': 1}", "True", "1", "None"]
    assert sorted(x for x, _ in ax.collections[0].get_offsets()) == [0, 1, 2, 3, 4]
    plt.close(ax.figure)


def test_plot_sweep_of_nothing_finished_keeps_the_crosses_below_the_range_of_accuracies():
    (ax,) = plot_sweep(SweepResult([trial({"a": value}) for value in (1, 2)]))
    assert ax.get_ylim() == pytest.approx((-0.35, 1.1)) and not ax.lines
    np.testing.assert_allclose(ax.collections[1].get_offsets()[:, 1], -0.15)
    plt.close(ax.figure)


numbers = st.one_of(st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False))
anything = st.one_of(
    numbers,
    st.text(st.characters(max_codepoint=126), max_size=50),
    st.none(),
    st.booleans(),
    st.lists(st.integers(), max_size=9),
)


@given(
    columns=st.lists(
        st.one_of(
            st.lists(numbers, min_size=1, max_size=40),
            st.lists(anything, min_size=1, max_size=40),
            st.lists(st.integers(-15, 15).map(lambda k: 10.0**k), min_size=13, max_size=30),
        ),
        min_size=1,
        max_size=3,
    )
)
@example([[True, None, "relu", 0.1 + 0.2, 0.3, [1, 2], {"p": 1}, "a long name of a thing", 100000]])
@example([[1, 1.0, "1", True, "True", "", "$x", "$\\foo$", "two\nlines"], [10**400, 10**400 + 1, -(10**400)]])
@example([["x" * 60 + "1" + "y" * 60, "x" * 60 + "2" + "y" * 60, "y" * 200]])
@example([[sign * 10.0**k for sign in (-1, 1) for k in range(-9, 9)]])
@example([[f"layer_{k}" for k in range(40)], [0.0, *(10.0**k for k in range(-12, 3))]])
@settings(max_examples=15)
def test_plot_sweep_labels_are_apart_and_whole(columns):
    plt.close("all")
    longest = max(map(len, columns))
    chosen = [
        {f"name{c}": column[i % len(column)] for c, column in enumerate(columns)} for i in range(longest)
    ]
    axes = plot_sweep(SweepResult([trial(each, 0.9 - i / 100) for i, each in enumerate(chosen)]))
    figure = axes[0].figure
    figure.canvas.draw()
    for ax in axes:
        left, right = ax.get_xlim()
        labels = [label for label in ax.get_xticklabels() if left <= label.get_position()[0] <= right]
        labels = [label for label in labels if label.get_text()]
        assert labels and len({label.get_text() for label in labels}) == len(labels)
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
        assert all(one.x1 <= other.x0 for one, other in itertools.pairwise(boxes)), ax.get_xscale()
        assert all(box.y0 >= 0 for box in boxes)
        assert ax.bbox.height > 0.25 * figure.bbox.height
    plt.close(figure)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (range(1, 41), "linear"),
        (range(-20, 20), "linear"),
        ([2**k for k in range(16)], "log"),
        ([1 + k / 10 for k in range(20)], "linear"),
        ([1.1**k for k in range(20)], "linear"),
        ([0.0, *(10.0**k for k in range(-12, 3))], "symlog"),
        ([-(10.0**k) for k in range(13)], "symlog"),
    ],
)
def test_plot_sweep_has_the_scale_on_which_many_numbers_lie_more_evenly(values, scale):
    (ax,) = plot_sweep(SweepResult([trial({"a": value}, 0.5) for value in values]))
    assert ax.get_xscale() == scale
    np.testing.assert_array_equal(ax.collections[0].get_offsets()[:, 0], list(values))
    plt.close(ax.figure)
