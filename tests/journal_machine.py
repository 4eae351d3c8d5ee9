"""The journal under everything that is done to it, by two DropBoxes and a command line.

Each DropBox may lose the lease between any two of its transactions, and goes
on.  Sets are met again after every end, share files with others, and are
deleted and met again.  What always holds: no fileset is without an end, no path
is open twice, no file and no row is lost, OMERO has nothing twice, and whoever
has lost the lease changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import create_engine

from omero_fs_plugin.dropbox.journal.database import LeaseLost
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import EXPIRES, RENEW
from omero_fs_plugin.dropbox.journal.records import (
    GONE,
    PART,
    Fileset,
    Formed,
    Found,
)
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from omero_fs_plugin.errors import ImportRefused

from .journal_attempts import Attempts, paths_of
from .journal_world import Side, rows
from .parts import parts_of

ROOT, BAD = "/dropbox/amy", "/bad/amy"
USERS = {"amy": ROOT, "zak": "/dropbox"}
NAMES = ("meta", "p0", "p1", "p2")
names = st.sampled_from(NAMES)
some = st.lists(names, min_size=1, max_size=4, unique=True)
several = st.lists(names, min_size=2, max_size=4, unique=True)
users = st.sampled_from(sorted(USERS))
which = st.integers(0, 1)  # of the DropBoxes that work, or of both
ends = st.sampled_from(["imported"] * 4 + ["refused", "refused for good", "given back", "skipped"])
NEVER = 9
moments = st.sampled_from([0, 1, 2, NEVER, NEVER, NEVER])  # another takes over before this step
HELD = (State.QUEUED, State.IMPORTING)
QUARANTINED = "quarantined "  # a note by a fileset's id: the root that it had


class _Killed(BaseException):
    """A process ends here, and does nothing more."""


class JournalMachine(RuleBasedStateMachine, Attempts):
    """What two DropBoxes and the command line do with one journal."""

    def url(self) -> str:
        """Of a new journal."""
        raise NotImplementedError

    @initialize(part=st.sampled_from([1, 2, PART]))
    def begin(self, part: int) -> None:
        Attempts.__init__(self)
        parts_of(part)  # so that sets of a few files are large
        self.now = 1000.0
        for name in NAMES:
            self.disk.write(f"{ROOT}/{name}")
        self.numbers = itertools.count(1)
        self._open(self.url())
        self.holder: Side | None = None  # of the lease, truly
        self.held_at = self.now
        self.seen: set[int] = set()  # filesets that were more than a file that waits
        self.unclaimed: set[int] = set()  # importing since before the journal was copied
        self.ask(0)

    def _open(self, url: str) -> None:
        self.at = url
        self.journal = Journal(url, who="omero fs", clock=self.clock)  # the command line's
        self.engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        self.sides = [self.dropbox(), self.dropbox()]

    def _close(self) -> None:
        for side in self.sides:
            side.close()
        self.journal.close()
        self.engine.dispose()

    def clock(self) -> float:
        """s.  No two times are the same."""
        self.now += 1e-6
        return self.now

    def dropbox(self) -> Side:
        """A process that has just begun."""
        return Side(self.at, f"machine-{next(self.numbers)}", self.clock)

    @contextmanager
    def by(self, number: int) -> Iterator[Side | None]:
        """What a DropBox does: one that has lost the lease is refused, and changes nothing."""
        working = [side for side in self.sides if side.works]
        side = working[number % len(working)] if working else None
        if side is None or side is self.holder:
            yield side
            return
        before, begun = rows(self.engine), side.fenced
        try:
            yield side
        except LeaseLost:
            assert side.lost, "nobody was told"
        else:
            assert side.fenced == begun, "it was not refused"
        assert rows(self.engine) == before

    # What becomes of DropBoxes.

    @rule(number=which, seconds=st.sampled_from([1.0, RENEW, EXPIRES / 2, EXPIRES]))
    def ask(self, number: int, seconds: float = 0.0) -> None:
        """A DropBox asks for the lease, or renews it, unless it knows that it has lost it."""
        side = self.sides[number % 2]
        self.now += seconds
        if side.lost:
            return
        if side.keeper.ask():
            stood_still = self.now - self.held_at >= EXPIRES
            assert self.holder in (None, side) or stood_still, "two at once"
            self.holder, self.held_at = side, self.now
        else:
            assert side.lost or self.holder is not side, "it had the lease"

    @rule()
    def take_over(self) -> None:
        """Whoever has the lease stands still until the other has it, and goes on then."""
        number = 1 if self.holder is self.sides[0] else 0
        self.ask(number)
        if self.sides[number].lost:  # as it hears only now: a new process comes in its place
            self.restart(number, kindly=False, asks=True)
        self.ask(number, EXPIRES)
        assert self.holder is self.sides[number]

    @rule(number=which, kindly=st.booleans(), asks=st.booleans())
    def restart(self, number: int, kindly: bool, asks: bool) -> None:
        """A DropBox ends, `kindly` or by a kill, and a new one begins, and `asks` for the lease."""
        side = self.sides[number % 2]
        if kindly and side is self.holder:
            for fileset in side.taken:
                side.journal.move(fileset, State.IMPORTING, State.QUEUED, "stopped")
            side.lease.release()
            self.holder = None
        side.close()
        self.sides[number % 2] = self.dropbox()
        if asks:
            self.ask(number)

    # What people do with files.

    @rule(
        name=names,
        what=st.sampled_from(["write", "copy", "chmod", "chmod", "rename", "delete"]),
        other=names,
    )
    def change(self, name: str, what: str, other: str) -> None:
        path, there = f"{ROOT}/{name}", f"{ROOT}/{name}" in self.disk.files
        if what == "write":
            self.disk.write(path)
        elif what == "copy" and there:
            self.disk.write(f"{ROOT}/{other}", like=path)
        elif what == "chmod" and there:
            self.disk.chmod(path)
        elif what == "rename" and there and name != other:
            self.disk.rename(path, f"{ROOT}/{other}")
        elif what == "delete" and there:
            self.disk.delete(path)

    # What DropBox makes of them.

    @rule(number=which, user=users, chosen=some, taken_over=moments)
    def meet(self, number: int, user: str, chosen: list[str], taken_over: int) -> None:
        """They are met, unless they are known as they are, and come to rest."""
        found = self.disk.found([f"{ROOT}/{name}" for name in chosen])
        known = self.journal.known(found)
        news = [one for one in found if known.get(one.path) in (None, State.WAITING)]
        with self.by(number) as side:
            if side is not None and news:
                side.journal.wait(user, USERS[user], news)
                self.met.update(one.path for one in news)
        if taken_over == 0:
            self.take_over()
        self._settle(number, self.journal.open_at([one.path for one in news]).values())

    def _settle(self, number: int, filesets: Iterable[Fileset]) -> None:
        with self.by(number) as side:
            for fileset in filesets:
                alone = fileset.state is State.WAITING and len(fileset.files) == 1
                if side is not None and alone and fileset.path in self.disk.files:
                    side.journal.settled({fileset.id: self.disk.files[fileset.path].stat})

    @rule(number=which, chosen=several, taken_over=moments)
    def form(self, number: int, chosen: list[str], taken_over: int) -> None:
        """They are met, known or not, and turn out to be a set."""
        found = self.disk.found([f"{ROOT}/{name}" for name in chosen])
        with self.by(number) as side:
            if side is None or len(found) < 2:
                return
            side.journal.wait("amy", ROOT, found)
            self.met.update(one.path for one in found)
        if taken_over == 0:
            self.take_over()
        with self.by(number) as side:
            assert side is not None
            identifier, _ = side.journal.form(Formed("amy", ROOT, found))
            if identifier is not None:
                (formed,) = self.journal.load([identifier])
                assert {one.path for one in found} <= {one.path for one in formed.files}
                assert formed.state in (*HELD, State.IMPORTED)

    @rule(
        chosen=several,
        part=st.integers(0, 3),
        then=st.sampled_from(["take over", "kill", "hand over", "change"]),
    )
    def form_until(self, chosen: list[str], part: int, then: str) -> None:
        """As `form`, and before one of the parts something else happens."""
        found, side = self.disk.found([f"{ROOT}/{name}" for name in chosen]), self.holder
        if side not in self.sides or side is None or side.lost or len(found) < 2:
            return  # or it was killed
        side.journal.wait("amy", ROOT, found)
        self.met.update(one.path for one in found)
        take_in, parts = side.journal._take_in, itertools.count()

        def take_in_until(*arguments: Any) -> None:
            if next(parts) == part:
                if then == "take over":
                    self.take_over()
                elif then == "hand over":
                    self.hand_over("amy", chosen[:1])
                elif then == "change":
                    self.change(chosen[-1], "write", chosen[0])
                else:
                    raise _Killed
            take_in(*arguments)

        side.journal._take_in = take_in_until  # type: ignore[method-assign]
        try:
            identifier, _ = side.journal.form(Formed("amy", ROOT, found))
            if identifier is not None:
                (formed,) = self.journal.load([identifier])
                assert {one.path for one in found} <= {one.path for one in formed.files}
                assert formed.state in (*HELD, State.IMPORTED)
        except LeaseLost:
            assert side.lost
            assert side is not self.holder
        except _Killed:
            self.restart(self.sides.index(side), kindly=False, asks=False)
        finally:
            del side.journal._take_in

    @rule(number=which)
    def look_again(self, number: int) -> None:
        """What waits and is gone ends; what is there waits on by itself, and says for what."""
        with self.by(number) as side:
            for fileset in self.journal.select(State.WAITING):
                if side is not None:
                    side.journal.dissolve(fileset.id)
        waiting = self.journal.select(State.WAITING)
        gone = {one.id: GONE for one in waiting if one.path not in self.disk.files}
        with self.by(number) as side:
            if side is not None:
                side.journal.end_waiting(gone, State.SKIPPED)
                side.journal.tell({one.id: "waits for p9" for one in waiting})
                side.journal.waited([one.id for one in waiting], 1.0)

    @rule(number=which, chosen=several)
    def give_up(self, number: int, chosen: list[str]) -> None:
        """Parts of a set whose last one never came."""
        found = self.disk.found([f"{ROOT}/{name}" for name in chosen])
        with self.by(number) as side:
            if side is None:
                return
            side.journal.wait("amy", ROOT, found)
            self.met.update(one.path for one in found)
            opened = self.journal.open_at([one.path for one in found])
            parts = [one.id for one in opened.values() if one.user == "amy"]
            if parts:
                side.journal.give_up(parts, "waits for p9", [f"{ROOT}/p9"])

    @rule(number=which)
    def quarantine(self, number: int) -> None:
        """Files of failed sets are moved away, each below the number of its fileset."""
        with self.by(number) as side:
            for fileset in self.journal.select(State.FAILED, user="amy"):
                there = self.disk.sha1s(fileset) is not None and fileset.root == ROOT
                if side is None or not there or self.journal.shared(fileset):
                    continue
                side.journal.note(f"{QUARANTINED}{fileset.id}", ROOT)
                self._move(side.journal, fileset, f"{BAD}/{fileset.id}")

    @rule(number=which)
    def bring_back(self, number: int) -> None:
        """... and come back: by a DropBox, or by the command line."""
        with self.by(number) as side:
            for key in self.journal.notes(QUARANTINED):
                (fileset,) = self.journal.load([int(key.removeprefix(QUARANTINED))])
                if fileset.state is State.FAILED and self._may_move(fileset, ROOT):
                    journal = side.journal if side is not None else self.journal
                    self._move(journal, fileset, ROOT, key)

    def _may_move(self, fileset: Fileset, root: str) -> bool:
        """Whether each of its files lies where it was, or, after a move cut short, below `root`."""
        places = ((path, path.replace(fileset.root, root)) for path in paths_of(fileset))
        there = self.disk.files
        return root != fileset.root and all((was in there) != (to in there) for was, to in places)

    def _move(self, journal: Journal, fileset: Fileset, root: str, note: str = "") -> list[Found]:
        moved = [(path, path.replace(fileset.root, root)) for path in paths_of(fileset)]
        for path, to in moved:
            if path in self.disk.files:
                self.disk.rename(path, to)
        found = self.disk.found([to for _, to in moved])
        if note:
            journal.bring_home(fileset, root, found, note)
        else:
            journal.put_elsewhere(fileset.id, root, found)
        self.met.difference_update(path for path, _ in moved)
        self.met.update(to for _, to in moved)
        return found

    # What importers do.

    @rule(number=which, user=users)
    def begin_to_work(self, number: int, user: str) -> None:
        """A DropBox gives back what another one was importing, and learns what OMERO has."""
        with self.by(number) as side:
            for fileset in self.journal.importing():
                if side is not None and fileset.id not in side.taken:
                    side.journal.move(
                        fileset.id, State.IMPORTING, State.QUEUED, "interrupted; OMERO is asked"
                    )
        with self.by(number) as side:
            if side is not None:
                self._recover(side, user)

    def _recover(self, side: Side, user: str) -> None:
        """Each DropBox does this once before its first import for a user."""
        newest = self.journal.newest_in_omero(user)
        there = self.omero.unrecorded(self.journal, user)
        found = [one.as_told() for one in there if one.id > newest]
        side.journal.found_in_omero(user, USERS[user], found)
        side.recovered.add(user)

    @rule(number=which, user=users, steps=st.integers(1, 3), end=ends, taken_over=moments)
    def import_(self, number: int, user: str, steps: int, end: str, taken_over: int) -> None:
        """An importer takes the oldest, tells OMERO to import it, and notes the end; or goes on
        with what it has taken already.  Another may take over before any of these steps."""
        for moment, step in enumerate((self._take, self._tell, self._note)[:steps]):
            if moment == taken_over:
                self.take_over()
            with self.by(number) as side:
                if side is not None:
                    step(side, user, end)

    def _take(self, side: Side, user: str, end: str) -> None:
        if not side.taken:
            if user not in side.recovered:
                self._recover(side, user)
            fileset = side.journal.take(user)
            if fileset is not None:
                side.taken[fileset.id] = fileset

    def _tell(self, side: Side, user: str, end: str) -> None:
        begun = [one for one in side.taken if one not in side.told]
        if begun:
            self.attempt(side, side.taken[begun[0]])

    def _note(self, side: Side, user: str, end: str) -> None:
        if side.taken:
            self.end(side, next(iter(side.taken.values())), end)

    # What the command line does.

    @rule(user=users, chosen=some)
    def hand_over(self, user: str, chosen: list[str]) -> None:
        found = self.disk.found([f"{ROOT}/{name}" for name in chosen])
        if not found:
            return
        try:
            handed = self.journal.hand_over(user, USERS[user], found[0], *found[1:])
            if handed.state is State.IMPORTED and handed.server_fileset not in self.omero.imports:
                handed = self.journal.hand_over(user, USERS[user], found[0], *found[1:], again=True)
        except ImportRefused as refusal:
            assert str(refusal).startswith(f"{ROOT}/")
        else:
            assert handed.state in (*HELD, State.IMPORTED)
            self.met.update(one.path for one in found)

    @rule(as_now=st.booleans())
    def retry(self, as_now: bool) -> None:
        for fileset in self.journal.select(State.FAILED):
            there = self.disk.found(paths_of(fileset))
            found = there if as_now and len(there) == len(fileset.files) else []
            try:
                self.journal.retry(fileset.id, found)
            except ImportRefused as refusal:
                assert str(refusal).startswith(fileset.path)

    # What always holds.

    @invariant()
    def every_fileset_has_an_end_or_is_on_its_way(self) -> None:
        there = {fileset.id: fileset for fileset in self.journal.select()}
        lost = {fileset for fileset in self.seen - set(there) if not self._is_told_of(fileset)}
        assert not lost, "a fileset never disappears"
        for fileset in there.values():
            assert fileset.files, fileset
            assert fileset.files[0].path == fileset.path, fileset
            if fileset.state in (State.SKIPPED, State.FAILED):
                assert fileset.reason, fileset
            if fileset.state is not State.WAITING:
                self.seen.add(fileset.id)

    def _is_told_of(self, fileset: int) -> bool:
        """Whether it is, with its history, in that of the one that it turned out to be."""
        now = self.one_now.get(fileset)
        reasons = [reason for _, _, _, reason, _ in self.journal.events(now)] if now else []
        return any(f"as fileset {fileset}" in reason for reason in reasons)

    @invariant()
    def no_file_is_lost(self) -> None:
        recorded = {path for fileset in self.journal.select() for path in paths_of(fileset)}
        assert self.met <= recorded

    @invariant()
    def no_path_is_open_twice(self) -> None:
        opened = [fileset.path for fileset in self.journal.select(*OPEN)]
        assert len(opened) == len(set(opened))

    @invariant()
    def no_set_lies_in_another(self) -> None:
        sets = [one for one in self.journal.select(*HELD) if len(one.files) > 1]
        for one, other in itertools.permutations(sets, 2):
            if one.user == other.user:
                assert not _lies_in(one, other), (one, other)

    @invariant()
    def omero_has_nothing_twice(self) -> None:
        there = [(one.user, one.sha1s) for one in self.omero.imports.values()]
        assert len(there) == len(set(there)), self.omero.imports

    @invariant()
    def who_imports_has_a_claim(self) -> None:
        importing = {fileset.id for fileset in self.journal.importing()}
        claims, epoch = self.journal.claims(), self.journal.lease().epoch
        self.unclaimed &= importing - set(claims)
        assert set(claims) == importing - self.unclaimed
        assert all(claim.epoch <= epoch for claim in claims.values())
        if self.holder is not None:
            mine = {fileset: claims[fileset].epoch for fileset in self.holder.taken}
            assert set(mine.values()) <= {epoch}

    def teardown(self) -> None:
        if not hasattr(self, "journal"):
            return
        try:
            self._bring_to_an_end()
        finally:
            self._close()
            parts_of(PART)

    def _bring_to_an_end(self) -> None:
        """Whatever was left open: a new DropBox takes over, and all of it ends."""
        self.take_over()
        assert self.holder is not None
        for side in self.sides:
            side.works = side is self.holder
        for _ in range(len(self.journal.select()) + 3):
            for user in USERS:
                self.begin_to_work(0, user)
            self.look_again(0)
            self._settle(0, self.journal.select(State.WAITING))
            for user in USERS:
                for _ in self.import_all(self.holder, user):
                    self.every_fileset_has_an_end_or_is_on_its_way()
                    self.omero_has_nothing_twice()
            if not self.journal.select(*OPEN):
                return
        raise AssertionError(f"these have no end: {self.journal.select(*OPEN)}")


def _lies_in(one: Fileset, other: Fileset) -> bool:
    there = {met.path: met.stat for met in other.files}
    return all(there.get(met.path) == met.stat for met in one.files)
