"""Which directory the kernel watches under which descriptor, and which it cannot."""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import Callable

from .arrivals import Timing
from .notices import Notice, Tell, shown
from .tree import Directory, Disk, Entry

log = logging.getLogger(__name__)


class Watches:
    """Rule: every directory that is entered is watched by the kernel, or polled."""

    def __init__(self, tell: Callable[[Tell], None], timing: Timing) -> None:
        self.disk: Disk  # set while the tracker is open
        self.by_descriptor: dict[int, Directory] = {}
        self.poll_at = math.inf
        self._tell = tell
        self._timing = timing
        self._polled: dict[Directory, None] = {}
        self._limit_told = False

    def clear(self) -> None:
        """Gives back every descriptor."""
        for descriptor, directory in self.by_descriptor.items():
            directory.descriptor = None
            self.disk.unwatch(descriptor)
        self.by_descriptor.clear()
        self._polled.clear()
        self.poll_at = math.inf

    def bind(self, directory: Directory, now: float) -> None:
        """Watches it, again if its path leads to another directory than before.

        Raises OSError.
        """
        descriptor = self.disk.watch(directory.path)
        other = self.by_descriptor.get(descriptor)
        if other is directory:
            return
        if other is not None:
            # The same directory under two paths: renamed a moment ago, or
            # mounted twice.  The kernel tells of one; the other is polled.
            other.descriptor = None
            self.poll(other, now)
        self.release(directory)
        directory.descriptor = descriptor
        self.by_descriptor[descriptor] = directory

    def lost(self, directory: Directory) -> None:
        """The kernel itself ended its watch."""
        if directory.descriptor is not None:
            self.by_descriptor.pop(directory.descriptor, None)
            directory.descriptor = None

    def release(self, directory: Directory) -> None:
        """Ends its watch, if it has one."""
        descriptor = directory.descriptor
        if descriptor is not None:
            self.lost(directory)
            self.disk.unwatch(descriptor)

    def forget(self, directory: Directory) -> None:
        """It is no longer part of the tree."""
        self.release(directory)
        self._polled.pop(directory, None)

    def poll(self, directory: Directory, now: float) -> None:
        """It is looked at from time to time instead."""
        self._polled[directory] = None
        if self.poll_at == math.inf:
            self.poll_at = now + self._timing.poll

    def is_polled(self, directory: Directory) -> bool:
        """Whether a change of its mode may let it be watched."""
        return directory in self._polled

    def to_poll(self, now: float) -> list[Directory]:
        """Those to look at now, when `poll_at` has come."""
        self.poll_at = now + self._timing.poll if self._polled else math.inf
        return list(self._polled)

    def watch_and_list(self, directory: Directory, now: float) -> list[tuple[bytes, Entry]] | None:
        """Watches it, then lists it: nothing comes to be between the two.

        None when it cannot be listed: gone, as its parent's event will say, or
        unreadable, as the client is told here.
        """
        watched = False
        try:
            self.bind(directory, now)
            watched = True
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.release(directory)
            self._cannot(directory, error)
            self.poll(directory, now)
        try:
            entries = self.disk.entries(directory.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._cannot(directory, error)
            self.poll(directory, now)
            return None
        if watched and directory in self._polled:
            del self._polled[directory]
            self._tell(Notice.REACHABLE.tell(directory.path, "it is watched again"))
        return entries

    def _cannot(self, directory: Directory, error: OSError) -> None:
        if directory in self._polled:
            return  # said before
        where = shown(directory.path)
        if error.errno != errno.ENOSPC:
            log.warning("%s cannot be watched: %s", where, error.strerror)
            text = f"it cannot be watched, {error.strerror}"
            self._tell(Notice.UNREACHABLE.tell(directory.path, text))
        elif not self._limit_told:
            # ENOSPC is inotify's word for its limit.
            self._limit_told = True
            text = (
                f"the kernel watches no more than {len(self.by_descriptor)} directories for this "
                "monitor, the others are polled: raise the sysctl fs.inotify.max_user_watches"
            )
            log.warning("%s: %s", where, text)
            self._tell(Notice.LIMIT.tell(directory.path, text))

    # File systems below the root that come and go ---------------------------

    def unmounted(self, directory: Directory, now: float) -> None:
        """Its file system is gone: nothing in it counts as deleted."""
        if directory.unmounted:
            return
        directory.unmounted = True
        self.poll(directory, now)
        if directory.parent is not None and not directory.parent.unmounted:
            log.warning("%s was unmounted", shown(directory.path))
            self._tell(Notice.UNREACHABLE.tell(directory.path, "it was unmounted"))

    def is_away(self, directory: Directory) -> bool:
        """Whether it is still unmounted.

        Only a mount point itself can say that it is back; with it comes
        everything below.
        """
        if not directory.unmounted:
            return False
        try:
            away = self.disk.mount(directory.path) != directory.path
        except OSError:
            away = True
        if not away:
            for one in directory.tree():
                one.unmounted = False
        return away
