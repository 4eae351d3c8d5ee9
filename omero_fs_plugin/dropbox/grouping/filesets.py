"""What a fileset is made of: the words that every way of grouping files shares.

A grouper gets files that have come to rest.  It says which of them belong
together, in the order in which OMERO opens them.  There are two groupers:
Bio-Formats in a process of its own, and file signatures if there is no Java.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

# How the reason in Grouping.unreadable begins of a file that ended every process that read it.
DEADLY = "Bio-Formats failed on it twice"


@dataclass(frozen=True)
class Candidate:
    """Files that are imported together."""

    files: tuple[str, ...]  # absolute; the one that OMERO opens first
    reader: str = ""  # canonical class name of the Bio-Formats reader; empty: not known
    plate: bool = False  # a plate of a screen rather than images
    missing: tuple[str, ...] = ()  # files that must come before it is complete
    incomplete: str = ""  # why it is not complete, where no name can be given
    broken: str = ""  # what a reader said that takes it, and failed: it may lack something, or not
    held: str = ""  # why it waits though nothing is missing: who can tell is not here
    refused: str = ""  # why it is never imported as it is, in one line

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return not (self.missing or self.incomplete or self.broken or self.held)


@dataclass(frozen=True)
class Grouping:
    """The answer of a grouper about some files.

    Rule: every file of the question is in the `files` of a candidate, or a key of
    `unreadable`.  No two candidates have the same first file.  Other files may be
    in several candidates: two sets that share a log file both need it, and
    OMERO's importer gives it to both.  A candidate may use further files that lie
    there and were not in the question.
    """

    candidates: tuple[Candidate, ...]
    # path -> why no fileset can be made of it: no reader takes it, or it killed the reader
    unreadable: Mapping[str, str] = field(default_factory=dict)


class Grouper(Protocol):
    """A way of grouping.  Not thread-safe unless it says so."""

    def group(
        self, root: str, files: Sequence[str], readers: Collection[str] | None = None
    ) -> Grouping:
        """Groups `files`, absolute paths of regular files below the directory `root`.

        Given a whole directory at once, for some formats are recognised in no
        other way.  With `readers` (simple or canonical class names, in their
        order; omero.fs.readers) only what those read is imported.

        Raises FsError where nothing can be said of any file, such as a Java
        that cannot be started.  What is wrong with one file is told in
        `unreadable`, and what leads out of `root` in `refused`.
        """

    def close(self) -> None:
        """Ends what it started.  Harmless when done before."""
