"""Compares files on disk with the copies that OMERO has of them, byte by byte through checksums.

A file is safe if all of this is so:

- the newest fileset with this file is imported, or has the same content as one that is imported,
  and none with this file is still on its way;
- OMERO has images of that fileset;
- the file's checksum, computed now, is the one that OMERO noted at the import;
- OMERO has read all of the fileset's copies again now, and their checksums are as noted;
- OMERO has a copy: after an in-place import the file itself is what OMERO reads, and so is a store
  that was registered.
"""

from __future__ import annotations

import hashlib
import os
import stat as stat_module
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from omero_fs_plugin.blitz.copies import Copy
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import UserError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store

_BLOCK = 2**20  # bytes read at once
_SHA1 = "SHA1-160"


@dataclass(frozen=True)
class Proof:
    """What is known of one file."""

    path: str
    size: int | None = None  # bytes; None: it could not be looked at
    sha1: str = ""  # lower-case hex, of the bytes on disk now; empty if nobody had to know
    fileset: int | None = None  # its id in the journal
    server_fileset: int | None = None  # its id in OMERO
    images: tuple[int, ...] = ()
    why_not: str = ""  # why it is not safe to delete; empty: it is
    in_place: bool = False  # it is not safe only because the file itself is OMERO's data
    stat: FileStat | None = None  # of the file whose bytes were read; None: they were not

    @property
    def safe(self) -> bool:
        """Whether OMERO has the same bytes, verified now."""
        return not self.why_not


@dataclass(frozen=True)
class Known:
    """What the journal has of one file."""

    newest: Seen
    twin: Seen | None = None  # the fileset with the same content, if the newest was skipped for it
    on_its_way: bool = False  # another fileset with this file has not ended


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Sum:
    """A checksum of zlib's, as OMERO writes it: eight digits."""

    def __init__(self, of: Callable[[bytes, int], int], start: int) -> None:
        self._of, self._value = of, start

    def update(self, data: bytes, /) -> None:
        self._value = self._of(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value & 0xFFFFFFFF:08x}"


class Digests:
    """Several checksums of the same bytes, by OMERO's names of the algorithms."""

    def __init__(self, names: Iterable[str]) -> None:
        self._of = {name: _DIGESTS[name]() for name in names}

    def update(self, data: bytes) -> None:
        """The next bytes of the file."""
        for digest in self._of.values():
            digest.update(data)

    def sums(self) -> dict[str, str]:
        """Algorithm -> the checksum of all bytes, lower-case hex."""
        return {name: digest.hexdigest() for name, digest in self._of.items()}


class Pulses(Protocol):
    """Who waits for a disk."""

    def pulse(self) -> None:
        """The disk has answered."""


class _Nobody:
    def pulse(self) -> None:
        """Nobody waits."""


# Asks the disk of a path: gives or raises what the question does, or raises OSError.
Ask = Callable[[str, "Callable[[Pulses], Proof]"], "Proof"]


class InOmero(Protocol):
    """A fileset that was imported: a `Seen`, or the journal's own Fileset."""

    @property
    def user(self) -> str: ...

    @property
    def server_fileset(self) -> int | None: ...

    @property
    def images(self) -> tuple[int, ...]: ...


# Reads a regular file whole: its FileStat and its checksums.  None: it changed meanwhile.
Read = Callable[[str, Collection[str]], "tuple[FileStat, dict[str, str]] | None"]


# OMERO's name of a checksum algorithm -> how it is computed.  File-Size-64 would prove nothing.
_DIGESTS: Mapping[str, Callable[[], _Digest]] = {
    _SHA1: lambda: hashlib.sha1(usedforsecurity=False),
    "MD5-128": lambda: hashlib.md5(usedforsecurity=False),
    "CRC-32": lambda: _Sum(zlib.crc32, 0),
    "Adler-32": lambda: _Sum(zlib.adler32, 1),
}


