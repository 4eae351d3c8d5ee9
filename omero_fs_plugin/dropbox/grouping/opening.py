"""How our own parsers open a file that a user wrote."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO

from omero_fs_plugin.dropbox.confine import open_beneath

# Of the directory that it must not leave and of its path; raises as `open_beneath`.
Opener = Callable[[str, str], AbstractContextManager[BinaryIO]]


def open_file(root: str, path: str) -> BinaryIO:
    """The file, to be read; raises as `open_beneath`."""
    return os.fdopen(open_beneath(root, path), "rb", buffering=1 << 13)
