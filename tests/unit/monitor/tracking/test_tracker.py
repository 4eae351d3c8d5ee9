"""The monitor's mind, over a disk and a kernel queue made of plain objects.

`FakeDisk` gives the events that Linux gives, in its order; a queue that is
full drops them and says so, as the kernel does.
"""

from __future__ import annotations

import errno
import itertools
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from omero_fs_plugin.events import EventType
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.kernel.disk import UNSEEN
from omero_fs_plugin.monitor.kernel.entries import Entry, Identity, Kind, Listing, Unanswered
from omero_fs_plugin.monitor.kernel.raw import Raw
from omero_fs_plugin.monitor.notices import Notice, Tell
from omero_fs_plugin.monitor.requests import PathMode
from omero_fs_plugin.monitor.tracking.arrivals import CONFIRM, Timing
from omero_fs_plugin.monitor.tracking.tracker import Tracker
from omero_fs_plugin.monitor.tracking.tree import NEVER, Directory
from tests.conftest import examples

ROOT = b"/data/root"
CREATE, MODIFY, DELETE, SYSTEM = (
    EventType.CREATE,
    EventType.MODIFY,
    EventType.DELETE,
    EventType.SYSTEM,
)


@dataclass(eq=False)
class Inode:
    number: int
    kind: Kind
    mount: bytes = b"/"
    size: int = 0
    mtime: int = 0
    ctime: float = 0.0
    links: int = 1
    version: int = 0  # of the content: what a client would read
    linked: bool = False  # it has, or had, several names
    writers: int = 0  # that have it open
    names: dict[bytes, Dentry] = field(default_factory=dict)


@dataclass(eq=False)
class Dentry:
    """A name in a directory; renamed in place, as the kernel's."""

    parent: Inode
    name: bytes
    inode: Inode