def can_digest(name: str) -> bool:
    """Whether `Digests` can compute the checksum that OMERO calls so."""
    return name in _DIGESTS


@dataclass(frozen=True)
class Stored:
    """What OMERO has of some filesets.  It has read all of its copies again just now."""

    copies: Mapping[int, Sequence[Copy]]  # by OMERO's id of the fileset, as in all of these
    images: Mapping[int, tuple[int, ...]]
    wrong: Mapping[int, str]  # why its copies are no proof, where they are none

    def compared(self, path: str, fileset: int, of: InOmero, read: Read) -> Proof:
        """The file at `path`, read now, with OMERO's copies of `of`.

        `fileset` is the id in the journal that the proof names.
        """
        server = of.server_fileset
        there = () if server is None else self.images.get(server, ())
        copies = self.copies.get(server or 0, [])
        if there and any(is_store(copy.path) for copy in copies):
            return _of_registered(path, fileset, server, there, read)
        stat, size, sha1, why, same = _compared(path, copies, bool(there), read)
        why = why or self.wrong.get(server or 0, "")
        in_place = not why and all(copy.in_place for copy in same)
        if in_place:
            how = same[0].transfer.lower()
            why = f"it was imported in place ({how}): this file is OMERO's data"
        images = tuple(sorted(there))
        return Proof(path, size, sha1, fileset, server, images, why, in_place, stat)


def _at_once(path: str, question: Callable[[Pulses], Proof]) -> Proof:
    return question(_Nobody())


@dataclass
class Prover:
    """Proves files.  It asks OMERO about many filesets at once."""

    omero: Omero
    # Asks the disk of a path.  It may raise OSError if that does not answer.
    ask: Ask = _at_once

    def prove(self, files: Mapping[str, Known]) -> Iterator[Proof]:
        """A proof for each file, in the order given.  Raises ServerAwayError."""
        holding = {path: _holding(known) for path, known in files.items()}
        stored = self.stored([seen for seen in holding.values() if isinstance(seen, Seen)])
        for path, seen in holding.items():
            newest = files[path].newest.id
            if isinstance(seen, str):
                yield self._asked(path, newest, partial(_unproved, path, newest, seen))
            else:
                yield self._asked(path, newest, partial(_proved, stored, path, newest, seen))

    def _asked(self, path: str, fileset: int, question: Callable[[Pulses], Proof]) -> Proof:
        try:
            return self.ask(path, question)
        except OSError as error:
            why = f"it cannot be read: {error.strerror}"
            return Proof(path, None, fileset=fileset, why_not=why)

    def stored(self, filesets: Iterable[InOmero]) -> Stored:
        """What OMERO has of these, verified now.  Raises ServerAwayError."""
        kept = {one.server_fileset: one for one in filesets if one.server_fileset is not None}
        copies: dict[int, list[Copy]] = {}
        for copy in self.omero.copies_of(list(kept)):
            copies.setdefault(copy.fileset, []).append(copy)
        images = self.omero.filesets_of_images(
            image for seen in kept.values() for image in seen.images
        )
        return Stored(copies, images, self._wrong(kept, copies, images))

    def _wrong(
        self,
        kept: Mapping[int, InOmero],
        copies: Mapping[int, Sequence[Copy]],
        images: Mapping[int, Sequence[int]],
    ) -> dict[int, str]:
        """OMERO's fileset id -> why its copies are no proof, where they are none."""
        by_user: dict[str, list[int]] = {}
        for identifier, seen in kept.items():
            if images.get(identifier):
                by_user.setdefault(seen.user, []).append(identifier)
        found: dict[int, str] = {}
        for user, identifiers in by_user.items():
            mine = [
                copy
                for identifier in identifiers
                for copy in copies.get(identifier, ())
                if not is_store(copy.path)  # OMERO has no file of it that it could read
            ]
            try:
                session = self.omero.session_for(self.omero.user(user))
            except UserError as error:
                found |= dict.fromkeys(identifiers, f"OMERO's copies cannot be verified: {error}")
                continue
            try:
                damaged = session.damaged(mine)
            finally:
                session.close()
            for copy in mine:
                if copy.id in damaged:
                    found[copy.fileset] = f"{damaged[copy.id]} (OriginalFile:{copy.id})"
        return found


