"""Knows which directories the kernel watches, with their descriptors, and which are polled."""

from __future__ import annotations

import enum
import errno
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping

from omero_fs_plugin.monitor.kernel.entries import Disk, Identity, Listing, Unanswered
from omero_fs_plugin.monitor.notices import Notice, Tell, shown

from .arrivals import Timing
from .tree import Directory

log = logging.getLogger(__name__)

# Polling takes at most this part of the time: one in so many.
_SHARE_OF_TIME = 5

# Errors of a file system that is away.  Nothing below it is asked either, because each
# question may take as long as the network waits.
_AWAY = frozenset(
    getattr(errno, name)
    for name in (
        "EIO",
        "ENODEV",
        "ENXIO",
        "ESTALE",
        "ENOTCONN",
        "ECONNABORTED",
        "ECONNRESET",
        "ECONNREFUSED",
        "ESHUTDOWN",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETUNREACH",
        "ETIMEDOUT",
        "EREMOTEIO",
    )
    if hasattr(errno, name)  # not every platform has all of them
)


class Why(enum.Enum):
    """Why a directory is polled."""

    CHOSEN = "chosen"  # a network share, or omero.fs.observer says so
    LIMIT = "limit"  # the kernel's limit of watches
    TWICE = "twice"  # the kernel reports it under another path
    REFUSED = "refused"  # it cannot be watched or listed, and the client was told
    LATE = "late"  # its file system does not answer; the client is told if that lasts
    AWAY = "away"  # its file system is away, and the client was told
    BELOW = "below"  # neither it nor the directory above it can be reached

    @property
    def told(self) -> bool:
        """Whether the client must be told when it is over."""
        return self in (Why.REFUSED, Why.AWAY)


