"""Layered layout of a drawn graph: positions of boxes, and routes of edges.

A box's row is the longest way to it from the sources; an edge that crosses rows has a place in each; rows are put
in order by the mean place of their neighbours.
"""

from __future__ import annotations

from itertools import pairwise

GAP, LANE, BETWEEN, PORT, MARGIN = 24, 10, 34, 14, 8
"""Space between boxes, beside a passing edge, between rows, between arrows, and the margin."""
SWEEPS = 4

Edges = list[tuple[int, int]]
"""Each from a box to a later one; those of one call in the order of its operands."""


# -- layout ----------------------------------------------------------------------------------------------------


class Layout:
    """Positions of boxes and of edges in the rows they cross; edge places are numbered on from the boxes.

    Attributes
    ----------
    rows : list of lists of int
        The boxes and edge places of each row, from left to right.
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
        """Move each place as near below, or above, its neighbours as the row allows."""
        x = [0.0] * len(self.widths)
        for _ in range(SWEEPS):
            for row in self.rows:
                self._settle(row, [_mean([x[j] - p for j, p in self.above[i]], x[i]) for i in row], x)
            for row in reversed(self.rows):
                self._settle(row, [_mean([x[j] + p for j, p in self.below[i]], x[i]) for i in row], x)
        left = min(x[i] - self.widths[i] / 2 for i in range(len(x)))
        return [middle - left + MARGIN for middle in x]

    def _settle(self, row: list[int], wanted: list[float], x: list[float]) -> None:
        """Set the x of a row: the least-squares fit to the wanted ones that keeps order and gaps.

        With the gaps subtracted this is isotonic regression.
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
