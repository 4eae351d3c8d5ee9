"""Three newcomers on a terminal of 80x24: an admin, somebody with a login alone, a programmer.

Each asks where the image is, as the README, ``docs/using.rst`` and ``docs/clients.rst`` say it.
The screens are here as text, with numbers and times as ``N`` and ``TIME``.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from pathlib import Path

import pytest

from .dropping import DropBox
from .server import Server
from .test_reload import Configuration
from .test_reload import configuration as configuration  # a fixture
from .waiting import PATIENCE, until

ROWS, COLUMNS = 24, 80
_ACTS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _forked(server: Server, arguments: list[str], environment: dict[str, str]) -> tuple[int, int]:
    """`omero ARGUMENTS` on a terminal of its own: its process, and the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execve(server.omero, [server.omero, *arguments], environment)
    return pid, terminal


class Terminal:
    """A command on a terminal, and what it has shown there."""

    def __init__(self, server: Server, *arguments: str | Path, **more: str) -> None:
        environment = {**server.environment, "TERM": "xterm", "PYTHONUNBUFFERED": "1", **more}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self._pid, self._terminal = _forked(server, [*map(str, arguments)], environment)
        self._shown = b""

    def until(self, word: bytes) -> None:
        """Returns when it has shown `word`, or has ended."""
        end = time.monotonic() + PATIENCE
        while word not in self._shown and self._read(end):
            pass

    def screen(self) -> tuple[int, list[str]]:
        """Waits for its end: the exit code, and the lines without colours."""
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        os.close(self._terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return code, _ACTS.sub("", self._shown.decode()).replace("\r", "").splitlines()

    def _read(self, end: float) -> bool:
        if not select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            some = os.read(self._terminal, 65536)
        except OSError:  # the other end is closed
            return False
        self._shown += some
        return bool(some)


def as_text(lines: list[str], *known: Path) -> list[str]:
    """The lines, with what differs from run to run replaced."""
    text = "\n".join(lines)
    for path in sorted(known, key=lambda one: -len(str(one))):
        text = text.replace(str(path), f"<{path.name}>")
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(\+\d\d:\d\d)?", "TIME", text)
    return re.sub(r"(?<![\w.])\d+(?![\w.])|(?<=:)\d+", "N", text).splitlines()


def test_an_admin_finds_the_image_of_a_file(dropbox: DropBox) -> None:
    """The README: drop a file, ask `omero fs status`, then `explain`."""
    path = dropbox.drop("cells.tif")
    dropbox.until_imported(path)
    code, lines = Terminal(dropbox.server, "fs", "status", "--fail-on", "none").screen()
    assert code == 0 and len(lines) < ROWS, lines
    assert all(len(line) <= COLUMNS for line in lines), lines
    assert re.search(r"\d+ on their way, [\d,]+ imported", " ".join(lines[:2])), lines
    code, lines = Terminal(dropbox.server, "fs", "explain", path).screen()
    watched = dropbox.directory.parents[1]
    assert (code, as_text(lines, path, watched)) == (
        0,
        [
            "<cells.tif>",
            "  whose:    of amy, by the rule for default in <DropBox>",
            "  journal:  id N, a fileset of N file",
            "  TIME  met",
            lines[4].replace(lines[4][2:21], "TIME"),  # the reader depends on the way of grouping
            "  TIME  attempt N begins",
            "  TIME  imported",
            "  now:      imported for N s",
            "  OMERO:    Fileset:N",
            "  image:    Image:N",
        ],
    )
    assert re.fullmatch(r"  \S+ \S+  at rest and whole, grouped .*: queued", lines[4]), lines


@pytest.mark.long  # several commands that log in; test_published.py has it without a terminal
def test_a_user_with_a_login_and_no_shell_finds_it(
    dropbox: DropBox, configuration: Configuration
) -> None:
    """docs/web.rst and `omero fs explain -h`: OMERO itself tells it, from any machine."""
    configuration.set(publishInterval="1")
    dropbox.server.ask("fs", "reload")
    path = dropbox.drop("cells.tif")
    dropbox.until_imported(path)
    server, name = dropbox.server, f"{dropbox.directory.name}/cells.tif"
    login = ["-C", "-q", "--sudo", "root", "-s", "localhost", "-p", str(dropbox.omero.port)]
    asked = [*login, "-u", "amy", "fs", "explain", name]

    def told() -> bool:
        done = server.run(*asked, check=False, OMERO_PASSWORD=server.root_password)
        return "Image:" in done.stdout

    until("amy's document tells of it", told, evidence=server.evidence)
    code, lines = Terminal(server, *asked, OMERO_PASSWORD=server.root_password).screen()
    assert (code, as_text(lines[-3:], Path(name))) == (
        0,
        ["N  imported  <cells.tif>", "    since TIME", "    Image:N"],
    ), lines
    configuration.reset()
    server.ask("fs", "reload")


def test_a_programmer_sees_the_event_of_it(grid: Server, tmp_path: Path) -> None:
    """The README on `omero fs watch`: what a client of FSServer is told."""
    watch = Terminal(grid, "fs", "watch", tmp_path, "--count", "1", "--timeout", "60")
    watch.until(b"watching ")
    (tmp_path / "cells.tif").write_bytes(b"II*\0")
    code, lines = watch.screen()
    assert (code, as_text(lines, tmp_path)) == (
        0,
        [f"watching <{tmp_path.name}>", f"TIME Create <{tmp_path.name}>/cells.tif"],
    )
