"""Which directories something waits in, and which of them are near another.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

Owner = tuple[str, str]  # user, root


class Neighbourhood:
    """Files that wait, by their directories.

    Rule: what is near a directory is found through its ancestors and theirs, and
    not by looking at all that waits.
    """

    def __init__(self) -> None:
        self._files: dict[str, dict[str, Owner]] = {}  # directory -> path in it -> whose
        self._owners: dict[str, Counter[Owner]] = {}  # directory -> whose files wait in it
        # Directory -> directories at and below it in which something waits
        self._below: dict[str, set[str]] = {}

    def add(self, path: str, owner: Owner) -> None:
        """It waits."""
        self.remove(path)
        directory = path.rpartition("/")[0]
        files = self._files.setdefault(directory, {})
        if not files:
            for above in _upwards(directory):
                self._below.setdefault(above, set()).add(directory)
        files[path] = owner
        self._owners.setdefault(directory, Counter())[owner] += 1

    def remove(self, path: str) -> None:
        """It waits no more.  Harmless when it did not."""
        directory = path.rpartition("/")[0]
        files = self._files.get(directory, {})
        owner = files.pop(path, None)
        if owner is None:
            return
        owners = self._owners[directory]
        owners[owner] -= 1
        if not owners[owner]:
            del owners[owner]
        if not files:
            del self._files[directory], self._owners[directory]
            for above in _upwards(directory):
                below = self._below[above]
                below.discard(directory)
                if not below:
                    del self._below[above]

    def all(self) -> Iterator[tuple[Owner, str]]:
        """(whose, directory) of everything that waits."""
        for directory, owners in self._owners.items():
            for owner in owners:
                yield owner, directory

    def near(self, directory: str) -> Iterator[tuple[Owner, str]]:
        """Those whose files may be of one set with files of `directory`.

        One of the two holds the other, or they are the same.
        """
        near = set(self._below.get(directory, ()))
        near.update(above for above in _upwards(directory) if above in self._owners)
        for other in sorted(near):
            for owner in self._owners[other]:
                yield owner, other


def _upwards(directory: str) -> Iterator[str]:
    """The directory, and those above it but for the root of all."""
    while directory:
        yield directory
        directory = directory.rpartition("/")[0]
