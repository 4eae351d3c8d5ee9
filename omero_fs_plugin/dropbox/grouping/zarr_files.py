"""The metadata files of a Zarr store: read with limits, because users wrote them.

We read them with the standard library's `json`: see CONTRIBUTING, "Decisions".
"""

from __future__ import annotations

import json
import os
import stat as stat_module
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from omero_fs_plugin.dropbox.confine import listing
from omero_fs_plugin.dropbox.confine.trees import DEEPEST
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import NOTHING_THERE
from omero_fs_plugin.stores import HIDDEN, directory_of
from omero_fs_plugin.system_names import FILES, any_of, is_beside

from .formats import omexml
from .formats.holes import holes_of
from .opening import Opener
from .userfiles import no_name
from .zarr_chunks import Chunks

# Bytes of one file.  Real ones have some KiB.  Consolidated metadata has up to 1 KiB of each array:
# that of a plate of 384 wells has 20 MiB, that of one of 1,536 wells 100 MiB.
MOST_BYTES = 128 << 20
LARGE = 1 << 20  # bytes: of a larger file only what is asked for is kept
MOST_FILES = 200_000  # that are read of one store: a plate of 1,536 wells has 100,000
MOST_TOLD = 50  # missing files that are named
MOST_S = 10.0  # s that the chunks of one store are looked at; one takes 10 us on a local disk
_METADATA = frozenset((*HIDDEN, "zarr.json"))
_UNDER_WAY = any_of(FILES)
# Of consolidated metadata: an object with one of these is that of another group or array.
_OF_OTHERS = {
    "zarr.json": frozenset(("node_type",)),
    ".zmetadata": frozenset(("zarr_format", "multiscales")),
}
_TOLD = 100  # characters of a name in a message
_BLOCK = 512  # bytes; the unit of st_blocks


class NotWhole(Exception):
    """The store is not complete; the text says why."""


class Refused(Exception):
    """The store is never imported as it is; the text says why."""