def _of_registered(
    path: str, fileset: int, server: int | None, images: Sequence[int], read: Read
) -> Proof:
    """A file of a store that OMERO reads where it lies."""
    why = "its store was registered where it lies: this file is OMERO's data"
    ids = tuple(sorted(images))
    try:
        found = read(path, {_SHA1})
    except OSError as error:
        why = f"it cannot be read: {error.strerror}"
        return Proof(path, _size(path), "", fileset, server, ids, why)
    if found is None:
        why = "it changed while it was read"
        return Proof(path, _size(path), "", fileset, server, ids, why)
    stat, sums = found
    return Proof(path, stat.size, sums[_SHA1], fileset, server, ids, why, in_place=True, stat=stat)


def _unproved(path: str, fileset: int, why: str, pulses: Pulses) -> Proof:
    return Proof(path, _size(path), fileset=fileset, why_not=why)


def _proved(stored: Stored, path: str, fileset: int, seen: InOmero, pulses: Pulses) -> Proof:
    return stored.compared(path, fileset, seen, partial(_read, pulses=pulses))


def _holding(known: Known) -> Seen | str:
    """The fileset that has the file's bytes in OMERO, or why there is none."""
    if known.on_its_way:
        return "a fileset with it is still on its way"
    newest = known.newest
    if newest.state is State.IMPORTED:
        return newest
    if newest.state is State.SKIPPED and known.twin is not None:
        if known.twin.state is State.IMPORTED:
            return known.twin
        return f"it was skipped as a copy of {known.twin.path}, which is {known.twin.state}"
    words = {State.SKIPPED: "it was not imported", State.FAILED: "its import failed"}
    word = words.get(newest.state, "it is not imported yet")
    reason = newest.reason.removeprefix(f"{newest.path}: ")
    return f"{word}: {reason}" if reason else word


def _size(path: str) -> int | None:
    try:
        return os.lstat(path).st_size
    except OSError:
        return None


def _compared(
    path: str, copies: Sequence[Copy], has_images: bool, read: Read
) -> tuple[FileStat | None, int | None, str, str, list[Copy]]:
    """FileStat, size and SHA1 of the file now, why it is not proved, and the same copies."""
    if not has_images:
        return None, _size(path), "", "OMERO has no images of it any more", []
    hashers = {copy.hasher for copy in copies if copy.hash}
    unknown = sorted(hashers - set(_DIGESTS))
    try:
        found = read(path, {_SHA1, *(hashers - set(unknown))})
    except OSError as error:
        return None, _size(path), "", f"it cannot be read: {error.strerror}", []
    if found is None:
        return None, _size(path), "", "it changed while it was read", []
    stat, sums = found
    same = [copy for copy in copies if copy.hash and sums.get(copy.hasher) == copy.hash]
    what = ""
    if not same and unknown:
        what = f"OMERO's checksum is {', '.join(unknown)}, which cannot be computed here"
    elif not same:
        what = "its content is not what OMERO has: it changed after the import"
    return stat, stat.size, sums[_SHA1], what, same


def _read(
    path: str, names: Collection[str], pulses: Pulses
) -> tuple[FileStat, dict[str, str]] | None:
    """As `Read` says, of any file that this process may read."""
    digests = Digests(names)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:  # os.fdopen would raise for a directory, and leave it open
        before = os.fstat(descriptor)
        if not stat_module.S_ISREG(before.st_mode):
            raise OSError(0, "no regular file")
        while block := os.read(descriptor, _BLOCK):
            digests.update(block)
            pulses.pulse()
        after = FileStat.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    return (after, digests.sums()) if after == FileStat.of(before) else None
