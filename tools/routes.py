"""Finds the ways of arrows between boxes on floors, for tools/pictures.py.

An arrow leaves a box below and enters one from above.  In between it keeps to the channels
between the columns of boxes, and to the tracks between the floors.  Arrows to the same box share
a track, so that they join on their way; arrows to others have lines of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

from tools.drawing import Point

CELL = 150  # width of a column
FLOOR = 100  # height of a floor
GUTTER = 34  # between two boxes of a floor
HIGH = 38  # a box
MARGIN, TOP = 34, 74  # of the first box
AISLE = 40  # more, between the two halls
_AFTER = 2  # ... which lies before this column

_TRACK = 8  # between two tracks, or two lanes
_BEND = 40  # what a bend costs, in lengths of way

Edge = tuple[str, str]


@dataclass(frozen=True)
class Box:
    """A room in the picture: its floor, its first column, and how many columns it takes."""

    floor: int
    column: int
    span: int = 1

    @property
    def left(self) -> float:
        """In the picture's units, as everything below."""
        return _left(self.column)

    @property
    def right(self) -> float:
        return _left(self.column + self.span - 1) + CELL - GUTTER

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def middle(self) -> float:
        return self.left + self.width / 2

    @property
    def top(self) -> float:
        return TOP + self.floor * FLOOR

    @property
    def bottom(self) -> float:
        return self.top + HIGH

    @property
    def centre(self) -> Point:
        return self.middle, self.top + HIGH / 2

    def port(self, x: float) -> float:
        """Where an arrow from or to `x` meets the box.  It meets a wide box anywhere."""
        return min(max(x, self.left + 20), self.right - 20) if self.span > 1 else self.middle


def _left(column: int) -> float:
    return MARGIN + column * CELL + (AISLE if column >= _AFTER else 0)


def routes(boxes: Mapping[str, Box], edges: Sequence[Edge]) -> dict[Edge, list[Point]]:
    """The points of each arrow.  Raises ValueError for an arrow that does not lead downwards."""
    channels = {edge: _channel(boxes, *edge) for edge in edges}
    lanes = _lanes(boxes, channels)
    gaps: dict[int, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for (above, below), x in lanes.items():
        for floor, start, end in _turns(boxes[above], boxes[below], x):
            gaps[floor][below].append((start, end))
    tracks = {
        (floor, target): y
        for floor, targets in gaps.items()
        for target, y in _tracks(floor, targets).items()
    }
    found = {}
    for (above, below), x in lanes.items():
        points = [(_start(boxes[above], boxes[below], x), boxes[above].bottom)]
        for floor, start, end in _turns(boxes[above], boxes[below], x):
            y = tracks[floor, below]
            points += [(start, y), (end, y)]
        points.append((points[-1][0], boxes[below].top))
        found[above, below] = points
    return found


def _channel(boxes: Mapping[str, Box], above: str, below: str) -> float:
    """Where the arrow goes down past the floors between."""
    start, end = boxes[above], boxes[below]
    if end.floor <= start.floor:
        raise ValueError(f"{above} uses {below}, and does not stand above it")
    columns = max(box.column + box.span for box in boxes.values())
    ways = [start.port(end.middle), end.port(start.middle)]
    ways += [
        _left(column) - (GUTTER + (AISLE if column == _AFTER else 0)) / 2
        for column in range(columns + 1)
    ]
    between = [box for box in boxes.values() if start.floor < box.floor < end.floor]
    free = [x for x in ways if not any(box.left - 6 < x < box.right + 6 for box in between)]

    def cost(x: float) -> float:
        turns = list(_turns(start, end, x))
        return sum(abs(a - b) for _, a, b in turns) + _BEND * len(turns)

    return min(free, key=cost)


def _turns(start: Box, end: Box, x: float) -> Iterator[tuple[int, float, float]]:
    """(floor below which it runs sideways, from, to) of an arrow in the channel `x`."""
    out, into = _start(start, end, x), end.port(x)
    if end.floor == start.floor + 1:
        if out != into:
            yield start.floor, out, into
        return
    if out != x:
        yield start.floor, out, x
    if x != into:
        yield end.floor - 1, x, into


def _start(start: Box, end: Box, x: float) -> float:
    return start.port(end.port(start.middle) if end.floor == start.floor + 1 else x)


def _lanes(boxes: Mapping[str, Box], channels: Mapping[Edge, float]) -> dict[Edge, float]:
    """The channels, moved aside where arrows to different boxes would lie on each other."""
    lanes: dict[Edge, float] = {}
    taken: dict[float, list[tuple[int, int, str]]] = defaultdict(list)
    for edge, x in sorted(channels.items(), key=lambda one: _height(boxes, one[0]), reverse=True):
        above, below = boxes[edge[0]], boxes[edge[1]]
        if below.floor == above.floor + 1:
            lanes[edge] = x  # nothing to pass
            continue
        for aside in (0, -1, 1, -2, 2):
            lane = x + aside * _TRACK
            if all(
                target == edge[1] or below.floor <= first or last <= above.floor
                for first, last, target in taken[lane]
            ):
                break
        taken[lane].append((above.floor, below.floor, edge[1]))
        lanes[edge] = lane
    return lanes


def _height(boxes: Mapping[str, Box], edge: Edge) -> int:
    return boxes[edge[1]].floor - boxes[edge[0]].floor


def _tracks(floor: int, targets: Mapping[str, list[tuple[float, float]]]) -> dict[str, float]:
    """The height of each target's track below `floor`: the order with the fewest crossings."""
    # Of two targets it matters which is above the other one, and nothing else.
    tangle = {
        (upper, lower): _tangle(targets[upper], targets[lower])
        for upper, lower in permutations(targets, 2)
    }
    best = min(
        permutations(sorted(targets)),
        key=lambda order: sum(tangle[pair] for pair in combinations(order, 2)),
    )
    middle = TOP + floor * FLOOR + HIGH + (FLOOR - HIGH) / 2 - 3
    first = middle - _TRACK * (len(best) - 1) / 2
    return {target: first + _TRACK * number for number, target in enumerate(best)}


def _tangle(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]]) -> int:
    """What is wrong with a track above another one: crossings, and lines on lines."""
    wrong = 0
    for start, end in upper:
        for other_start, other_end in lower:
            wrong += min(start, end) < other_start < max(start, end)
            wrong += min(other_start, other_end) < end < max(other_start, other_end)
            wrong += 100 * (abs(other_start - end) < _TRACK)
    return wrong
