"""What is known of the watched tree."""

from __future__ import annotations

from collections.abc import Iterator

from omero_fs_plugin.monitor.kernel.entries import Identity

# No file has it: what is known under it differs from whatever the disk shows.
NEVER: Identity = (-1, -1, -1)
# Nor this: the client may know of it or not, for it was told and did not answer.
# It is told as created again if it is there, and as deleted if it is not.
MAYBE: Identity = (-2, -2, -2)


class Arrival:
    """A file that will be told.

    Rule: not before `due`, and not before it has been silent for `bound`.
    """

    __slots__ = ("bound", "directory", "due", "fresh", "name", "seen", "seen_at", "since")

    def __init__(
        self, directory: Directory, name: bytes, *, fresh: bool, bound: float, now: float
    ) -> None:
        self.directory = directory
        self.name = name
        self.fresh = fresh  # Create when told, else Modify
        self.bound = bound  # s of silence needed; 0: its writer has closed it
        self.due = now  # inf: when its writer closes it
        self.since = now
        self.seen: Identity | None = None  # at the last look
        self.seen_at = now


class Directory:
    """One directory, and the known files in it."""

    __slots__ = (
        "alive",
        "arrivals",
        "descriptor",
        "device",
        "doubts",
        "files",
        "mounted",
        "parent",
        "path",
        "subdirs",
        "unmounted",
    )

    def __init__(self, path: bytes, parent: Directory | None) -> None:
        self.path = path
        self.parent = parent  # None: the root
        self.alive = True  # part of the tree
        self.descriptor: int | None = None  # of its watch
        self.device = 0  # that it was read from last; 0: unknown
        self.mounted = False  # something is mounted on it, or was until it went away
        self.unmounted = False  # its file system is away, and what is known of it stays
        self.files: dict[bytes, Identity] = {}  # told of, or there at the start
        self.arrivals: dict[bytes, Arrival] = {}  # to be told of
        # None: there, but not entered (Flat, or Recurse and new).
        self.subdirs: dict[bytes, Directory | None] = {}
        self.doubts: set[bytes] | None = None  # those of subdirs that are as MAYBE

    def doubt(self, name: bytes, *, directory: bool, enter: bool) -> None:
        """The client may know of it or not."""
        if not directory:
            self.files[name] = MAYBE
            return
        if name not in self.subdirs:
            self.subdirs[name] = Directory(self.join(name), self) if enter else None
        self.doubts = self.doubts or set()
        self.doubts.add(name)

    def doubts_of(self, name: bytes) -> bool:
        """Whether the client may know of subdirectory `name` or not."""
        return self.doubts is not None and name in self.doubts

    def resolve(self, name: bytes) -> bool:
        """The client is told of subdirectory `name` now; whether that was in doubt."""
        if self.doubts is None or name not in self.doubts:
            return False
        self.doubts.discard(name)
        self.doubts = self.doubts or None
        return True

    def knows(self, name: bytes) -> bool:
        """Whether the client knows of file `name`, beyond doubt."""
        return self.files.get(name, MAYBE) != MAYBE

    def join(self, name: bytes) -> bytes:
        """The path of `name` in it."""
        return self.path + name if self.path == b"/" else self.path + b"/" + name

    def tree(self) -> Iterator[Directory]:
        """It and all below it, each before what is in it."""
        stack = [self]
        while stack:
            one = stack.pop()
            yield one
            stack.extend(child for child in one.subdirs.values() if child is not None)

    def known(self, path: bytes) -> Directory | None:
        """The Directory of `path`, which is it or below it; None when not known."""
        directory: Directory | None = self
        for name in path[len(self.path) :].strip(b"/").split(b"/"):
            if name and directory is not None:
                directory = directory.subdirs.get(name)
        return directory

    def below(self, path: bytes) -> Directory:
        """The Directory of `path`, which is it or below it; made when not known."""
        directory = self
        inside = path[len(self.path) :].strip(b"/")
        for name in inside.split(b"/") if inside else ():
            child = directory.subdirs.get(name)
            if child is None:
                child = Directory(directory.join(name), directory)
                directory.subdirs[name] = child
            directory = child
        return directory
