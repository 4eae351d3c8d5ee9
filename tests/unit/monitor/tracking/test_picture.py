"""What a client is known to know, and what a restart makes of it.

The tracker's own machine, `AnySequence`, goes on here with an outbox, a client
that answers or does not, and an FSServer that is killed: what was posted to
its record last is lost then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from omero_fs_plugin.events import EventType
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.monitor.kernel.entries import Entry, Identity, Kind, Listing
from omero_fs_plugin.monitor.notices import Notice, Tell
from omero_fs_plugin.monitor.requests import PathMode
from omero_fs_plugin.monitor.telling.absence import PROBE, Absence
from omero_fs_plugin.monitor.telling.keeper import EVERY, Keeper
from omero_fs_plugin.monitor.telling.outbox import Outbox
from omero_fs_plugin.monitor.tracking.picture import (
    Changes,
    Known,
    Ledger,
    State,
    key_of,
    restore,
    snapshot,
    state_of,
)
from omero_fs_plugin.monitor.tracking.tracker import Tracker
from omero_fs_plugin.monitor.tracking.tree import NEVER, Directory
from tests.conftest import examples

from . import test_any_sequence as sequences
from .fake_disk import ROOT, FakeDisk, Watched, p

CREATE, MODIFY, DELETE = EventType.CREATE, EventType.MODIFY, EventType.DELETE
FILE = (7, 8, 9)
LATER = (7, 8, 10)


def create(name: str, *, directory: bool = False) -> Tell:
    return Tell(CREATE, p(name), directory, None if directory else FILE)


def delete(name: str, *, directory: bool = False) -> Tell:
    return Tell(DELETE, p(name), directory)


def named(changes: Changes) -> dict[str, State]:
    return {path.decode().removeprefix(ROOT.decode() + "/"): one for path, one in changes.items()}


# What has become due


def test_what_was_heard_is_due_once() -> None:
    ledger = Ledger(PathMode.FOLLOW)
    ledger.arrived(
        [
            create("a"),
            create("b"),
            create("d", directory=True),
            Notice.OVERFLOW.tell(ROOT, "rescan"),
            delete("b"),
            Tell(MODIFY, p("a"), identity=LATER),
            Tell(MODIFY, p("c")),
        ]
    )
    assert named(ledger.take()) == {"a": LATER, "b": None, "d/": "D", "c": NEVER}
    assert ledger.take() == {}


@pytest.mark.parametrize(
    ("mode", "entered"),
    [(PathMode.FOLLOW, "D"), (PathMode.RECURSE, "d"), (PathMode.FLAT, "d")],
)
def test_a_new_directory_is_entered_in_one_mode_only(mode: PathMode, entered: str) -> None:
    ledger = Ledger(mode)
    ledger.arrived([create("d", directory=True)])
    assert named(ledger.take()) == {"d/": entered}


def test_what_was_not_asked_for_waits_for_what_was_told_before_it() -> None:
    ledger = Ledger(PathMode.FOLLOW)
    ledger.silent(create("first", directory=True), 0)
    assert named(ledger.take()) == {"first/": "D"}
    ledger.silent(create("second", directory=True), 2)  # two events wait to be told
    ledger.silent(create("third", directory=True), 3)
    assert ledger.take() == {}
    ledger.arrived([create("a")])
    assert named(ledger.take()) == {"a": FILE}
    ledger.arrived([create("b")])
    assert named(ledger.take()) == {"b": FILE, "second/": "D"}
    ledger.arrived([delete("b")])
    assert named(ledger.take()) == {"b": None, "third/": "D"}


def test_what_will_not_be_told_is_as_the_tracker_has_taken_it_back() -> None:
    ledger = Ledger(PathMode.FOLLOW)
    root = Directory(ROOT, None)
    root.files[b"modified"] = root.files[b"deleted"] = NEVER
    root.below(p("d"))
    ledger.silent(delete("d", directory=True), 1)
    unheard = [create("new"), Tell(MODIFY, p("modified")), delete("deleted"), create("none/x")]
    ledger.dropped(unheard, root)
    assert named(ledger.take()) == {
        "new": None,
        "modified": NEVER,
        "deleted": NEVER,
        "none/x": None,
        "none/": None,
        "d/": "D",
    }
    ledger.arrived([create("a"), create("b")])  # nothing silent is left over
    assert named(ledger.take()) == {"a": FILE, "b": FILE}


# From a tree and back


def flat(known: Iterable[Known]) -> dict[bytes, State]:
    """Path -> its state.  No directory comes twice."""
    there = list(known)
    assert len(dict(there)) == len(there)
    return {
        above + name: state
        for above, states in there
        for name, state in states.items()
        if state is not None
    }


def test_a_picture_leaves_out_what_the_client_has_not_heard() -> None:
    disk = FakeDisk()
    for name in ("old", "gone", "written"):
        disk.put(p(name))
    disk.mkdirs(p("d/deep"))
    watched = Watched(disk, directory_events=True)
    disk.put(p("heard"))
    watched.wait(5)
    watched.take()
    disk.put(p("new"))
    disk.unlink(p("gone"))
    disk.mkdirs(p("e"))
    disk.rmtree(p("d"))
    watched.wait(5)
    disk.write(disk.open(p("written")))  # and not closed
    watched.feed()
    kept = named(flat(snapshot(watched.tracker.root, watched.told, PathMode.FOLLOW)))
    identity = {name: disk.look(p(name)) for name in ("old", "heard")}
    assert kept == {
        "old": identity["old"].identity,  # type: ignore[union-attr]
        "heard": identity["heard"].identity,  # type: ignore[union-attr]
        "gone": NEVER,
        "written": NEVER,
        "d/": "D",
        "d/deep/": "D",
    }


@pytest.mark.parametrize("path", [ROOT, b"/"], ids=["below", "the root of all"])
def test_a_tree_comes_back(path: bytes) -> None:
    root = Directory(path, None)
    for name in (b"a", b"\xff", b"d-"):
        root.files[name] = FILE
    deep = root.below(root.join(b"d") + b"/e/f")
    deep.files[b"x"] = LATER
    deep.mounted = True
    root.subdirs[b"not entered"] = None
    root.doubt(b"not entered", directory=True, enter=False)
    root.doubt(b"doubted", directory=False, enter=False)
    kept = flat(snapshot(root, [], PathMode.FOLLOW))
    for backwards in (True, False):
        again = Directory(path, None)
        restore(again, sorted(kept.items(), reverse=backwards))
        assert flat(snapshot(again, [], PathMode.FOLLOW)) == kept
    assert again.files == root.files
    assert again.subdirs[b"not entered"] is None
    assert state_of(again, deep.join(b"x")) == LATER
    assert state_of(again, key_of(deep.path, True)) == "Dm"
    assert state_of(again, deep.path) is None
    assert state_of(again, root.join(b"not entered/")) == "d?"
    assert state_of(again, deep.join(b"none")) is None
    assert state_of(again, root.join(b"none") + b"/at/all") is None


# Any sequence of acts, and a server that is killed


class Kept:
    """record.Picture without a file: what is posted last is not there yet."""

    def __init__(self) -> None:
        self.store: dict[bytes, State] = {}
        self.posts: list[tuple[Changes, int]] = []
        self.kept_mount = b""
        self.sent: list[list[Tell]] = []  # written at once
        self.heard = self.shown = 0  # of sent: what `posts` shows, what `store` shows

    @property
    def mount(self) -> bytes:
        return self.kept_mount

    def load(self) -> Iterator[tuple[bytes, State]]:
        yield from sorted(self.store.items(), reverse=True)  # the worst of all orders

    def begin(
        self,
        known: Iterator[Known],
        mount: bytes,
        *,
        between: Callable[[], None],
        done: Callable[[], None],
    ) -> None:
        self.store, self.posts, self.kept_mount = flat(known), [], mount
        self.heard = self.shown = len(self.sent)
        between()
        done()

    def doubts(self) -> list[tuple[bytes, bool]]:
        self.heard = len(self.sent)
        batches = self.sent[self.shown :]
        return [
            (tell.path, tell.directory)
            for batch in batches
            for tell in batch
            if tell.type in (CREATE, DELETE)
        ]

    def sending(self, tells: list[Tell]) -> None:
        self.sent.append(tells)

    def settled(self) -> None:
        self.heard = len(self.sent)

    def write(self, changes: Changes, heard: int | None = None, *, urgent: bool = False) -> None:
        self.posts.append((dict(changes), self.heard if heard is None else heard))

    def commit(self, most: int) -> None:
        """The thread of the record has got so far."""
        for changes, shown in self.posts[:most]:
            self.shown = shown
            for path, state in changes.items():
                if state is None:
                    self.store.pop(path, None)
                else:
                    self.store[path] = state
        del self.posts[:most]

    def keep_mount(self, mount: bytes) -> None:
        self.kept_mount = mount

    def away(self, seconds: float) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class KilledAtAnyTime(sequences.AnySequence):
    """Rule: what a client was told, over any number of servers, adds up to the disk.

    Twice it may be told only of what it heard and the record did not show yet.
    """

    @initialize(
        capacity=st.sampled_from([1, 10, 10**9]),
        most=st.sampled_from([1, 10**9, 10**9]),
        share=st.sampled_from([False, False, True]),
        directories=st.booleans(),
        asked=st.booleans(),
    )
    def begin(
        self,
        capacity: int,
        most: int,
        share: bool,
        directories: bool = True,
        asked: bool = True,
    ) -> None:
        super().begin(capacity, most, share)
        self.kept = Kept()
        self.told_of_directories = directories
        self.asked = frozenset(EventType) if asked else frozenset(EventType) - {MODIFY}
        self.unsure = False  # something was heard that the record does not show
        self.shown: dict[bytes, int] = {}  # the content when it was told of, and not yet heard
        if not directories:
            self.directories = set()
        self.serve(resumed=False)

    def serve(self, *, resumed: bool) -> None:
        """Another server over the same disk."""
        self.outbox = Outbox(block_size=3)
        watched = self.watched = Watched.__new__(Watched)
        watched.disk, watched.told = self.disk, []
        self.disk.forget_watches()
        watched.tracker = Tracker(
            ROOT,
            tell=self.tell,
            passes=Filter(ROOT),
            directory_events=self.told_of_directories,
            note=lambda tell: self.keeper.silent(tell),
        )
        self.keeper = Keeper(self.kept, watched.tracker, self.outbox, PathMode.FOLLOW)  # type: ignore[arg-type]
        if resumed:
            self.keeper.resume()
            watched.tracker.open(self.disk, self.disk.now, known=True)
        else:
            watched.tracker.open(self.disk, self.disk.now, known=False)
            watched.scan()
            self.keeper.begin(watched.feed, lambda: None)

    def tell(self, tell: Tell) -> None:
        """As Watcher._tell."""
        if found := self.disk.find(tell.path):
            self.shown[tell.path] = found.version
        if tell.type in self.asked:
            self.outbox.put(tell, self.disk.now)
        else:
            self.keeper.silent(tell)

    def read(self, *, among_many: bool = False) -> None:
        """The client answers at once."""
        while batch := self.take():
            self.hear(batch)
            self.outbox.delivered(self.disk.now)
            self.keeper.arrived(batch)
        self.keeper.write(self.disk.now if among_many else None)

    def take(self) -> list[Tell]:
        """As Watcher._send."""
        tried = self.outbox.tried
        batch = self.outbox.take(self.disk.now)
        self.keeper.sending(batch[tried:])
        return batch

    def hear(self, batch: list[Tell]) -> None:
        for tell in batch:
            there = self.directories if tell.directory else self.files
            known = tell.path in there
            if not self.unsure and tell.type is not EventType.SYSTEM:
                assert known == (tell.type is not CREATE), tell
            if tell.type is DELETE:
                there.discard(tell.path) if tell.directory else self.files.pop(tell.path, None)  # type: ignore[union-attr]
            elif tell.directory:
                self.directories.add(tell.path)
            elif tell.type is not EventType.SYSTEM:
                # Who comes too late and finds nothing waits for a Delete.  There is
                # none when the same file is back, unchanged, before it was missed.
                found = self.disk.find(tell.path)
                self.files[tell.path] = found.version if found else self.shown[tell.path]

    @rule(most=st.integers(1, 8), seconds=st.sampled_from([0.001, 0.03, 0.2, 0.6]))
    def some_work(self, most: int, seconds: float) -> None:
        self.watched.feed(most)
        self.disk.now += seconds
        if self.watched.tracker.due() <= self.disk.now:
            self.watched.tracker.step(self.disk.now)

    @rule(among_many=st.booleans())
    def the_client_answers(self, among_many: bool = False) -> None:
        self.read(among_many=among_many)

    @rule()
    def it_is_certain_what_files_look_like(self) -> None:
        """As Watcher._turn: when all events were fed."""
        if not self.disk.queue:
            self.watched.tracker.confirm(self.disk.now)

    @rule()
    def the_answer_is_lost(self) -> None:
        batch = self.take()
        if batch:
            self.hear(batch)
            self.unsure = True
            self.outbox.failed(self.disk.now)
            self.disk.now += 60

    @rule(most=st.integers(1, 5))
    def the_record_is_written(self, most: int) -> None:
        self.kept.commit(most)

    @rule(most=st.integers(0, 3))
    def kill(self, most: int) -> None:
        self.kept.commit(most)
        self.unsure = self.unsure or bool(self.kept.posts) or self.keeper.due() < math.inf
        self.kept.posts.clear()
        self.disk.queue.clear()
        self.disk.now += 5
        self.serve(resumed=True)

    @rule()
    def gap(self, heard: int = 0) -> None:
        tried = self.outbox.tried
        unheard = self.outbox.clear()
        self.watched.tracker.close()
        self.disk.queue.clear()
        self.watched.tracker.untell(unheard, tried)
        self.keeper.dropped(unheard)
        self.keeper.write()
        self.watched.tracker.open(self.disk, self.disk.now, known=True)

    @rule()
    def quiet_at_last(self) -> None:
        self.all_is_well()
        for _ in range(60):
            # Long enough for a round of polling that an answer lost in its
            # midst stretched to a minute: such a round is followed by a rest.
            self.watched.wait(30)
            self.read()
        self.kept.commit(len(self.kept.posts))
        there = self.disk.below(ROOT)
        assert set(self.files) == set(there)
        for path, inode in there.items():
            seen = inode.linked or self.files[path] == inode.version
            assert seen or MODIFY not in self.asked, path
        below = set(self.disk.below(ROOT, Kind.DIRECTORY))
        if self.told_of_directories:
            assert self.directories == below
        # The record holds the disk, too: a restart has nothing to tell but of
        # times that were set, which tell of a write as well.
        store = self.kept.store
        assert {key for key, state in store.items() if state in ("D", "Dm")} == {
            key_of(one, True) for one in below
        }
        assert {key for key, state in store.items() if state not in ("D", "Dm")} == set(there)
        for path, inode in there.items():
            kept = store[path]
            assert kept == NEVER or (isinstance(kept, tuple) and kept[0] == inode.number)


TestKilledAtAnyTime = KilledAtAnyTime.TestCase
TestKilledAtAnyTime.settings = settings(
    max_examples=examples(60),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_directory_that_nobody_is_told_of_is_kept_by_the_next_server() -> None:
    """Its file was heard of, then the server was killed before it wrote either."""
    machine = KilledAtAnyTime()
    machine.begin(capacity=10**9, most=10**9, share=False, directories=False)
    machine.disk.mkdirs(p("d/e"))
    machine.disk.put(p("d/e/f"))
    machine.some_work(most=8, seconds=0.6)
    machine.watched.wait(5)
    machine.read()
    assert machine.files.keys() >= {p("d/e/f")}
    machine.kill(most=0)
    machine.quiet_at_last()
    assert machine.kept.store[p("d/")] == machine.kept.store[p("d/e/")] == "D"


@pytest.mark.parametrize("killed", [False, True])
def test_a_directory_that_nobody_is_told_of_takes_a_files_place_before_a_gap(killed: bool) -> None:
    """The next server knows of both: the file is to be deleted, the directory is not new."""
    machine = KilledAtAnyTime()
    machine.begin(capacity=1, most=1, share=False, directories=False, asked=False)
    machine.gap()
    machine.disk.unlink(p("a/c.tif"))
    machine.disk.rename(p("a/b"), p("a/c.tif"))
    machine.some_work(most=1, seconds=0.001)
    machine.some_work(most=1, seconds=0.001)
    machine.gap()
    if killed:
        machine.kill(most=1)
    machine.quiet_at_last()


def test_a_directory_takes_a_files_place_and_the_client_may_not_have_heard() -> None:
    """Each next server knows that the client may know of the file still."""
    machine = KilledAtAnyTime()
    machine.begin(capacity=10**9, most=10**9, share=False, directories=False)
    machine.disk.unlink(p("a/c.tif"))
    machine.disk.mkdirs(p("a/c.tif/d"))
    machine.watched.wait(5)
    assert machine.take() == [Tell(DELETE, p("a/c.tif"))]
    machine.outbox.failed(machine.disk.now)  # it did not arrive, which nobody here can know
    machine.unsure = True
    machine.gap()
    for _ in range(2):
        machine.kill(most=3)
        machine.keeper.write()
    machine.quiet_at_last()
    assert machine.files == {}


def test_a_file_that_was_away_unseen_when_the_client_looked_for_it() -> None:
    """It is back as it was, so there is no event for it, neither now nor later."""
    machine = KilledAtAnyTime()
    machine.begin(capacity=1, most=1, share=False, directories=False)
    machine.disk.rmtree(p("a"))
    machine.writers.append(machine.disk.open(p("a")))
    machine.kill(most=0)
    machine.some_work(most=1, seconds=0.001)
    machine.disk.rename(p("a"), b"/data/outside/a")
    machine.the_client_answers()
    machine.gap()
    machine.disk.rename(b"/data/outside/a", p("a"))
    machine.quiet_at_last()
    assert machine.files.keys() == {p("a")}


def test_another_file_in_the_place_of_one_that_was_away_unseen() -> None:
    machine = KilledAtAnyTime()
    machine.begin(capacity=10**9, most=10**9, share=True)
    machine.disk.put(p("new"))
    machine.watched.wait(60)
    machine.disk.unlink(p("new"))
    machine.the_client_answers()
    for _ in range(3):
        machine.disk.put(p("new"))
    machine.quiet_at_last()
    assert machine.files[p("new")] == 3


@pytest.mark.parametrize("directories", [False, True])
def test_a_directory_that_hangs_when_the_client_may_not_have_heard_of_it(directories: bool) -> None:
    """A new server meets it by its own answer, not in its parent's list."""
    machine = KilledAtAnyTime()
    machine.begin(capacity=1, most=10**9, share=False, directories=directories)
    machine.disk.mkdirs(p("b"))
    machine.some_work(most=8, seconds=0.6)
    machine.the_answer_is_lost()
    machine.disk.hang(p("b"))
    machine.kill(most=3)
    machine.some_work(most=4, seconds=0.6)
    machine.quiet_at_last()


