"""`omero fs status --watch` on a terminal, as a person sees it: the screen, not the bytes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.sandbox.create import create

OMERO = str(Path(sys.executable).with_name("omero"))
PATIENCE_S = 60.0


class Screen:
    """A command on a terminal, and what stands on it."""

    def __init__(self, omerodir: Path, *words: str, columns: int = 80, lines: int = 24) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.bytes = b""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            for name in ("COLUMNS", "LINES", "NO_COLOR"):
                os.environ.pop(name, None)
            os.environ.update(OMERODIR=str(omerodir), TERM="xterm-256color")
            os.environ["OMERO_USERDIR"] = str(omerodir / "none")
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # we may run where it is ignored
            time.sleep(0.05)  # the size is set from outside
            os.execv(OMERO, [OMERO, "fs", *words])
        self.resize(columns, lines)
        self._before = termios.tcgetattr(self._terminal)

    def resize(self, columns: int, lines: int) -> None:
        """As a window that is drawn larger or smaller."""
        self._screen.resize(lines, columns)
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def read(self, wait: float) -> bool:
        """Takes what is there, after at most `wait` (s); False when the command has ended."""
        if not select.select([self._terminal], [], [], wait)[0]:
            return True
        try:
            some = os.read(self._terminal, 65536)
        except OSError:  # the other end is closed
            return False
        self.bytes += some
        self._stream.feed(some)
        return bool(some)

    @property
    def text(self) -> str:
        """What stands on it."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def until(self, shows: Callable[[str], bool]) -> str:
        """What stands on it when it shows that."""
        deadline = time.monotonic() + PATIENCE_S
        while not shows(self.text):
            assert time.monotonic() < deadline, self.text
            assert self.read(0.2), self.text
        return self.text

    def end(self) -> int:
        """Ctrl-C, as a person types it; the exit code."""
        os.write(self._terminal, b"\x03")
        deadline = time.monotonic() + PATIENCE_S
        while self.read(0.2):
            assert time.monotonic() < deadline, self.text
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        """Whatever became of it."""
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._terminal)


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
def start(omerodir: Path, drops: Drops) -> Iterator[Callable[..., Screen]]:
    started: list[Screen] = []

    def begin(*words: str, columns: int = 80, lines: int = 24) -> Screen:
        started.append(Screen(omerodir, *words, columns=columns, lines=lines))
        return started[-1]

    yield begin
    for screen in started:
        screen.close()


def test_it_follows_what_happens_and_the_window(drops: Drops, start: Callable[..., Screen]) -> None:
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
    assert screen.end() == 130
    assert b"\x1b[?1049l" in screen.bytes, "the screen of before comes back"
    assert b"\x1b[?25h" in screen.bytes[-400:], "the cursor comes back"
    assert b"Traceback" not in screen.bytes


def test_a_journal_that_goes_while_it_is_watched(
    omerodir: Path, drops: Drops, start: Callable[..., Screen]
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
    assert screen.end() == 130
    assert b"Traceback" not in screen.bytes


def test_a_name_that_would_write_elsewhere(drops: Drops, start: Callable[..., Screen]) -> None:
    drops.fail("\x1b[2J\x1b[1;1Hforged\n.tif", "no image")
    drops.fail("日本語の長い名前" * 8 + ".tif", "no image")
    screen = start("status", "--watch")
    text = screen.until(lambda text: "forged" in text)
    assert text.splitlines()[0].startswith("2 need attention")
    assert not any(line.startswith("forged") for line in text.splitlines())
    assert screen.end() == 130
