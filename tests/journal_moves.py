"""The journal's state machine, with what happens more rarely.

Files are renamed, disks mounted anew, filesets set aside or given to another user.  Images are
deleted in OMERO.  The journal is carried to another database, or lost and made anew.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from hypothesis.stateful import precondition, rule

from omero_fs_plugin.dropbox.journal.copying import copy
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State

from .journal_machine import ROOT, USERS, JournalMachine, names, users, which
from .journal_world import Side, rows

PARTS = f"{ROOT}/p"  # what the paths of all parts begin with
_OF_ONE_DATABASE = ("lease", "claim")


class WholeMachine(JournalMachine):
    """All that is done to a journal.  A new database takes long, so it gets few."""

    lost = carried = False

    @rule(name=names, other=names, number=which, user=users)
    def rename(self, name: str, other: str, number: int, user: str) -> None:
        """... and DropBox meets it: its fileset goes on at the new path."""
        path, to = f"{ROOT}/{name}", f"{ROOT}/{other}"
        if name == other or path not in self.disk.files:
            return
        self.disk.rename(path, to)
        found = self.disk.found([to])
        with self.by(number) as side:
            if side is not None and not self.journal.known(found):
                side.journal.wait(user, USERS[user], found)
                self.met.update(one.path for one in found)
        with self.by(number) as side:
            if side is not None:
                self._follow(side, user, found)

    def _follow(self, side: Side, user: str, found: Sequence[Found]) -> None:
        """As `settling.meeting` does."""
        lay = self.journal.former(user, found)
        gone = {one: at for one, at in lay.items() if at[0] not in self.disk.files}
        if not gone:
            return
        side.journal.follow({one: (USERS[user], met) for one, (_, met) in gone.items()})
        recorded = {met.path for one in self.journal.select() for met in one.files}
        self.met.difference_update({path for path, _ in gone.values()} - recorded)

    @rule()
    def mount_anew(self) -> None:
        """The disk has another device number, and the same files."""
        self.disk.mount_anew()

    @rule()
    def forget(self) -> None:
        """Somebody says that what has failed need not be imported."""
        for fileset in self.journal.select(State.FAILED):
            assert self.journal.forget(fileset.id, "set aside")

    @rule(number=which, name=names, user=users)
    def give(self, number: int, name: str, user: str) -> None:
        """The directory is another user's by now."""
        with self.by(number) as side:
            for fileset in self.journal.open_at([f"{ROOT}/{name}"]).values():
                if side is not None and fileset.state is State.WAITING:
                    side.journal.give_to(fileset.id, user, USERS[user])

    @rule(number=which)
    def become_a_store(self, number: int) -> None:
        """The parts turn out to be those of a store, which is not a part of this test."""
        with self.by(number) as side:
            if side is not None:
                side.journal.absorb("amy", PARTS)
                recorded = {met.path for one in self.journal.select() for met in one.files}
                self.met = {one for one in self.met if one in recorded or PARTS not in one}

    @rule(user=users)
    def delete_in_omero(self, user: str) -> None:
        """A user deletes the newest images of which the journal knows."""
        there = [one.id for one in self.omero.imports.values() if one.user == user]
        known = self.journal.recorded(there)
        if known:
            del self.omero.imports[max(known)]

    @precondition(lambda self: self.omero.imports and not self.lost)
    @rule()
    def lose_journal(self) -> None:
        """... with its database, and DropBox begins without it."""
        self.lost = True
        self._go_on_at(self.url())
        self.seen.clear()
        self.met.clear()
        self.one_now.clear()

    @precondition(lambda self: self.seen and not self.carried)
    @rule()
    def carry_journal(self) -> None:
        """... to another database, while nobody works on it."""
        self.take_over()
        assert self.holder is not None
        self.holder.lease.release()
        self.carried = True
        before, at = rows(self.engine), self.url()
        target = Journal(at, who="omero fs", clock=self.clock)
        copy(self.journal, target, time.monotonic)
        target.close()
        self.unclaimed = {fileset.id for fileset in self.journal.importing()}
        self._go_on_at(at)
        after = rows(self.engine)
        assert {name: some for name, some in after.items() if name not in _OF_ONE_DATABASE} == {
            name: some for name, some in before.items() if name not in _OF_ONE_DATABASE
        }

    def _go_on_at(self, url: str) -> None:
        self._close()
        self.holder = None
        self._open(url)
        self.ask(0)
