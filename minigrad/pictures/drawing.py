"""A drawn tape, in SVG and in Graphviz's DOT. Operands stand above the calls that take them."""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from unicodedata import east_asian_width

import numpy as np

from ..engine.tensor import Tensor
from .layout import BETWEEN, MARGIN, PORT, Edges, Layout

LIMIT = 500
"""The maximum number of boxes: calls, leaves and constants."""
LONGEST = 48
"""The maximum number of characters of an option or of a constant's value."""
FILLS = {"call": "#dbe9f8", "leaf": "#d5efd9", "constant": "#ececec"}
"""Light, with black text on them; with grey edges that reads on a light page and on a dark one."""
DOT_STYLES = {
    "call": "shape=box, style=filled",
    "leaf": "shape=ellipse, style=filled",
    "constant": 'shape=box, style="filled,dashed"',
}
INK = "#808080"
FONT, ADVANCE, LINE, PADDING = 13, 8.1, 17, 9
"""Font size; width of a character, a little more than that of any monospace font; line height."""
HEAD = 8
"""The length of an arrow's head."""


class Box(NamedTuple):
    """A box: a call, a leaf or a constant, and the lines written in it."""

    kind: str
    lines: list[str]


class Drawing:
    """A drawn tape, which a notebook shows.

    Attributes
    ----------
    dot : str
        The graph in Graphviz's DOT language.
    svg : str
        The picture.
    """

    def __init__(self, nodes: list[Box], edges: Edges) -> None:
        self.dot = _dot(nodes, edges)
        self.svg = _svg(nodes, edges)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file atomically: DOT or SVG, by its suffix.

        Raises
        ------
        OSError
            If it cannot be written.
        ValueError
            If the name ends neither in .dot nor in .svg.
        """
        from pathlib import Path  # here, so that importing stays fast

        from ..files import write

        path = Path(path)
        texts = {".dot": self.dot, ".svg": self.svg}
        if path.suffix not in texts:
            raise ValueError(f"save: the file is called {path.name!r}; expected a name in .dot or .svg")
        write(path, texts[path.suffix].encode())

    def _repr_svg_(self) -> str:
        return self.svg


def draw(taped: Any, norms: dict[int, float] | None = None) -> Drawing:
    """Draw a tape; with gradients' norms, the calls' by number and the leaves' by minus ``id``.

    Raises
    ------
    ValueError
        If there are more than 500 boxes.
    """
    norms = norms or {}
    nodes: list[Box] = []
    edges: Edges = []
    boxes: dict[int, int] = {}  # of calls by number, of leaves and of constant arrays by minus id
    for i, (number, op, operands, parents, options, out) in enumerate(taped.calls):
        sources = []
        for x, parent in zip(operands, parents, strict=True):
            key = parent[0] if isinstance(parent, tuple) else -id(x if parent is None else parent)
            if key not in boxes or (parent is None and not isinstance(x, np.ndarray)):
                boxes[key] = len(nodes)
                nodes.append(
                    constant_box(x) if parent is None else leaf_box(taped.names[id(parent)], parent, norms)
                )
            sources.append(boxes[key])
        edges += [(source, len(nodes)) for source in sources]
        boxes[number] = len(nodes)
        words = [f"%{i} {op.name}", *[_short(option) for option in said(options)]]
        nodes.append(Box("call", words + _facts(out, number, norms)))
        if len(nodes) > LIMIT:
            raise too_long(len(taped))
    return Drawing(nodes, edges)


def too_long(calls: int) -> ValueError:
    """Return the error for a tape with too many boxes."""
    return ValueError(
        f"draw_tape: {calls} calls with their leaves and constants make more than {LIMIT} boxes; draw a part, by "
        "giving a tensor made earlier, or cut the tape by t.detach() where the part begins; or print(mg.tape(result))"
    )


# -- boxes -----------------------------------------------------------------------------------------------------


def leaf_box(name: str, leaf: Tensor, norms: dict[int, float]) -> Box:
    """Make the box of a leaf."""
    return Box("leaf", [_clean(name), *_facts(leaf.data, -id(leaf), norms)])


def constant_box(x: Any) -> Box:
    """Make the box of a constant."""
    lines = [] if isinstance(x, np.ndarray) and x.size != 1 else [_short(str(x))]
    return Box("constant", lines + (_facts(x, 0, {}) if isinstance(x, np.ndarray) else []))


def _facts(array: Any, key: int, norms: dict[int, float]) -> list[str]:
    return [f"{array.shape} {array.dtype}", *([f"|grad| = {norms[key]:.3g}"] if key in norms else [])]


def _short(text: str) -> str:
    text = _clean(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _clean(text: str) -> str:
    """Return a text on one line, without characters that XML forbids."""
    return "".join([c if c.isprintable() else "\ufffd" for c in " ".join(text.split())])


# -- DOT -------------------------------------------------------------------------------------------------------


def _dot(nodes: list[Box], edges: Edges) -> str:
    lines = ["digraph tape {", "  ordering=in;", '  node [fontname="monospace"];']
    for i, (kind, words) in enumerate(nodes):
        label = "\\n".join([_quoted(line) for line in words])
        lines.append(f'  n{i} [label="{label}", {DOT_STYLES[kind]}, fillcolor="{FILLS[kind]}"];')
    lines += [f"  n{source} -> n{target};" for source, target in edges]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """Escape a text for a quoted label, in which DOT interprets backslashes and HTML entities."""
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


# -- SVG -------------------------------------------------------------------------------------------------------


def _svg(nodes: list[Box], edges: Edges) -> str:
    from html import escape  # here, so that importing stays fast

    entering = [0] * len(nodes)
    for _, target in edges:
        entering[target] += 1
    widths = [
        max(*[ADVANCE * _columns(line) for line in node.lines], PORT * many) + 2 * PADDING
        for node, many in zip(nodes, entering, strict=True)
    ]
    heights = [LINE * len(node.lines) + 2 * PADDING for node in nodes]
    at = Layout(widths, edges)
    tops, bottoms, y = [], [], float(MARGIN)
    for places in at.rows:
        tops.append(y)
        bottoms.append(y + max(heights[i] for i in places if i < len(nodes)))
        y = bottoms[-1] + BETWEEN

    ways, heads = [], []
    for way, port in zip(at.ways, at.ports, strict=True):
        x, row = at.x[way[0]], at.row[way[0]]
        path = f"M{x:.1f} {tops[row] + heights[way[0]]:.1f}V{bottoms[row]:.1f}"
        for i in way[1:]:
            row += 1
            last = i == way[-1]
            to = at.x[i] + port if last else at.x[i]
            end = tops[row] - HEAD if last else tops[row]
            half = (bottoms[row - 1] + end) / 2
            path += f"C{x:.1f} {half:.1f} {to:.1f} {half:.1f} {to:.1f} {end:.1f}"
            path += f"V{tops[row] if last else bottoms[row]:.1f}"
            x = to
        ways.append(f'<path d="{path}"/>')
        heads.append(f"M{x:.1f} {tops[row]:.1f}l-4 -{HEAD}h8z")

    width = max(at.x[i] + at.widths[i] / 2 for i in range(len(at.x))) + MARGIN
    height = bottoms[-1] + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="monospace" font-size="{FONT}" '
        'text-anchor="middle" fill="#111111">',
        f'<g fill="none" stroke="{INK}">',
        *ways,
        "</g>",
        f'<path fill="{INK}" d="{"".join(heads)}"/>',
    ]
    for i, (kind, words) in enumerate(nodes):
        x, top = at.x[i], tops[at.row[i]]
        shape = f' rx="{2 * PADDING}"' if kind == "leaf" else ""
        shape += ' stroke-dasharray="4 3"' if kind == "constant" else ""
        lines.append(
            f'<rect x="{x - widths[i] / 2:.1f}" y="{top:.1f}" width="{widths[i]:.1f}" height="{heights[i]}" '
            f'fill="{FILLS[kind]}" stroke="{INK}"{shape}/>'
        )
        for j, line in enumerate(words):
            weight = ' font-weight="bold"' if j == 0 else ""
            baseline = top + PADDING + LINE * (j + 0.75)
            lines.append(f'<text x="{x:.1f}" y="{baseline:.1f}"{weight}>{escape(line, quote=False)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _columns(text: str) -> int:
    """Return the width of a text in characters; those of East Asian scripts count as two."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


INSIDE = ("cache", "starts")
"""The tape's internal options, which a printed tape leaves out."""


def said(options: dict[str, Any]) -> list[str]:
    """Return the options of a call to print: those that differ from their defaults."""
    return [
        f"{name}={value!r}"
        for name, value in options.items()
        if name not in INSIDE and value is not None and not (name == "keepdims" and value is False)
    ]
