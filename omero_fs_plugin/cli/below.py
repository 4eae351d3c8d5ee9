"""The files below a directory, for commands that tell what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress


def all_below(top: str) -> Iterator[str]:
    """Every name below `top` that is no directory; it follows no link.  Hidden ones too."""
    for directory, _, names in os.walk(top):
        for name in sorted(names):
            yield f"{directory.rstrip('/')}/{name}"
        # A link to a directory is a name like that of a file.
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink() and entry.is_dir():
                    yield entry.path
