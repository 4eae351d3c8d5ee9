"""What is known of the watched tree."""

from __future__ import annotations

from collections.abc import Iterator

from omero_fs_plugin.monitor.kernel.entries import Entry, Identity

# No file has this identity, so it differs from everything that the disk shows.
NEVER: Identity = (-1, -1, -1)
# No file has this one either.  The client was told of such a file and did not answer, so
# nobody knows whether it knows of it.  If the file is there, it is told as created again.
# If it is not, it is told as deleted.
MAYBE: Identity = (-2, -2, -2)


class Arrival:
    """A file that will be told.

    Rule: it is not told before `due`, nor before it was silent for `bound`.
    """

    __slots__ = (
        "bound",
        "burst",
        "closed_as",
        "compare",
        "directory",
        "due",
        "fresh",
        "name",
        "seen",
        "seen_at",
        "since",
        "unopened",
    )

    def __init__(
        self, directory: Directory, name: bytes, *, fresh: bool, bound: float, now: float
    ) -> None:
        self.directory = directory
        self.name = name
        self.fresh = fresh  # it will be told as Create; otherwise as Modify
        # s of silence that it needs; 0: its writer has closed it; inf: its close is awaited
        self.bound = bound
        self.burst = False  # it was written again soon after it was told
        self.due = now  # inf: it is not known yet
        self.since = now
        self.seen: Identity | None = None  # at the last look
        self.seen_at = now
        # After its close, or when the kernel said that nobody writes it; what happened since has an
        # event
        self.closed_as: Entry | None = None
        self.unopened = False  # the kernel told of a write, and not of who has it open
        self.compare = False  # nobody has looked yet whether there is anything to tell


class Directory:
    """One directory, and the known files in it."""

    __slots__ = (
        "alive",
        "arrivals",
        "branch",
        "closed",
        "descriptor",
        "device",
        "doubts",
        "files",
        "mounted",
        "parent",
        "path",
        "subdirs",
        "touched",
        "unmounted",
    )

    def __init__(self, path: bytes, parent: Directory | None) -> None:
        self.path = path
        self.parent = parent  # None: the root
        # The name below the root that it is or lies in, often of a user; empty: the root
        self.branch: bytes = b""
        if parent is not None:
            self.branch = parent.branch or path.rpartition(b"/")[2]
        self.alive = True  # it is part of the tree
        self.descriptor: int | None = None  # of its watch
        self.closed = False  # a file in it says that no directory in it is entered
        self.device = 0  # on which it was last read; 0: unknown
        self.mounted = False  # something is mounted on it, or was until it went away
        self.unmounted = False  # its file system is away; what is known of it stays
        self.files: dict[bytes, Identity] = {}  # files that were told, or were there at the start
        self.arrivals: dict[bytes, Arrival] = {}  # files that will be told
        # None: it is there, but not entered (Flat, or Recurse and new).
        self.subdirs: dict[bytes, Directory | None] = {}
        # While it is being listed: the names that something happened to meanwhile.
        self.touched: set[bytes] | None = None
        self.doubts: set[bytes] | None = None  # names of subdirectories that are as MAYBE

    @property
    def lane(self) -> bytes:
        """Where the file system that it lies on is mounted; empty: it is the root's own."""
        one = self
        while one.parent is not None:
            if one.mounted:
                return one.path
            one = one.parent
        return b""

    def doubt(self, name: bytes, *, directory: bool, enter: bool) -> None:
        """Nobody knows whether the client knows of `name`."""
        if not directory:
            self.files[name] = MAYBE
            return
        if name not in self.subdirs:
            self.subdirs[name] = Directory(self.join(name), self) if enter else None
        self.doubts = self.doubts or set()
        self.doubts.add(name)

    def doubts_of(self, name: bytes) -> bool:
        """Whether it is in doubt that the client knows of subdirectory `name`."""
        return self.doubts is not None and name in self.doubts

    def resolve(self, name: bytes) -> bool:
        """The client is told of subdirectory `name` now.  Returns whether it was in doubt."""
        if self.doubts is None or name not in self.doubts:
            return False
        self.doubts.discard(name)
        self.doubts = self.doubts or None
        return True

    def knows(self, name: bytes) -> bool:
        """Whether the client certainly knows of file `name`."""
        return self.files.get(name, MAYBE) != MAYBE

    def join(self, name: bytes) -> bytes:
        """The path of `name` in this directory."""
        return self.path + name if self.path == b"/" else self.path + b"/" + name

    def tree(self) -> Iterator[Directory]:
        """This directory and all below it, each before its content."""
        stack = [self]
        while stack:
            one = stack.pop()
            yield one
            stack.extend(child for child in one.subdirs.values() if child is not None)

    def known(self, path: bytes) -> Directory | None:
        """The Directory of `path`, which is this one or below it; None if it is not known."""
        directory: Directory | None = self
        for name in path[len(self.path) :].strip(b"/").split(b"/"):
            if name and directory is not None:
                directory = directory.subdirs.get(name)
        return directory

    def below(self, path: bytes) -> Directory:
        """The Directory of `path`, which is this one or below it.  It is made if not known."""
        directory = self
        inside = path[len(self.path) :].strip(b"/")
        for name in inside.split(b"/") if inside else ():
            child = directory.subdirs.get(name)
            if child is None:
                child = Directory(directory.join(name), directory)
                directory.subdirs[name] = child
            directory = child
        return directory
