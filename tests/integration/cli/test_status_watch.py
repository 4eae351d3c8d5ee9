"""`omero fs status --watch` on a terminal, as a person sees it: the screen, not the bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.sandbox.create import create
from tests import CHECKOUT
from tests.terminals import Terminal

OMERO = str(Path(sys.executable).with_name("omero"))


class Drops:
    """A journal in which things happen."""

    def __init__(self, omerodir: Path) -> None:
        self.root = f"{omerodir}/data/DropBox/amy"
        self.journal = Journal(f"sqlite:///{omerodir}/data/omero-fs-journal.sqlite")
        self._inode = 1

    def drop(self, name: str) -> int:
        """A file that waits; its fileset."""
        self._inode += 1
        path = f"{self.root}/{name}"
        self.journal.wait("amy", self.root, [Found(path, FileStat(1, self._inode, 3, 4))])
        return self.journal.open_at([path])[path].id

    def fail(self, name: str, reason: str) -> None:
        """It has failed."""
        self.journal.move(self.drop(name), State.WAITING, State.FAILED, reason)


Start = Callable[..., Terminal]


@pytest.fixture
def omerodir(tmp_path: Path) -> Path:
    create(tmp_path / "omero")
    return tmp_path / "omero"


@pytest.fixture
def drops(omerodir: Path) -> Iterator[Drops]:
    drops = Drops(omerodir)
    yield drops
    drops.journal.close()


@pytest.fixture
def start(omerodir: Path, drops: Drops) -> Iterator[Start]:
    started: list[Terminal] = []

    def begin(*words: str, columns: int = 80, lines: int = 24) -> Terminal:
        environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        environment |= {"OMERODIR": str(omerodir), "OMERO_USERDIR": str(omerodir / "none")}
        command = [OMERO, "fs", *words]
        started.append(Terminal(command, environment, columns=columns, lines=lines))
        return started[-1]

    yield begin
    for screen in started:
        screen.close()


def test_it_follows_what_happens_and_the_window(drops: Drops, start: Start) -> None:
    drops.fail("a.tif", "a.tif: no image")
    screen = start("status", "--watch")
    first = screen.until(lambda text: "amy/a.tif" in text)
    assert first.splitlines()[0].startswith("1 needs attention (1 failed)")
    for number in range(40):
        drops.fail(f"a rather long name of the {number}th image.tif", "no image")
    # It is drawn line by line, so both are waited for.
    second = screen.until(lambda text: "41 need attention" in text and " of 41 shown" in text)
    assert second.splitlines()[0].startswith("41 need attention"), "the head stays in sight"
    screen.resize(60, 20)
    screen.until(lambda text: text.startswith("41 need") and " of 41 shown" in text)
    drops.drop("new.tif")
    fourth = screen.until(lambda text: "on " in text.splitlines()[0] and "1 on" in text)
    assert max(len(line) for line in fourth.splitlines()) <= 60
    assert screen.interrupt() == 130
    assert b"\x1b[?1049l" in screen.bytes, "the screen of before comes back"
    assert b"\x1b[?25h" in screen.bytes[-400:], "the cursor comes back"
    assert b"Traceback" not in screen.bytes


def test_a_journal_that_goes_while_it_is_watched(
    omerodir: Path, drops: Drops, start: Start
) -> None:
    drops.fail("a.tif", "a.tif: no image")
    screen = start("status", "--watch")
    screen.until(lambda text: "amy/a.tif" in text)
    drops.journal.close()
    data = omerodir / "data"
    for path in data.glob("omero-fs-journal.sqlite*"):
        path.rename(data / f"gone-{path.name}")
    screen.until(lambda text: "amy/a.tif" not in text)
    for path in data.glob("gone-*"):
        path.rename(data / path.name.removeprefix("gone-"))
    screen.until(lambda text: "amy/a.tif" in text)
    assert screen.interrupt() == 130
    assert b"Traceback" not in screen.bytes


def test_a_name_that_would_write_elsewhere(drops: Drops, start: Start) -> None:
    drops.fail("\x1b[2J\x1b[1;1Hforged\n.tif", "no image")
    drops.fail("日本語の長い名前" * 8 + ".tif", "no image")
    screen = start("status", "--watch")
    text = screen.until(lambda text: "forged" in text)
    assert text.splitlines()[0].startswith("2 need attention")
    assert not any(line.startswith("forged") for line in text.splitlines())
    assert screen.interrupt() == 130


_IMPORTING = """
import itertools
from omero_fs_plugin.cli.status_watch import watch
from tests.statuses import a_fileset, a_status

looks = itertools.count(1)

def collect(limit):
    done = min(next(looks) * 250_000, 1_000_000)
    left = (1_000_000 - done) / 250_000
    far = {"done": done, "total": 1_000_000, "rate": 250_000.0, "left": left}
    return a_status(a_fileset(id=3, progress=far), dropbox={}, watched=[])

watch(collect, None, 0.1)
"""


def test_a_bar_grows_while_something_is_imported() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment["PYTHONPATH"] = str(CHECKOUT)
    with Terminal([sys.executable, "-c", _IMPORTING], environment) as screen:
        text = screen.until(lambda text: "100%" in text)
        assert f"{'━' * 20} 100% of 1.0 MB, OMERO reads it" in text
        assert screen.interrupt() != 0
    assert b"\x1b[?1049l" in screen.bytes, "the screen of before comes back"
    told = screen.bytes.decode(errors="replace")
    bars = [told.index(f"{'━' * full}{'╌' * (20 - full)} ") for full in (5, 10, 15, 20)]
    assert bars == sorted(bars), "it has grown, quarter by quarter"
