"""The tape as a picture: ``mg.draw_tape(loss, W=W)``, in SVG and in Graphviz's DOT.

Operands stand above the calls that take them. A box's row is the longest way to it from the sources; an edge
that crosses rows has a place of its own in each; rows are put in order by the mean place of their neighbours.
"""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import east_asian_width

import numpy as np

from .files import write
from .printed import Tape, said, tape
from .tape import Call, walk_back
from .tensor import Tensor

LIMIT = 500
"""The most boxes that are drawn: calls, leaves and constants."""
LONGEST = 48
"""The most characters of an option or of a constant's value."""
FILLS = {"call": "#dbe9f8", "leaf": "#d5efd9", "constant": "#ececec"}
"""Light, with black text on them; with grey edges that reads on a light page and on a dark one."""
DOT_STYLES = {
    "call": "shape=box, style=filled",
    "leaf": "shape=ellipse, style=filled",
    "constant": 'shape=box, style="filled,dashed"',
}
INK = "#808080"
FONT, ADVANCE, LINE, PADDING = 13, 8.1, 17, 9
"""Font size; the room for a character, a little more than any monospace font takes; a line's height."""
GAP, LANE, BETWEEN, PORT, MARGIN = 24, 10, 34, 14, 8
"""The room between boxes, beside an edge that passes them, between rows, between arrows, and around it all."""
HEAD = 8
"""The length of an arrow's head."""
SWEEPS = 4


class Node(NamedTuple):
    """A box: a call, a leaf or a constant, and the lines written in it."""

    kind: str
    lines: list[str]


Edges = list[tuple[int, int]]
"""Each from a box to a later one; those of one call in the order of its operands."""


