"""Draws docs/rooms.svg and docs/states.svg.  Tests hold the code to the same tables.

python tools/pictures.py          # what `make pictures` runs
python tools/pictures.py --check  # exit code 1 if a file differs from the tables

tests/unit/floors.py has the rooms, their arrows and a file's way.  dropbox/journal/states.py has
the states and their transitions, and by schema.py the database enforces them.  This module has
only the place of each in the picture.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))

from tests.unit.floors import FLOORS, GROUND, WAY  # noqa: E402
from tools import states_picture  # noqa: E402
from tools.drawing import Drawing  # noqa: E402
from tools.routes import HIGH, MARGIN, Box, Edge, routes  # noqa: E402

DOCS = HERE / "docs"

# Floor and column of each room in the picture.
PLACES: dict[str, Box] = {
    "cli": Box(0, 2, 4),
    "omero_fs_web": Box(4, 5),
    "checks": Box(1, 3),
    "migration": Box(1, 4),
    "sandbox": Box(1, 5),
    "site": Box(2, 3),
    "monitor.server": Box(1, 1),
    "monitor.servants": Box(2, 1),
    "monitor.monitors": Box(3, 1),
    "monitor.watcher": Box(4, 1),
    "monitor.waits": Box(5, 1),
    "monitor.access": Box(3, 0),
    "monitor.files": Box(4, 0),
    "monitor.guests": Box(7, 0),
    "monitor.families": Box(2, 0),
    "monitor.telling": Box(6, 1),
    "monitor.record": Box(7, 1),
    "monitor.tracking": Box(8, 1),
    "monitor.requests": Box(9, 0),
    "monitor.notices": Box(9, 1),
    "monitor.kernel": Box(10, 1),
    "dropbox.server": Box(3, 3),
    "dropbox.importer": Box(3, 4),
    "dropbox.service": Box(4, 3),
    "dropbox.watching": Box(6, 2),
    "dropbox.importing": Box(6, 4),
    "dropbox.settling": Box(7, 2),
    "dropbox.targets": Box(7, 4),
    "dropbox.receipts": Box(7, 3),
    "dropbox.userdirs": Box(5, 5),
    "dropbox.letters": Box(6, 3),
    "dropbox.afterwards": Box(5, 4),
    "dropbox.situation": Box(7, 5),
    "dropbox.publishing": Box(6, 5),
    "dropbox.metrics": Box(5, 2),
    "dropbox.audit": Box(4, 2),
    "dropbox.grouping": Box(8, 2),
    "dropbox.journal": Box(8, 3),
    "dropbox.places": Box(8, 5),
    "dropbox.users": Box(9, 2),
    "dropbox.confine": Box(9, 4),
    "dropbox.disks": Box(10, 3),
    "dropbox.processes": Box(9, 3),
    "metrics": Box(10, 5),
    "blitz": Box(10, 2),
    "deployment": Box(10, 4),
    "config": Box(11, 0, 6),
}
# The name of each hall, and the end of the first line at which it stands.
HALLS = {"monitor": ("FSServer", "start"), "dropbox": ("DropBox", "end")}
DISK, OMERO = Box(10, 0), Box(7, 6)
_STORE = 84  # width of OMERO
_BESIDE = 24


def uses() -> list[Edge]:
    """The arrows: who uses whom.  An arrow is left out if other arrows lead the same way."""
    floors = {room: set(below.split()) for room, below in FLOORS.items()}

    def below(room: str) -> set[str]:
        return floors[room].union(*map(below, floors[room]))

    return [
        (room, used)
        for room in floors
        for used in floors[room]
        if not any(used in below(other) for other in floors[room])
    ]


def rooms() -> str:
    """docs/rooms.svg."""
    missing = FLOORS.keys() ^ PLACES.keys()
    if missing:
        raise SystemExit(f"tools/pictures.py, PLACES: look at {', '.join(sorted(missing))}")
    edges = sorted(uses())
    lowest = max(box.floor for box in PLACES.values())
    ground = Box(lowest + 1, 0, 6)
    steps = " ".join(f"{number} {step};" for number, step in enumerate(WAY, 1))
    drawing = Drawing(
        round(OMERO.left) + _STORE + 26,
        round(ground.bottom) + 26,
        "The rooms of OMERO.fs, and the way of one file through them",
        "Each box is a room of the package. Arrows lead down, from a room to those that it uses. "
        f"The coloured way is that of one file, from the disk to OMERO: {steps} "
        "tests/unit/floors.py has the table.",
    )
    _halls(drawing)
    _way(drawing)
    for points in routes(PLACES, edges).values():
        drawing.line(points, "edge", head="edge")
    telling, watching = PLACES["monitor.telling"], PLACES["dropbox.watching"]
    between = (telling.right + watching.left) / 2
    drawing.text((between, telling.top + 5), "Ice", colour="way", bold=True, halo=True)
    for room, box in PLACES.items():
        _room(drawing, room, box)
    drawing.rect((ground.left, ground.top), (ground.width, HIGH), "f-hall s-edge")
    words = ", ".join(GROUND)
    drawing.text((ground.middle, ground.top + 24), f"the words that any room may use: {words}")
    _legend(drawing)
    return drawing.svg(["edge", "way"])


def _halls(drawing: Drawing) -> None:
    for hall, (name, where) in HALLS.items():
        boxes = [box for room, box in PLACES.items() if room.startswith(f"{hall}.")]
        left, top = min(box.left for box in boxes), min(box.top for box in boxes)
        right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
        drawing.rect(
            (left - 13, top - 13), (right - left + 26, bottom - top + 26), "f-hall", radius=14
        )
        start = left if where == "start" else right
        drawing.text((start, top + 8), name, size=17, colour="soft", where=where, bold=True)


def _room(drawing: Drawing, room: str, box: Box) -> None:
    step = next((n for n, rooms in enumerate(WAY.values(), 1) if room in rooms), None)
    classes = "f-box s-edge" if step is None else "f-on s-way"
    drawing.rect((box.left, box.top), (box.width, HIGH), classes)
    drawing.text((box.middle, box.top + 24), room.rpartition(".")[2])
    if step is not None:
        drawing.badge((box.left + 2, box.top + 2), str(step))


def _way(drawing: Drawing) -> None:
    stations = [PLACES[room] for rooms in WAY.values() for room in rooms]
    report = PLACES["cli"]
    for box, then in pairwise([DISK, *(box for box in stations if box != report), OMERO]):
        _step(drawing, box, then)
    # The report of what OMERO has is at the top again.
    aside = OMERO.left + _STORE / 2
    end = report.right, report.centre[1]
    drawing.line([(aside, OMERO.top), (aside, end[1]), end], "way", width=5, radius=16, dashed=True)
    drawing.tip(end, (-1, 0))
    drawing.store((DISK.left, DISK.top - 4), (DISK.width, HIGH + 4), "the disk")
    drawing.store((OMERO.left, OMERO.top - 4), (_STORE, HIGH + 4), "OMERO")


def _step(drawing: Drawing, box: Box, then: Box) -> None:
    """The way from one box to the next: up or down first, then sideways."""
    (x, y), (to_x, to_y) = box.centre, then.centre
    if y != to_y:  # beside the arrows of use
        x, to_x = x - _BESIDE, to_x - (_BESIDE if x == to_x else 0)
    drawing.line([(x, y), (x, to_y), (to_x, to_y)], "way", width=5, radius=16)
    if x != to_x:
        side = 1 if to_x > x else -1
        drawing.tip((then.left if side == 1 else then.right, to_y), (side, 0))
    else:
        down = 1 if to_y > y else -1
        drawing.tip((to_x, then.top if down == 1 else then.bottom), (0, down))


def _legend(drawing: Drawing) -> None:
    x, y = MARGIN, 32
    drawing.text((x, y), "The rooms, and the way of one file", size=17, where="start", bold=True)
    steps = "  →  ".join(f"{number} {name}" for number, name in enumerate(WAY, 1))
    drawing.text((x, y + 24), steps, where="start", colour="way", bold=True)
    y = round(PLACES["cli"].centre[1])
    drawing.line([(x, y - 6), (x + 34, y - 6)], "way", width=5)
    drawing.tip((x + 40, y - 6), (1, 0))
    drawing.text((x + 50, y - 1), "the way of a file, and of its news", where="start", size=13)
    drawing.line([(x, y + 14), (x + 40, y + 14)], "edge", head="edge")
    drawing.text((x + 50, y + 18), "a room, and a room that it uses", where="start", size=13)


PICTURES = {"rooms.svg": rooms, "states.svg": states_picture.picture}


def main(arguments: list[str]) -> int:
    """The exit code."""
    for name, draw in PICTURES.items():
        file, svg = DOCS / name, draw()
        if "--check" not in arguments:
            file.write_text(svg, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != svg:
            sys.stderr.write(f"{file} is not what the tables give: run `make pictures`\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
