"""Known files that were told just now, whose next write is the second of a burst.  Pure."""

from __future__ import annotations

from collections import OrderedDict

from .tree import Directory

# From so many on those whose next write is no burst are forgotten when one more is told.
_FORGET = 32


class Recent:
    """Each file, and when it was told, or written since; the oldest first."""

    def __init__(self, gap: float) -> None:
        """`gap`: s between two writes of one burst at most."""
        self._gap = gap
        self._files: OrderedDict[tuple[Directory, bytes], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._files)

    def clear(self) -> None:
        """Forgets all of them."""
        self._files.clear()

    def told(self, directory: Directory, name: bytes, now: float) -> None:
        """It was told."""
        if len(self._files) >= _FORGET:
            self._forget(now)
        self._files.pop((directory, name), None)  # the latest comes last
        self._files[directory, name] = now

    def written(self, directory: Directory, name: bytes, now: float) -> bool:
        """It was written again.  Returns whether this is part of a burst."""
        files, key = self._files, (directory, name)
        self._forget(now)
        if key not in files:
            return False
        files[key] = now
        files.move_to_end(key)
        return True

    def _forget(self, now: float) -> None:
        files = self._files
        while files and next(iter(files.values())) <= now - self._gap:
            files.popitem(last=False)
