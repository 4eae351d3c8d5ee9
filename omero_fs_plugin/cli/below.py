"""The files below a directory, for commands that tell what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from omero_fs_plugin import stores
from omero_fs_plugin.dropbox.journal.glance import Glance


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


def above(path: str) -> Iterator[str]:
    """The paths that a store around the file at `path` may have, from the outermost on."""
    return map(stores.store_at, stores.above("/", path))


def store_in(path: str, look: Glance | None) -> str:
    """The store that the journal knows and that `path` is or lies in; empty: in none."""
    if look is None:
        return ""
    places = (*above(path), stores.store_at(path))
    return next((place for place in places if look.at(place)), "")
