"""Headers that have their pixels in another file: ICS, NRRD, NIfTI, and DeltaVision's logs.

Each function gets the open header and its path.  It returns the files of the
fileset, in the order in which Bio-Formats lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import BinaryIO

from omero_fs_plugin.dropbox.grouping.userfiles import UserFiles

from .signatures import JAVA, UnknownFormat

_LIMIT = 1 << 16  # bytes of a header of text
# Gets an open header and its path; returns the paths that it needs, whether they are there or not.
Reader = Callable[[UserFiles, str, BinaryIO], tuple[str, ...]]


def _like(name: str, suffix: str) -> str:
    """`name` with another suffix, in capitals if its own suffix is in capitals."""
    path = PurePath(name)
    return path.stem + (suffix.upper() if path.suffix.isupper() else suffix)


def _ics(around: UserFiles, path: str, file: BinaryIO) -> tuple[str, ...]:
    """Version 1 has its pixels in the .ids of the same name, version 2 after the header itself.

    Raises UnknownFormat for version 2 with pixels elsewhere; no program is known to write this.
    """
    file.seek(0)
    header = file.read(_LIMIT)
    lines = header.replace(b"\r", b"\n").split(b"\n")
    for line in lines:
        words = line.split()
        if words == [b"end"]:
            break
        if words[:2] == [b"source", b"file"]:
            raise UnknownFormat(f"ICS that has its pixels in a file of another name: {JAVA}")
    else:
        return (around.beside(path, _like(PurePath(path).name, ".ids")),)
    return ()


def header_of(around: UserFiles, path: str) -> str:
    """Where the header of the .ids at `path` is, or will be."""
    return around.beside(path, _like(PurePath(path).name, ".ics"))


def _nrrd(around: UserFiles, path: str, file: BinaryIO) -> tuple[str, ...]:
    """`data file:` names the file of the pixels, unless they follow after an empty line.

    Raises UnknownFormat for a list or a pattern of files, ImportRefused for a
    name that is not below the root.
    """
    file.seek(0)
    for line in file.read(_LIMIT).splitlines():
        if not line.strip():
            return ()
        found = re.match(rb"data ?file:\s*(.*)", line, re.IGNORECASE)
        if found:
            name = found[1].strip().decode("utf-8", "surrogateescape")
            if name.upper().startswith("LIST") or "%" in name:
                raise UnknownFormat(f"NRRD with its pixels in several files: {JAVA}")
            target = around.named(path, name)
            if target == path:
                raise UnknownFormat("NRRD that names itself for its pixels")
            return (target,)
    raise UnknownFormat("NRRD whose header does not end")


def _nifti(around: UserFiles, path: str, file: BinaryIO) -> tuple[str, ...]:
    return (around.beside(path, _like(PurePath(path).name, ".img")),)


NEEDED: Mapping[str, Reader] = {"ics": _ics, "nrrd": _nrrd, "nifti": _nifti}
# Suffixes of headers.  If a file lies beside a header, the header is read for its name.
SUFFIXES = ("ics", "nrrd", "nhdr", "hdr")


def logs(around: UserFiles, path: str) -> tuple[str, ...]:
    """The logs that softWoRx wrote beside a DeltaVision file, if they are there.

    Raises what UserFiles.has raises.
    """
    name = PurePath(path)
    wanted = (f"{name.name}.log", f"{name.stem}_log.txt")
    found = (str(name.with_name(log)) for log in wanted)
    return tuple(log for log in found if around.has(log))