# What is mounted below the root


class Mounting(FakeDisk):
    """Something is mounted on `point`, or not."""

    point = p("share")
    is_mounted = True

    def look(self, path: bytes) -> Entry | None:
        entry = super().look(path)
        mounted = path == self.point and self.is_mounted
        return entry._replace(mounted=mounted) if entry is not None else None

    def entries(self, path: bytes, known: Mapping[bytes, Identity] | None) -> Listing:
        listing = super().entries(path, known)
        names = [
            (name, entry._replace(mounted=self.is_mounted and path + b"/" + name == self.point))
            for name, entry in listing.names
        ]
        return listing._replace(names=names)


@pytest.mark.parametrize("late", [False, True], ids=["before the start", "after the start"])
def test_a_share_below_the_root_that_is_away_at_a_restart(late: bool) -> None:
    disk = Mounting()
    disk.is_mounted = not late
    disk.mkdirs(p("share"))
    if not late:
        disk.put(p("share/a"))
    first = Watched(disk)
    kept = Kept()
    keeper = Keeper(kept, first.tracker, Outbox(), PathMode.FOLLOW)  # type: ignore[arg-type]
    first.tracker._note = lambda tell: keeper.silent(tell)
    keeper.begin(first.feed, lambda: None)
    if late:
        disk.put(p("share/a"))
        disk.is_mounted = True
        first.tracker.overflowed(disk.now)
        first.wait(5)
        keeper.arrived(first.told)
        keeper.write()
        kept.commit(len(kept.posts))
    assert kept.store[p("share/")] == "Dm"
    disk.forget_watches()
    disk.is_mounted = False
    disk.unlink(p("share/a"))  # what is seen of an empty mount point
    second = Watched.__new__(Watched)
    second.disk, second.told = disk, []
    second.tracker = Tracker(ROOT, tell=second.told.append, passes=Filter(ROOT))
    Keeper(kept, second.tracker, Outbox(), PathMode.FOLLOW).resume()  # type: ignore[arg-type]
    second.tracker.open(disk, disk.now, known=True)
    second.wait(60)
    assert [one for one in second.take() if one[1] != "rescanned"] == [("System", "unreachable")]
    disk.put(p("share/a"))
    disk.put(p("share/b"))
    disk.is_mounted = True
    second.wait(60)
    assert sorted(one for one in second.take() if one[1] != "rescanned") == [
        ("Create", "share/b"),
        ("Modify", "share/a"),  # another inode, as this disk has it
        ("System", "reachable"),
    ]


