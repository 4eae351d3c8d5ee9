"""Sets that are large for the journal, although they have few files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from omero_fs_plugin.dropbox.journal import records

_ROOMS = ("omero_fs_plugin.dropbox.journal.", "omero_fs_plugin.dropbox.settling.")


def parts_of(files: int) -> None:
    """From now on one transaction is about so many files of a set."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_ROOMS) and hasattr(module, "PART"):
            setattr(module, "PART", files)  # noqa: B010 - each module has a name of its own for it


@contextmanager
def in_parts_of(files: int) -> Iterator[None]:
    """As `parts_of`, for a while."""
    before = records.PART
    parts_of(files)
    try:
        yield
    finally:
        parts_of(before)
