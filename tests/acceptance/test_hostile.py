"""The table of hostile files, dropped by amy into a running grid, while zak goes on as ever.

`pytest tests/acceptance/test_hostile.py -rP` shows the figures.  What becomes of each file,
tests/integration/hostile/test_whole.py has by its name, too.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from tests.conftest import EXTERNAL
from tests.integration.hostile.inputs import INPUTS, Place

from . import images
from .torture.grid import Grid, grid
from .waiting import until

QUIET_S = 1.0
MEMORY = 300  # MiB that DropBox may have at any time, as docs/hostile-files.rst says
# s; zak's file may take so much longer beside amy's.  The machine does other things as well.
MARGIN = 8.0
END_S = 1200.0  # that amy's may take: they are one user's, and some readers hang
LONE = 10  # files that zak drops, one after the other
WHOLE = [one for one in INPUTS if one.whole]


@dataclass(frozen=True)
class Became:
    """What became of the table, in figures."""

    delays: tuple[float, float]  # s; the longest of zak's before, and beside amy's
    before: int  # MiB that DropBox had at most, before amy's were dropped
    most: int  # MiB that it had at most
    children: int  # MiB that any process had at most, of those that read files for it
    same_process: bool
    open: list[str]  # that have no end, and no reason
    escaped: list[str]  # what OMERO has of amy's that was never hers


@pytest.mark.skipif(EXTERNAL in os.environ, reason="it wants a server of its own")
@pytest.mark.parametrize(
    "bioformats",
    [False, pytest.param(True, marks=pytest.mark.long)],
    ids=["signatures", "Bio-Formats"],
)
def test_dropbox_stays_small_and_others_are_served(tmp_path: Path, bioformats: bool) -> None:
    with grid(
        tmp_path / "sandbox",
        ("amy", "zak"),
        quiet_period=QUIET_S,
        bioformats=bioformats,
        fault_points=False,
        completeTimeout="3600",
        bioformatsTimeout="8",  # s; some readers hang, each is given its time twice
        duplicates="import",
    ) as made:
        became = _drop_all(made, tmp_path)
        evidence = made.server.evidence()
    before, beside = became.delays
    sys.stdout.write(
        f"{len(WHOLE)} inputs: escapes {len(became.escaped)}, hangs {len(became.open)}; "
        f"zak's file took at most {before:.2f} s before, and {beside:.2f} s beside them; "
        f"DropBox had at most {became.before} MiB before, and {became.most} MiB of {MEMORY}; "
        f"a process that reads files for it, {became.children} MiB\n"
    )
    assert became.same_process, f"DropBox has ended\n{evidence}"
    assert became.escaped == []
    assert became.open == [], evidence
    assert beside <= before + MARGIN, evidence
    assert became.most < MEMORY


def _drop_all(made: Grid, tmp_path: Path) -> Became:
    amy, zak = made.directory("amy"), made.directory("zak")
    secret = tmp_path / "config.xml"
    secret.write_text("<property name='omero.db.pass' value='secret'/>")
    for name in ("a.tif", "t0.tif"):
        (zak / name).write_bytes(images.tiff())  # like nothing of amy's
    dropped = _Dropped(made, zak)
    before = max(dropped.image(f"before {number}.tif") for number in range(3))
    pid = made.server.pid("DropBox")
    idle = _most(pid)
    place = Place(tmp_path / "beside", amy, zak, secret)
    for number, one in enumerate(WHOLE):
        here = amy / f"{number:03}"
        here.mkdir()
        one.make(replace(place, here=here))
    children, delays = 0, []
    for number in range(LONE):
        delays.append(dropped.image(f"beside {number}.tif"))
        children = max([children, *map(_most, _below(pid))])

    def come_to_an_end() -> bool:
        nonlocal children
        children = max([children, *map(_most, _below(pid))])
        return not dropped.open()

    with suppress(pytest.fail.Exception):  # what is open is told below, with all the rest
        until(
            "everything has come to an end", come_to_an_end, evidence=str, patience=END_S, pause=1.0
        )
    return Became(
        (before, max(delays)),
        idle,
        _most(pid),
        children,
        made.server.pid("DropBox") == pid,
        dropped.open(),
        _escaped(made, amy, (secret, *zak.iterdir())),
    )


class _Dropped:
    """What was dropped, and what the journal has of it."""

    def __init__(self, made: Grid, zak: Path) -> None:
        self._made, self._zak = made, zak

    def image(self, name: str) -> float:
        """How long (s) an image of zak's takes, from its drop until it is imported."""
        path = self._zak / name
        path.write_bytes(images.tiff())
        begun = time.monotonic()
        until(
            f"{name} is imported",
            lambda: str(path) in {row.path for row in self._rows(State.IMPORTED)},
            evidence=self._made.server.evidence,
            pause=0.1,
        )
        return time.monotonic() - begun

    def open(self) -> list[str]:
        """What is under way, or waits and nobody knows why."""
        under_way = [row.path for row in self._rows(State.QUEUED, State.IMPORTING)]
        quiet = "until it has been quiet"
        waiting = [
            row.path
            for row in self._rows(State.WAITING)
            if not row.reason or row.reason.startswith(quiet)
        ]
        return under_way + waiting

    def _rows(self, *states: State) -> list[Fileset]:
        journal = self._made.journal()
        try:
            return journal.select(*states)
        finally:
            journal.close()


def _escaped(made: Grid, amy: Path, others: tuple[Path, ...]) -> list[str]:
    """Files of amy's filesets that lie elsewhere, or have the bytes of what is not hers."""
    foreign = {hashlib.sha1(path.read_bytes()).hexdigest() for path in others if path.is_file()}
    below = f"{amy}/"[1:]
    return [
        one.client_path
        for one in made.stored()
        if one.owner == "amy" and (not one.client_path.startswith(below) or one.sha1 in foreign)
    ]


def _below(pid: int) -> list[int]:
    """The processes that it started, and those that they did."""
    parents: dict[int, list[int]] = {}
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit():
                stat = (process / "stat").read_text(errors="replace").rpartition(")")[2]
                parents.setdefault(int(stat.split()[1]), []).append(int(process.name))
    found, asked = [], [pid]
    while asked:
        children = parents.get(asked.pop(), [])
        found += children
        asked += children
    return found


def _most(pid: int) -> int:
    """MiB that this process had at most, since it began; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) >> 10
    return 0
