"""Our own parsers, served by a child: grouping by signatures, and whether sets are whole.

`confined` is the other end.  Requests are

    {"do": "group", "root": path, "files": [path], "readers": [name] or null, "avoid": Avoided}
    {"do": "check", "root": path, "sets": [[path]], "avoid": Avoided}
    {"do": "stores", "root": path, "stores": [path], "avoid": Avoided}

and answers as in `wire`, or `{"raised": what, "at": path}` if something unexpected was raised.
Avoided: path -> device, inode, bytes, mtime (ns) and reason, for files not to be read again.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from omero_fs_plugin.dropbox.confine import NOT_NOW
from omero_fs_plugin.errors import FsError, ImportRefused

from . import completeness, zarr
from .child.frames import Frame
from .child.limits import allow_cpu
from .child.pulse import Pulse
from .filesets import Candidate, Grouping
from .native.grouper import NativeGrouper
from .opening import open_file
from .wire import findings_frame, grouping_frame


class Told:
    """An Opener that tells the pulse which file is read, and refuses files to be avoided."""

    def __init__(self, pulse: Pulse, cpu: int) -> None:
        """`cpu`: s of a processor that one file may take; then the kernel ends the process."""
        self._pulse = pulse
        self._cpu = cpu
        self._at = ""
        self.avoid: dict[str, list[Any]] = {}
        self.fault = ""  # the file that was being read when something unexpected was raised

    @contextmanager
    def __call__(self, root: str, path: str) -> Iterator[BinaryIO]:
        outer, self._at = self._at, path
        self._pulse.beat(path)
        allow_cpu(self._cpu)
        try:
            with open_file(root, path) as file:
                self._refuse(path, file)
                yield file
        except (FsError, OSError):
            raise
        except BaseException:
            self.fault = self.fault or path
            raise
        finally:
            self._at = outer
            self._pulse.beat(outer)

    def beat(self) -> None:
        """Tells the pulse that it goes on, between two files too."""
        self._pulse.beat(self._at)

    def _refuse(self, path: str, file: BinaryIO) -> None:
        avoided = self.avoid.get(path)
        if avoided is not None:
            found = os.fstat(file.fileno())
            *content, why = avoided
            if content == [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]:
                raise ImportRefused(f"{path}: {why}", final=True)


def prepare(given: Frame) -> None:
    """Does nothing: everything is imported by now."""


def begin(given: Frame, pulse: Pulse) -> tuple[Callable[[Frame], Frame], Frame]:
    """See child.main."""
    told = Told(pulse, given["cpu"])
    grouper = NativeGrouper(told)

    def answer(request: Frame) -> Frame:
        told.avoid, told.fault = request["avoid"], ""
        root = request["root"]
        try:
            if request["do"] == "check":
                sets = (completeness.check(root, files, told) for files in request["sets"])
                return findings_frame(sets)
            if request["do"] == "stores":
                return grouping_frame(_stores(root, request["stores"], told))
            return grouping_frame(grouper.group(root, request["files"], request["readers"]))
        except MemoryError:
            return {"raised": "it needs more memory than it may have", "at": told.fault}
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
            return {"raised": what[:500], "at": told.fault}

    return answer, {}


def _stores(root: str, stores: Sequence[str], told: Told) -> Grouping:
    """What is known of each store.  One that the disk cannot tell of now waits."""
    found: list[Candidate] = []
    for store in stores:
        try:
            found.append(zarr.look_at(root, store, told, told.beat))
        except OSError as error:
            why = f"{store}: {NOT_NOW}: {error.strerror}"
            found.append(Candidate((store,), incomplete=why, not_now=True))
    return Grouping(tuple(found))