class FakeDisk:
    def __init__(self, capacity: int = 10**9) -> None:
        self.now = 1000.0
        self.capacity = capacity
        self.queue: deque[Raw] = deque()
        self.refuse: dict[bytes, int] = {}  # path -> errno of watch
        self.share = False  # nothing can be watched
        self.leases = False  # the kernel says of a file whether anybody has it open for writing
        self.most = 10**9  # directories that can be watched
        self.points: set[bytes] = set()  # what is mounted below the root
        self.hung: set[bytes] = set()  # those of them that do not answer
        self._late: dict[bytes, float] = {}  # those that were asked, and since when
        self._numbers = itertools.count(2)
        self._ticks = itertools.count(1)
        self._cookies = itertools.count(1)
        self._descriptors = itertools.count(1)
        self._watched: dict[Inode, int] = {}
        self.top = Inode(1, Kind.DIRECTORY)
        self.mkdirs(ROOT)

    # tracker.Disk

    def _ask(self, path: bytes) -> None:
        for point in self.hung:
            if path == point or path.startswith(point + b"/"):
                self._late.setdefault(point, self.now)
                raise Unanswered(path)

    def watch(self, path: bytes) -> int | None:
        if self.share:
            return None
        self._ask(path)
        if path in self.refuse:
            raise OSError(self.refuse[path], "refused")
        inode = self.find(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "none", path)
        if inode.kind is not Kind.DIRECTORY:
            raise NotADirectoryError(errno.ENOTDIR, "none", path)
        if inode not in self._watched:
            if len(self._watched) >= self.most:
                raise OSError(errno.ENOSPC, "none left", path)
            self._watched[inode] = next(self._descriptors)
        return self._watched[inode]

    def unwatch(self, descriptor: int) -> None:
        for inode, known in list(self._watched.items()):
            if known == descriptor:
                self._emit(inode, raw.IN_IGNORED)
                del self._watched[inode]

    def look(self, path: bytes) -> Entry | None:
        try:
            self._ask(path)
        except Unanswered:
            return UNSEEN
        inode = self.find(path)
        entry = None if inode is None else self._entry(inode)
        return entry._replace(mounted=True) if entry and path in self.points else entry

    def written(self, path: bytes) -> bool | None:
        inode = self.find(path)
        return inode.writers > 0 if self.leases and inode is not None else None

    def entries(self, path: bytes, known: Mapping[bytes, Identity] | None) -> Listing:
        self._ask(path)
        inode = self.find(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "none", path)
        if self.refuse.get(path) == errno.EACCES:
            raise PermissionError(errno.EACCES, "refused", path)
        files = {
            name: entry.identity
            for name, one in inode.names.items()
            if (entry := self._entry(one.inode)).kind is Kind.FILE
            and path + b"/" + name not in self.hung
            and (known is None or known.get(name) == entry.identity)
        }
        names = [
            (name, self._entry(one.inode)) for name, one in inode.names.items() if name not in files
        ]
        for number, (name, entry) in enumerate(names):
            inside = path + b"/" + name
            if inside in self.hung:
                self._late.setdefault(inside, self.now)
                entry = UNSEEN
            if inside in self.points:
                names[number] = (name, entry._replace(mounted=True))
        return Listing(0, names, files)

    def remounted(self) -> list[bytes]:
        return []

    def late(self) -> dict[bytes, float]:
        self._late = {point: since for point, since in self._late.items() if point in self.hung}
        return self._late

    def listing(self) -> list[bytes]:
        return []

    waited = 0.0  # s

    def chosen(self, path: bytes) -> str:
        return "a share"

    def limited(self, number: int, missing: int) -> str | None:
        return f"{missing} more" if number == errno.ENOSPC else None

    def mount(self, path: bytes) -> bytes:
        inode = self.find(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "none", path)
        return inode.mount

    def hang(self, point: bytes) -> None:
        """What is mounted there does not answer."""
        self.points.add(point)
        self.hung.add(point)

    # What processes do

    def mkdirs(self, path: bytes) -> Inode:
        at = self.top
        for name in path.strip(b"/").split(b"/"):
            if name not in at.names:
                inode = self._new(at, name, Kind.DIRECTORY)
                inode.mount = at.mount
                self._emit(at, raw.IN_CREATE | raw.IN_ISDIR, name)
            at = at.names[name].inode
        return at

    def open(self, path: bytes) -> Dentry:
        """As open(O_CREAT | O_WRONLY)."""
        parent, name = self._parent(path)
        if name not in parent.names:
            self._new(parent, name, Kind.FILE)
            self._emit(parent, raw.IN_CREATE, name)
        parent.names[name].inode.writers += 1
        return parent.names[name]

    def write(self, dentry: Dentry) -> None:
        inode = dentry.inode
        inode.version += 1
        inode.size += 1
        self._changed(inode, content=True)
        self._about(dentry, raw.IN_MODIFY)

    def close(self, dentry: Dentry) -> None:
        dentry.inode.writers -= 1
        self._about(dentry, raw.IN_CLOSE_WRITE)

    def put(self, path: bytes) -> None:
        dentry = self.open(path)
        self.write(dentry)
        self.close(dentry)

    def symlink(self, path: bytes) -> None:
        parent, name = self._parent(path)
        self._new(parent, name, Kind.OTHER)
        self._emit(parent, raw.IN_CREATE, name)

    def link(self, source: bytes, target: bytes) -> None:
        inode = self.find(source)
        assert inode is not None
        parent, name = self._parent(target)
        inode.links += 1
        inode.linked = True
        self._changed(inode)
        parent.names[name] = Dentry(parent, name, inode)
        self._emit(parent, raw.IN_CREATE, name)

    def utime(self, path: bytes) -> None:
        dentry = self._dentry(path)
        self._changed(dentry.inode, content=True)
        self._about(dentry, raw.IN_ATTRIB)

    def unlink(self, path: bytes) -> None:
        dentry = self._dentry(path)
        self._remove(dentry)
        self._emit(dentry.parent, raw.IN_DELETE, dentry.name)

    def rmtree(self, path: bytes) -> None:
        dentry = self._dentry(path)
        for name, below in list(dentry.inode.names.items()):
            if below.inode.kind is Kind.DIRECTORY:
                self.rmtree(path + b"/" + name)
            else:
                self.unlink(path + b"/" + name)
        del dentry.parent.names[dentry.name]
        if dentry.inode in self._watched:
            self._emit(dentry.inode, raw.IN_DELETE_SELF)
            self._emit(dentry.inode, raw.IN_IGNORED)
            del self._watched[dentry.inode]
        self._emit(dentry.parent, raw.IN_DELETE | raw.IN_ISDIR, dentry.name)

    def rename(self, source: bytes, target: bytes) -> None:
        dentry = self._dentry(source)
        parent, name = self._parent(target)
        replaced = parent.names.get(name)
        if replaced is not None:
            self._remove(replaced)
        kind = raw.IN_ISDIR if dentry.inode.kind is Kind.DIRECTORY else 0
        cookie = next(self._cookies)
        self._emit(dentry.parent, raw.IN_MOVED_FROM | kind, dentry.name, cookie)
        del dentry.parent.names[dentry.name]
        dentry.parent, dentry.name = parent, name
        parent.names[name] = dentry
        self._emit(parent, raw.IN_MOVED_TO | kind, name, cookie)
        if kind:
            self._emit(dentry.inode, raw.IN_MOVE_SELF)

    def forget_watches(self) -> None:
        """The watching process has ended."""
        self._watched.clear()
        self.queue.clear()

    # Looking at it

    def find(self, path: bytes) -> Inode | None:
        at = self.top
        for name in path.strip(b"/").split(b"/"):
            if name not in at.names:
                return None
            at = at.names[name].inode
        return at

    def below(self, path: bytes, kind: Kind | None = None) -> dict[bytes, Inode]:
        """Everything below `path` of a kind; None: all but directories."""
        found: dict[bytes, Inode] = {}
        at = self.find(path)
        for name, dentry in at.names.items() if at else ():
            here = path + b"/" + name
            is_directory = dentry.inode.kind is Kind.DIRECTORY
            if dentry.inode.kind is kind or (kind is None and not is_directory):
                found[here] = dentry.inode
            if is_directory:
                found.update(self.below(here, kind))
        return found

    # The kernel

    def _new(self, parent: Inode, name: bytes, kind: Kind) -> Inode:
        inode = Inode(next(self._numbers), kind)
        self._changed(inode, content=True)
        parent.names[name] = Dentry(parent, name, inode)
        return inode

    def _changed(self, inode: Inode, *, content: bool = False) -> None:
        inode.ctime = self.now
        if content:
            inode.mtime = next(self._ticks)

    def _remove(self, dentry: Dentry) -> None:
        del dentry.parent.names[dentry.name]
        dentry.inode.links -= 1
        self._changed(dentry.inode)

    def _parent(self, path: bytes) -> tuple[Inode, bytes]:
        above, _, name = path.rpartition(b"/")
        parent = self.find(above)
        assert parent is not None
        return parent, name

    def _dentry(self, path: bytes) -> Dentry:
        parent, name = self._parent(path)
        return parent.names[name]

    def _about(self, dentry: Dentry, mask: int) -> None:
        if dentry.parent.names.get(dentry.name) is dentry:  # IN_EXCL_UNLINK
            self._emit(dentry.parent, mask, dentry.name)

    def _emit(self, inode: Inode, mask: int, name: bytes = b"", cookie: int = 0) -> None:
        descriptor = self._watched.get(inode)
        if descriptor is None:
            return
        event = Raw(descriptor, mask, cookie, name)
        if self.queue and self.queue[-1] == event:
            return
        if len(self.queue) < self.capacity:
            self.queue.append(event)
        elif self.queue[-1] != raw.OVERFLOW:
            self.queue.append(raw.OVERFLOW)

    def _entry(self, inode: Inode) -> Entry:
        identity = (inode.number, inode.size, inode.mtime)
        return Entry(inode.kind, identity, inode.links, self.now - inode.ctime)


