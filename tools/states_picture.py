"""docs/states.svg: the states of a fileset, for tools/pictures.py.

It reads the states, their comments and the transitions from dropbox/journal/states.py.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from omero_fs_plugin.dropbox.journal import states
from omero_fs_plugin.dropbox.journal.states import OPEN, TRANSITIONS, State
from tools.drawing import Drawing, Point

_WIDTH, _HEIGHT = 1100, 640
_SIZE = 216, 66  # of a state
_MAIN, _SIDE = 550, 340  # the middle of the picture, and how far aside the ends stand
_LETTERS = 32  # in a line below a state's name

# The middle of each state's box.
_AT: dict[State, Point] = {
    State.WAITING: (_MAIN, 110),
    State.QUEUED: (_MAIN, 260),
    State.IMPORTING: (_MAIN, 410),
    State.IMPORTED: (_MAIN, 560),
    State.SKIPPED: (_MAIN - _SIDE, 560),
    State.FAILED: (_MAIN + _SIDE, 560),
}
# Why a fileset makes some of the transitions, and where the text stands.
_WORDS: tuple[tuple[str, Point, str], ...] = (
    ("it rests, and its set is whole", (_MAIN - 30, 190), "end"),
    ("an importer is free", (_MAIN - 30, 340), "end"),
    ("OMERO has its images", (_MAIN - 30, 490), "end"),
    ("given back", (_MAIN + 28, 340), "start"),
    ("a file changed", (_MAIN + 142, 330), "start"),
    ("no image, a copy,\nor gone", (_MAIN - _SIDE + 40, 464), "start"),
    ("refused, broken\nor incomplete", (_MAIN + _SIDE - 40, 464), "end"),
    ("a file changed,\nor is handed over", (_MAIN - _SIDE - 70, 330), "end"),
    ("a file changed,\nor is tried again", (_MAIN + _SIDE + 70, 330), "start"),
)
_ENDS = {State.IMPORTED: "good", State.FAILED: "bad"}


def picture() -> str:
    """The file.  Raises SystemExit if a state or a transition has no place in it."""
    legal = {(before, after) for before, afters in TRANSITIONS.items() for after in afters}
    lines = _lines()
    missing = [f"{before} -> {after}" for before, after in sorted(legal ^ lines.keys())]
    missing += [str(state) for state in State if state not in _AT]
    if missing:
        raise SystemExit(f"tools/states_picture.py: look at {', '.join(missing)}")
    told = "; ".join(
        f"{before} to {', '.join(TRANSITIONS[before])}" for before in State if TRANSITIONS[before]
    )
    drawing = Drawing(
        _WIDTH, _HEIGHT, "The states of a fileset", f"Where each state may lead: {told}."
    )
    drawing.text((34, 32), "The states of a fileset", size=17, where="start", bold=True)
    x, y = _AT[State.WAITING]
    drawing.line([(x, y - 66), (x, y - _SIZE[1] / 2)], "edge", head="edge")
    drawing.text((x, y - 70), "a file is met", colour="soft", size=13)
    for (before, after), points in lines.items():
        back = before not in OPEN or (after in OPEN and _AT[after][1] < _AT[before][1])
        colour = _ENDS.get(after, "edge")
        drawing.line(points, colour, head=colour, dashed=back)
    for text, at, where in _WORDS:
        for number, line in enumerate(text.split("\n")):
            drawing.text(
                (at[0], at[1] + 16 * number), line, colour="soft", size=13, where=where, halo=True
            )
    for state in State:
        _box(drawing, state)
    _legend(drawing)
    return drawing.svg(["edge", "good", "bad"])


def meanings() -> dict[str, str]:
    """What the comment beside each state says."""
    source = Path(states.__file__).read_text(encoding="utf-8")
    return dict(re.findall(r'^    [A-Z]+ = "(\w+)"  # (.+)$', source, re.MULTILINE))


def _box(drawing: Drawing, state: State) -> None:
    x, y = _AT[state]
    colour = _ENDS.get(state, "edge" if state not in OPEN else "way")
    left, top = x - _SIZE[0] / 2, y - _SIZE[1] / 2
    drawing.rect((left, top), _SIZE, f"{'f-on' if state in OPEN else 'f-hall'} s-{colour}")
    drawing.text((x, top + 22), str(state), size=15, bold=True)
    for number, line in enumerate(textwrap.wrap(meanings()[str(state)], _LETTERS)):
        drawing.text((x, top + 40 + 16 * number), line, size=12, colour="soft")


def _legend(drawing: Drawing) -> None:
    for number, (dashed, text) in enumerate(((False, "onwards"), (True, "back again"))):
        y = 56 + 22 * number
        drawing.line([(34, y), (84, y)], "edge", head="edge", dashed=dashed)
        drawing.text((94, y + 4), text, size=13, where="start")


def _lines() -> dict[tuple[State, State], list[Point]]:
    """The points of each transition."""
    wide, high = _SIZE[0] / 2, _SIZE[1] / 2
    found: dict[tuple[State, State], list[Point]] = {}

    def straight(before: State, after: State, aside: float) -> None:
        (x, y), (_, to) = _AT[before], _AT[after]
        down = 1 if to > y else -1
        found[before, after] = [(x + aside, y + down * high), (x + aside, to - down * high)]

    for before, after in (
        (State.WAITING, State.QUEUED),
        (State.QUEUED, State.IMPORTING),
        (State.IMPORTING, State.IMPORTED),
    ):
        straight(before, after, -20)
    straight(State.QUEUED, State.WAITING, 20)
    straight(State.IMPORTING, State.QUEUED, 20)
    x, y = _AT[State.IMPORTING]
    lane, to = x + wide + 26, _AT[State.WAITING][1] + 18
    found[State.IMPORTING, State.WAITING] = [
        (x + wide, y - 16), (lane, y - 16), (lane, to), (x + wide, to),
    ]  # fmt: skip
    for end, side in ((State.SKIPPED, -1), (State.FAILED, 1)):
        trunk, outer = _AT[end][0] - side * 30, _AT[end][0] + side * 60
        below, above = _AT[end][1] - high, 0
        for before in OPEN:
            x, y = _AT[before]
            start = x + side * wide
            found[before, end] = [(start, y), (trunk, y), (trunk, below)]
        for after, above in ((State.WAITING, -16), (State.QUEUED, -16)):
            x, y = _AT[after]
            found[end, after] = [
                (outer, below), (outer, y + above), (x + side * wide, y + above),
            ]  # fmt: skip
    (x, y), (to, _) = _AT[State.FAILED], _AT[State.SKIPPED]
    low = y + high + 24
    found[State.FAILED, State.SKIPPED] = [(x, y + high), (x, low), (to, low), (to, y + high)]
    return found
