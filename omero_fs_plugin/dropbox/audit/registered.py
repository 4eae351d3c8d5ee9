"""The directories of OMERO's repository that an audit has heard of on its way."""

from __future__ import annotations

from collections.abc import Iterable

from omero_fs_plugin.blitz.inventory import Kept

# Directories that are kept in mind: some 70 bytes each.  OMERO is asked for the others.
_MOST = 1_000_000


class Registered:
    """Directories in which OMERO told of a file, so that it is not asked for them again.

    Of each only a hash of 64 bits is kept.  Rule: what it says to be there was there when OMERO
    was asked for the files of filesets, in the same process.  What it does not know may be there.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._hashes: set[int] = set()

    def add_all(self, files: Iterable[Kept]) -> None:
        """The directories of these files."""
        for one in files:
            if len(self._hashes) >= self._most:
                return
            self._hashes.add(hash((one.repository, one.place.rpartition("/")[0])))

    def knows(self, repository: str, directory: str) -> bool:
        """`directory` is relative to that of the repository with this uuid."""
        return hash((repository, directory)) in self._hashes