class Watched:
    """A tracker over a FakeDisk, and what its client was told."""

    def __init__(
        self,
        disk: FakeDisk | None = None,
        *,
        mode: PathMode = PathMode.FOLLOW,
        directory_events: bool = False,
        **rules: object,
    ) -> None:
        self.disk = disk or FakeDisk()
        self.told: list[Tell] = []
        self.tracker = Tracker(
            ROOT,
            tell=self.told.append,
            passes=Filter(ROOT, **rules),  # type: ignore[arg-type]
            mode=mode,
            directory_events=directory_events,
        )
        self.tracker.open(self.disk, self.disk.now, known=False)
        self.scan()

    def feed(self, most: int = 10**9) -> None:
        queue = self.disk.queue
        events = [queue.popleft() for _ in range(min(most, len(queue)))]
        self.tracker.feed(events, self.disk.now)
        if not queue:
            self.tracker.confirm(self.disk.now)

    def scan(self) -> None:
        while self.tracker.scanning:
            self.tracker.step(self.disk.now)

    def wait(self, seconds: float) -> None:
        """Time passes; everything due is done when it is due."""
        until = self.disk.now + seconds
        self.feed()
        while (due := self.tracker.due()) <= until:
            self.disk.now = max(self.disk.now, due)
            self.tracker.step(self.disk.now)
            self.feed()
        self.disk.now = until

    def take(self) -> list[tuple[str, str]]:
        """What was told since the last call; System events by their first word."""
        taken = [
            (tell.type.value, tell.path.decode().removeprefix(ROOT.decode() + "/"))
            for tell in self.told
        ]
        self.told.clear()
        return [(kind, text.split(":")[0] if kind == "System" else text) for kind, text in taken]


def p(name: str) -> bytes:
    return ROOT + b"/" + name.encode()


# Files


def test_a_file_is_told_once_when_it_is_closed() -> None:
    watched = Watched()
    file = watched.disk.open(p("a"))
    watched.disk.write(file)
    watched.wait(5)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(Timing().hold)
    assert watched.take() == [("Create", "a")]
    watched.wait(100)
    assert watched.take() == []


def test_a_file_its_writer_keeps_open_is_told_after_silence_and_its_end_later() -> None:
    watched = Watched()
    file = watched.disk.open(p("a"))
    for _ in range(5):
        watched.disk.write(file)
        watched.wait(Timing().silence * 0.9)
    assert watched.take() == []
    watched.wait(Timing().silence * 0.2)
    assert watched.take() == [("Create", "a")]
    watched.disk.write(file)
    watched.wait(100)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


def test_silence_is_seen_where_the_disk_has_another_clock() -> None:
    watched = Watched()
    watched.disk.find(ROOT)
    file = watched.disk.open(p("a"))
    file.inode.ctime = watched.disk.now + 10_000  # a server whose clock is ahead
    watched.wait(Timing().silence * 2)
    assert watched.take() == [("Create", "a")]


@pytest.mark.parametrize("writes", [1, 200], ids=["one", "many"])
def test_a_burst_of_writes_is_one_modify(writes: int) -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    for _ in range(writes):
        watched.disk.put(p("a"))
        watched.wait(0.01)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