class Drawing:
    """A drawn tape, which a notebook shows.

    Attributes
    ----------
    dot : str
        The graph in Graphviz's DOT language.
    svg : str
        The picture.
    """

    def __init__(self, nodes: list[Node], edges: Edges) -> None:
        self.dot = _dot(nodes, edges)
        self.svg = _svg(nodes, edges)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, at once or not at all: DOT or SVG, as its name ends.

        Raises
        ------
        OSError
            If it cannot be written.
        ValueError
            If the name ends neither in .dot nor in .svg.
        """
        path = Path(path)
        texts = {".dot": self.dot, ".svg": self.svg}
        if path.suffix not in texts:
            raise ValueError(f"save: the file is called {path.name!r}; expected a name in .dot or .svg")
        write(path, texts[path.suffix].encode())

    def _repr_svg_(self) -> str:
        return self.svg


def draw_tape(result: Tensor, gradients: bool = False, **leaves: Tensor) -> Drawing:
    """Draw the calls behind a tensor: ``mg.draw_tape(loss, W=W, b=b).save("loss.svg")``.

    Parameters
    ----------
    result : Tensor
        The tensor whose making is to be seen.
    gradients : bool
        Write into each box also the norm of the gradient of ``result`` with respect to it. The tape is walked
        back once; no leaf's ``grad`` is touched.
    **leaves : Tensor
        Names for leaves; others are called leaf0, leaf1, … in the order of their use.

    Returns
    -------
    Drawing
        A box for each call: its number and op, as ``print(mg.tape(...))`` has them, its options, the shape and
        the dtype of its result. Rounded boxes are leaves, dashed ones constants. Arrows go from operands to
        calls, which they enter in the order of the operands.

    Raises
    ------
    ValueError
        If there are more than 500 boxes; if gradients are asked for and there are none, or ``result`` has not
        one entry.
    RuntimeError
        If gradients are asked for and data was changed in place since the forward pass.
    """
    if not isinstance(result, Tensor):
        raise TypeError(f"draw_tape: result is a {type(result).__name__}; expected a tensor")
    taped = tape(result, **leaves)
    if len(taped) > LIMIT:
        raise _too_long(len(taped))
    norms = _norms(result, taped.calls) if gradients else {}
    if taped.calls:
        return draw(taped, norms)
    if not result.requires_grad:
        return Drawing([_constant(result.data)], [])
    return Drawing([_leaf(taped.names.get(id(result), "leaf0"), result, norms)], [])


def draw(taped: Tape, norms: dict[int, float] | None = None) -> Drawing:
    """Draw a tape; with gradients' norms, the calls' by number and the leaves' by minus ``id``.

    Raises
    ------
    ValueError
        If there are more than 500 boxes.
    """
    norms = norms or {}
    nodes: list[Node] = []
    edges: Edges = []
    boxes: dict[int, int] = {}  # of calls by number, of leaves and of constant arrays by minus id
    for i, (number, op, operands, parents, options, out) in enumerate(taped.calls):
        sources = []
        for x, parent in zip(operands, parents, strict=True):
            key = parent[0] if isinstance(parent, tuple) else -id(x if parent is None else parent)
            if key not in boxes or (parent is None and not isinstance(x, np.ndarray)):
                boxes[key] = len(nodes)
                nodes.append(
                    _constant(x) if parent is None else _leaf(taped.names[id(parent)], parent, norms)
                )
            sources.append(boxes[key])
        edges += [(source, len(nodes)) for source in sources]
        boxes[number] = len(nodes)
        words = [f"%{i} {op.name}", *[_short(option) for option in said(options)]]
        nodes.append(Node("call", words + _facts(out, number, norms)))
        if len(nodes) > LIMIT:
            raise _too_long(len(taped))
    return Drawing(nodes, edges)


def _too_long(calls: int) -> ValueError:
    return ValueError(
        f"draw_tape: {calls} calls with their leaves and constants make more than {LIMIT} boxes; draw a part, by "
        "giving a tensor made earlier, or cut the tape by t.detach() where the part begins; or print(mg.tape(result))"
    )


def _norms(result: Tensor, calls: Sequence[Call]) -> dict[int, float]:
    """Return the norm of each gradient: walk back call by call, with a leaf in the place of each parent."""
    if result.size != 1 or not result.requires_grad:
        raise ValueError(
            f"draw_tape: gradients of a tensor of shape {result.shape} with requires_grad="
            f"{result.requires_grad}; expected one entry that requires a gradient: reduce it (t.sum()), or leave "
            "gradients out"
        )
    stands_in = {call[0]: Tensor(call[5], True) for call in calls}
    keys = {-id(leaf): number for number, leaf in stands_in.items()}
    waiting: dict[int, Any] = {calls[-1][0] if calls else -id(result): np.ones(result.shape, result.dtype)}
    norms = {}
    for number, op, operands, parents, options, out in reversed(calls):
        g = waiting.pop(number)
        norms[number] = _norm(g)
        alone = [stands_in[p[0]] if type(p) is tuple else p for p in parents]
        for key, dx in walk_back((number, op, operands, alone, options, out), g)[0].items():
            key = keys.get(key, key)
            waiting[key] = waiting[key] + dx if key in waiting else dx
    return norms | {key: _norm(g) for key, g in waiting.items()}


def _norm(g: Any) -> float:
    return float(np.linalg.norm(np.asarray(g, np.float64)))


# -- boxes -----------------------------------------------------------------------------------------------------


def _leaf(name: str, leaf: Tensor, norms: dict[int, float]) -> Node:
    return Node("leaf", [_clean(name), *_facts(leaf.data, -id(leaf), norms)])


def _constant(x: Any) -> Node:
    lines = [] if isinstance(x, np.ndarray) and x.size != 1 else [_short(str(x))]
    return Node("constant", lines + (_facts(x, 0, {}) if isinstance(x, np.ndarray) else []))


def _facts(array: Any, key: int, norms: dict[int, float]) -> list[str]:
    return [f"{array.shape} {array.dtype}", *([f"|grad| = {norms[key]:.3g}"] if key in norms else [])]


def _short(text: str) -> str:
    text = _clean(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _clean(text: str) -> str:
    """Return a text on one line, without characters that XML does not have."""
    return "".join([c if c.isprintable() else "\ufffd" for c in " ".join(text.split())])


# -- DOT -------------------------------------------------------------------------------------------------------


def _dot(nodes: list[Node], edges: Edges) -> str:
    lines = ["digraph tape {", "  ordering=in;", '  node [fontname="monospace"];']
    for i, (kind, words) in enumerate(nodes):
        label = "\\n".join([_quoted(line) for line in words])
        lines.append(f'  n{i} [label="{label}", {DOT_STYLES[kind]}, fillcolor="{FILLS[kind]}"];')
    lines += [f"  n{source} -> n{target};" for source, target in edges]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """Escape a text for a quoted label, in which DOT knows backslashes and HTML's entities."""
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


# -- layout ----------------------------------------------------------------------------------------------------


