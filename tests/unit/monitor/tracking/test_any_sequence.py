"""The tracker: any sequence of acts tells a client what lies there in the end."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from omero_fs_plugin.monitor.kernel.entries import Kind
from tests.conftest import examples

from .fake_disk import CREATE, DELETE, MODIFY, ROOT, SYSTEM, Dentry, FakeDisk, Watched

AWAY = b"/data/away"  # where the root is while its path leads nowhere
NAMES = st.sampled_from([b"a", b"b", b"c.tif", b"d.new", b"\xff\xfe"])


class AnySequence(RuleBasedStateMachine):
    """Rule: after quiet, the client's picture is the disk, content and all."""

    @initialize(
        capacity=st.sampled_from([1, 3, 10, 10**9]),
        most=st.sampled_from([0, 1, 3, 10**9, 10**9]),
        share=st.booleans(),
        leases=st.booleans(),
    )
    def begin(self, capacity: int, most: int, share: bool, leases: bool = True) -> None:
        self.disk = FakeDisk()
        self.disk.leases = leases
        self.disk.share = share
        self.disk.most = most
        self.disk.mkdirs(ROOT + b"/a/b")
        self.disk.mkdirs(b"/data/outside")
        self.disk.put(ROOT + b"/a/c.tif")
        self.watched = Watched(self.disk, directory_events=True)
        self.disk.capacity = capacity
        self.writers: list[Dentry] = []
        # What a client that reads each file when told of it knows.
        self.files = {path: i.version for path, i in self.disk.below(ROOT).items()}
        self.directories = set(self.disk.below(ROOT, Kind.DIRECTORY))
        self.quiet = True

    def read(self) -> None:
        for kind, path, is_directory, _, _ in self.watched.told:
            if kind is SYSTEM:
                continue
            if kind is CREATE:  # what had the name before is told as gone before
                assert path not in (self.files if is_directory else self.directories)
            if is_directory and kind is CREATE:
                assert path not in self.directories
                self.directories.add(path)
            elif is_directory:
                self.directories.remove(path)
            elif kind is DELETE:
                del self.files[path]
            else:
                assert (path in self.files) == (kind is MODIFY)
                found = self.disk.find(path)
                self.files[path] = found.version if found else -1
        self.watched.told.clear()

    def directory(self, data: st.DataObject) -> bytes:
        root = ROOT if self.disk.find(ROOT) else AWAY
        inside = [root, *self.disk.below(root, Kind.DIRECTORY)]
        outside = [b"/data/outside", *self.disk.below(b"/data/outside", Kind.DIRECTORY)]
        return data.draw(st.sampled_from(sorted(inside + outside)))

    def file(self, data: st.DataObject) -> bytes | None:
        tops = (ROOT, AWAY, b"/data/outside")
        everywhere = {p: i for top in tops for p, i in self.disk.below(top).items()}
        return data.draw(st.sampled_from(sorted(everywhere))) if everywhere else None

    @rule(data=st.data(), name=NAMES)
    def open(self, data: st.DataObject, name: bytes) -> None:
        path = self.directory(data) + b"/" + name
        found = self.disk.find(path)
        if found is None or found.kind is Kind.FILE:
            self.writers.append(self.disk.open(path))

    @rule(data=st.data(), name=NAMES)
    def put(self, data: st.DataObject, name: bytes) -> None:
        path = self.directory(data) + b"/" + name
        found = self.disk.find(path)
        if found is None or found.kind is Kind.FILE:
            self.disk.put(path)

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), close=st.booleans())
    def write(self, data: st.DataObject, close: bool) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        self.disk.write(writer)
        if close:
            self.disk.close(writer)
            self.writers.remove(writer)

    @rule(data=st.data(), name=NAMES)
    def mkdir(self, data: st.DataObject, name: bytes) -> None:
        path = self.directory(data) + b"/" + name
        if self.disk.find(path) is None and path.count(b"/") < 7:
            self.disk.mkdirs(path)

    @rule(data=st.data(), name=NAMES, hard=st.booleans())
    def link(self, data: st.DataObject, name: bytes, hard: bool) -> None:
        path = self.directory(data) + b"/" + name
        source = self.file(data)
        if self.disk.find(path) is not None:
            return
        if not hard:
            self.disk.symlink(path)
        elif source is not None:
            self.disk.link(source, path)

    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        path = self.file(data)
        if path is not None:
            self.disk.utime(path)

    @rule(data=st.data())
    def unlink(self, data: st.DataObject) -> None:
        path = self.file(data)
        if path is not None:
            self.disk.unlink(path)

    @rule(data=st.data())
    def rmtree(self, data: st.DataObject) -> None:
        path = self.directory(data)
        if path not in (ROOT, AWAY, b"/data/outside") and not self.mounted(path):
            self.disk.rmtree(path)

    @rule(data=st.data(), name=NAMES)
    def rename_file(self, data: st.DataObject, name: bytes) -> None:
        source = self.file(data)
        target = self.directory(data) + b"/" + name
        if source is None or source == target:
            return
        found = self.disk.find(target)
        if found is None or (
            found.kind is not Kind.DIRECTORY and found is not self.disk.find(source)
        ):
            self.disk.rename(source, target)

    @rule(data=st.data(), name=NAMES)
    def rename_directory(self, data: st.DataObject, name: bytes) -> None:
        source = self.directory(data)
        target = self.directory(data) + b"/" + name
        fixed = source in (ROOT, AWAY, b"/data/outside") or self.mounted(source)
        if not fixed and not target.startswith(source + b"/") and self.disk.find(target) is None:
            self.disk.rename(source, target)

    @rule(data=st.data())
    def exchange(self, data: st.DataObject) -> None:
        """Two files, two directories, or one of each."""
        draw = data.draw(st.sampled_from([(1, 1), (1, 0), (0, 1), (0, 0)]))
        one, other = (self.file(data) if file else self.directory(data) for file in draw)
        if one is None or other is None or one == other:
            return
        within = one.startswith(other + b"/") or other.startswith(one + b"/")
        fixed = {one, other} & {ROOT, AWAY, b"/data/outside"}
        if not within and not fixed and not self.mounted(one) and not self.mounted(other):
            self.disk.exchange(one, other)

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        path = self.file(data)
        if path is not None and self.disk.find(path).kind is Kind.FILE:
            self.disk.truncate(path)

    def mounted(self, path: bytes) -> bool:
        """Whether something is mounted there, or below."""
        return any(one == path or one.startswith(path + b"/") for one in self.disk.points)

    @rule(data=st.data())
    def hang(self, data: st.DataObject) -> None:
        below = sorted(self.disk.below(ROOT, Kind.DIRECTORY))
        if below:
            self.disk.hang(data.draw(st.sampled_from(below)))

    @precondition(lambda self: self.disk.hung)
    @rule()
    def answer(self) -> None:
        self.disk.hung.clear()

    @precondition(lambda self: self.disk.find(ROOT))
    @rule(until_seen=st.booleans())
    def root_goes(self, until_seen: bool) -> None:
        if not self.disk.points:
            self.disk.rename(ROOT, AWAY)
            if until_seen:
                self.watched.wait(3)
                self.read()

    @precondition(lambda self: not self.disk.find(ROOT))
    @rule()
    def root_comes_back(self) -> None:
        self.disk.rename(AWAY, ROOT)

    @rule(away=st.booleans())
    def above_moves(self, away: bool) -> None:
        """A directory above the root, of which no event tells."""
        self.disk.above_is_away = away

    @rule()
    def loss(self) -> None:
        self.watched.tracker.overflowed(self.disk.now)

    @rule(most=st.integers(1, 8), seconds=st.sampled_from([0.001, 0.03, 0.2, 0.6]))
    def some_work(self, most: int, seconds: float) -> None:
        self.watched.feed(most)
        self.disk.now += seconds
        if self.watched.tracker.due() <= self.disk.now:
            self.watched.tracker.step(self.disk.now)
        self.read()

    @rule()
    def interruption(self) -> None:
        self.watched.tracker.close()
        self.disk.queue.clear()
        self.watched.tracker.open(self.disk, self.disk.now, known=True)

    @rule(heard=st.integers(0, 5))
    def gap(self, heard: int) -> None:
        self.read()
        self.watched.feed()
        self.disk.now += 1
        for _ in range(5):
            self.watched.tracker.step(self.disk.now)
        tells = list(self.watched.told)
        del self.watched.told[heard:]
        self.read()
        self.watched.tracker.close()
        self.disk.queue.clear()
        self.watched.tracker.untell(tells[heard:])
        self.watched.tracker.open(self.disk, self.disk.now, known=True)

    def all_is_well(self) -> None:
        """Nobody writes, every file system answers, and the root is there."""
        for writer in self.writers:
            self.disk.close(writer)
        self.writers.clear()
        self.disk.hung.clear()
        self.disk.above_is_away = False
        if not self.disk.find(ROOT):
            self.root_comes_back()

    @rule()
    def quiet_at_last(self) -> None:
        self.all_is_well()
        for _ in range(60):
            self.watched.wait(1)
            self.read()
        there = self.disk.below(ROOT)
        assert set(self.files) == set(there)
        for path, inode in there.items():
            # The kernel tells of a write under the one name it was opened by.
            assert inode.linked or self.files[path] == inode.version, path
        assert self.directories == set(self.disk.below(ROOT, Kind.DIRECTORY))
        tracker = self.watched.tracker
        assert tracker.watches + tracker.polled().total() == 1 + len(self.directories)
        if not self.disk.share:
            assert tracker.watches == min(self.disk.most, 1 + len(self.directories))

    def teardown(self) -> None:
        if hasattr(self, "watched"):
            self.quiet_at_last()


TestAnySequence = AnySequence.TestCase

TestAnySequence.settings = settings(
    max_examples=examples(200),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
