"""Pure: which names pass the filter of a monitor or a rescan.

Names are bytes, as the kernel gives them.  Rules are text, as clients give
them, and ignore case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from omero_fs_plugin import system_names

T = TypeVar("T")

_SYSTEM_FILE = system_names.any_of(system_names.FILES)
_SYSTEM_DIRECTORY = system_names.any_of(system_names.DIRECTORIES)
_INNER = re.compile(r"\*\.[^/*]+/\*/$")
_CLOSED = re.compile(r"((?:\*/)*)\[([^/*\]]+)\]/\*/$")
# A directory has such a name only until somebody has typed the right one.  The client is
# still told of files in it, because people do keep data in "New Folder".
_NEW_FOLDER = re.compile(
    r"(?:new folder|untitled folder|neuer ordner|nouveau dossier|nueva carpeta|nuova cartella)"
    r"(?: \(?\d+\)?)?$"
)


def text_of(name: bytes) -> str:
    """`name` as text, for comparisons.  Bytes that are not UTF-8 stay different."""
    return name.decode("utf-8", "surrogateescape")


class _Rules:
    """One list of names, extensions and paths, prepared for comparisons.

    `tif`, `.tif` and `*.tif` mean the extension; `tif` also means a whole name.
    `scratch/` is a directory.  `*.zarr/*/` is each directory within one called
    so.  `*/[zarr.json]/*/` is each directory within one that has a file called so, at least one
    level below the watched directory: as many as it has `*/` before.  An item with a `/`
    elsewhere is a path, absolute or below the watched directory.
    """

    def __init__(self, root: str, items: Iterable[str]) -> None:
        names: set[str] = set()
        suffixes: set[str] = set()
        directories: set[str] = set()
        paths: set[str] = set()
        inner: set[str] = set()
        closing: dict[bytes, int] = {}
        for given in items:
            item = given.strip().casefold()
            bare = item.rstrip("/")
            if not bare:
                continue
            if closed := _CLOSED.match(given.strip()):
                least = closed[1].count("/")
                name = closed[2].encode("utf-8", "surrogateescape")
                closing[name] = min(least, closing.get(name, least))
            elif _INNER.match(item):
                inner.add(item[1 : -len("/*/")])
            elif "/" in bare:
                absolute = bare.startswith("/")
                paths.add(bare if absolute else f"{root.casefold().rstrip('/')}/{bare}")
            elif item.endswith("/"):
                directories.add(bare)
            elif bare.startswith("*."):
                suffixes.add(bare[1:])
            else:
                names.add(bare)
                directories.add(bare)
                suffixes.add(bare if bare.startswith(".") else "." + bare)
        self.names = frozenset(names)
        self.suffixes = tuple(sorted(suffixes))
        self.directories = frozenset(directories)
        self.paths = frozenset(paths)
        self.inner = tuple(sorted(inner))  # suffixes of directories whose own are not entered
        # Files that say so of the directory that they lie in -> how deep that lies at least.
        self.closing = closing

    def any(self) -> bool:
        """Whether there is an item at all."""
        return bool(self.directories or self.suffixes or self.paths or self.inner or self.closing)

    def file(self, directory: bytes, name: str) -> bool:
        """Whether an item covers this file; `name` is case-folded."""
        if name in self.names or name.endswith(self.suffixes):
            return True
        return bool(self.paths) and _path(directory, name) in self.paths

    def directory(self, parent: bytes, name: str) -> bool:
        """Whether an item covers this directory; `name` is case-folded."""
        if name in self.directories:
            return True
        if self.inner and text_of(parent).casefold().endswith(self.inner):
            return True
        return bool(self.paths) and _path(parent, name) in self.paths


def _path(directory: bytes, name: str) -> str:
    return f"{text_of(directory).casefold().rstrip('/')}/{name}"


class Filter:
    """Decides which names pass.

    Rule: a name passes if it is on the whitelist or the whitelist is empty, and if
    it is not on the blacklist.  With `ignore_sys_files` it must not be a system file.

    The whitelist is for files only: a directory is entered unless the blacklist
    names it or it is a system directory.
    """

    def __init__(
        self,
        root: bytes,
        *,
        whitelist: Iterable[str] = (),
        blacklist: Iterable[str] = (),
        ignore_sys_files: bool = False,
    ) -> None:
        white = _Rules(text_of(root), whitelist)
        black = _Rules(text_of(root), blacklist)
        self._root = root.rstrip(b"/")
        self._closing = black.closing
        self._white = white if white.names or white.suffixes or white.paths else None
        self._black = black if black.any() else None
        self._black_files = black if black.names or black.suffixes or black.paths else None
        self._ignore_sys_files = ignore_sys_files
        self._passes_all = not (self._white or self._black or ignore_sys_files)
        # A file's own name says whether it passes, wherever it lies.
        self._system_only = ignore_sys_files and not (self._white or self._black_files)

    def file(self, directory: bytes, name: bytes) -> bool:
        """Whether a file of that name, in that directory, passes."""
        if self._passes_all:
            return True
        text = name.decode("utf-8", "surrogateescape").casefold()  # text_of: of each file
        if self._ignore_sys_files and _SYSTEM_FILE.match(text):
            return False
        if self._black_files is not None and self._black_files.file(directory, text):
            return False
        return self._white is None or self._white.file(directory, text)

    def passing(self, directory: bytes, files: Mapping[bytes, T]) -> dict[bytes, T]:
        """Those of the files in that directory that pass."""
        passing = dict(files)
        if self._passes_all:
            return passing
        if self._system_only:  # as `file`, without a call for each: there may be a million
            match = _SYSTEM_FILE.match
            for name in files:
                if match(name.decode("utf-8", "surrogateescape").casefold()):
                    del passing[name]
            return passing
        for name in files:
            if not self.file(directory, name):
                del passing[name]
        return passing

    def directory(self, parent: bytes, name: bytes) -> bool:
        """Whether a directory of that name is entered."""
        if self._passes_all:
            return True
        text = text_of(name).casefold()
        if self._ignore_sys_files and _SYSTEM_DIRECTORY.match(text):
            return False
        return self._black is None or not self._black.directory(parent, text)

    def closes(self, directory: bytes, name: bytes) -> bool:
        """Whether no directory within `directory` is entered while it has a file of that name."""
        least = self._closing.get(name)
        return least is not None and directory[len(self._root) :].count(b"/") >= least

    @property
    def closing(self) -> Collection[bytes]:
        """The names of files for which `closes` may hold, in some directory."""
        return self._closing

    def directory_event(self, name: bytes) -> bool:
        """Whether the client is told that this directory itself comes or goes."""
        if not self._ignore_sys_files:
            return True
        return not _NEW_FOLDER.match(text_of(name).casefold())
