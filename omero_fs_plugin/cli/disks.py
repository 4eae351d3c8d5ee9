"""Disks that may not answer: a command waits for them for a while, and tells all the rest.

A system call on a share that is away hangs, and nothing in the process can end it.  So a thread of
its own makes the call.  When a disk has not answered for LIMIT_S, nobody waits for it any more: it
is not asked again, and the command ends without that thread.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from omero_fs_plugin.dropbox.disks.calls import CALLS, Call, RootAway
from omero_fs_plugin.filesystems import Mounts
from omero_fs_plugin.site import printable

T = TypeVar("T")
LIMIT_S = 10.0  # without a sign of life
NO_ANSWER = 10  # the exit code
_LOOK_S = 0.25  # while we wait, how often we look whether it shows life


class Silent(OSError):
    """The disk of a path does not answer."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ETIMEDOUT, "the disk does not answer", path)


class Disks:
    """Rule: each disk that does not answer costs one wait, and is named once."""

    def __init__(self) -> None:
        self._mounts = Mounts()
        self.silent: dict[str, None] = {}  # what is not asked any more: it, and all below it

    def ask(self, path: str, question: Callable[[Call], T]) -> T:
        """What `question`, about what is at `path`, gives or raises.

        It is given the call to the disk: it must `pulse` that each time that the disk answers, and
        may let it `rest` while nobody asks the disk.  Raises Silent.
        """
        if self.is_silent(path):
            raise Silent(path)
        asked = _Asked(self._disk_of(path), question)
        thread = threading.Thread(target=asked.run, name="disk", daemon=True)
        thread.start()
        while not asked.done.wait(_LOOK_S):
            _, waiting = CALLS.waited_for(LIMIT_S)
            if thread.ident in waiting and not asked.done.is_set():
                self.silent[asked.disk] = None
                raise Silent(path)
        if isinstance(asked.error, RootAway):  # another call to it hangs
            self.silent[asked.disk] = None
            raise Silent(path) from asked.error
        if asked.error is not None:
            raise asked.error
        result: T = asked.result
        return result

    def is_silent(self, path: str) -> bool:
        """Whether the disk of `path` is not asked any more."""
        return any(path == one or path.startswith(one.rstrip("/") + "/") for one in self.silent)

    def _disk_of(self, path: str) -> str:
        """Where it is mounted, by the path alone.  A link may lead from the system's own disk to
        another one: there it is the directory."""
        mount = self._mounts.holding(os.fsencode(path))
        if mount is None or mount.point == b"/":
            return path
        return os.fsdecode(mount.point)

    def end(self, ctx: Any) -> None:
        """Ends the command with one line if a disk has not answered.  All else was told."""
        if self.silent:
            where = ", ".join(map(printable, sorted(self.silent)))
            ctx.die(
                NO_ANSWER,
                f"{where}: the disk does not answer: what lies there was left out; all else is "
                "above. `mount` and `df` show which share that is",
            )


class _Asked(Generic[T]):
    def __init__(self, disk: str, question: Callable[[Call], T]) -> None:
        self.disk = disk
        self._question = question
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with CALLS.at(self.disk) as call:
                self.result = self._question(call)
        except BaseException as error:  # whatever it is, who has asked gets it
            self.error = error
        finally:
            self.done.set()