def _while_nothing_is_going_on() -> Watched:
    watched = Watched()
    watched.tracker.expect(calm=True)
    watched.disk.put(p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a")]
    return watched


def test_while_nothing_is_going_on_a_new_file_is_told_at_its_close() -> None:
    watched = _while_nothing_is_going_on()
    file = watched.disk.open(p("b"))
    watched.wait(0.02)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Create", "b")]


def test_a_rewrite_is_told_at_its_close_and_what_follows_soon_is_one_burst() -> None:
    watched = _while_nothing_is_going_on()
    for _ in range(100):
        watched.disk.put(p("a"))
        watched.wait(0.01)
    assert watched.take() == [("Modify", "a")]
    watched.wait(Timing().burst_gap)
    assert watched.take() == [("Modify", "a")]
    watched.wait(Timing().burst_gap)
    watched.disk.put(p("a"))
    watched.wait(0.0)
    assert watched.take() == [("Modify", "a")]


def _noted(watched: Watched) -> list[tuple[bytes, object]]:
    """What the record gets besides what is told."""
    noted: list[tuple[bytes, object]] = []
    watched.tracker._note = lambda tell: noted.append((tell.path, tell.identity))
    return noted


def test_what_a_file_told_at_once_looks_like_is_noted_when_it_is_certain() -> None:
    watched = _while_nothing_is_going_on()
    noted = _noted(watched)
    watched.disk.now += 100
    watched.disk.put(p("b"))
    watched.disk.now += 0.001
    watched.wait(0.0)
    assert [tell.identity for tell in watched.told] == [NEVER]
    watched.feed()
    assert not noted
    watched.disk.now += CONFIRM
    watched.feed()
    found = watched.disk.look(p("b"))
    assert found is not None and noted == [(p("b"), found.identity)]
    assert watched.tracker.confirm_due() == math.inf


def test_it_is_not_noted_if_the_file_is_written_again() -> None:
    watched = _while_nothing_is_going_on()
    noted = _noted(watched)
    watched.disk.now += 100
    watched.disk.put(p("b"))
    watched.disk.now += 0.001
    watched.wait(0.0)
    watched.disk.put(p("b"))
    watched.disk.now += CONFIRM
    watched.feed()
    assert not noted
    watched.wait(1)
    assert watched.take() == [("Create", "b"), ("Modify", "b")]


@pytest.mark.parametrize("name", [".b.tif.Xa7Tq2", "b.tif~", "b.tmp", "b.tif.part", "b.tmp123"])
def test_a_temporary_name_waits_for_its_rename_at_all_times(name: str) -> None:
    watched = _while_nothing_is_going_on()
    watched.disk.put(p(name))
    watched.wait(Timing().hold / 2)
    watched.disk.rename(p(name), p("b.tif"))
    watched.wait(0.0)
    assert watched.take() == [("Create", "b.tif")]


def test_under_load_each_file_waits_for_a_rename() -> None:
    watched = _while_nothing_is_going_on()
    watched.tracker.expect(calm=False)
    watched.disk.put(p("b"))
    watched.wait(Timing().hold / 2)
    assert watched.take() == []
    watched.disk.rename(p("b"), p("c"))
    watched.wait(1)
    assert watched.take() == [("Create", "c")]


def test_what_came_earlier_is_told_earlier() -> None:
    watched = _while_nothing_is_going_on()
    watched.disk.put(p("first.tmp"))
    watched.wait(0.01)
    watched.disk.put(p("second"))
    watched.wait(0.0)
    assert watched.take() == []
    watched.wait(1)
    assert watched.take() == [("Create", "first.tmp"), ("Create", "second")]


def test_nobody_waits_for_a_file_that_is_written_for_long() -> None:
    watched = _while_nothing_is_going_on()
    file = watched.disk.open(p("large"))
    watched.wait(1)
    watched.disk.put(p("small"))
    watched.wait(0.0)
    assert watched.take() == [("Create", "small")]
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Create", "large")]


def test_nobody_wakes_for_what_was_told() -> None:
    watched = _while_nothing_is_going_on()
    file = watched.disk.open(p("b"))
    watched.wait(0.0)
    watched.disk.close(file)
    watched.wait(0.0)
    assert watched.take() == [("Create", "b")]
    assert watched.tracker._arrivals.due() == math.inf


def test_a_burst_without_end_is_told_from_time_to_time() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    for _ in range(700):
        watched.disk.put(p("a"))
        watched.wait(0.1)
    assert watched.take() == [("Modify", "a")] * 2


def test_writes_in_one_open_are_one_modify_after_the_close() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    file = watched.disk.open(p("a"))
    for _ in range(2048):
        watched.disk.write(file)
    watched.wait(60)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


def test_opened_for_writing_and_not_written_is_no_modify() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    watched.disk.close(watched.disk.open(p("a")))
    watched.wait(10)
    assert watched.take() == []


def test_changed_times_alone_are_not_told() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.utime(p("a"))
    watched.wait(100)
    assert watched.take() == [("Create", "a")]


def test_a_write_whose_time_is_set_back_is_a_modify() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.take()
    file = watched.disk.open(p("a"))
    watched.disk.write(file)
    watched.disk.utime(p("a"))
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Modify", "a")]


def test_a_temporary_name_renamed_into_place_is_one_create() -> None:
    watched = Watched()
    watched.disk.put(p("a.new"))
    watched.disk.rename(p("a.new"), p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a")]


def test_a_name_renamed_while_it_is_written_waits_for_its_close() -> None:
    watched = Watched()
    file = watched.disk.open(p("a.part"))
    watched.disk.write(file)
    watched.disk.rename(p("a.part"), p("a"))
    watched.wait(5)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(1)
    assert watched.take() == [("Create", "a")]


def test_a_name_passed_over_until_it_is_renamed() -> None:
    watched = Watched(ignore_sys_files=True)
    watched.disk.put(p(".a.x7Y2"))
    watched.wait(60)
    assert watched.take() == []
    watched.disk.rename(p(".a.x7Y2"), p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a")]


def test_renamed_over_a_known_file_is_a_modify() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.put(p("a.new"))
    watched.disk.rename(p("a.new"), p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a"), ("Modify", "a")]


def test_renamed_is_deleted_and_created() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.rename(p("a"), p("b"))
    watched.wait(1)
    assert watched.take() == [("Create", "a"), ("Delete", "a"), ("Create", "b")]


def test_moved_in_is_created_and_moved_out_is_deleted() -> None:
    watched = Watched()
    watched.disk.put(b"/data/a")
    watched.disk.rename(b"/data/a", p("a"))
    watched.wait(1)
    watched.disk.rename(p("a"), b"/data/a")
    watched.wait(1)
    assert watched.take() == [("Create", "a"), ("Delete", "a")]


def test_links_are_told_as_themselves() -> None:
    watched = Watched()
    watched.disk.put(b"/data/a")
    watched.disk.link(b"/data/a", p("hard"))
    watched.disk.symlink(p("soft"))
    watched.wait(1)
    assert sorted(watched.take()) == [("Create", "hard"), ("Create", "soft")]


def test_linked_into_place_and_the_old_name_removed() -> None:
    watched = Watched()
    watched.disk.put(b"/data/a")
    watched.disk.link(b"/data/a", p("a"))
    watched.disk.unlink(b"/data/a")
    watched.wait(Timing().silence * 1.1)
    assert watched.take() == [("Create", "a")]


def test_what_comes_and_goes_at_once_is_not_told() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.disk.unlink(p("a"))
    watched.wait(60)
    assert watched.take() == []


def test_deleted_and_made_again() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.unlink(p("a"))
    watched.disk.put(p("a"))
    watched.wait(1)
    assert watched.take() == [("Create", "a"), ("Delete", "a"), ("Create", "a")]


def test_what_was_there_at_the_start_is_not_told_but_its_changes_are() -> None:
    disk = FakeDisk()
    disk.put(p("a"))
    disk.put(p("b"))
    watched = Watched(disk)
    watched.wait(60)
    assert watched.take() == []
    disk.put(p("a"))
    disk.unlink(p("b"))
    watched.wait(1)
    assert watched.take() == [("Delete", "b"), ("Modify", "a")]


# Directories


def test_a_new_directory_filled_at_once() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d/e/f"))
    watched.disk.put(p("d/e/f/a"))
    watched.disk.put(p("d/b"))
    watched.wait(2)
    assert sorted(watched.take()) == [("Create", "d/b"), ("Create", "d/e/f/a")]
    watched.disk.put(p("d/e/f/c"))
    watched.wait(1)
    assert watched.take() == [("Create", "d/e/f/c")]


def test_a_file_still_written_in_a_new_directory_waits() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d"))
    file = watched.disk.open(p("d/a"))
    watched.feed()
    watched.scan()
    for _ in range(10):
        watched.disk.write(file)
        watched.wait(Timing().found * 0.5)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(Timing().hold)
    assert watched.take() == [("Create", "d/a")]


@pytest.mark.parametrize("late", [0.0, 0.04])
def test_if_the_kernel_says_that_a_file_in_a_new_directory_was_closed_nobody_waits(
    late: float,
) -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    watched.disk.put(p("d/a"))
    watched.wait(late)
    watched.wait(Timing().hold)
    assert watched.take() == [("Create", "d/a")]
    watched.wait(100)
    assert watched.take() == []


@pytest.mark.parametrize("calm", [False, True])
@pytest.mark.parametrize("between", [0.001, 0.01])
def test_what_came_earlier_in_a_new_directory_is_told_earlier(calm: bool, between: float) -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.tracker.expect(calm=calm)
    watched.disk.mkdirs(p("d"))
    watched.disk.put(p("d/a"))
    watched.disk.now += between
    watched.disk.put(p("b"))
    watched.wait(1)
    assert watched.take() == [("Create", "d/a"), ("Create", "b")]


def test_if_the_kernel_says_that_it_is_still_written_its_close_is_awaited() -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    file = watched.disk.open(p("d/a"))
    for _ in range(10):
        watched.disk.write(file)
        watched.wait(Timing().silence * 0.9)
    assert watched.take() == []
    watched.disk.close(file)
    watched.wait(Timing().hold)
    assert watched.take() == [("Create", "d/a")]


def test_a_temporary_name_in_a_new_directory_waits_for_its_rename() -> None:
    watched = Watched()
    watched.disk.leases = True
    watched.disk.mkdirs(p("d"))
    watched.disk.put(p("d/a.tif.new"))
    watched.wait(Timing().hold * 0.9)
    watched.disk.rename(p("d/a.tif.new"), p("d/a.tif"))
    watched.wait(10)
    assert watched.take() == [("Create", "d/a.tif")]


def test_a_file_whose_close_was_lost_is_told_soon_if_the_kernel_says_that_it_was_closed() -> None:
    watched = Watched()
    watched.disk.leases = True
    file = watched.disk.open(p("a"))
    watched.wait(1)
    watched.disk.close(file)
    watched.disk.queue.clear()
    watched.tracker.overflowed(watched.disk.now)
    watched.wait(Timing().overflow + Timing().hold)
    assert ("Create", "a") in watched.take()


def test_a_tree_moved_in_is_told_at_once_and_moved_out_deleted() -> None:
    watched = Watched()
    watched.disk.mkdirs(b"/data/d/e")
    for number in range(2500):
        watched.disk.put(b"/data/d/e/%d" % number)
    watched.wait(60)
    watched.disk.rename(b"/data/d", p("d"))
    watched.wait(0.1)
    assert sorted(watched.take()) == sorted(("Create", f"d/e/{n}") for n in range(2500))
    watched.disk.rename(p("d"), b"/data/d")
    watched.wait(0.1)
    assert sorted(watched.take()) == sorted(("Delete", f"d/e/{n}") for n in range(2500))
    assert watched.tracker.watches == 1


def test_a_directory_renamed_inside() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d/e"))
    watched.disk.put(p("d/e/a"))
    watched.wait(60)
    watched.take()
    watched.disk.rename(p("d"), p("x"))
    watched.wait(1)
    assert watched.take() == [("Delete", "d/e/a"), ("Create", "x/e/a")]
    watched.disk.put(p("x/e/b"))
    watched.wait(1)
    assert watched.take() == [("Create", "x/e/b")]


def test_a_directory_removed_and_made_again_is_watched() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d"))
    watched.wait(1)
    for _ in range(3):
        watched.disk.rmtree(p("d"))
        watched.disk.mkdirs(p("d"))
        watched.disk.put(p("d/a"))
        watched.wait(2)
        assert watched.take()[-1:] == [("Create", "d/a")]


def test_directory_events_only_when_asked_for() -> None:
    watched = Watched(directory_events=True, ignore_sys_files=True)
    watched.disk.mkdirs(p("d/e"))
    watched.disk.mkdirs(p("New Folder (2)"))
    watched.disk.put(p("New Folder (2)/a"))
    watched.wait(1)
    assert watched.take() == [("Create", "d"), ("Create", "d/e"), ("Create", "New Folder (2)/a")]
    watched.disk.rmtree(p("d"))
    watched.wait(1)
    assert watched.take() == [("Delete", "d/e"), ("Delete", "d")]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (PathMode.FLAT, {"a"}),
        (PathMode.RECURSE, {"a", "old/a", "old/old/a"}),
        (PathMode.FOLLOW, {"a", "old/a", "old/old/a", "new/a", "old/new/a"}),
    ],
    ids=lambda value: value.value if isinstance(value, PathMode) else "",
)
def test_path_modes(mode: PathMode, expected: set[str]) -> None:
    disk = FakeDisk()
    disk.mkdirs(p("old/old"))
    watched = Watched(disk, mode=mode)
    disk.mkdirs(p("new"))
    disk.mkdirs(p("old/new"))
    watched.wait(1)
    for directory in ("", "old/", "old/old/", "new/", "old/new/"):
        disk.put(p(directory + "a"))
    watched.wait(2)
    assert {text for _, text in watched.take()} == expected
    watched.tracker.overflowed(disk.now)
    watched.wait(5)
    assert [kind for kind, _ in watched.take()] == ["System", "System"]


def test_blacklisted_directories_are_not_watched() -> None:
    watched = Watched(blacklist=["scratch/"])
    watched.disk.mkdirs(p("scratch/deep"))
    watched.disk.put(p("scratch/a"))
    watched.wait(2)
    assert watched.take() == []
    assert watched.tracker.watches == 1


MARKED = ["*/[zarr.json]/*/"]


def chunks(disk: FakeDisk, top: str, number: int = 20) -> None:
    for n in range(number):
        disk.mkdirs(p(f"{top}/c/{n}"))
        disk.put(p(f"{top}/c/{n}/0"))


def test_directories_beside_a_file_that_says_so_are_not_watched() -> None:
    watched = Watched(blacklist=MARKED)
    watched.disk.mkdirs(p("a"))
    watched.disk.put(p("a/zarr.json"))
    watched.wait(5)
    chunks(watched.disk, "a")
    watched.wait(5)
    assert watched.take() == [("Create", "a/zarr.json")]
    assert watched.tracker.watches == 2


@pytest.mark.parametrize("how", ["written", "moved in", "found by a rescan", "polled"])
def test_their_watches_are_given_back_when_that_file_comes_last(how: str) -> None:
    """And the client is not told that what is there was deleted."""
    watched = Watched(blacklist=MARKED)
    disk = watched.disk
    if how == "polled":
        disk.most = 3
    disk.mkdirs(p("a"))
    disk.put(p("file"))
    chunks(disk, "a")
    watched.wait(100)
    assert watched.tracker.watches == (3 if how == "polled" else 23)
    assert len(watched.take()) >= 21
    if how == "moved in":
        disk.put(p("a/x"))
        disk.rename(p("a/x"), p("a/zarr.json"))
    else:
        disk.put(p("a/zarr.json"))
    if how == "found by a rescan":
        disk.queue.clear()
        disk.queue.append(raw.OVERFLOW)
    watched.wait(200)
    assert watched.tracker.watches == 2
    assert not watched.tracker.polled()
    assert {kind for kind, _ in watched.take()} <= {"Create", "System"}
    disk.put(p("a/c/1/0"))
    disk.rmtree(p("a/c/2"))
    disk.put(p("b"))
    watched.wait(5)
    assert watched.take() == [("Create", "b")]
    disk.rmtree(p("a"))
    watched.wait(5)
    assert watched.tracker.watches == 1


def test_they_are_watched_again_when_that_file_is_gone() -> None:
    watched = Watched(blacklist=MARKED)
    watched.disk.mkdirs(p("a"))
    watched.disk.put(p("a/zarr.json"))
    chunks(watched.disk, "a", 3)
    watched.wait(5)
    assert watched.tracker.watches == 2
    watched.take()
    watched.disk.unlink(p("a/zarr.json"))
    watched.wait(5)
    assert watched.tracker.watches == 6
    assert set(watched.take()) == {
        ("Delete", "a/zarr.json"),
        *(("Create", f"a/c/{n}/0") for n in range(3)),
    }


# Lost events


def test_an_overflow_is_said_and_answered_by_a_rescan() -> None:
    disk = FakeDisk()
    disk.put(p("changed"))
    disk.put(p("gone"))
    watched = Watched(disk)
    disk.capacity = 1
    disk.mkdirs(p("d"))
    disk.put(p("d/a"))
    disk.put(p("b"))
    disk.put(p("changed"))
    disk.unlink(p("gone"))
    watched.wait(5)
    taken = watched.take()
    assert taken[0] == ("System", Notice.OVERFLOW.value)
    assert taken[-1] == ("System", Notice.RESCANNED.value)
    assert sorted(taken[1:-1]) == [
        ("Create", "b"),
        ("Create", "d/a"),
        ("Delete", "gone"),
        ("Modify", "changed"),
    ]


def test_a_file_replaced_unseen_behind_a_changed_time() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.disk.put(b"/data/b")
    watched.wait(1)
    watched.take()
    watched.disk.capacity = 1
    watched.disk.utime(p("a"))
    watched.disk.rename(b"/data/b", p("a"))
    watched.wait(3)
    assert ("Modify", "a") in watched.take()


def test_a_writer_whose_close_was_lost() -> None:
    watched = Watched()
    fresh = watched.disk.open(p("fresh"))
    watched.disk.put(p("known"))
    watched.wait(1)
    watched.take()
    known = watched.disk.open(p("known"))
    watched.disk.write(known)
    watched.wait(1)
    watched.disk.write(fresh)
    watched.disk.capacity = 0
    watched.disk.queue.append(raw.OVERFLOW)
    watched.disk.close(fresh)
    watched.disk.close(known)
    watched.wait(3)
    assert sorted(watched.take())[:2] == [("Create", "fresh"), ("Modify", "known")]


def test_events_that_come_after_the_scan_that_saw_them_are_not_told_twice() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.now += 5
    while watched.tracker.due() <= watched.disk.now:
        watched.tracker.step(watched.disk.now)
    watched.wait(60)
    assert [one for one in watched.take() if one[0] != "System"] == [("Create", "a")]


# The root, and what cannot be watched


def test_a_root_removed_and_made_again() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.rmtree(ROOT)
    watched.wait(10)
    watched.disk.mkdirs(ROOT)
    watched.disk.put(p("b"))
    watched.wait(10)
    taken = watched.take()
    assert [one for one in taken if one[0] != "System"] == [
        ("Create", "a"),
        ("Delete", "a"),
        ("Create", "b"),
    ]
    words = [text for kind, text in taken if kind == "System"]
    assert words == ["unreachable", "reachable", "rescanned"]


def test_a_root_moved_away_deletes_nothing() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.rename(ROOT, b"/data/elsewhere")
    watched.wait(100)
    watched.disk.put(b"/data/elsewhere/b")
    watched.wait(100)
    assert watched.take() == [("Create", "a"), ("System", "unreachable")]
    assert not watched.tracker.reachable
    watched.disk.rename(b"/data/elsewhere", ROOT)
    watched.wait(10)
    assert [one for one in watched.take() if one[0] != "System"] == [("Create", "b")]


def test_another_directory_in_the_roots_place_is_noticed() -> None:
    watched = Watched()
    watched.disk.put(p("a"))
    watched.wait(1)
    watched.disk.mkdirs(b"/data/other")
    watched.disk.put(b"/data/other/b")
    watched.disk.rename(ROOT, b"/data/away")
    watched.disk.rename(b"/data/other", ROOT)
    watched.wait(10)
    changes = [one for one in watched.take() if one[0] != "System"]
    assert changes == [("Create", "a"), ("Delete", "a"), ("Create", "b")]


def test_a_share_that_is_not_mounted_is_away_and_not_empty() -> None:
    disk = FakeDisk()
    share = disk.find(ROOT)
    assert share is not None
    share.mount = ROOT
    disk.put(p("a"))
    watched = Watched(disk)
    data = disk.find(b"/data")
    assert data is not None
    mounted = data.names[b"root"]
    data.names[b"root"] = Dentry(data, b"root", Inode(99, Kind.DIRECTORY))
    watched.wait(100)
    assert watched.take() == [("System", "unreachable")]
    data.names[b"root"] = mounted
    watched.wait(10)
    assert watched.take() == [("System", "reachable"), ("System", "rescanned")]


def test_a_directory_that_cannot_be_read_is_polled_until_it_can() -> None:
    watched = Watched()
    watched.disk.mkdirs(p("d"))
    watched.disk.refuse[p("d")] = errno.EACCES
    watched.disk.put(p("d/a"))
    watched.wait(100)
    assert watched.take() == [("System", "unreachable")]
    del watched.disk.refuse[p("d")]
    watched.wait(Timing().poll)
    assert watched.take() == [("System", "reachable"), ("Create", "d/a")]


def test_what_is_over_the_limit_of_watches_is_polled() -> None:
    watched = Watched()
    for name in ("d", "e"):
        watched.disk.mkdirs(p(name))
        watched.disk.refuse[p(name)] = errno.ENOSPC
    watched.wait(1)
    watched.disk.put(p("d/a"))
    watched.disk.put(p("e/a"))
    watched.wait(Timing().poll * 2)
    assert sorted(watched.take()) == [("Create", "d/a"), ("Create", "e/a"), ("System", "limit")]


def test_polling_begins_anew_when_nothing_was_left_to_poll() -> None:
    """However long that was: a round without directories would have lasted until then."""
    disk = FakeDisk()
    disk.most = 1
    disk.mkdirs(p("d"))
    watched = Watched(disk)
    watched.wait(100)
    disk.rmtree(p("d"))
    watched.wait(100_000)
    disk.mkdirs(p("e"))
    watched.wait(1)
    disk.put(p("e/a"))
    watched.wait(Timing().poll + Timing().silence)
    assert [one for one in watched.take() if one[0] != "System"] == [("Create", "e/a")]


# Interruptions


class Cut(dict[int, Directory]):
    """The directories by descriptor; an error meets whoever adds or takes out `at`."""

    at = -1

    def __setitem__(self, descriptor: int, directory: Directory) -> None:
        if descriptor == self.at:
            raise SystemExit
        super().__setitem__(descriptor, directory)

    def pop(self, descriptor: int, *default: object) -> Directory:  # type: ignore[override]
        found = super().pop(descriptor, *default)  # type: ignore[arg-type]
        if descriptor == self.at:
            raise SystemExit
        return found  # type: ignore[return-value]


@pytest.mark.parametrize("act", ["made", "removed"])
def test_an_error_while_a_directory_is_bound_or_lost(act: str) -> None:
    """No number of the watches before is taken for one of those that come after."""
    disk = FakeDisk()
    disk.mkdirs(p("d"))
    watched = Watched(disk)
    watches = watched.tracker._watches
    directory = watched.tracker.root.subdirs[b"d"]
    assert directory is not None
    cut = watches.by_descriptor = Cut(watches.by_descriptor)
    assert directory.descriptor is not None
    cut.at = directory.descriptor
    if act == "made":
        watches.release(watched.tracker.root)
        cut.at = 3
    with pytest.raises(SystemExit):
        if act == "made":
            watches.bind(watched.tracker.root, disk.now)
        else:
            watches.lost(directory)
    cut.at = -1
    watched.tracker.close()
    assert watched.tracker.root.descriptor is None
    assert directory.descriptor is None


def test_what_happened_while_it_was_closed_is_told() -> None:
    disk = FakeDisk()
    for name in ("same", "changed", "gone", "written"):
        disk.put(p(name))
    disk.mkdirs(p("d/e"))
    disk.put(p("d/e/gone"))
    watched = Watched(disk)
    disk.write(disk.open(p("written")))
    watched.wait(1)
    watched.tracker.close()
    assert watched.tracker.due() == math.inf
    disk.put(p("new"))
    disk.put(p("changed"))
    disk.unlink(p("gone"))
    disk.rmtree(p("d"))
    disk.now += 100
    watched.tracker.open(disk, disk.now, known=True)
    watched.wait(10)
    assert [one for one in sorted(watched.take()) if one[0] != "System"] == [
        ("Create", "new"),
        ("Delete", "d/e/gone"),
        ("Delete", "gone"),
        ("Modify", "changed"),
        ("Modify", "written"),
    ]


def test_what_the_client_never_heard_is_told_again() -> None:
    disk = FakeDisk()
    disk.mkdirs(p("old"))
    for name in ("changed", "gone", "made-again", "old/gone"):
        disk.put(p(name))
    watched = Watched(disk, directory_events=True)
    disk.put(p("new"))
    disk.mkdirs(p("d"))
    disk.put(p("d/a"))
    disk.put(p("changed"))
    disk.unlink(p("gone"))
    disk.unlink(p("made-again"))
    disk.put(p("made-again"))
    disk.put(p("came-and-went"))
    watched.wait(5)
    disk.unlink(p("came-and-went"))
    disk.rmtree(p("old"))
    watched.wait(5)
    never_heard = list(watched.told)
    watched.take()
    watched.tracker.close()
    watched.tracker.untell(never_heard)
    watched.tracker.open(disk, disk.now, known=True)
    watched.wait(10)
    assert [one for one in sorted(watched.take()) if one[0] != "System"] == [
        ("Create", "d"),
        ("Create", "d/a"),
        ("Create", "new"),
        ("Delete", "gone"),
        ("Delete", "old"),
        ("Delete", "old/gone"),
        ("Modify", "changed"),
        ("Modify", "made-again"),
    ]


# Any sequence of acts


NAMES = st.sampled_from([b"a", b"b", b"c.tif", b"\xff\xfe"])


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
        inside = [ROOT, *self.disk.below(ROOT, Kind.DIRECTORY)]
        outside = [b"/data/outside", *self.disk.below(b"/data/outside", Kind.DIRECTORY)]
        return data.draw(st.sampled_from(sorted(inside + outside)))

    def file(self, data: st.DataObject) -> bytes | None:
        everywhere = {**self.disk.below(ROOT), **self.disk.below(b"/data/outside")}
        return data.draw(st.sampled_from(sorted(everywhere))) if everywhere else None

    @rule(calm=st.booleans())
    def expect(self, calm: bool) -> None:
        self.watched.tracker.expect(calm=calm)

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
        if path not in (ROOT, b"/data/outside") and not self.mounted(path):
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
        fixed = source in (ROOT, b"/data/outside") or self.mounted(source)
        if not fixed and not target.startswith(source + b"/") and self.disk.find(target) is None:
            self.disk.rename(source, target)

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

    @rule()
    def quiet_at_last(self) -> None:
        for writer in self.writers:
            self.disk.close(writer)
        self.writers.clear()
        self.disk.hung.clear()
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


# One user's mass, and another's file


def _branches(directories: int) -> Watched:
    disk = FakeDisk()
    for number in range(directories):
        disk.mkdirs(p(f"amy/{number:05}"))
    disk.mkdirs(p("zak/today"))
    return Watched(disk)


def test_after_an_overflow_a_users_directory_does_not_wait_for_all_of_anothers() -> None:
    watched = _branches(2000)
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.put(p("zak/today/a"))
    watched.disk.queue.clear()  # its events are lost
    watched.disk.now += Timing().overflow
    steps = 0
    while watched.tracker.scanning or not steps:
        watched.tracker.step(watched.disk.now)
        watched.disk.now += 0.001  # s, for each scan
        steps += 1
        if any(tell.path == p("zak/today/a") for tell in watched.told):
            break
    assert steps < 1000  # the file must be found at rest; amy's 2,000 are under way
    assert watched.tracker.scanning


def test_who_makes_directories_without_end_does_not_keep_a_rescan_from_beginning() -> None:
    watched = _branches(0)
    watched.tracker.overflowed(watched.disk.now)
    watched.disk.put(p("zak/today/a"))
    watched.disk.queue.clear()
    end = watched.disk.now + 10
    number = 0
    while watched.disk.now < end and ("Create", "zak/today/a") not in watched.take():
        for _ in range(2):  # faster than they are scanned
            watched.disk.mkdirs(p(f"amy/{number}"))
            number += 1
        watched.feed()
        watched.tracker.step(watched.disk.now)
        watched.disk.now += 0.02
    assert watched.disk.now < end
