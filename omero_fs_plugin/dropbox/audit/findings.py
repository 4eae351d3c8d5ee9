"""What an audit finds, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Kind(str, Enum):
    """The kinds of findings, in the order in which they are shown."""

    BROKEN_LINK = "broken-link"
    CHANGED_TARGET = "changed-target"
    MISSING_COPY = "missing-copy"
    CHANGED_COPY = "changed-copy"
    IMAGES_GONE = "images-gone"
    GHOST = "ghost"
    NO_ROW = "no-row"
    UNREGISTERED = "unregistered"
    LEFT_BEHIND = "left-behind"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Words:
    """What people are told of a kind."""

    what: str
    do: str


WORDS: Mapping[Kind, Words] = {
    Kind.BROKEN_LINK: Words(
        "In-place imports whose file is gone",
        "put the file back where the link leads; OMERO has no other copy",
    ),
    Kind.CHANGED_TARGET: Words(
        "In-place imports whose file is not what was imported",
        "put the imported file back; OMERO shows the bytes that are there now",
    ),
    Kind.MISSING_COPY: Words(
        "Files that are not in OMERO's repository any more",
        "take them from a backup of the repository, or `omero fs explain` the file to find its "
        "original",
    ),
    Kind.CHANGED_COPY: Words(
        "Files in OMERO's repository that are not as they were imported",
        "take them from a backup of the repository",
    ),
    Kind.IMAGES_GONE: Words(
        "Imported filesets whose images OMERO does not have",
        "if nobody deleted them, take OMERO's database from a backup; "
        "`omero fs import PATH` imports the file anew",
    ),
    Kind.GHOST: Words(
        "Filesets of DropBox in OMERO without images",
        "`omero fs audit --repair` says which of them DropBox can delete",
    ),
    Kind.NO_ROW: Words(
        "Files in watched directories that the journal does not know",
        "see whether DropBox runs; `omero fs import PATH` hands one over",
    ),
    Kind.UNREGISTERED: Words(
        "Directories of OMERO's repository that nothing registers",
        "look what they are; OMERO does not need them",
    ),
    Kind.LEFT_BEHIND: Words(
        "Files in omero.fs.quarantine that no fileset has",
        "move these files to their user's directory, each to the path that it has below the "
        "directory named here: then it is imported, unless OMERO has it already. Leave there what "
        "`omero fs status` has in the same directory",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing on which disk, journal and OMERO do not agree."""

    kind: Kind
    path: str  # of the user's file, or of what lies in the repository
    why: str
    user: str = ""  # OMERO user name; empty: nobody's
    fileset: int | None = None  # its id in the journal
    server_fileset: int | None = None  # its id in OMERO
    copy: str = ""  # the path in OMERO's repository, if `path` is another

    def values(self) -> dict[str, Any]:
        """Of plain types, for JSON."""
        return {**asdict(self), "kind": str(self.kind)}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Finding:
        """What `values` gave."""
        return cls(**{**values, "kind": Kind(values["kind"])})


@dataclass(frozen=True)
class Unseen:
    """Something that could not be looked at."""

    path: str
    why: str