# How long a client may be away


def test_a_client_is_given_up_after_a_time_away_on_end() -> None:
    absence = Absence(100.0)
    for now in (0.0, 30.0, 60.0, 90.0):
        absence.failed(now)
        assert not absence.given_up
    absence.failed(100.0)
    assert absence.given_up


def test_an_answer_begins_the_count_anew() -> None:
    absence = Absence(100.0)
    absence.failed(0.0)
    absence.failed(99.0)
    absence.answered()
    absence.failed(200.0)
    absence.failed(299.0)
    assert not absence.given_up
    absence.failed(301.0)
    assert absence.given_up


def test_the_time_a_server_was_down_is_no_absence() -> None:
    first = Absence(1000.0)
    first.failed(0.0)
    first.failed(600.0)
    kept = first.to_keep()
    assert kept == 600.0
    second = Absence(1000.0, kept)
    second.failed(50_000.0)  # another clock, a long time later
    assert not second.given_up
    second.failed(50_399.0)
    assert not second.given_up
    second.failed(50_401.0)
    assert second.given_up


def test_without_a_limit_nobody_is_given_up() -> None:
    absence = Absence(0.0)
    absence.failed(0.0)
    absence.failed(1e9)
    assert not absence.given_up
    assert absence.probe == PROBE


@pytest.mark.parametrize(("limit", "probe"), [(604800.0, PROBE), (100.0, 25.0), (0.1, 0.1)])
def test_it_is_asked_often_enough(limit: float, probe: float) -> None:
    assert Absence(limit).probe == probe


