"""The drawn tape: its DOT, its SVG, the layout, the gradients written into it, and its files."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.pictures.drawing import LIMIT, Drawing
from minigrad.pictures.tape import draw_tape
from models.two_layer_net import TwoLayerNet, objective

SVG = "{http://www.w3.org/2000/svg}"


def leaf(data):
    return mg.tensor(data, requires_grad=True)


def texts(drawing):
    return [text.text for text in ET.fromstring(drawing.svg).iter(f"{SVG}text")]


def boxes(drawing):
    """Return left, top, right and bottom of each box."""
    rects = [
        [float(rect.get(side)) for side in ("x", "y", "width", "height")]
        for rect in ET.fromstring(drawing.svg).iter(f"{SVG}rect")
    ]
    return [(x, y, x + width, y + height) for x, y, width, height in rects]


def ways(drawing):
    """Return the corners of each edge: the ends of its upright parts."""
    found = []
    for path in ET.fromstring(drawing.svg).iterfind(f"{SVG}g/{SVG}path"):
        corners = []
        for command, arguments in re.findall(r"([MCV])([^MCV]*)", path.get("d")):
            numbers = [float(number) for number in arguments.split()]
            corners.append((corners[-1][0], numbers[0]) if command == "V" else tuple(numbers[-2:]))
        found.append(corners)
    return found


def arrows(drawing):
    return [(int(a), int(b)) for a, b in re.findall(r"^  n(\d+) -> n(\d+);$", drawing.dot, re.M)]


def check_layout(drawing):
    places, lines, edges = boxes(drawing), ways(drawing), arrows(drawing)
    picture = ET.fromstring(drawing.svg)
    width, height = float(picture.get("width")), float(picture.get("height"))
    for i, (left, top, right, bottom) in enumerate(places):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        for other in places[:i]:
            apart = other[2] + 5 < left or right + 5 < other[0] or other[3] + 5 < top or bottom + 5 < other[1]
            assert apart
    assert len(lines) == len(edges)
    entered = {}
    for corners, (source, target) in zip(lines, edges, strict=True):
        start, end = places[source], places[target]
        assert corners[0] == pytest.approx(((start[0] + start[2]) / 2, start[3]), abs=0.2)
        assert corners[-1][1] == pytest.approx(end[1], abs=0.2)
        assert end[0] < corners[-1][0] < end[2]
        assert entered.get(target, -1.0) < corners[-1][0]
        entered[target] = corners[-1][0]
        heights = [y for _, y in corners]
        assert heights == sorted(heights)
        for (x, above), (_, below) in zip(corners[::2], corners[1::2], strict=True):
            for left, top, right, bottom in places:
                assert not (left - 1 < x < right + 1 and above < bottom - 0.2 and top + 0.2 < below)


# -- DOT -------------------------------------------------------------------------------------------------------


def test_the_dot_of_a_small_tape():
    W = leaf(np.ones((3, 2)))
    X = np.ones((4, 3), np.float32)
    drawing = draw_tape((X @ W - 2.0 * W[0]).mean(axis=0), W=W)
    assert drawing.dot.splitlines() == [
        "digraph tape {",
        "  ordering=in;",
        '  node [fontname="monospace"];',
        '  n0 [label="(4, 3) float32", shape=box, style="filled,dashed", fillcolor="#ececec"];',
        '  n1 [label="W\\n(3, 2) float64", shape=ellipse, style=filled, fillcolor="#d5efd9"];',
        '  n2 [label="%0 matmul\\n(4, 2) float64", shape=box, style=filled, fillcolor="#dbe9f8"];',
        '  n3 [label="%1 getitem\\nindex=0\\n(2,) float64", shape=box, style=filled, fillcolor="#dbe9f8"];',
        '  n4 [label="2.0", shape=box, style="filled,dashed", fillcolor="#ececec"];',
        '  n5 [label="%2 multiply\\n(2,) float64", shape=box, style=filled, fillcolor="#dbe9f8"];',
        '  n6 [label="%3 subtract\\n(4, 2) float64", shape=box, style=filled, fillcolor="#dbe9f8"];',
        '  n7 [label="%4 mean\\naxis=0\\n(2,) float64", shape=box, style=filled, fillcolor="#dbe9f8"];',
        "  n0 -> n2;",
        "  n1 -> n2;",
        "  n1 -> n3;",
        "  n4 -> n5;",
        "  n3 -> n5;",
        "  n2 -> n6;",
        "  n5 -> n6;",
        "  n6 -> n7;",
        "}",
    ]
    check_layout(drawing)


def test_names_are_escaped():
    name = 'a<b>"c" & \\N &lt;\x00\nd'
    drawing = draw_tape(leaf(1.0) * 2.0, **{name: leaf(1.0)})
    assert "leaf0" in texts(drawing)
    x = leaf(1.0)
    drawing = draw_tape(x * 2.0, **{name: x})
    assert texts(drawing)[0] == 'a<b>"c" & \\N &lt;\ufffd d'
    label = re.search(r'n0 \[label="((?:[^"\\]|\\.)*)", shape=ellipse', drawing.dot).group(1)
    assert label == 'a<b>\\"c\\" &amp; \\\\N &amp;lt;\ufffd d\\n() float64'
    for line in drawing.dot.splitlines():
        assert re.sub(r"\\.", "", line).count('"') % 2 == 0


def test_what_is_long_is_shortened_and_what_is_wide_has_room():
    x = leaf(np.ones(200))
    drawing = draw_tape(x[np.arange(200)] * 2, 重みの名前がとても長いとき=x)
    option = next(text for text in texts(drawing) if text.startswith("index="))
    assert (len(option), option[-1]) == (48, "…")
    left, _, right, _ = boxes(drawing)[0]
    assert right - left > 13 * 16


# -- the picture -----------------------------------------------------------------------------------------------


def test_the_two_layer_net():
    net = TwoLayerNet(12, 5, 3, reg=0.1, seed=0)
    params = {name: leaf(value) for name, value in net.params.items()}
    loss = objective(params, np.ones((4, 12)), np.array([0, 1, 2, 0]), net.reg, net.data_loss)
    drawing = draw_tape(loss, **params)
    shown = texts(drawing)
    assert {"W1", "b1", "W2", "b2", "(12, 5) float64", "(4, 12) float64", "(4,) int64", "reg=0.1"} <= set(
        shown
    )
    calls = [text for text in shown if text.startswith("%")]
    assert calls == ["%0 affine_relu", "%1 affine", "%2 softmax_cross_entropy", "%3 l2_regularized"]
    assert drawing._repr_svg_() == drawing.svg
    check_layout(drawing)


def test_a_tensor_used_twice_is_one_box():
    x = leaf(np.ones(2))
    y = np.ones(2)
    drawing = draw_tape(x * x + y * y * x + y + 1 + 1, x=x)
    assert texts(drawing).count("x") == 1
    assert texts(drawing).count("1") == 2
    assert arrows(drawing)[:2] == [(0, 1), (0, 1)]
    check_layout(drawing)


@st.composite
def programs(draw):
    values = [leaf(1.0), leaf(2.0), np.ones(()), 3.0]
    for _ in range(draw(st.integers(1, 14))):
        i, j = (draw(st.integers(0, len(values) - 1)) for _ in range(2))
        values.append(values[i] + values[j] if draw(st.booleans()) else values[i] * values[j])
    return np.stack([x for x in values if isinstance(x, mg.Tensor)]).sum()


@given(programs())
def test_boxes_and_edges_keep_apart(result):
    drawing = draw_tape(result, gradients=True)
    check_layout(drawing)
    calls = [text for text in texts(drawing) if text.startswith("%")]
    assert calls == [f"%{i} {call[1].name}" for i, call in enumerate(mg.tape(result))]


def test_a_tape_without_calls():
    W = leaf(np.ones(3))
    assert texts(draw_tape(W, W=W)) == ["W", "(3,) float64"]
    assert texts(draw_tape(W)) == ["leaf0", "(3,) float64"]
    assert texts(draw_tape(mg.tensor(2.0))) == ["2.0", "() float64"]
    assert texts(draw_tape(leaf(2.0), gradients=True)) == ["leaf0", "() float64", "|grad| = 1"]
    check_layout(draw_tape(W))
    assert mg.tape(W)._repr_svg_() is None


def test_a_tape_shows_itself_unless_it_is_too_long():
    x = leaf(1.0)
    assert mg.tape(x * x, x=x)._repr_svg_() == draw_tape(x * x, x=x).svg
    out = x
    for _ in range(LIMIT - 1):
        out = -out
    check_layout(draw_tape(out))
    assert mg.tape(-out)._repr_svg_() is None
    with pytest.raises(ValueError, match=r"500 calls .* more than 500 boxes; draw a part"):
        draw_tape(-out)
    for _ in range(10_000):
        out = out + 1.0
    with pytest.raises(ValueError, match="10499 calls"):
        draw_tape(out, gradients=True)
    assert mg.tape(out)._repr_svg_() is None


# -- gradients -------------------------------------------------------------------------------------------------


def test_the_gradients_norms():
    x, W = leaf([3.0, 4.0]), leaf(np.ones((2, 2)))
    squares = x * x
    hidden = squares @ W
    row = hidden.copy()
    row[0] = x[1] * 2
    drawing = draw_tape((row * squares).sum(), gradients=True, x=x, W=W)
    x_, W_ = x.data, W.data
    h = np.array([8.0, (x_**2).sum()])
    g_row = x_**2
    g_hidden = np.array([0, x_[1] ** 2])
    g_squares = h + W_ @ g_hidden
    g_x = 2 * x_ * g_squares + np.array([0, 2 * g_row[0]])
    expected = {
        "x": g_x,
        "W": np.outer(x_**2, g_hidden),
        "%0 multiply": g_squares,
        "%1 matmul": g_hidden,
        "%2 copy": g_hidden,
        "%3 getitem": 2 * g_row[0],
        "%4 multiply": g_row[0],
        "%5 setitem": g_row,
        "%6 multiply": np.ones(2),
        "%7 sum": 1.0,
    }
    shown = texts(drawing)
    for name, gradient in expected.items():
        norm = next(text for text in shown[shown.index(name) :] if text.startswith("|grad|"))
        assert norm == f"|grad| = {np.linalg.norm(gradient):.3g}", name
    assert sum(text.startswith("|grad|") for text in shown) == len(expected)
    assert x.grad is None
    assert W.grad is None
    x.grad = kept = np.ones(2)
    draw_tape(squares.sum(), gradients=True)
    assert x.grad is kept
    np.testing.assert_array_equal(kept, 1)


def test_gradients_that_cannot_be():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(2,\) .* expected one entry"):
        draw_tape(x * 2, gradients=True)
    with pytest.raises(ValueError, match="requires_grad=False"):
        draw_tape(mg.tensor(1.0), gradients=True)
    with pytest.raises(TypeError, match="result is a float; expected a tensor"):
        draw_tape(1.0)
    loss = (x * x).sum()
    with mg.no_grad():
        x += 1.0
    draw_tape(loss)
    with pytest.raises(RuntimeError, match="multiply: its operand 0"):
        draw_tape(loss, gradients=True)


# -- files -----------------------------------------------------------------------------------------------------


def test_save(tmp_path):
    x = leaf(1.0)
    drawing = draw_tape(x * 2, größe=x)
    assert isinstance(drawing, Drawing)
    drawing.save(tmp_path / "a.dot")
    drawing.save(str(tmp_path / "a.svg"))
    drawing.save(tmp_path / "a.svg")
    assert (tmp_path / "a.dot").read_bytes().decode() == drawing.dot
    assert "größe" in (tmp_path / "a.svg").read_bytes().decode()
    with pytest.raises(ValueError, match=r"'a\.png'; expected a name in \.dot or \.svg"):
        drawing.save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="'svg'"):
        drawing.save(tmp_path / "svg")
    (tmp_path / "taken.svg").mkdir()
    for path in (tmp_path / "taken.svg", tmp_path / "nowhere" / "a.svg"):
        with pytest.raises(OSError, match="it cannot be written: ") as refused:
            drawing.save(path)
        assert refused.value.filename == str(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dot", "a.svg", "taken.svg"]
