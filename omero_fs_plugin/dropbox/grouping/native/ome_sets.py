"""Filesets of OME-TIFF: which files OME-XML puts together, and in which order.

It follows the OME-TIFF specification, and the order of Bio-Formats'
OMETiffReader.  If the metadata is in a file of its own, this file comes first.
If not, the opened file comes first.  Then come the others in the order of their
planes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath

from omero_fs_plugin.config.readers import PACKAGE
from omero_fs_plugin.dropbox.grouping.filesets import Candidate
from omero_fs_plugin.dropbox.grouping.formats import omexml, tiff
from omero_fs_plugin.dropbox.grouping.formats.omexml import OmeXml, OmeXmlError, is_companion
from omero_fs_plugin.dropbox.grouping.userfiles import UserFiles
from omero_fs_plugin.errors import ImportRefused

from .signatures import UnknownFormat

READER = PACKAGE + "OMETiffReader"


@dataclass(frozen=True)
class _Parts:
    """The files that OME-XML names, looked up on the disk."""

    there: tuple[str, ...]
    missing: tuple[str, ...]
    refused: str = ""  # why one of them may not be used; then none is used


class OmeSets:
    """Makes candidates of files with OME-XML.  Each file is read and looked up once."""

    def __init__(self, around: UserFiles) -> None:
        self._around = around
        self._read: dict[str, OmeXml] = {}
        self._looked_up: dict[str, _Parts] = {}

    def of(self, path: str) -> Candidate:
        """The fileset that the companion or OME-TIFF at `path` belongs to.

        If it names a file out of the root, or through a link, it is refused together
        with the other files that it names.  Raises UnknownFormat if it cannot become a
        fileset, ImportRefused if it may not be read itself, and OSError if nobody knows
        this now.
        """
        try:
            said = self._said(path)
        except UnknownFormat as fault:
            if is_companion(path):
                return Candidate((path,), READER, incomplete=f"{path}: {fault}")
            raise
        if said.metadata_file:
            return self._binary_only(path, said)
        parts = self._parts(path, said)
        if is_companion(path):
            return self._candidate((path, *parts.there), parts, said)
        if path not in parts.there and not parts.refused:
            raise UnknownFormat(
                "its OME-XML says that its planes are in other files: "
                + ", ".join(PurePath(part).name for part in parts.there + parts.missing)[:500]
            )
        others = (part for part in parts.there if part != path)
        return self._candidate((path, *others), parts, said)

    def _binary_only(self, path: str, said: OmeXml) -> Candidate:
        metadata = self._around.named(path, said.metadata_file)
        if not self._around.has(metadata):
            return Candidate((path,), READER, missing=(metadata,))
        try:
            all_said = self._said(metadata)
        except UnknownFormat as fault:
            # It may still be written.  It is a candidate itself, or in one.
            return Candidate((path,), READER, incomplete=f"{metadata}: {fault}")
        if metadata == path or all_said.metadata_file:
            raise UnknownFormat(f"names {said.metadata_file} for its metadata, but that has none")
        parts = self._parts(metadata, all_said)
        if path not in parts.there and not parts.refused:
            raise UnknownFormat(
                f"names {said.metadata_file} for its metadata, but that does not name this file"
            )
        others = dict.fromkeys((*parts.there, path))
        others.pop(metadata, None)
        return self._candidate((metadata, *others), parts, all_said)

    def _candidate(self, files: tuple[str, ...], parts: _Parts, said: OmeXml) -> Candidate:
        found = Candidate(files, READER, said.plate, parts.missing, refused=parts.refused)
        if not (parts.there or parts.missing or parts.refused):
            return replace(found, incomplete="its OME-XML names no file that has planes")
        return found

    def _parts(self, path: str, said: OmeXml) -> _Parts:
        """Those that the OME-XML of `path` names, `path` itself among them if it has planes."""
        if path not in self._looked_up:
            self._looked_up[path] = self._look_up(path, said)
        return self._looked_up[path]

    def _look_up(self, path: str, said: OmeXml) -> _Parts:
        itself_may = not is_companion(path)
        strange = [uuid for uuid in said.unnamed if not itself_may or uuid != said.uuid]
        if strange:
            raise UnknownFormat(f"its OME-XML has a part without a name (UUID {strange[0]})")
        there: dict[str, None] = {}
        missing: dict[str, None] = {}
        refused = ""
        if itself_may and (said.own_planes or said.unnamed):
            there[path] = None
        for name, uuid in said.files.items():
            try:
                part = self._around.named(path, name)
                is_there = part == path or self._around.has(part)
            except ImportRefused as refusal:
                refused = refused or str(refusal)
                continue
            # A file that was renamed still names itself by its old name.
            own = len(said.files) == 1 or (uuid != "" and uuid == said.uuid)
            if is_there:
                there.setdefault(part)
            elif itself_may and own:
                there.setdefault(path)
            else:
                missing.setdefault(part)
        return _Parts(tuple(there), tuple(missing), refused)

    def _said(self, path: str) -> OmeXml:
        found = self._read.get(path)
        if found is None:
            try:
                with self._around.open(path) as file:
                    if is_companion(path) or tiff.read_layout(file) is None:
                        found = omexml.of_companion(file)
                    else:
                        found = omexml.of_tiff(file)
            except (OmeXmlError, tiff.TiffError) as fault:
                raise UnknownFormat(str(fault)) from fault
            if found is None:
                raise UnknownFormat("has no OME-XML")
            self._read[path] = found
        return found