class Metadata:
    """The metadata files of one store, by their names relative to it.

    Rule: a file that is promised and not there is noted in `missing`, and the others are read.
    """

    def __init__(
        self, root: str, store: str, opener: Opener, beat: Callable[[], None] = lambda: None
    ) -> None:
        self._root = root
        self._store = store
        self._opener = opener
        self._beat = beat
        self._until = 0.0  # s, monotonic: so long it looks at chunks
        self._read: dict[str, dict[str, Any] | None] = {}
        self.missing: dict[str, None] = {}  # absolute paths
        # A file among the chunks with the name of one that is being copied; empty: none.
        self.under_way = ""

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
                # To read more than there is takes memory for all of it.
                size = min(os.fstat(file.fileno()).st_size, MOST_BYTES)
                text = file.read(size + 1)
        except ImportRefused as error:
            raise Refused(str(error)) from error
        except FileNotFoundError:
            return None
        if len(text) > MOST_BYTES:
            raise Refused(f"{path}: more than {MOST_BYTES >> 20} MiB of metadata")
        if not text.strip():
            raise NotWhole(f"{path}: is empty")
        try:
            of_others = _OF_OTHERS.get(name.rpartition("/")[2]) if len(text) > LARGE else None
            found = _names_alone(text, of_others) if of_others else json.loads(text)
        except RecursionError:
            raise Refused(f"{path}: nested too deeply") from None
        except ValueError as error:  # also if it is not UTF-8
            raise NotWhole(f"{path}: is no whole JSON: {error}") from error
        if not isinstance(found, dict):
            raise NotWhole(f"{path}: has no JSON object")
        return found

    def images_of_xml(self, name: str) -> int:
        """How many images the OME-XML in a file has; 0 if it is not there, or too large to look at.

        Raises NotWhole, Refused and OSError.
        """
        path = self.path(name)
        if not self.is_there(name):
            return 0
        try:
            with self._opener(self._root, path) as file:
                if os.fstat(file.fileno()).st_size > omexml.LIMIT:
                    return 0
                images = omexml.of_companion(file).images
        except ImportRefused as error:
            raise Refused(str(error)) from error
        except omexml.OmeXmlError as error:
            raise NotWhole(f"{path}: {error}") from error
        except FileNotFoundError:
            return 0
        if images > MOST_FILES:
            raise Refused(f"{path}: has more than {MOST_FILES} images")
        return images

    def has_chunks(self, array: str, chunks: Chunks | None) -> bool:
        """Whether the directory of an array, at any depth, has more than metadata.

        `chunks`: what is known of its chunks.  Raises NotWhole if one of these is not whole, and
        OSError.  MOST_S after it was first asked, it takes the rest of the store as it is.
        """
        found = False
        self._until = self._until or time.monotonic() + MOST_S
        for name, stat in self._below(array):
            found = True
            if chunks is None or time.monotonic() > self._until:
                return True
            if chunks.have(name):
                fault = chunks.fault(stat.st_size) or self._hole(f"{array}/{name}", stat)
                if fault:
                    raise NotWhole(f"{self.path(f'{array}/{name}')}: {fault}")
        return found

    def _below(self, array: str) -> Iterator[tuple[str, os.stat_result]]:
        """Each file of an array that may be a chunk: name relative to it, and stat."""
        waiting = [""]
        while waiting:
            within = waiting.pop()
            if within.count("/") > DEEPEST:
                continue  # whoever looks at the whole tree says so
            try:
                with (
                    listing(self._root, directory_of(self.path(f"{array}/{within}"))) as opened,
                    os.scandir(opened) as entries,
                ):
                    for entry in entries:
                        self._beat()
                        if self._is_none(f"{array}/{within}", entry.name):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(f"{within}{entry.name}/")
                        elif entry.is_file(follow_symlinks=False):
                            with suppress(FileNotFoundError):
                                yield within + entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue

    def _is_none(self, within: str, name: str) -> bool:
        """Whether what is called so is no chunk, nor a directory of them."""
        if name in _METADATA or is_beside(name) or is_beside(name, directory=True):
            return True
        under_way = _UNDER_WAY.match(name.casefold()) is not None
        if under_way and not self.under_way:
            self.under_way = self.path(within + name)
        return under_way

    def _hole(self, name: str, stat: os.stat_result) -> str:
        """What shows that a chunk ends with a hole.  Only one with very few blocks is opened."""
        if 2 * _BLOCK * getattr(stat, "st_blocks", stat.st_size) >= stat.st_size:
            return ""
        try:
            with self._opener(self._root, self.path(name)) as file:
                hole = holes_of(file, stat.st_size).at_end(stat.st_size)
        except (FileNotFoundError, ImportRefused):
            return ""  # whoever imports it says so
        return f"its last {hole} bytes are not written yet" if hole else ""


def _names_alone(text: bytes, of_others: frozenset[str]) -> Any:
    """What is in `text`, which may have the metadata of very many other groups and arrays.

    Of these, the objects with a key of `of_others`, only the names are kept.  Else it would take
    five times the memory of the text.
    """
    objects: list[dict[str, Any]] = []

    def kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        objects[:] = [found]  # the object around all others is the last
        return {} if of_others.intersection(found) else found

    found = json.loads(text, object_pairs_hook=kept)
    return objects[0] if isinstance(found, dict) else found


def joined(above: str, name: object) -> str:
    """The name of what `above` calls `name`, relative to the store.  Raises Refused, NotWhole."""
    if not isinstance(name, str) or not name:
        raise NotWhole(f"{above or 'the metadata'} names something that is no name: {name!r:.99}")
    parts = PurePosixPath(name).parts
    if why := no_name(name):
        raise Refused(f"{above or 'the metadata'} names {name[:_TOLD]!r}, {why}")
    if name.startswith("/") or ".." in parts:
        raise Refused(f"{above or 'the metadata'} names {name[:_TOLD]!r}, which leads out of it")
    return "/".join(filter(None, (above, *parts)))