def test_it_is_kept_in_steps_and_its_end_at_once() -> None:
    absence = Absence(604800.0)
    kept = []
    for now in range(0, 3000, 30):
        absence.failed(float(now))
        if (seconds := absence.to_keep()) is not None:
            kept.append(seconds)
    assert kept == [float(one) for one in range(300, 3000, 300)]
    absence.answered()
    assert absence.to_keep() == 0.0
    assert absence.to_keep() is None


def test_a_file_that_was_told_just_after_a_write_is_written_once() -> None:
    """Soon it is certain what it looks like, and until then the record waits for it."""
    machine = KilledAtAnyTime()
    machine.begin(capacity=10**9, most=10**9, share=False)
    written: list[bytes] = []
    write = machine.kept.write

    def counted(changes: Changes, *arguments: int, urgent: bool = False) -> None:
        written.extend(changes)
        write(changes, *arguments, urgent=urgent)

    machine.kept.write = counted  # type: ignore[assignment,method-assign]
    for number in range(20):
        machine.disk.put(p(f"{number:02}"))
        machine.some_work(most=8, seconds=0.01)
        machine.it_is_certain_what_files_look_like()
        machine.read(among_many=True)
    machine.quiet_at_last()
    assert sorted(written) == sorted(p(f"{number:02}") for number in range(20))


def test_what_the_record_waits_for_is_told_again_after_a_kill() -> None:
    machine = KilledAtAnyTime()
    machine.begin(capacity=10**9, most=10**9, share=False)
    machine.kept.posts.clear()
    machine.disk.put(p("new"))
    machine.some_work(most=8, seconds=0.01)
    machine.read(among_many=True)
    assert p("new") in machine.files
    assert machine.keeper.due() <= machine.disk.now + 2 * EVERY
    assert not machine.kept.posts
    machine.kill(most=0)
    machine.quiet_at_last()
