"""What the client knows of a tree, and the comparison of that with the disk.

A file is known if the client was told of it, or if it was there at the start.  A
scan of a directory finds the differences between this and the disk.  As
`tracker`, this module has no clock, thread or system call of its own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from omero_fs_plugin.events import EventType
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.monitor.kernel.entries import Disk, Entry, Identity, Kind, Listing, Unfinished
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.requests import PathMode

from .arrivals import AT_ONCE, Arrivals, Timing
from .exchanges import Exchanges
from .lanes import Scans
from .late import Late
from .rescans import Rescans
from .tree import MAYBE, NEVER, Directory
from .watches import Watches


class Comparison(ABC):
    """The picture of the tree below `root`, and the directories that wait to be scanned."""

    def __init__(
        self,
        root: bytes,
        *,
        tell: Callable[[Tell], None],
        passes: Filter,
        mode: PathMode = PathMode.FOLLOW,
        directory_events: bool = False,
        timing: Timing | None = None,
        note: Callable[[Tell], None] = lambda tell: None,
    ) -> None:
        """`note` is called for a directory that comes or goes if the client is not told."""
        self.root = Directory(root, None)
        self.reachable = False
        self.active_at = -math.inf  # when something last happened that concerns the client
        self.mount = b""  # where the root's file system is mounted; empty: not known
        self._tell = tell
        self._note = note
        self._filter = passes
        self._mode = mode
        self._directory_events = directory_events
        self._timing = timing or Timing()
        self._watches = Watches(root, tell, self._timing)
        self._disk: Disk  # while open
        self._scans = Scans()
        self._arrivals = Arrivals(tell, self._timing, self._scans)
        self.racy = self._arrivals.racy  # what waits for `confirm`
        self._exchanges = Exchanges()
        # Directories that wait for a scan; True: so does everything known below them.
        self._queued: dict[Directory, bool] = {}
        # Directories whose listing takes long, and those of them that are to be listed once more.
        self._long: set[Directory] = set()
        self._again: set[Directory] = set()
        self._check_at = math.inf  # when the root is looked at again
        # It was not where it should be, and may be back: what was looked at meanwhile was not found
        self._was_away, self._back_at = False, -math.inf  # when that was found last
        # Directories that were not where they should be.  Either an event follows that says so, or
        # a directory above the root was away: of that there is none.
        self._unfound: set[Directory] = set()
        self._late = Late(self._timing.late)
        self._rescans = Rescans(self._timing.overflow)

    @abstractmethod
    def _check_root(self, now: float) -> None:
        """Checks whether the root is still the same directory."""

    # The picture ------------------------------------------------------------

    def _adopt(
        self,
        parent: Directory,
        name: bytes,
        *,
        enter: bool,
        silent: bool = False,
        mounted: bool = False,
    ) -> None:
        child = Directory(parent.join(name), parent) if enter else None
        if child is not None:
            child.mounted = mounted
        if not silent:
            self._tell_directory(EventType.CREATE, parent.join(name))
        parent.subdirs[name] = child
        if child is not None:
            self._queue(child, silent=silent)

    def _drop(self, parent: Directory, name: bytes, *, silent: bool = False) -> None:
        """Forgets a directory and everything below it.  Tells the deepest first."""
        child = parent.subdirs[name]
        path = parent.join(name)
        below = list(child.tree()) if child is not None else []
        for directory in reversed(below) if not silent else ():
            for file, identity in directory.files.items():
                doubted = identity == MAYBE
                self._tell(Tell(EventType.DELETE, directory.join(file), doubted=doubted))
            for other, entered in directory.subdirs.items():
                if entered is None:
                    doubted = directory.doubts_of(other)
                    self._tell_directory(EventType.DELETE, directory.join(other), doubted=doubted)
            if directory is not child and directory.parent is not None:
                doubted = directory.parent.doubts_of(directory.path.rpartition(b"/")[2])
                self._tell_directory(EventType.DELETE, directory.path, doubted=doubted)
        if not silent:
            self._tell_directory(EventType.DELETE, path, doubted=parent.doubts_of(name))
        del parent.subdirs[name]
        parent.resolve(name)
        for directory in below:
            directory.alive = False
            self._watches.forget(directory)
            self._queued.pop(directory, None)

    def _leave(self, parent: Directory, name: bytes) -> None:
        """Forgets a directory that is still there, and is not entered any more.

        The client is not told, because nothing has happened to it.
        """
        child = parent.subdirs[name]
        for directory in reversed(list(child.tree())) if child is not None else ():
            for file in directory.files:
                self._note(Tell(EventType.DELETE, directory.join(file)))
            if directory is not child:
                self._note(Tell(EventType.DELETE, directory.path, True))
        self._note(Tell(EventType.DELETE, parent.join(name), True))
        self._drop(parent, name, silent=True)

    def _tell_directory(self, kind: EventType, path: bytes, *, doubted: bool = False) -> None:
        tell = Tell(kind, path, True, doubted=doubted)
        if self._directory_events and self._filter.directory_event(path.rpartition(b"/")[2]):
            self._tell(tell)
        else:
            self._note(tell)

    def untell(self, tells: Sequence[Tell], tried: int = 0) -> None:
        """Takes back what the client did not hear, so that a rescan tells it anew.

        `tells` are in the order in which they were told.  The client may have heard the
        first `tried` of them.  Call it only after `close`.
        """
        for number in reversed(range(len(tells))):
            kind, path, is_directory, _, doubted = tells[number]
            if kind is EventType.SYSTEM:
                continue
            above, _, name = path.rpartition(b"/")
            parent = self.root.below(above or b"/")
            if kind is EventType.MODIFY:
                if parent.files.get(name) != MAYBE:
                    parent.files[name] = NEVER
            elif number < tried or doubted:
                self._doubt(parent, name, is_directory)
            elif not is_directory:
                if kind is EventType.CREATE:
                    parent.files.pop(name, None)
                else:
                    parent.files[name] = NEVER
            elif kind is EventType.CREATE:
                if name in parent.subdirs:
                    self._drop(parent, name, silent=True)
            elif name not in parent.subdirs:
                enter = self._mode is PathMode.FOLLOW
                parent.subdirs[name] = Directory(path, parent) if enter else None

    def doubt(self, path: bytes, is_directory: bool) -> None:
        """The client may have heard that the path came, or that it went.

        Call it only before `open`.
        """
        above, _, name = path.rpartition(b"/")
        self._doubt(self.root.below(above or b"/"), name, is_directory)

    def _doubt(self, parent: Directory, name: bytes, is_directory: bool) -> None:
        enter = self._mode is PathMode.FOLLOW
        parent.doubt(name, directory=is_directory, enter=enter)

    # The disk ---------------------------------------------------------------

    def _queue(self, directory: Directory, *, silent: bool = False, deep: bool = True) -> None:
        if directory not in self._queued:
            self._scans.append(directory, silent)
        self._queued[directory] = deep or self._queued.get(directory, False)

    def _scan(self, directory: Directory, silent: bool, now: float) -> None:
        """Watches `directory` and compares it with what is known of it."""
        deep = self._queued.pop(directory, False)
        if not directory.alive or (directory.unmounted and self._watches.is_away(directory)):
            self._long.discard(directory)
            self._again.discard(directory)
            return
        try:
            known = _to_compare(directory, silent)
            listing = self._watches.watch_and_list(directory, now, known)
        except Unfinished as unfinished:
            # What happens to a name meanwhile is newer than the listing, and has its own events.
            if directory.touched is None:
                directory.touched = set()
            self._long.add(directory)
            (lane,) = unfinished.args
            self._queued[directory] = deep
            self._scans.put_back(lane, directory, silent)
            return
        touched, directory.touched = directory.touched, None
        self._long.discard(directory)
        if self._again and directory in self._again:
            self._again.discard(directory)
            self._queue(directory)
        if listing is None:
            if directory is self.root:
                # Not again and again, if it cannot be listed though it is there.
                self._was_away, self._check_at = True, max(now, self._back_at + self._timing.check)
            elif not self._watches.is_polled(directory):
                self._unfound.add(directory)
            return
        if self._elsewhere(directory, listing.device, now):
            return
        parent = directory.parent
        # In its parent's list it was unseen, while it did not answer.
        if parent is not None and parent.doubts is not None:
            self._found_doubted(parent, directory.path.rpartition(b"/")[2])
        directory.closed = self._closes(directory, listing)
        there: set[bytes] = set()
        told = 0
        if touched:
            listing = _without(listing, touched)
            there |= touched
        same = listing.files  # as they are known, or nothing is
        if known is None:
            self._begin_with(directory, same)
        passes, path, known_directories = self._filter.file, directory.path, directory.subdirs
        for name, entry in listing.names:
            at_once = told < AT_ONCE
            if entry.kind is Kind.FILE and name not in known_directories:  # nearly always
                if passes(path, name):
                    there.add(name)
                    told += self._found_file(directory, name, entry, silent, now, at_once=at_once)
            elif self._passes(directory, name, entry):
                there.add(name)
                told += self._found(directory, name, entry, silent, now, deep=deep, at_once=at_once)
        subdirs, files = directory.subdirs, directory.files
        gone = [name for name in subdirs if name not in there] if subdirs else ()
        on_disk = {name for name, _ in listing.names} if directory.closed and gone else ()
        for name in gone:
            child = directory.subdirs[name]
            if name in on_disk:
                self._leave(directory, name)
            elif child is None or not child.unmounted:
                self._drop(directory, name)
        lost = (
            [name for name in files if name not in there and name not in same]
            if len(files) != len(same)
            else ()
        )
        for name in lost:
            self._arrivals.gone(directory, name)
        if directory.arrivals:
            for name in [name for name in directory.arrivals if name not in there]:
                del directory.arrivals[name]
        if gone or lost:
            self.active_at = now

    def _closes(self, directory: Directory, listing: Listing) -> bool:
        """Whether a file in it says that no directory in it is entered."""
        closing = self._filter.closing
        if not closing:
            return False
        path, closes = directory.path, self._filter.closes
        return any(name in listing.files and closes(path, name) for name in closing) or any(
            name in closing and entry.kind is Kind.FILE and closes(path, name)
            for name, entry in listing.names
        )

    def _begin_with(self, directory: Directory, files: Mapping[bytes, Identity]) -> None:
        """At a start nobody knows the files yet, and nobody is told of them."""
        directory.files = self._filter.passing(directory.path, files)

    def _elsewhere(self, directory: Directory, device: int, now: float) -> bool:
        """Whether something was mounted or unmounted here since the last look.

        Then nothing here counts before it is clear which of the two it was: an empty
        mount point does not mean that everything is gone.
        """
        before, directory.device = directory.device, device
        if before in (0, device):
            return False
        if directory.parent is None:
            self._check_root(now)
        else:
            self._queue(directory.parent, deep=False)
        if self.reachable:
            self._queue(directory)
        return True

    def _passes(self, directory: Directory, name: bytes, entry: Entry) -> bool:
        if entry.kind is Kind.UNSEEN:
            return True  # nobody knows what it is, but it is not gone
        if entry.kind is Kind.DIRECTORY:
            return not directory.closed and self._filter.directory(directory.path, name)
        return self._filter.file(directory.path, name)

    def _found(
        self,
        directory: Directory,
        name: bytes,
        entry: Entry,
        silent: bool,
        now: float,
        *,
        deep: bool,
        at_once: bool,
    ) -> bool:
        """The disk shows this name.  Returns whether it was told at once."""
        if entry.kind is Kind.DIRECTORY:
            self._found_directory(directory, name, entry, silent, now, deep=deep)
            return False
        if entry.kind is Kind.UNSEEN:
            child = directory.subdirs.get(name)
            if child is not None:
                # If its scan fails too, it says why.
                self._queue(child, silent=silent, deep=deep and entry.mounted)
            elif entry.mounted:  # so it is a directory, and will come back
                self._found_directory(directory, name, entry, silent, now, deep=deep)
            return False
        if name in directory.subdirs:
            self._drop(directory, name)
        return self._found_file(directory, name, entry, silent, now, at_once=at_once)

    def _found_doubted(self, parent: Directory, name: bytes) -> None:
        if parent.resolve(name):
            self._tell_directory(EventType.CREATE, parent.join(name), doubted=True)

    def _found_directory(
        self,
        parent: Directory,
        name: bytes,
        entry: Entry,
        silent: bool,
        now: float,
        *,
        deep: bool,
    ) -> None:
        if name in parent.files:
            self._arrivals.gone(parent, name)  # a file had this name before
        self._found_doubted(parent, name)
        child = parent.subdirs.get(name)
        if child is not None:
            if child.mounted and not entry.mounted:
                self._watches.unmounted(child, now)
            elif entry.mounted and not child.mounted:
                child.mounted = True
                self._note(Tell(EventType.CREATE, child.path, True))  # so that the record keeps it
            # If it is watched or polled itself, a look at its parent does not concern it.
            if deep or not self._watches.is_watched(child):
                self._queue(child, silent=silent, deep=deep)
        elif name not in parent.subdirs:
            enter = self._mode is PathMode.FOLLOW or (self._mode is PathMode.RECURSE and silent)
            if not silent:
                self.active_at = now
            self._adopt(parent, name, enter=enter, silent=silent, mounted=entry.mounted)

    def _found_file(
        self,
        directory: Directory,
        name: bytes,
        entry: Entry,
        silent: bool,
        now: float,
        *,
        at_once: bool,
    ) -> bool:
        known = directory.files.get(name)
        if silent and known is None and name not in directory.arrivals:
            directory.files[name] = entry.identity
            return False
        if known != entry.identity and name not in directory.arrivals:
            self.active_at = now
        # If nobody tells us of a close, silence must be enough.
        polled = self._watches.is_polled(directory)
        patience = self._timing.silence if polled else self._timing.found
        return self._arrivals.found(directory, name, entry, now, at_once=at_once, patience=patience)


def _to_compare(directory: Directory, silent: bool) -> Mapping[bytes, Identity] | None:
    """The files of which a scan needs to know no more than that they look like this."""
    files, arrivals = directory.files, directory.arrivals
    if files:
        # A directory may not be forgotten yet that has the name of a file by now.
        return {} if arrivals or files.keys() & directory.subdirs else files
    return None if silent and not (directory.subdirs or arrivals) else {}


def _without(listing: Listing, touched: set[bytes]) -> Listing:
    """What happened to these names meanwhile is newer than the listing."""
    return listing._replace(
        names=[(name, entry) for name, entry in listing.names if name not in touched],
        files={name: one for name, one in listing.files.items() if name not in touched},
    )
