"""The bytes that OMERO keeps of imported files, and whether they are as they were at the import."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, rstring, unwrap

from omero_fs_plugin.errors import ImportRefused, UnclearError

from .users import ALL_GROUPS
from .verdicts import server_errors

# What OMERO's importer notes on a fileset whose files it did not upload.
TRANSFER = "openmicroscopy.org/omero/import/fileTransfer"
# What DropBox notes there of a store that it has registered.
REGISTERED = "omero.fs.RegisteredFileTransfer"
# Of these words, what was imported is what OMERO reads.
IN_PLACE = ("Symlink", "Hardlink", "Registered")
_CHUNK = 200  # filesets that are asked for at once
_AT_ONCE = 100  # files that OMERO hashes in one call ...
_BYTES_AT_ONCE = 2**30  # ... and bytes of them
_SLOW_ROW_MS = 20  # for a row of its database, when OMERO is busy: a sandbox needs 2 to 5
_SLOW_BYTES_PER_S = 5_000_000  # slower than any disk; the server may be so slow when it hashes


def patience_ms(size: int, files: int = 0) -> int:
    """How long a call may take (ms) in which OMERO hashes `size` bytes, and stores `files` rows."""
    return 60_000 + size * 1000 // _SLOW_BYTES_PER_S + files * _SLOW_ROW_MS


@dataclass(frozen=True)
class Copy:
    """A file of a fileset, as OMERO has it."""

    id: int  # of the OriginalFile
    fileset: int
    path: str  # the client path: no leading slash
    size: int  # bytes
    hash: str  # lower-case hex; empty if OMERO has none
    hasher: str  # OMERO's name of its checksum algorithm; empty if it says none
    transfer: str  # how it came in: empty for an upload, else for example `Symlink`

    @property
    def in_place(self) -> bool:
        """Whether the file that was imported is itself what OMERO reads."""
        return self.transfer in IN_PLACE


def transfers_of(services: Any, filesets: Sequence[int]) -> dict[int, str]:
    """Fileset -> how its files came in, for those of at most 200 that were not uploaded."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"ids": rlist([rlong(i) for i in filesets]), "ns": rstring(TRANSFER)}
    notes = services.getQueryService().projection(
        "select l.parent.id, a.textValue from FilesetAnnotationLink l, CommentAnnotation a "
        "where l.child.id = a.id and l.parent.id in (:ids) and a.ns = :ns",
        parameters,
        ALL_GROUPS,
    )
    return {unwrap(fileset): _word(unwrap(text) or "") for fileset, text in notes}


def copies_of(services: Any, filesets: Collection[int]) -> list[Copy]:
    """The files of those of these filesets that OMERO has, with images or without."""
    query = services.getQueryService()
    found: list[Copy] = []
    wanted = sorted(filesets)
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        transfers = transfers_of(services, some)
        parameters = omero.sys.ParametersI()
        parameters.map = {"ids": rlist([rlong(i) for i in some])}
        rows = query.projection(
            "select f.id, o.id, e.clientPath, o.size, o.hash, h.value from Fileset f "
            "join f.usedFiles e join e.originalFile o left outer join o.hasher h "
            "where f.id in (:ids) order by e.id",
            parameters,
            ALL_GROUPS,
        )
        for fileset, file, path, size, digest, hasher in (map(unwrap, row) for row in rows):
            transfer = transfers.get(fileset, "")
            found.append(Copy(file, fileset, path, size or 0, digest or "", hasher or "", transfer))
    return found


def _word(text: str) -> str:
    """`Symlink`, of the class of OMERO's importer that brought the files in."""
    return text.rpartition(".")[2].removesuffix("FileTransfer")


def damaged(repository: Any, context: Mapping[str, str], copies: Sequence[Copy]) -> dict[int, str]:
    """Lets OMERO read its bytes again: OriginalFile id -> what is wrong, where something is.

    `repository` is the managed one in a session of the user whose files they are, and
    `context` that of a call into all groups.  Raises ServerAwayError.
    """
    wrong: dict[int, str] = {}
    for lot in _lots(copies):
        wrong |= _verified(repository, context, lot)
    return wrong


def _lots(copies: Sequence[Copy]) -> Iterator[list[Copy]]:
    lot: list[Copy] = []
    size = 0
    for copy in copies:
        if lot and (len(lot) == _AT_ONCE or size + copy.size > _BYTES_AT_ONCE):
            yield lot
            lot, size = [], 0
        lot.append(copy)
        size += copy.size
    if lot:
        yield lot


def _verified(repository: Any, context: Mapping[str, str], lot: Sequence[Copy]) -> dict[int, str]:
    patient = repository.ice_invocationTimeout(patience_ms(sum(copy.size for copy in lot)))
    try:
        with server_errors("verifying OMERO's copies"):
            failed = patient.verifyChecksums([copy.id for copy in lot], dict(context))
    except (ImportRefused, UnclearError) as error:
        if len(lot) == 1:  # its file is not there, or cannot be read
            return {lot[0].id: f"OMERO cannot read its copy: {error}"}
        half = len(lot) // 2
        first = _verified(repository, context, lot[:half])
        return first | _verified(repository, context, lot[half:])
    return dict.fromkeys(failed, "OMERO's copy is not what was imported: its checksum differs")
