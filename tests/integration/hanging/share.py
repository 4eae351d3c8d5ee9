"""What a test holds of a share that can hang."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from omero_fs_plugin.filesystems import TABLE, parse

from .server import unmount

TOP = Path(__file__).parents[3]
PATIENCE = 30.0  # s; a request that must come has come by then


def is_mounted(point: Path) -> bool:
    """As the kernel's table has it; a share whose server has just died cannot be asked."""
    table = Path(TABLE).read_bytes()
    return os.fsencode(point) in {mount.point for mount in parse(table)}


class Waiting(NamedTuple):
    """A call that the share does not answer."""

    operation: str  # as wire.Operation names it, in small letters
    path: str  # from the top of the share
    pid: int  # the thread that called


class Share:
    """The directory `behind`, shown at `point` by a file system that obeys its test.

    What is done to `behind` itself is done by others on the network: it never
    hangs, and the kernel tells nobody of it.
    """

    def __init__(self, behind: Path, point: Path, *, direct: bool = True) -> None:
        """Mounts it.  `direct`: also content is asked for each time.  Raises OSError."""
        self.behind, self.point = behind, point
        for directory in (behind, point):
            directory.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()  # one order at a time
        self._how = "direct" if direct else "cached"
        self._mount()

    def _mount(self) -> None:
        self._server = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.integration.hanging.server"),
                *(str(self.behind), str(self.point), self._how),
            ],
            cwd=TOP,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        code, reason = self._hear()
        if code:
            self._server.communicate()
            raise OSError(code, reason)

    def close(self) -> None:
        """Whoever waits gets ENOTCONN, and nothing stays mounted.  Twice is no error."""
        ended = self._server.poll()
        self.die()  # no words: whatever it is at, the connection ends with it
        unmount(os.fsencode(self.point))
        assert ended in (None, -signal.SIGKILL), "the share's server has ended; it says why above"

    def die(self) -> None:
        """Its server is no more: every call gives ENOTCONN, also those that wait."""
        self._server.kill()
        self._server.communicate()

    def come_back(self) -> None:
        """It dies, is unmounted, and is mounted again, as by an admin.  Raises OSError."""
        self.close()
        self._mount()

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What it is to do -------------------------------------------------------

    def hang(
        self,
        *operations: str,
        pattern: str = "*",
        after: int = 0,
        beyond: int = 0,
        killable: bool = True,
    ) -> None:
        """Answers no more: not at all, or not these `operations` (as "read").

        `pattern`: only on such paths, from the top of the share, as fnmatch has
        them.  `after`: so many of these are still answered.  `beyond`: reads that
        begin before that byte are answered.  `killable`: SIGKILL ends a wait, as
        on NFS; else nothing does, as with a broken disk.  What waits already goes
        on waiting.
        """
        self._order(
            "mood",
            does="hang",
            operations=operations,
            pattern=pattern,
            after=after,
            beyond=beyond,
            killable=killable,
        )

    def fail(self, code: int, *operations: str, pattern: str = "*", after: int = 0) -> None:
        """Answers with the errno `code`; the rest as `hang`."""
        self._order(
            "mood", does="fail", code=code, operations=operations, pattern=pattern, after=after
        )

    def let_go(self, code: int) -> int:
        """Whoever waits gets the errno `code`; how many that were.  The rest stays as it is."""
        return int(self._order("let_go", code=code))

    def answer(self) -> int:
        """As ever again, and all that wait in the order they came; how many that were."""
        return int(self._order("answer"))

    def slow(self, seconds: float) -> None:
        """Each answer takes so long; 0: as ever."""
        self._order("slow", seconds=seconds)

    @contextmanager
    def hanging(self, *operations: str, **how: Any) -> Iterator[None]:
        """As `hang`, and `answer` at the end of the block, however it ends."""
        self.hang(*operations, **how)
        try:
            yield
        finally:
            self.answer()

    # What it has met --------------------------------------------------------

    def waiting(self) -> list[Waiting]:
        """The calls that hang, in the order they came."""
        return [Waiting(*one) for one in self._order("waiting")]

    def counts(self) -> dict[str, int]:
        """How many requests have come, by operation."""
        return dict(self._order("counts"))

    def until_waiting(self, *operations: str, patience: float = PATIENCE) -> Waiting:
        """Returns when a call hangs, one of `operations` if any are given; that call."""
        end = time.monotonic() + patience
        while True:
            for one in self.waiting():
                if not operations or one.operation in operations:
                    return one
            assert time.monotonic() < end, f"no {' or '.join(operations) or 'call'} came to hang"
            time.sleep(0.01)

    def _order(self, what: str, **how: Any) -> Any:
        with self._lock:
            assert self._server.stdin is not None
            self._server.stdin.write(json.dumps({"do": what, **how}).encode() + b"\n")
            self._server.stdin.flush()
            return self._hear()

    def _hear(self) -> Any:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the share's server has ended; it says why above"
        return json.loads(line)
