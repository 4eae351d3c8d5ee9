"""What the journal's state machine stands on: a disk, an OMERO, and DropBoxes, none of them real.

They keep to what the real ones do: an inode is given again, a rename and a
chmod change the ctime alone, and OMERO imports whatever it is told to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, event, select

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.dropbox.journal import schema
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.keeper import LeaseKeeper
from omero_fs_plugin.dropbox.journal.lease import Holder, Lease
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.events import FileStat

SIZE = 5  # bytes of every file, so that each may be a copy of any other
_INODES = 10  # the lowest


@dataclass(frozen=True)
class File:
    """What lies under a path."""

    stat: FileStat
    sha1: str


class Disk:
    """Files by their paths."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self._ticks = itertools.count(2)
        self._device = 1

    def write(self, path: str, *, like: str = "") -> None:
        """A new file, or the one that is there with new bytes; or with those of `like`."""
        tick, there = next(self._ticks), self.files.get(path)
        inode = there.stat.inode if there is not None else self._free()
        sha1 = self.files[like].sha1 if like else f"{tick:040}"
        self.files[path] = File(FileStat(self._device, inode, SIZE, tick, tick), sha1)

    def chmod(self, path: str) -> None:
        """Changes what belongs to the inode, and no byte."""
        self._touch_inode(path, path)

    def rename(self, path: str, to: str) -> None:
        """Moves it; what was there before is gone."""
        self._touch_inode(path, to)
        del self.files[path]

    def delete(self, path: str) -> None:
        """Removes it; its inode may be given to the next one."""
        del self.files[path]

    def mount_anew(self) -> None:
        """Another device number, and nothing else."""
        self._device += 1
        self.files = {
            path: replace(file, stat=replace(file.stat, device=self._device))
            for path, file in self.files.items()
        }

    def found(self, paths: Sequence[str]) -> list[Found]:
        """Those of `paths` where something is."""
        return [Found(path, self.files[path].stat) for path in paths if path in self.files]

    def sha1s(self, fileset: Fileset) -> list[str] | None:
        """Of its files; None when one is not what it was met as."""
        there = [(self.files.get(met.path), met.stat) for met in fileset.files]
        whole = [file.sha1 for file, stat in there if file is not None and file.stat == stat]
        return whole if len(whole) == len(there) else None

    def _touch_inode(self, path: str, to: str) -> None:
        file = self.files[path]
        self.files[to] = replace(file, stat=replace(file.stat, ctime_ns=next(self._ticks)))

    def _free(self) -> int:
        used = {file.stat.inode for file in self.files.values()}
        return next(inode for inode in itertools.count(_INODES) if inode not in used)


@dataclass(frozen=True)
class Import:
    """A Fileset of OMERO, with its image."""

    id: int
    user: str
    paths: tuple[str, ...]
    sha1s: tuple[str, ...]

    def as_told(self) -> ServerFileset:
        """As OMERO answers."""
        paths = tuple(path[1:] for path in self.paths)
        sizes = (SIZE,) * len(paths)
        return ServerFileset(self.id, (self.id,), paths, self.sha1s, sizes)


class Omero:
    """What was imported, by whomever."""

    def __init__(self) -> None:
        self.imports: dict[int, Import] = {}
        self._ids = itertools.count(1)

    def import_(self, fileset: Fileset, sha1s: Sequence[str]) -> Import:
        """Is told to import it, and does so."""
        paths = tuple(met.path for met in fileset.files)
        made = Import(next(self._ids), fileset.user, paths, tuple(sha1s))
        self.imports[made.id] = made
        return made

    def unrecorded(self, journal: Journal, user: str) -> list[Import]:
        """The user's imports that the journal does not know."""
        theirs = [one for one in self.imports.values() if one.user == user]
        recorded = journal.recorded(one.id for one in theirs)
        return [one for one in theirs if one.id not in recorded]


class Side:
    """One DropBox on the journal at `url`, on a machine called `name`.

    It goes on when its lease has passed to another, for nobody has told it.
    """

    def __init__(self, url: str, name: str, clock: Callable[[], float]) -> None:
        self.journal = Journal(url, who=name, clock=clock)
        # Of another machine, so that nobody can see whether it lives.
        me = replace(Holder.me(), host=name, boot="another", token=name)
        self.lease = Lease(self.journal, me)
        self.keeper = LeaseKeeper(self.lease, gained=self._gained, lost=self._lost, clock=clock)
        self.works = False  # it had the lease, and does what a DropBox does
        self.lost = False  # and was told that it has it no more
        self.recovered: set[str] = set()  # users of whom it has asked OMERO what there is
        self.taken: dict[int, Fileset] = {}  # attempts under way
        self.told: dict[int, Import] = {}  # ... that OMERO was told to import
        self.fenced = 0  # transactions that it began under its epoch
        event.listen(self.journal._database._engine, "before_cursor_execute", self._executed)

    def close(self) -> None:
        self.journal.close()

    def _gained(self) -> None:
        self.journal.work_as(self.lease.held, lost=lambda: self._lost("refused"))
        self.works = True

    def _lost(self, why: str) -> None:
        assert why
        self.lost = True

    def _executed(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.fenced += statement.startswith("INSERT INTO fence")


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All that is in the journal."""
    with engine.connect() as connection:
        return {
            table.name: sorted(tuple(row) for row in connection.execute(select(table)))
            for table in schema.metadata.sorted_tables
        }
