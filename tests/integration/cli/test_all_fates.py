"""A directory of 40 files of all fates: explain, receipt and report agree, and OMERO with them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.cli import report
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from tests import broken
from tests.integration.dropbox.test_sets import NAMES, write_part
from tests.integration.whole import Whole

from .test_commands_on_sets import Run, run
from .test_receipt import _one_byte, in_repository

__all__ = ["run"]  # a fixture

IGNORED = ("Thumbs.db", ".DS_Store", ".hidden.tif", "a.tif.part", "a.tif~", "desktop.ini")
LACKING = ["x_T0.ome.tif", "x_T1.ome.tif", "x_T2.ome.tif"]


@dataclass
class Directory:
    """amy's day, and what becomes of each file."""

    top: Path
    imported: list[Path] = field(default_factory=list)  # alone, and as a set
    copies: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)  # no images
    failed: list[Path] = field(default_factory=list)
    waiting: list[Path] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)

    @property
    def safe(self) -> set[str]:
        return {str(path) for path in (*self.imported, *self.copies)}

    @property
    def files(self) -> list[Path]:
        kinds = (self.imported, self.copies, self.skipped, self.failed, self.waiting)
        return [path for some in (*kinds, self.passed_over) for path in some]


@pytest.fixture
def day(
    whole: Whole, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Directory]:
    monkeypatch.setattr(report, "time", whole.clock)
    found = Directory(whole.watch_dir / "amy" / "day 1")
    (found.top / "series").mkdir(parents=True)
    found.failed = [found.top / f"broken {number}.png" for number in range(3)]
    for number, path in enumerate(found.failed):
        path.write_bytes(broken.PNG + bytes(number))
        run("import", path)

    def have_failed() -> bool:
        whole.clock.pass_by(1)
        failed = {one.path for one in whole.journal.select(State.FAILED)}
        return set(map(str, found.failed)) <= failed

    whole.until("the broken ones have failed", have_failed)
    found.imported = [whole.drop(f"day 1/{number:02}.tif") for number in range(16)]
    whole.until_known(*found.imported)
    parts = [write_part(found.top / "series", number, NAMES) for number in range(3)]
    whole.until_known(parts[0])
    for number in range(2):
        copy = found.top / f"copy {number}.tif"
        copy.write_bytes(found.imported[number].read_bytes())
        found.copies.append(copy)
    found.imported += parts
    for number in range(3):
        note = found.top / f"notes {number}.txt"
        note.write_text(f"taken on a Monday, {number}", encoding="ascii")
        found.skipped.append(note)
    unreadable = [whole.drop(f"day 1/secret {number}.tif", "amy") for number in range(1)]
    unreadable[0].chmod(0)
    found.waiting = unreadable + [write_part(found.top, number, LACKING) for number in range(2)]
    for name in IGNORED:
        (found.top / name).write_bytes(b"x")
        found.passed_over.append(found.top / name)
    for number in range(2):
        foreign = tmp_path / f"of somebody {number}.tif"
        foreign.write_bytes(found.imported[3].read_bytes() + b"%d" % number)
        link = found.top / f"link {number}.tif"
        link.symlink_to(foreign)
        found.passed_over.append(link)
    fifo = found.top / "fifo.tif"
    os.mkfifo(fifo)
    found.passed_over.append(fifo)
    written = found.top / "written.tif"
    found.waiting.append(written)
    data = found.imported[0].read_bytes()
    writer = subprocess.Popen(
        [sys.executable, "-c", "import sys; f = open(sys.argv[1], 'wb', 0); f.write(b'II*'); "
         "print(flush=True); sys.stdin.read()", written],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdin is not None and writer.stdout is not None and data
    writer.stdout.readline()
    whole.until_known(*found.copies, *found.skipped, states=(State.SKIPPED,))
    met = set(map(str, found.waiting))

    def are_met() -> bool:
        return met <= {one.path for row in whole.journal.select() for one in row.files}

    def are_held() -> bool:
        """What is in its quiet period has another stand soon, in the middle of a test."""
        whys = {one.path: row.reason for row in whole.journal.select() for one in row.files}
        return all(whys[str(path)] for path in found.waiting if path != written)

    try:
        whole.until("all are met", are_met)
        whole.until("all but the one that is being written are held up", are_held)
        yield found
    finally:
        unreadable[0].chmod(0o600)
        with writer:
            writer.stdin.close()


def told(run: Run, name: str, *arguments: object) -> Any:
    _, lines = run(name, *arguments, "--json")
    return json.JSONDecoder().raw_decode("\n".join(lines))[0]


def test_all_agree(whole: Whole, run: Run, day: Directory) -> None:
    here = {str(path) for path in day.top.rglob("*") if not path.is_dir()}
    assert here == set(map(str, day.files)) and len(here) == 40

    counted = told(run, "explain", day.top)
    assert counted["files"] == 40 == sum(counted["counts"].values())
    receipt = {one["path"]: one for one in told(run, "receipt", day.top)["files"]}
    assert set(receipt) == here
    assert {path for path, one in receipt.items() if one["safe"]} == day.safe

    # OMERO has what is said to be imported, and nothing else of this directory.
    for path in day.files:
        images = [one.images for one in whole.filesets(path) if one.images]
        assert bool(images) is (path in day.imported), path
        if path in day.imported:
            assert tuple(receipt[str(path)]["images"]) == images[0]

    # Each file alone has the fate that it is counted with.
    stands: dict[str, int] = {}
    for path in day.files:
        one = told(run, "explain", path)
        stand = one["stand"]
        stand = "on their way" if stand in ("settling", "queued", "importing") else stand
        stands[stand] = stands.get(stand, 0) + 1
        expected = {
            "imported": day.imported,
            "skipped": [*day.copies, *day.skipped, *day.passed_over],
            "failed": [*day.failed, *day.waiting],
            "held up": day.waiting,
            "on their way": day.waiting,
            "passed over": day.passed_over,
        }[stand]
        assert path in expected, (path, one)
        if not receipt[str(path)]["safe"]:
            assert receipt[str(path)]["why_not"]
    assert stands == counted["counts"]

    rows = whole.journal.select()
    said = told(run, "report", day.top)
    assert said["imported"] == 17 and said["dropped"] == len(rows)
    assert said["failed"] == sum(row.state is State.FAILED for row in rows)
    assert said["open"] == sum(row.state in OPEN for row in rows)
    assert {one["path"] for one in said["failures"]} >= set(map(str, day.failed))
    assert told(run, "report", day.top, "--verify")["disagreements"] == []
    needy = {one["id"] for one in counted["attention"]}
    assert {one["id"] for one in said["failures"]} <= needy


def test_one_byte_on_either_side_is_refused(whole: Whole, run: Run, day: Directory) -> None:
    """Of a file, and of a part of a set; and when the byte is mended, it is safe again."""
    whole.stop_dropbox()
    for which, side in itertools.product((0, -1), ("here", "in OMERO")):
        path = day.imported[which]
        before, data = path.stat(), path.read_bytes()
        damaged = path if side == "here" else in_repository(whole, path)
        _one_byte(damaged)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        receipt = told(run, "receipt", *day.imported)
        unsafe = {one["path"] for one in receipt["files"] if not one["safe"]}
        # OMERO reads a set as a whole: one damaged copy is all of the set.
        expected = (
            set(map(str, day.imported[16:])) if which == -1 and side == "in OMERO" else {str(path)}
        )
        assert unsafe == expected and receipt["safe"] is False, (which, side)
        wrong = told(run, "report", day.top, "--verify")["disagreements"]
        assert {one["path"] for one in wrong} == expected, (which, side)
        damaged.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert told(run, "receipt", *day.imported)["safe"] is True
    whole.start_dropbox()
