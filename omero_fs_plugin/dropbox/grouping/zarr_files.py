"""The metadata files of a Zarr store: read with limits, because users wrote them.

We read them with the standard library's `json`: see CONTRIBUTING, "Decisions".
"""

from __future__ import annotations

import json
import os
import stat as stat_module
from pathlib import PurePosixPath
from typing import Any

from omero_fs_plugin.dropbox.confine import listing
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import NOTHING_THERE
from omero_fs_plugin.stores import HIDDEN, directory_of

from .opening import Opener

MOST_BYTES = 16 << 20  # of one file; real ones have some KiB, consolidated ones some MiB
MOST_FILES = 200_000  # that are read of one store: a plate of 1,536 wells has 100,000
MOST_TOLD = 50  # missing files that are named
_METADATA = frozenset((*HIDDEN, "zarr.json"))
_TOLD = 100  # characters of a name in a message


class NotWhole(Exception):
    """The store is not complete; the text says why."""


class Refused(Exception):
    """The store is never imported as it is; the text says why."""


class Metadata:
    """The metadata files of one store, by their names relative to it.

    Rule: a file that is promised and not there is noted in `missing`, and the others are read.
    """

    def __init__(self, root: str, store: str, opener: Opener) -> None:
        self._root = root
        self._store = store
        self._opener = opener
        self._read: dict[str, dict[str, Any] | None] = {}
        self.missing: dict[str, None] = {}  # absolute paths

    def path(self, name: str) -> str:
        """The absolute path of a file of the store."""
        return self._store + name

    def is_there(self, name: str) -> bool:
        """Whether a regular file with this name is there.  Raises OSError."""
        try:
            found = os.lstat(self.path(name))
        except OSError as error:
            if error.errno in NOTHING_THERE:
                return False
            raise
        return stat_module.S_ISREG(found.st_mode)

    def expect(self, name: str) -> bool:
        """Notes the file as missing if it is not there.  Whether it is there."""
        if self.is_there(name):
            return True
        if len(self.missing) < MOST_TOLD:
            self.missing[self.path(name)] = None
        return False

    def json(self, name: str) -> dict[str, Any] | None:
        """The object in a file; None if it is not there.  Raises NotWhole, Refused and OSError."""
        if name not in self._read:
            if len(self._read) >= MOST_FILES:
                raise Refused(f"{self._store}: more than {MOST_FILES} files of metadata")
            self._read[name] = self._parsed(name)
        return self._read[name]

    def _parsed(self, name: str) -> dict[str, Any] | None:
        path = self.path(name)
        if not self.is_there(name):
            return None
        try:
            with self._opener(self._root, path) as file:
                text = file.read(MOST_BYTES + 1)
        except ImportRefused as error:
            raise Refused(str(error)) from error
        except FileNotFoundError:
            return None
        if len(text) > MOST_BYTES:
            raise Refused(f"{path}: more than {MOST_BYTES >> 20} MiB of metadata")
        if not text.strip():
            raise NotWhole(f"{path}: is empty")
        try:
            found = json.loads(text)
        except RecursionError:
            raise Refused(f"{path}: nested too deeply") from None
        except ValueError as error:  # also if it is not UTF-8
            raise NotWhole(f"{path}: is no whole JSON: {error}") from error
        if not isinstance(found, dict):
            raise NotWhole(f"{path}: has no JSON object")
        return found

    def has_chunks(self, array: str) -> bool:
        """Whether anything but metadata is in the directory of an array.  Raises OSError."""
        try:
            with (
                listing(self._root, directory_of(self.path(array))) as opened,
                os.scandir(opened) as entries,
            ):
                return any(entry.name not in _METADATA for entry in entries)
        except FileNotFoundError:
            return False


def joined(above: str, name: object) -> str:
    """The name of what `above` calls `name`, relative to the store.  Raises Refused, NotWhole."""
    if not isinstance(name, str) or not name:
        raise NotWhole(f"{above or 'the metadata'} names something that is no name: {name!r:.99}")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise Refused(f"{above or 'the metadata'} names {name[:_TOLD]!r}, which leads out of it")
    return "/".join(filter(None, (above, *parts)))
