"""What a fileset is made of: the words that every way of grouping files shares.

A grouper gets files that have come to rest.  It says which of them belong
together, in the order in which OMERO opens them.  There are two groupers:
Bio-Formats in a process of its own, and file signatures if there is no Java.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

# So begins the reason in Grouping.unreadable of a file that ended every process that read it.
DEADLY = "Bio-Formats failed on it twice"


def folded(name: str) -> str:
    """What is the same for names that people take for one: in another case, or with other accents.

    macOS writes an accent as a character of its own (NFD), others as a part of its letter (NFC).
    """
    return unicodedata.normalize("NFC", name).casefold()


@dataclass(frozen=True)
class Reach:
    """The files around an index that may be of its set."""

    directory: str  # absolute; of the files, or above them
    depth: int = 0  # how many directories below it they may lie
    suffixes: tuple[str, ...] = ()  # in lower case; empty: any
    # Names without directories that count whatever their suffix, also as `folded`.
    names: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Whether the file at `path` is one of them."""
        if not self._is_around(path):
            return False
        if self._has_name(path):
            return True
        if self.suffixes:
            return path.rpartition("/")[2].rpartition(".")[2].lower() in self.suffixes
        return not self.names

    def names_it(self, path: str) -> bool:
        """Whether it takes the file at `path` by its name, and not as any file of its kind."""
        return self._is_around(path) and self._has_name(path)

    def _is_around(self, path: str) -> bool:
        above = self.directory.rstrip("/") + "/"
        return path.startswith(above) and path.count("/", len(above)) <= self.depth

    def _has_name(self, path: str) -> bool:
        return bool(self.names) and folded(path.rpartition("/")[2]) in self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(map(folded, self.names))


@dataclass(frozen=True)
class Candidate:
    """Files that are imported together."""

    files: tuple[str, ...]  # absolute, or one store; the one that OMERO opens first
    reader: str = ""  # canonical class name of the Bio-Formats reader; empty: not known
    plate: bool = False  # it is a plate, not images
    missing: tuple[str, ...] = ()  # files that must come before it is complete
    incomplete: str = ""  # why it is not complete, if no name can be given
    alike: str = ""  # what is there by another name than a missing file, as an end of a sentence
    broken: str = ""  # what a reader said that takes it and failed; perhaps something is missing
    held: str = ""  # why it waits although nothing is missing: only Bio-Formats can group it
    slow: str = ""  # why more may come although nothing is missing: it must rest for longer
    refused: str = ""  # why it is never imported as it is, in one line
    # Its disk does not give one of its files now.  No event tells when it does.
    not_now: bool = False
    unread: tuple[str, ...] = ()  # those of its files that the server may not read
    remark: str = ""  # what people are told of it, though it is imported as it is
    needs: tuple[str, ...] = ()  # what the server must be able to do, to read it: see `zarr`
    # Nobody can know whether more is to come: all of these must be at rest.
    trees: tuple[Reach, ...] = ()

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
    # path -> why it cannot become a fileset: no reader takes it, or it killed the reader
    unreadable: Mapping[str, str] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()  # of `unreadable`, those that the server may not read
    parts: frozenset[str] = frozenset()  # of `unreadable`, parts of a set that is whole without


def without(grouping: Grouping, left_out: Callable[[str], bool]) -> Grouping:
    """`grouping`, where such files are in no set.  The first of a set stays: OMERO opens it."""
    found = []
    for one in grouping.candidates:
        if any(map(left_out, one.files)):
            first, *others = one.files
            files = (first, *(path for path in others if not left_out(path)))
            found.append(replace(one, files=files))
        else:
            found.append(one)
    return replace(grouping, candidates=tuple(found))


class Grouper(Protocol):
    """A way of grouping.  Not thread-safe unless it says so."""

    def group(
        self, root: str, files: Sequence[str], readers: Collection[str] | None = None
    ) -> Grouping:
        """Groups `files`, absolute paths of regular files below the directory `root`.

        Call it with a whole directory at once, because some formats are not
        recognised otherwise.  With `readers` (simple or canonical class names, in
        their order; omero.fs.readers) only files that these read are imported.

        Raises FsError if it cannot say anything of any file, for example because
        Java cannot be started.  `unreadable` says what is wrong with one file,
        `refused` which file leads out of `root`.
        """

    def stores(self, root: str, stores: Sequence[str]) -> Grouping:
        """A candidate for each of `stores`, paths of directory filesets below `root`.

        It says whether the store is complete.  Raises what `group` raises.
        """

    def close(self) -> None:
        """Ends what it started.  A second call does nothing."""
