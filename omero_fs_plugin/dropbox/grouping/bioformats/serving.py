"""How OMERO.server reads an OME-Zarr, as its jars say.

There are two ways.  A reader of Bio-Formats, in a jar of its own (OMEZarrReader), imports a store
as files.  A source of pixels (omero-zarr-pixel-buffer) reads a store where it lies: that is to be
registered.  The first is better, because then OMERO has the files.  What a release of the second
can read differs, and is known by the classes that it has.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omero_fs_plugin.config.readers import PIXEL_BUFFER
from omero_fs_plugin.dropbox.grouping.filesets import Candidate

from .jars import all_of

_READER = "loci/formats/in/ZarrReader.class"
_BUFFER = PIXEL_BUFFER.replace(".", "/") + ".class"
# By what a store needs, as `zarr` names it: the class without which the source of pixels cannot
# read it, and what that means.
_ABLE = {
    "Zarr 3": ("dev/zarr/zarrjava/v3/Group.class", "reads Zarr 2 alone, and this is Zarr 3"),
    "other axes": (
        "com/glencoesoftware/omero/zarr/ZarrPixelBuffer$Axes.class",
        "reads images with the axes t, c, z, y and x alone, in this order, and this has others",
    ),
}
_NOT_READ = {
    _ABLE["Zarr 3"][0]: "Zarr 3",
    _ABLE["other axes"][0]: "other axes than t, c, z, y, x",
}
_WANTED = (_READER, _BUFFER, *(name for name, _ in _ABLE.values()))


@dataclass(frozen=True)
class _Looked:
    mark: object = None  # of the jars
    classes: frozenset[str] = frozenset()  # those of _WANTED that are there


class ServerJars:
    """Thread-safe.  The jars are looked at again when one of them has changed."""

    def __init__(self, configured: Sequence[str], omerodir: str | None) -> None:
        """Both as `jars.find_jars` takes them."""
        self._configured = () if tuple(configured) == ("none",) else tuple(configured)
        self._omerodir = omerodir
        self._lock = threading.Lock()
        self._looked = _Looked()

    def way(self, store: Candidate) -> Candidate:
        """The complete `store` with what reads it in OMERO, or with why it waits."""
        classes = self._classes()
        if _READER in classes:
            return store
        where = f"{self._omerodir}/lib/server" if self._omerodir else "OMERODIR, which is not set"
        if _BUFFER not in classes:
            return replace(
                store,
                held="held: OMERO.server has no reader for OME-Zarr: neither OMEZarrReader nor "
                f"omero-zarr-pixel-buffer is in {where}",
            )
        for need in store.needs:
            name, told = _ABLE[need]
            if name not in classes:
                return replace(
                    store,
                    held=f"held: the omero-zarr-pixel-buffer in {where} {told}; and OMEZarrReader "
                    "is not there",
                )
        return replace(store, reader=PIXEL_BUFFER)

    def told(self) -> str:
        """What becomes of stores, in one sentence."""
        classes = self._classes()
        if _READER in classes:
            return "stores are imported as files: OMERO.server has OMEZarrReader"
        if _BUFFER not in classes:
            return (
                "stores would be held: OMERO.server has neither OMEZarrReader nor "
                "omero-zarr-pixel-buffer (docs/sets.rst)"
            )
        without = [what for name, what in _NOT_READ.items() if name not in classes]
        but = f"; those with {' or '.join(without)} would be held" if without else ""
        return (
            "stores are registered where they lie: OMERO.server has omero-zarr-pixel-buffer" + but
        )

    def _classes(self) -> frozenset[str]:
        jars = self._jars()
        with self._lock:
            mark = tuple((str(jar), *_mark(jar)) for jar in jars)
            if self._looked.mark != mark:
                found = frozenset(name for jar in jars for name in _of(jar))
                self._looked = _Looked(mark, found)
            return self._looked.classes

    def _jars(self) -> list[Path]:
        jars: list[Path] = []
        if self._omerodir:
            jars += sorted(Path(self._omerodir, "lib", "server").glob("*.jar"))
        if not jars:  # the server runs elsewhere: these are to be the same as its jars
            jars += [
                Path(jar)
                for entry in map(Path, self._configured)
                for jar in (all_of(entry) if entry.is_dir() else [str(entry)])
            ]
        return jars


def _mark(jar: Path) -> tuple[int, int]:
    try:
        found = jar.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _of(jar: Path) -> list[str]:
    """The classes that are wanted and are in the jar."""
    try:
        with zipfile.ZipFile(jar) as content:
            there = set(content.namelist())
    except (OSError, zipfile.BadZipFile):
        return []
    return [name for name in _WANTED if name in there]
