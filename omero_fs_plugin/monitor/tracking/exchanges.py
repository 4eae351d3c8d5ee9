"""Two names that are exchanged in one step: renameat2(2) with RENAME_EXCHANGE.

The kernel tells of it as of two renames: a is gone, b came, b is gone, a came.  After the third of
these something is at b nevertheless.  Pure.
"""

from __future__ import annotations

from .tree import Directory

# So many names at least, as other renames may come in between; and twice as many at most.
_KEPT = 64


class Exchanges:
    """The names that something was renamed to last."""

    def __init__(self) -> None:
        self._came: set[tuple[Directory, bytes]] = set()
        self._earlier: set[tuple[Directory, bytes]] = set()

    def came(self, directory: Directory, name: bytes) -> None:
        """Something was renamed to this."""
        if len(self._came) >= _KEPT:
            self._earlier, self._came = self._came, set()
        self._came.add((directory, name))

    def may_be(self, directory: Directory, name: bytes) -> bool:
        """Whether something may be there although the kernel says that it was renamed: look."""
        one = directory, name
        for names in (self._came, self._earlier):
            if one in names:
                names.remove(one)
                return True
        return False