class Watches:
    """Rule: the kernel watches every directory that is entered, or the tracker polls it."""

    def __init__(self, root: bytes, tell: Callable[[Tell], None], timing: Timing) -> None:
        self.disk: Disk  # set while the tracker is open
        self.by_descriptor: dict[int, Directory] = {}
        self.poll_at = math.inf
        self._root = root
        self._tell = tell
        self._timing = timing
        self._polled: dict[Directory, Why] = {}
        # Those that the client was told of.  Kept while nothing is watched, as after an error: one
        # that is back by then is told, too.
        self._unreachable: set[Directory] = set()
        # Of each lane with something that is polled: when the round began that is under way, and
        # when the next one begins.
        self._rounds: dict[bytes, tuple[float | None, float]] = {}
        self._reason = ""  # of directories that are CHOSEN
        self._limit = 0  # the errno of the limit that was met
        self._limit_told = 0  # how many directories could not be watched when that was told

    def clear(self) -> None:
        """Ends every watch."""
        for descriptor, directory in self.by_descriptor.items():
            directory.descriptor = None
            self.disk.unwatch(descriptor)
        self.by_descriptor.clear()
        self._polled.clear()
        self._rounds.clear()
        self.poll_at = math.inf

    def bind(self, directory: Directory, now: float) -> bool:
        """Watches it, again if its path leads to another directory than before.

        Returns False if it has to be polled; then it has no watch.  Raises OSError.
        """
        descriptor = self.disk.watch(directory.path)
        if descriptor is None:
            self.release(directory)
            return False
        other = self.by_descriptor.get(descriptor)
        if other is directory:
            return True
        if other is not None:
            # It is the same directory under two paths: it was renamed a moment ago, or is
            # mounted twice.  The kernel reports one of them; the other is polled.
            other.descriptor = None
            self.poll(other, Why.TWICE, now)
        if directory.descriptor is not None:
            self.release(directory)
        # In this order, and in `lost` in the reverse order.  So wherever an error comes,
        # `clear` finds the descriptor here, and no descriptor outlives its directory.
        self.by_descriptor[descriptor] = directory
        directory.descriptor = descriptor
        return True

    def bind_root(self, root: Directory, now: float) -> None:
        """As `bind`, but if a limit is met, the root is polled.

        Raises OSError if it cannot even be looked at.
        """
        try:
            watched = self.bind(root, now)
        except OSError as error:
            if not self._is_limit(error):
                raise
            self.release(root)
            self._limit = error.errno or 0
            self.poll(root, Why.LIMIT, now)
            return
        if watched and self._polled.get(root) in (Why.LIMIT, Why.CHOSEN):
            del self._polled[root]
        elif not watched and root not in self._polled:
            self.poll(root, Why.CHOSEN, now)

    def _is_limit(self, error: OSError) -> bool:
        return error.errno is not None and self.disk.limited(error.errno, 1) is not None

    def lost(self, directory: Directory) -> None:
        """The kernel itself has ended its watch."""
        descriptor, directory.descriptor = directory.descriptor, None
        if descriptor is not None:
            self.by_descriptor.pop(descriptor, None)

    def release(self, directory: Directory) -> None:
        """Ends its watch, if it has one."""
        descriptor = directory.descriptor
        if descriptor is not None:
            self.lost(directory)
            self.disk.unwatch(descriptor)

    def forget(self, directory: Directory) -> None:
        """Forgets a directory that is no longer part of the tree."""
        self.release(directory)
        self._polled.pop(directory, None)
        self._unreachable.discard(directory)

    # Polling ----------------------------------------------------------------

    def poll(self, directory: Directory, why: Why, now: float) -> None:
        """Has the directory looked at from time to time instead."""
        if why is Why.CHOSEN and not self._reason:
            self._reason = self.disk.chosen(directory.path)
        self._polled[directory] = why
        began, at = self._rounds.get(directory.lane, (None, math.inf))
        if at == math.inf and began is None:
            self._set_round(directory.lane, None, now + self._timing.poll)

    def _set_round(self, lane: bytes, began: float | None, at: float) -> None:
        self._rounds[lane] = began, at
        self.poll_at = min(at for _, at in self._rounds.values())

    def is_polled(self, directory: Directory) -> bool:
        """Whether no events come from it, neither of writes nor of closes."""
        return directory in self._polled

    def is_watched(self, directory: Directory) -> bool:
        """Whether it is watched or polled itself, and not only with its parent."""
        return directory.descriptor is not None or directory in self._polled

    def polled(self) -> Counter[Why]:
        """How many directories are polled, for each reason.  From any thread."""
        return Counter(list(self._polled.values()))

    def reasons(self) -> str:
        """Why directories are polled, for people.  From any thread."""
        polled = self.polled()
        words = {
            self._reason: polled[Why.CHOSEN],
            "over inotify's limit": polled[Why.LIMIT],
            "known under two paths": polled[Why.TWICE],
            "cannot be watched": polled[Why.REFUSED],
            "away": polled[Why.LATE] + polled[Why.AWAY] + polled[Why.BELOW],
        }
        return ", ".join(word for word, number in words.items() if number)

    def begin_round(self, now: float) -> list[Directory]:
        """The directories to look at now that `poll_at` has come, each before those below it.

        Each lane has rounds of its own: one that takes long has few of them.
        """
        due = {lane for lane, (_, at) in self._rounds.items() if at <= now}
        found = [directory for directory in self._polled if directory.lane in due]
        lanes = {directory.lane for directory in found}
        for lane in due:
            # If nothing is left to look at, there is no round.  Nothing would end it, and the
            # rest after a round is many times as long as the round.
            self._set_round(lane, now if lane in lanes else None, math.inf)
        return found

    def end_round(self, lane: bytes, now: float) -> None:
        """Everything of this lane was looked at that waited, in a round or not."""
        began, at = self._rounds.get(lane, (None, math.inf))
        self._tell_limit()
        if began is not None:
            rest = (now - began) * (_SHARE_OF_TIME - 1)
            at = now + max(self._timing.poll, rest) if self._polled else math.inf
            self._set_round(lane, None, at)

    def watch_and_list(
        self, directory: Directory, now: float, known: Mapping[bytes, Identity] | None
    ) -> Listing | None:
        """Watches it first and lists it then, so that nothing is missed between the two.

        `known` as for Disk.entries.
        None if it cannot be listed.  It may be gone; then the event of its parent will say
        so.  Or it cannot be read; then the client is told here.  Or its file system does not
        answer; then the client is told if that lasts.
        """
        if self._is_below_away(directory):
            self.release(directory)
            self.poll(directory, Why.BELOW, now)
            return None
        why: Why | None = None
        try:
            if not self.bind(directory, now):
                why = Why.CHOSEN
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Unanswered:
            self._waits(directory, now)
            return None
        except OSError as error:
            self.release(directory)
            if self._is_limit(error):
                self._limit = error.errno or 0
                why = Why.LIMIT
            else:
                why = self._cannot(directory, error, now)
        try:
            listing = self.disk.entries(directory.path, known)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Unanswered:
            self._waits(directory, now)
            return None
        except OSError as error:
            self._cannot(directory, error, now)
            return None
        if why is None and not self._polled and not self._unreachable:
            return listing
        if why is None:
            self._polled.pop(directory, None)
        else:
            self.poll(directory, why, now)
        if directory in self._unreachable and (why is None or not why.told):
            self._unreachable.discard(directory)
            self._tell(Notice.REACHABLE.tell(directory.path, "it is reachable again"))
        return listing

    def _is_below_away(self, directory: Directory) -> bool:
        above = directory.parent if self._polled else None
        return above is not None and self._polled.get(above) in (Why.AWAY, Why.BELOW)

    def has_told(self, directory: Directory) -> bool:
        """Whether the client knows that it cannot be watched."""
        return directory in self._unreachable

    def reached(self, directory: Directory) -> None:
        """The client is told by another that it is back."""
        self._unreachable.discard(directory)

    def _cannot(self, directory: Directory, error: OSError, now: float) -> Why:
        above = self._polled.get(directory.parent) if directory.parent is not None else None
        if above in (Why.REFUSED, Why.AWAY, Why.BELOW):
            # The reason is most likely the same, and one message is enough.
            self.poll(directory, Why.BELOW, now)
            return Why.BELOW
        why = Why.AWAY if error.errno in _AWAY else Why.REFUSED
        self.poll(directory, why, now)
        if directory not in self._unreachable:
            self._unreachable.add(directory)
            where, reason = shown(directory.path), error.strerror or type(error).__name__
            log.warning("%s cannot be watched: %s", where, reason)
            self._tell(Notice.UNREACHABLE.tell(directory.path, f"it cannot be watched, {reason}"))
        return why

    def _tell_limit(self) -> None:
        """Tells once for all directories that could not be watched, and again when it is over."""
        limited = [one for one, why in self._polled.items() if why is Why.LIMIT]
        if len(limited) > 2 * self._limit_told:
            self._limit_told = len(limited)
            advice = self.disk.limited(self._limit, len(limited)) or ""
            example = limited[-1].path
            text = f"{len(limited)} directories cannot be watched and are polled, {advice}"
            log.warning("%s: %s", shown(example), text)
            self._tell(Notice.LIMIT.tell(example, text))
        elif self._limit_told and not limited:
            self._limit_told = 0
            log.info("every directory is watched again")
            self._tell(Notice.LIMIT.tell(self._root, "every directory is watched again"))

    # File systems below the root that come and go ---------------------------

    def _waits(self, directory: Directory, now: float) -> None:
        """It is looked at again when its file system answers; what watches it goes on."""
        if self._polled.get(directory) not in (Why.AWAY, Why.BELOW):
            self.poll(directory, Why.LATE, now)

    def unanswered(self, directory: Directory, now: float) -> None:
        """What is mounted on it does not answer, and has not for a while."""
        before = self._polled.get(directory)
        if before is not None and before.told:
            return
        self.poll(directory, Why.AWAY, now)
        if directory in self._unreachable:
            return
        self._unreachable.add(directory)
        log.warning("%s does not answer", shown(directory.path))
        text = "the file system does not answer"
        self._tell(Notice.UNREACHABLE.tell(directory.path, text))

    def unmounted(self, directory: Directory, now: float) -> None:
        """What was mounted on it is gone.  Nothing in it counts as deleted."""
        if directory.unmounted:
            return
        log.warning("%s was unmounted", shown(directory.path))
        if directory not in self._unreachable:
            self._unreachable.add(directory)
            self._tell(Notice.UNREACHABLE.tell(directory.path, "it was unmounted"))
        for one in directory.tree():
            one.unmounted = True
            self.release(one)
            self.poll(one, Why.AWAY if one is directory else Why.BELOW, now)

    def is_away(self, directory: Directory) -> bool:
        """Whether it is still unmounted.

        Only the mount point itself can show that it is back.  Then everything below it is
        back too.
        """
        if not directory.unmounted:
            return False
        if not directory.mounted:
            return True
        try:
            # If there is an automounter, this call mounts it.
            self.disk.mount(directory.path)
        except OSError:
            return True
        entry = self.disk.look(directory.path)
        if entry is None or not entry.mounted:
            return True
        for one in directory.tree():
            one.unmounted = False
        return False
