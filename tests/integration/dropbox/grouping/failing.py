"""Our own parsers as `served`, with defects.  A file's name says what it does to them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, BinaryIO

from omero_fs_plugin.dropbox.grouping import served
from omero_fs_plugin.dropbox.grouping.child.pulse import Pulse

Frame = dict[str, Any]


class Failing(served.Told):
    """An Opener under which some files are too much."""

    @contextmanager
    def __call__(self, root: str, path: str) -> Iterator[BinaryIO]:
        with super().__call__(root, path) as file:
            _suffer(PurePath(path).name)
            yield file


def _suffer(name: str) -> None:
    if name.startswith("hangs"):
        time.sleep(3600)
    elif name.startswith("spins"):
        while True:
            pass
    elif name.startswith("crashes"):
        os.abort()
    elif name.startswith("eats"):
        held = [bytearray(1 << 20)]
        while True:
            held.append(bytearray(1 << 20))
    elif name.startswith("raises"):
        raise TypeError("a defect of ours\nin two lines")


def prepare(given: Frame) -> None:
    """As `served`."""
    served.Told = Failing  # type: ignore[misc]


def begin(given: Frame, pulse: Pulse) -> tuple[Callable[[Frame], Frame], Frame]:
    """As `served`; a question about a file that is called `silent` ends it, with no file open."""
    answer, told = served.begin(given, pulse)

    def failing(request: Frame) -> Frame:
        sets = [request["files"]] if "files" in request else request["sets"]
        names = {PurePath(path).name for files in sets for path in files}
        if "silent crash.tif" in names:
            os.abort()
        if "silent defect.tif" in names:
            return {"raised": "KeyError: 7", "at": ""}
        if "nonsense.tif" in names:
            return {"candidates": [{"files": 7}], "unreadable": []}
        if "endless.tif" in names:
            return {"candidates": [], "unreadable": {"x": "x" * (30 << 20)}}
        return answer(request)

    return failing, told
