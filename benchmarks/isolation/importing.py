"""Imports an hour: both commits import small TIFFs of several users into one sandbox OMERO in turn.

The grid, the stand-in for OMERO and its database are those of this checkout, for both.  DropBox
and FSServer are of the commit whose turn it is.  Each commit has a journal, monitors and a DropBox
directory of its own, and groups with Bio-Formats.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from lxml import etree

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import history, stored
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import STALLED, Figure, Outcome, drop, quiet_down

from . import sides
from .sides import SIDES, Trees

USERS = ("amy", "zak", "eve", "ian")
WARM = 5  # files of each user before those that count: sessions, Java, directories in OMERO
SERVERS = ("DropBox", "FSServer")
# The commit before has no omero.fs.nice; it runs at OMERO's priority.
SETTINGS = {"omero.fs.dirImportWait": "1", "omero.fs.nice": "0"}
GROUPS = "runs in process"  # in DropBox's log, when Bio-Formats is there


class Turns:
    """One sandbox OMERO, whose DropBox and FSServer are of one commit or the other."""

    def __init__(self, grid: Grid, trees: Trees, scratch: Path) -> None:
        """`grid` does not run, and never ran.  What is dropped lies below `scratch`."""
        self._scratch = scratch
        self.grid = grid
        self.dropped: list[Path] = []  # so far
        self._trees = trees
        self._tree = grid.directory / "tree"  # a link
        templates = grid.directory / "etc" / "templates" / "grid" / "templates.xml"
        templates.write_bytes(with_tree(templates.read_bytes(), self._tree))
        for side in SIDES:
            for user in USERS:
                (self.place(side) / user).mkdir(parents=True)

    def place(self, side: str) -> Path:
        """Its DropBox directory."""
        return self._scratch / f"dropped-{side}"  # not in OMERODIR, which is never watched

    def start(self, side: str) -> None:
        """Raises BenchmarkError."""
        self._tree.unlink(missing_ok=True)
        self._tree.symlink_to(self._trees.of(side))
        self.grid.journal = self.grid.data / f"journal-{side}.sqlite"
        self.grid.configure(
            {
                "omero.fs.watchDir": str(self.place(side)),
                "omero.fs.journal": f"sqlite:///{self.grid.journal}",
                "omero.fs.monitors": str(self.grid.data / f"monitors-{side}.sqlite"),
            }
        )
        self.grid.start({"PYTHONPATH": str(self._trees.of(side))})

    def drop(self, side: str, name: str, each: int) -> list[Path]:
        """`each` files of each user, in a new directory `name`, as fast as it can."""
        paths = []
        for user in USERS:
            below = self.place(side) / user / name
            below.mkdir()
            paths += [below / f"image-{number:05}.tif" for number in range(each)]
        for path in paths:
            drop(path)
        self.dropped += paths
        return paths

    def imported(self, number: int) -> None:
        """Waits until so many are imported in all.  Raises BenchmarkError."""
        self.grid.wait("all imported", lambda n: n.get("imported", 0) >= number, patience=STALLED)


def with_tree(templates: bytes, tree: Path) -> bytes:
    """IceGrid's templates, in which DropBox and FSServer use the Python packages in `tree`."""
    root = etree.fromstring(templates)
    found = [server for server in root.iter("server") if server.get("id") in SERVERS]
    if len(found) != len(SERVERS):
        raise BenchmarkError(f"the templates have {len(found)} of the servers {SERVERS}")
    for server in found:
        variable = etree.Element("env")
        variable.text = f"PYTHONPATH={tree}"
        server.insert(0, variable)
    return bytes(etree.tostring(root))


def scenario(scratch: Path, trees: Trees, count: int, rounds: int) -> Outcome:
    """`count` files in each turn.  Raises BenchmarkError."""
    trees.check()
    each = count // len(USERS)
    outcome = Outcome(f"{each * len(USERS):,} small TIFFs of {len(USERS)} users in each turn")
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    costs: dict[str, list[float]] = {side: [] for side in SIDES}  # ms of CPU
    whole: dict[str, list[float]] = {side: [] for side in SIDES}
    with Grid(scratch, SETTINGS, users=USERS) as grid:
        both = Turns(grid, trees, scratch)
        for number, side in sides.turns(rounds):
            both.start(side)
            try:
                rate, with_rest, cpu = _turn(both, side, number, each, outcome.faults)
            finally:
                grid.stop()
            rates[side].append(rate)
            whole[side].append(with_rest)
            costs[side].append(cpu)
        outcome.faults += stored.compared(stored.filesets(grid.data), both.dropped)
    outcome.figures += [
        *sides.figures("imports an hour, first to last import", "", rates),
        *sides.figures("imports an hour, from the drop to the last import", "", whole),
        *_costs(costs),
    ]
    return outcome


def _costs(costs: Mapping[str, list[float]]) -> list[Figure]:
    text = "CPU of DropBox and what it starts, a fileset"
    return [Figure(f"{text}, {side}, least", min(costs[side]), "ms") for side in SIDES]


def _turn(
    both: Turns, side: str, number: int, each: int, faults: list[str]
) -> tuple[float, float, float]:
    """Imports an hour from the first import's begin, and from the drop; ms of CPU for each."""
    grid = both.grid
    before = history.counts(grid.journal).get("imported", 0)
    both.drop(side, f"warm-{number}", WARM)
    both.imported(before + WARM * len(USERS))
    quiet_down(grid)
    used, begun = grid.cpu()["DropBox"], time.time()
    paths = both.drop(side, f"round-{number}", each)
    wanted = before + WARM * len(USERS) + len(paths)
    both.imported(wanted)
    used = grid.cpu()["DropBox"] - used
    if (found := history.counts(grid.journal)) != {"imported": wanted}:
        faults.append(f"{side}, round {number + 1}: of {wanted} files dropped: {found}")
    if not any(GROUPS in line for line in grid.log("DropBox")):
        faults.append(f"{side}: Bio-Formats did not group: DropBox.log has no word of it")
    known = history.times(grid.journal)
    times = {str(path): known[str(path)] for path in paths}
    last = max(one.done for one in times.values() if one.done is not None)
    from_drop = 3600 * len(paths) / (last - begun)
    return history.per_hour(times), from_drop, 1000 * used / len(paths)
