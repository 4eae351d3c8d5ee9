"""A command on a terminal of its own: what it has written, and what stands on the screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pyte

ROWS, COLUMNS = 24, 80
PATIENCE_S = 60.0
_ACTS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def as_text(lines: list[str], *known: Path) -> list[str]:
    """The lines, with what differs from run to run replaced.

    Where a line is broken, and whether a path is shortened, depends on the length of the paths.
    """
    text = re.sub(r"\n {8,}", " ", "\n".join(lines))
    for path in sorted(known, key=lambda one: -len(str(one))):
        text = text.replace(str(path), f"<{path.name}>")
        text = re.sub(rf"(?<!\S)/\.\.\./\S*{re.escape(path.name)}(?!\S)", f"<{path.name}>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?(\+\d\d:\d\d)?", "TIME", text)
    return re.sub(r"(?<![\w.])\d+(?![\w.])|(?<=:)\d+", "N", text).splitlines()


class Terminal:
    """Rule: whoever makes one closes it, which ends the command."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        columns: int = COLUMNS,
        lines: int = ROWS,
        patience: float = PATIENCE_S,
        where: str | None = None,
    ) -> None:
        """`command` begins with the path of a program; `patience` (s) is for each wait for it.

        `where` is the directory to run it in.
        """
        environment = {
            **{k: v for k, v in environment.items() if k not in ("COLUMNS", "LINES")},
            "TERM": "xterm-256color",
        }
        self._patience = patience
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._size = struct.pack("HHHH", lines, columns, 0, 0)
        self.bytes = b""
        self._code: int | None = None
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, self._size)
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # we may run where it is ignored
                if where is not None:
                    os.chdir(where)
                os.execve(command[0], list(command), environment)
            finally:
                os._exit(127)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def resize(self, columns: int, lines: int) -> None:
        """As a window that is drawn larger or smaller."""
        self._screen.resize(lines, columns)
        self._size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, self._size)

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
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def written(self) -> list[str]:
        """All lines that the command has written, without colours."""
        return self.lines()

    def lines(self, begin: int = 0) -> list[str]:
        """Those that it has written after `begin` bytes, however wide the terminal is."""
        text = self.bytes[begin:].decode(errors="replace")
        return _ACTS.sub("", text).replace("\r", "").splitlines()

    def clear(self) -> None:
        """The next text stands on an empty screen."""
        self._screen.reset()

    def until(self, shows: Callable[[str], bool]) -> str:
        """What stands on the screen when it shows that."""
        deadline = time.monotonic() + self._patience
        while not shows(self.text):
            assert time.monotonic() < deadline, self.text
            assert self.read(0.2), self.text
        return self.text

    def wait(self) -> int:
        """Waits for the command's end: the exit code."""
        deadline = time.monotonic() + self._patience
        while self.read(0.2):
            assert time.monotonic() < deadline, self.text
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def type(self, text: str) -> None:
        """As a person does."""
        os.write(self._terminal, text.encode())

    def interrupt(self) -> int:
        """Ctrl-C, as a person types it; the exit code."""
        self.type("\x03")
        return self.wait()

    def close(self) -> None:
        """Whatever became of it."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._terminal)
