"""How our own parsers open a file that a user wrote."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO

from omero_fs_plugin.dropbox.confine import open_beneath

# Takes the directory that the file must lie below, and its path.  Raises as `open_beneath`.
Opener = Callable[[str, str], AbstractContextManager[BinaryIO]]


def open_file(root: str, path: str) -> BinaryIO:
    """Opens the file for reading.  Raises what `open_beneath` raises."""
    return os.fdopen(open_beneath(root, path), "rb", buffering=1 << 13)
