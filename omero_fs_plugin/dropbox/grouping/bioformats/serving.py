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
_WANTED = (_READER, _BUFFER, *(name for name, _ in _ABLE.values()))
_ADD = (
    "add OMEZarrReader to its lib/server, as its documentation says, and restart OMERO; then "
    "stores are imported as files"
)


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
                held="held: OMERO.server has no reader for OME-Zarr, as no jar in "
                f"{where} has one: {_ADD}; or add omero-zarr-pixel-buffer there, and stores are "
                "registered where they lie",
            )
        for need in store.needs:
            name, told = _ABLE[need]
            if name not in classes:
                return replace(
                    store,
                    held=f"held: the omero-zarr-pixel-buffer of OMERO.server, in {where}, {told}: "
                    f"take a release of it that does, or {_ADD}",
                )
        return replace(store, reader=PIXEL_BUFFER)

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
