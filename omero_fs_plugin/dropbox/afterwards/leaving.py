"""The files of one fileset leave the user's directory: proved, then moved or deleted.

Runs in the lane of their root.  After a kill at any step it goes on: what has gone is not there
any more, and the rest is proved again.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from omero_fs_plugin.config.after_import import AfterImport
from omero_fs_plugin.dropbox.confine import (
    is_unmounted,
    may_not_write_beneath,
    stat_beneath,
)
from omero_fs_plugin.dropbox.importing.importers import FileChanged, FileGone
from omero_fs_plugin.dropbox.importing.importers.sources import (
    blocks,
    opened,
    remove_file,
    touched_at,
)
from omero_fs_plugin.dropbox.journal.afterwards import Sharer
from omero_fs_plugin.dropbox.journal.fates import Ended, Fate, Going
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import OPEN
from omero_fs_plugin.dropbox.receipts.proof import Digests, Proof, Read, Stored
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.names import printable
from omero_fs_plugin.stores import is_store

from .shelf import Occupied, Shelf, at

log = logging.getLogger(__name__)


class NotNow(FsError):
    """The fileset is not to be touched now; it is looked at again later."""


@dataclass(frozen=True)
class _Sorted:
    """The files of a fileset, by what is to be done with them."""

    safe: tuple[Proof, ...]  # OMERO has their bytes
    unsafe: tuple[Proof, ...]
    missing: tuple[str, ...]  # paths


class Leaving:
    """Takes the files of filesets away, as `act` of their rule says."""

    def __init__(
        self,
        journal: Journal,
        stopping: Callable[[], bool],
        why_not: Callable[[Fileset, AfterImport], str] = lambda fileset, act: "",
    ) -> None:
        """`why_not` says why a fileset may not go now, as `act` wants; empty: it may."""
        self._journal = journal
        self._stopping = stopping
        self._why_not = why_not

    def take(self, fileset: Fileset, act: AfterImport, stored: Stored, *, tidy: bool) -> None:
        """All of it.  `stored` is what OMERO has; `tidy`: emptied directories are noted.

        Raises NotNow, OSError, and other FsErrors: it is to be called again later.
        """
        paths = [met.path for met in fileset.files]
        self._sharers(fileset, paths)
        going = self._journal.afterwards.going(fileset.id)
        found = self._proved(fileset, stored)
        # To read them may have taken hours, and the disk may not have answered for as long.
        self._sharers(fileset, paths)
        if why := self._why_not(fileset, act):
            raise NotNow(why)
        if going is None:
            if not self._may_begin(fileset, found):
                return
            going = self._begin(fileset, act, [one.path for one in found.safe])
        gone, staying = [], list(_why_they_stay(found.unsafe))
        for proof in found.safe:
            self._journal.make_sure()
            others = self._sharers(fileset, [proof.path])
            kept = _kept_for(proof, others.get(proof.path, ()))
            if kept is not None:
                staying += [kept] if kept else []
                continue
            with suppress(FileGone):
                going = self._one(fileset, proof, going)
            gone.append(proof.path)
        if tidy:
            for directory in sorted({str(PurePosixPath(path).parent) for path in gone}):
                self._journal.afterwards.note_emptied(fileset.root, directory)
        self._end(fileset, going, len(gone) + len(found.missing), "; ".join(staying))

    def is_there(self, fileset: Fileset) -> bool:
        """Whether there is anything to take; if not, that is noted.

        Raises PermissionError if the server may not remove it, and other OSErrors.
        """
        root, paths = fileset.root, [met.path for met in fileset.files]
        if any(map(is_store, paths)):
            self.leave(fileset, "it is a store of many files, and these are never taken")
            return False
        there = [path for path in paths if stat_beneath(root, path) is not None]
        _make_sure_it_is_mounted(fileset, set(paths) - set(there))
        if not there and self._journal.afterwards.going(fileset.id) is None:
            ended = Ended(Fate.GONE, self._journal.now())
            self._journal.afterwards.end(fileset.id, ended)
            return False
        if closed := may_not_write_beneath(root, there):
            raise PermissionError(errno.EACCES, "the server may not remove files there", closed)
        return True

    def leave(self, fileset: Fileset, why: str) -> None:
        """Notes that all of it stays, for good."""
        now = self._journal.now()
        self._journal.afterwards.end(fileset.id, Ended(Fate.LEFT, now, why=why))
        log.warning("fileset %d: imported, and left where it is: %s", fileset.id, printable(why))

    def _sharers(self, fileset: Fileset, paths: Collection[str]) -> dict[str, list[Sharer]]:
        """The other filesets with these files, now.  Raises NotNow if one is on its way."""
        others = self._journal.afterwards.sharers(fileset.id, paths)
        for path, sharers in others.items():
            if any(one.state in OPEN for one in sharers):
                raise NotNow(f"{path}: another fileset with it is on its way")
        return others

    def _proved(self, fileset: Fileset, stored: Stored) -> _Sorted:
        read = reading(fileset.root, self._stopping)
        safe: list[Proof] = []
        unsafe: list[Proof] = []
        missing: list[str] = []
        for met in fileset.files:
            if stat_beneath(fileset.root, met.path) is None:
                missing.append(met.path)
                continue
            try:
                proof = stored.compared(met.path, fileset.id, fileset, read)
            except FileGone:
                missing.append(met.path)
                continue
            (safe if proof.safe else unsafe).append(proof)
        _make_sure_it_is_mounted(fileset, missing)
        return _Sorted(tuple(safe), tuple(unsafe), tuple(missing))

    def _may_begin(self, fileset: Fileset, found: _Sorted) -> bool:
        """Whether the set is whole and proved; if it is not, that is noted."""
        if found.unsafe:
            first = found.unsafe[0]
            self.leave(fileset, f"{_inside(fileset, first.path)}: {first.why_not}")
        elif found.missing and found.safe:
            first_path = _inside(fileset, found.missing[0])
            self.leave(fileset, f"{first_path} is not there any more, and a set goes as a whole")
        return bool(found.safe) and not found.unsafe and not found.missing

    def _begin(self, fileset: Fileset, act: AfterImport, paths: Collection[str]) -> Going:
        to = ""
        if act.directory is not None:
            shelf = Shelf(act.directory)
            shelf.check()
            to = shelf.choose(fileset.user, fileset.id, fileset.root, list(paths))
        going = Going(to, str(act.directory or ""))
        self._journal.afterwards.begin(fileset.id, going)
        return going

    def _one(self, fileset: Fileset, proof: Proof, going: Going) -> Going:
        """Takes one file.  Returns how the rest goes: to another place, if this one is taken."""
        assert proof.stat is not None  # a proved file was read
        met = Found(proof.path, proof.stat)
        if not going.to:
            remove_file(fileset.root, met, proof.sha1, False, self._stopping)
            return going
        shelf = Shelf(Path(going.directory))
        shelf.check()
        try:
            to = at(going.to, fileset.root, proof.path)
            shelf.take(fileset.root, met, proof.sha1, to, self._stopping)
        except Occupied:  # since it was chosen
            base = shelf.choose(fileset.user, fileset.id, fileset.root, [proof.path])
            going = Going(base, going.directory)
            self._journal.afterwards.begin(fileset.id, going)
            to = at(going.to, fileset.root, proof.path)
            shelf.take(fileset.root, met, proof.sha1, to, self._stopping)
        return going

    def _end(self, fileset: Fileset, going: Going, number: int, why: str) -> None:
        fate = Fate.MOVED if going.to else Fate.DELETED
        ended = Ended(fate, self._journal.now(), number, going.to, why)
        self._journal.afterwards.end(fileset.id, ended)
        log.info(
            "fileset %d: imported and verified, then %s: %s",
            fileset.id,
            printable(ended.words()),
            printable(_inside(fileset, fileset.path)),
        )


def _inside(fileset: Fileset, path: str) -> str:
    return path.removeprefix(f"{fileset.root.rstrip('/')}/")


def _why_they_stay(unsafe: Collection[Proof]) -> Iterator[str]:
    for proof in unsafe:
        yield f"{PurePosixPath(proof.path).name} stays: {proof.why_not}"


def _kept_for(proof: Proof, others: Collection[Sharer]) -> str | None:
    """None: nobody else needs the file.  Else why it stays; empty: another takes it later.

    Who had other bytes at this path has no part in it.
    """
    same = [one for one in others if one.had(proof.stat)]
    for one in same:
        if one.stays:
            return f"a file stays, because fileset {one.fileset} has it too"
    return None if all(one.ended for one in same) else ""


def _make_sure_it_is_mounted(fileset: Fileset, missing: Collection[str]) -> None:
    """Raises OSError if the disk of these files is not mounted: then they are not gone."""
    for met in fileset.files:
        if met.path in missing and is_unmounted(fileset.root, met.path, met.stat.device):
            raise OSError(errno.ENODEV, "its disk is not mounted", met.path)


def reading(root: str, stopping: Callable[[], bool]) -> Read:
    """Reads files below `root` and follows no link.

    The reader raises FileGone, FileChanged, Stopped, DiskAway, ImportRefused and OSError.
    """

    def read(path: str, names: Collection[str]) -> tuple[FileStat, dict[str, str]]:
        stat = stat_beneath(root, path)
        if stat is None:
            raise FileGone(f"{path}: is not there any more")
        digests, met = Digests(names), Found(path, stat)
        with opened(root, met) as source:
            before = touched_at(root, source, met)
            for block in blocks(root, source, met, stopping):
                digests.update(block)
            if touched_at(root, source, met) != before or before != stat.ctime_ns:
                raise FileChanged(f"{path}: changed while it was read")
        return stat, digests.sums()

    return read