class Layout:
    """Where things are: boxes, and the places of edges in the rows they cross, numbered on from the boxes.

    Attributes
    ----------
    rows : list of lists of int
        What is in each row, from left to right.
    row : list of int
        The row of each box.
    ways : list of lists of int
        The places that each edge goes through, its ends included.
    ports : list of float
        Where each edge enters its call, from the middle of the call's box.
    x : list of float
        The middle of each place.
    """

    def __init__(self, widths: list[float], edges: Edges) -> None:
        self.widths = list(widths)
        self.ports = _ports(widths, edges)
        self.row = _rows_of(len(widths), edges)
        self.rows: list[list[int]] = [[] for _ in range(max(self.row) + 1)]
        for box, row in enumerate(self.row):
            self.rows[row].append(box)
        self.ways = self._ways(edges)
        self.above: list[list[tuple[int, float]]] = [[] for _ in self.widths]
        self.below: list[list[tuple[int, float]]] = [[] for _ in self.widths]
        for upper, lower, port in dict.fromkeys(self._links()):
            self.above[lower].append((upper, port))
            self.below[upper].append((lower, port))
        self._order()
        self.x = self._align()

    def _ways(self, edges: Edges) -> list[list[int]]:
        """Give each edge a place in every row that it crosses; edges from one box share theirs."""
        places: dict[tuple[int, int], int] = {}
        ways = []
        for source, target in edges:
            way = [source]
            for row in range(self.row[source] + 1, self.row[target]):
                if (source, row) not in places:
                    places[source, row] = len(self.widths)
                    self.rows[row].append(len(self.widths))
                    self.widths.append(0.0)
                way.append(places[source, row])
            ways.append([*way, target])
        return ways

    def _links(self) -> list[tuple[int, int, float]]:
        """Return the parts of the edges from row to row, and where they enter."""
        return [
            (upper, lower, port if lower == way[-1] else 0.0)
            for way, port in zip(self.ways, self.ports, strict=True)
            for upper, lower in pairwise(way)
        ]

    def _order(self) -> None:
        """Sort each row by the mean place of the neighbours above, then below, several times over."""
        place = [0.0] * len(self.widths)
        for row in self.rows:
            self._count(row, place)
        for _ in range(SWEEPS):
            for row in self.rows[1:]:
                means = {i: _mean([place[j] for j, _ in self.above[i]], place[i]) for i in row}
                row.sort(key=means.__getitem__)
                self._count(row, place)
            for row in self.rows[-2::-1]:
                means = {
                    i: _mean([place[j] + p / (self.widths[j] or 1.0) for j, p in self.below[i]], place[i])
                    for i in row
                }
                row.sort(key=means.__getitem__)
                self._count(row, place)

    @staticmethod
    def _count(row: list[int], place: list[float]) -> None:
        for position, i in enumerate(row):
            place[i] = float(position)

    def _align(self) -> list[float]:
        """Move each place below, or above, its neighbours, as near as the row lets it."""
        x = [0.0] * len(self.widths)
        for _ in range(SWEEPS):
            for row in self.rows:
                self._settle(row, [_mean([x[j] - p for j, p in self.above[i]], x[i]) for i in row], x)
            for row in reversed(self.rows):
                self._settle(row, [_mean([x[j] + p for j, p in self.below[i]], x[i]) for i in row], x)
        left = min(x[i] - self.widths[i] / 2 for i in range(len(x)))
        return [middle - left + MARGIN for middle in x]

    def _settle(self, row: list[int], wanted: list[float], x: list[float]) -> None:
        """Set the x of a row: of all that keep its order and its gaps the nearest to those wanted.

        Without the gaps these are numbers that must not fall, and the nearest such are means of neighbours that
        would (isotonic regression).
        """
        offsets = [0.0]
        for i, j in pairwise(row):
            gap = GAP if self.widths[i] and self.widths[j] else LANE
            offsets.append(offsets[-1] + self.widths[i] / 2 + gap + self.widths[j] / 2)
        blocks: list[tuple[float, int]] = []
        for want, offset in zip(wanted, offsets, strict=True):
            total, count = want - offset, 1
            while blocks and blocks[-1][0] * count > total * blocks[-1][1]:
                before, more = blocks.pop()
                total, count = total + before, count + more
            blocks.append((total, count))
        level = [total / count for total, count in blocks for _ in range(count)]
        for i, middle, offset in zip(row, level, offsets, strict=True):
            x[i] = middle + offset


def _rows_of(boxes: int, edges: Edges) -> list[int]:
    """Return the row of each box: the longest way from the sources, which stand above their first use."""
    row = [0] * boxes
    for source, target in edges:  # in the order of their targets, so that a source's row is known
        row[target] = max(row[target], row[source] + 1)
    called = {target for _, target in edges}
    first: dict[int, int] = {}
    for source, target in edges:
        first[source] = min(first.get(source, boxes), row[target] - 1)
    return [row[i] if i in called else first.get(i, 0) for i in range(boxes)]


def _ports(widths: list[float], edges: Edges) -> list[float]:
    """Spread the edges into a call over the width of its box, in the order of its operands."""
    many = [0] * len(widths)
    for _, target in edges:
        many[target] += 1
    before = [0] * len(widths)
    ports = []
    for _, target in edges:
        before[target] += 1
        ports.append(widths[target] * (before[target] / (many[target] + 1) - 0.5))
    return ports


def _mean(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


# -- SVG -------------------------------------------------------------------------------------------------------


def _svg(nodes: list[Node], edges: Edges) -> str:
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
            lines.append(
                f'<text x="{x:.1f}" y="{baseline:.1f}"{weight}>{html.escape(line, quote=False)}</text>'
            )
    return "\n".join([*lines, "</svg>", ""])


def _columns(text: str) -> int:
    """Return how many characters wide a text is: those of East Asian scripts are wide as two."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
