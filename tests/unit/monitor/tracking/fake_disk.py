"""The monitor's mind, over a disk and a kernel queue made of plain objects.

`FakeDisk` gives the events that Linux gives, in its order; a queue that is
full drops them and says so, as the kernel does.
"""

from __future__ import annotations

import errno
import itertools
import struct
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from omero_fs_plugin.events import EventType
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.kernel.disk import UNSEEN
from omero_fs_plugin.monitor.kernel.entries import Entry, Identity, Kind, Listing, Unanswered
from omero_fs_plugin.monitor.kernel.raw import Raw
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.requests import PathMode
from omero_fs_plugin.monitor.tracking.tracker import Tracker

ROOT = b"/data/root"
MOST_STEPS = 10_000  # at one time

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


def as_read(events: Iterable[Raw]) -> list[Raw]:
    """These events as they are after a read from the kernel."""
    read: list[Raw] = []
    packed: list[bytes] = []  # joined once: bytes that grow are copied with each of 20,000 files
    for event in events:
        if event.mask == raw.LOOK:
            read += [*raw.parse(b"".join(packed)), event]
            packed.clear()
        else:
            packed.append(_packed(event))
    return read + raw.parse(b"".join(packed))


def _packed(event: Raw) -> bytes:
    name = event.name + bytes(16 - len(event.name) % 16) if event.name else b""
    return struct.pack("iIII", event.descriptor, event.mask, event.cookie, len(name)) + name


class FakeDisk:
    def __init__(self, capacity: int = 10**9) -> None:
        self.now = 1000.0
        self.capacity = capacity
        self.queue: deque[Raw] = deque()
        self.refuse: dict[bytes, int] = {}  # path -> errno of watch
        self.share = False  # nothing can be watched
        self.leases = False  # the kernel says of a file whether anybody has it open for writing
        self.most = 10**9  # directories that can be watched
        # A directory above the root is renamed: no path leads to it, and no event tells of that
        self.above_is_away = False
        self.leads_elsewhere = False  # the root is a link, and leads to another file system by now
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

    def _led_to(self, path: bytes) -> Inode | None:
        """What the tracker's system calls find."""
        away = self.above_is_away and (path + b"/").startswith(ROOT + b"/")
        return None if away else self.find(path)

    def _ask(self, path: bytes) -> None:
        if self.above_is_away:
            return
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
        inode = self._led_to(path)
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
        inode = self._led_to(path)
        entry = None if inode is None else self._entry(inode)
        return entry._replace(mounted=True) if entry and path in self.points else entry

    def written(self, path: bytes) -> tuple[bool | None, Entry | None]:
        inode = self._led_to(path)
        if not self.leases or inode is None:
            return None, None
        return (True, None) if inode.writers else (False, self._entry(inode))

    def entries(self, path: bytes, known: Mapping[bytes, Identity] | None) -> Listing:
        self._ask(path)
        inode = self._led_to(path)
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

    def lies_below(self, mount: bytes) -> bool:
        return not self.leads_elsewhere

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
        inode = self._led_to(path)
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

    def exchange(self, one: bytes, other: bytes) -> None:
        """As renameat2(2) with RENAME_EXCHANGE: the kernel tells of two renames."""
        first, second = self._dentry(one), self._dentry(other)
        (here, name), (there, other_name) = (first.parent, first.name), (second.parent, second.name)
        here.names[name], there.names[other_name] = second, first
        first.parent, first.name = there, other_name
        second.parent, second.name = here, name
        moves = ((first, here, name, there, other_name), (second, there, other_name, here, name))
        for dentry, before, was, now, called in moves:
            kind = raw.IN_ISDIR if dentry.inode.kind is Kind.DIRECTORY else 0
            cookie = next(self._cookies)
            self._emit(before, raw.IN_MOVED_FROM | kind, was, cookie)
            self._emit(now, raw.IN_MOVED_TO | kind, called, cookie)
            if kind:
                self._emit(dentry.inode, raw.IN_MOVE_SELF)

    def truncate(self, path: bytes) -> None:
        """By its path: nobody opens it, and nobody closes it."""
        dentry = self._dentry(path)
        dentry.inode.version += 1
        dentry.inode.size = 0
        self._changed(dentry.inode, content=True)
        self._about(dentry, raw.IN_MODIFY)

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
        self.tracker.feed(as_read(events), self.disk.now, more=bool(queue))
        if not queue:
            self.tracker.confirm(self.disk.now)

    def scan(self) -> None:
        while self.tracker.scanning:
            self.tracker.step(self.disk.now)

    def wait(self, seconds: float) -> None:
        """Time passes; everything due is done when it is due."""
        until = self.disk.now + seconds
        self.feed()
        steps = 0
        while (due := self.tracker.due()) <= until:
            steps = 0 if due > self.disk.now else steps + 1
            assert steps < MOST_STEPS, "something is due for ever: the thread would never rest"
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
