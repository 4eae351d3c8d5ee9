"""Whether the files of a fileset are whole, and whether all of them are there.

A file is whole if it is not empty, not cut short, and has no hole where its bytes should be.

A reader that opens a fileset proves neither: Bio-Formats accepts a TIFF that was cut short,
and an OME-TIFF whose companion has not come yet.  So for each TIFF this module follows the
chain of directories and compares what they say of pixels with the file's length.  It also
looks for the files that OME-XML promises (OME-TIFF specification, multi-file OME-TIFF).

It reads no pixels, opens only files that `confine` opens, and reads XML without entities and
up to a limit.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from omero_fs_plugin.dropbox.confine import parts_beneath
from omero_fs_plugin.errors import ImportRefused

from . import promises
from .formats import omexml, tiff, tiff_chain
from .formats.holes import holes_of
from .formats.omexml import OmeXml, OmeXmlError
from .opening import Opener, open_file
from .userfiles import no_name

_COMPANION = ".companion.ome"
_MAY_BE_EMPTY = (".log", ".txt")  # a log in which nothing was written; index files are read
_MOST_NAMED = 1000  # missing files that are listed
_TOLD = 100  # characters of a name in a message


@dataclass(frozen=True)
class Findings:
    """What is wrong with a fileset.  If all fields are empty, nothing is known to be wrong."""

    missing: tuple[str, ...] = ()  # absolute paths
    incomplete: str = ""  # which file is not whole, and how that is known
    refused: str = ""  # which name leads out of the user's directory
    # Files that its OME-XML names and that are there, whether a reader used them or not.
    named: tuple[str, ...] = ()


def check(root: str, files: Sequence[str], opener: Opener = open_file) -> Findings:
    """What is known to be wrong with a fileset of `files`, absolute paths below `root`.

    A file that is gone is missing.  If `confine` does not open a file, the fileset is refused.
    If a file cannot be read now, the fileset is incomplete.
    """
    found = _Check(root, opener, in_set=len(files) > 1)
    # Companions first: there is no need to read the XML of a file that a companion names.
    for path in sorted(files, key=lambda path: not path.endswith(_COMPANION)):
        found.take(path)
    found.take_named(files)
    return found.findings()


class _Check:
    """The check of one fileset, file by file."""

    def __init__(self, root: str, opener: Opener, *, in_set: bool) -> None:
        self._root = root
        self._in_set = in_set  # of an empty file alone the reader decides
        self._opener = opener
        self._missing: dict[str, None] = {}
        self._named: dict[str, None] = {}
        self._incomplete = ""
        self._refused = ""

    def findings(self) -> Findings:
        return Findings(tuple(self._missing), self._incomplete, self._refused, tuple(self._named))

    def take(self, path: str) -> None:
        if why := no_name(path):
            self._refused = self._refused or f"it has a file {path[-_TOLD:]!r}, {why}"
            return
        try:
            with self._opener(self._root, path) as file:
                self._look(path, file)
        except FileNotFoundError:
            self._missing.setdefault(path)
        except ImportRefused as refusal:
            if refusal.final:
                self._refused = self._refused or str(refusal)
            else:
                self._incomplete = self._incomplete or str(refusal)
        except OSError as error:
            words = f"{path}: cannot be read now: {error.strerror}"
            self._incomplete = self._incomplete or words

    def take_named(self, taken: Sequence[str]) -> None:
        """Looks at the files that are named, but are not among `taken`: no reader may use them."""
        self._in_set = True
        known = set(taken)
        while new := [path for path in self._named if path not in known]:
            for path in new:
                known.add(path)
                self.take(path)

    def _look(self, path: str, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        if not size and self._in_set:
            if not path.lower().endswith(_MAY_BE_EMPTY):
                self._incomplete = self._incomplete or f"{path}: it is empty"
        elif path.endswith(_COMPANION):
            self._companion(path, file, size)
        elif promises.is_promising(path.rpartition("/")[2]):
            self._promising(path, file, size)
        elif (layout := tiff.read_layout(file)) is not None and not _is_dicom(file):
            fault = tiff_chain.fault(file, layout, size, holes_of(file, size))
            if fault:
                self._incomplete = self._incomplete or f"{path}: {fault}"
            elif path not in self._named:
                self._description(path, file)
        elif size and holes_of(file, size).meet(size - 1, size):
            words = f"{path}: its end is not written yet, though the file has its length"
            self._incomplete = self._incomplete or words

    def _companion(self, path: str, file: BinaryIO, size: int) -> None:
        if size > omexml.LIMIT:
            return  # it is not known whether it is whole, but the reader has taken it
        try:
            said = omexml.of_companion(file)
        except OmeXmlError as error:
            self._incomplete = self._incomplete or f"{path}: {error}"
            return
        self._promises(path, said, own=False)

    def _promising(self, path: str, file: BinaryIO, size: int) -> None:
        if size > promises.LIMIT:
            return
        directory, name = PurePath(path).parent, PurePath(path).name
        try:
            present = [entry.name for entry in Path(directory).iterdir()]
            names = promises.promised(name, file.read(size), present)
        except ValueError as error:
            self._incomplete = self._incomplete or f"{path}: {error}"
            return
        except ImportRefused as refusal:
            raise ImportRefused(f"{path}: {refusal}", final=True) from refusal
        for promise in names:
            self._expect(path, promise, str(directory / promise))

    def _description(self, path: str, file: BinaryIO) -> None:
        try:
            said = omexml.of_tiff(file)
        except (OmeXmlError, tiff.TiffError):
            return  # readers then take it as a TIFF without OME-XML
        if said is None:
            return
        if said.metadata_file:
            self._expect(path, said.metadata_file, _joined(path, said.metadata_file))
        self._promises(path, said, own=True)

    def _promises(self, path: str, said: OmeXml, *, own: bool) -> None:
        """`own`: the file at `path` has planes itself, and may have been renamed."""
        for name, uuid in said.files.items():
            # As in OMETiffReader: a name that is not there means the file itself, if the UUID is
            # its own, if it has no UUID, or if there is no other name.
            itself = own and (uuid == said.uuid or not said.uuid or len(said.files) == 1)
            target = _joined(path, name)
            if not (itself and not os.path.lexists(target)):
                self._expect(path, name, target)

    def _expect(self, path: str, name: str, target: str) -> None:
        """Expects `target`, which the file at `path` calls `name`."""
        target = os.path.normpath(target)
        if why := no_name(target):
            told = f"{path} names a file {name[:_TOLD]!r}, {why}"
            self._refused = self._refused or told
            return
        try:
            parts_beneath(self._root, target)
        except ImportRefused:
            self._refused = self._refused or f"{path} names {name}, which is not below {self._root}"
            return
        if _is_there(target):
            self._named.setdefault(target)
        elif len(self._missing) < _MOST_NAMED:
            self._missing.setdefault(target)


def _joined(path: str, name: str) -> str:
    """Joins a file's directory and a name as Java does: `/name` is below the directory too."""
    return f"{PurePath(path).parent}/{name}"


def _is_dicom(file: BinaryIO) -> bool:
    """The first 128 bytes of DICOM may look like TIFF, without the directories of a TIFF."""
    file.seek(128)
    return file.read(4) == b"DICM"


def _is_there(path: str) -> bool:
    try:
        return stat_module.S_ISREG(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
