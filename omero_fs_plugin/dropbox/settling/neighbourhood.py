"""The directories in which files wait, and which of them are near another.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

Owner = tuple[str, str]  # user, root


_Value = TypeVar("_Value")


class ByDirectory(dict[str, dict[str, _Value]]):
    """Directory -> name or path in it -> what is known of that.

    Rule: to find out that nothing lies below a directory takes no look at the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self._below: Counter[str] = Counter()  # directory -> those at and below it

    def of(self, directory: str) -> dict[str, _Value]:
        """What is known of this one, to be added to."""
        some = self.get(directory)
        if some is None:
            some = self[directory] = {}
            self._below.update(_upwards(directory))
        return some

    def forget(self, directory: str) -> None:
        """Nothing is known of it any more."""
        del self[directory]
        for above in _upwards(directory):
            self._below[above] -= 1
            if not self._below[above]:
                del self._below[above]

    def below(self, directory: str) -> Iterator[tuple[str, str]]:
        """(directory, name or path in it), of `directory` and of those below it."""
        above = directory.rstrip("/") + "/"
        left = self._below.get(directory.rstrip("/"), 0)
        for where, some in self.items() if left else ():
            if f"{where}/".startswith(above):
                for one in some:
                    yield where, one
                left -= 1
                if not left:
                    return


class Neighbourhood:
    """Files that wait, by their directories.

    Rule: what is near a directory is found through the ancestors of both, not by a
    look at everything that waits.
    """

    def __init__(self) -> None:
        self._files: dict[str, dict[str, Owner]] = {}  # directory -> name in it -> owner
        self._owners: dict[str, Counter[Owner]] = {}  # directory -> owner -> files that wait
        # Directory -> directories at and below it in which files wait
        self._below: dict[str, set[str]] = {}

    def add(self, path: str, owner: Owner, kept: str = "") -> None:
        """The file waits from now on.  `kept`: its name, if somebody keeps that anyway."""
        self.remove(path)
        directory, _, name = path.rpartition("/")
        name = kept or name
        files = self._files.setdefault(directory, {})
        if not files:
            for above in _upwards(directory):
                self._below.setdefault(above, set()).add(directory)
        files[name] = owner
        self._owners.setdefault(directory, Counter())[owner] += 1

    def remove(self, path: str) -> None:
        """The file no longer waits.  Does nothing if it did not wait."""
        directory, _, name = path.rpartition("/")
        files = self._files.get(directory, {})
        owner = files.pop(name, None)
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
        """(owner, directory) of everything that waits."""
        for directory, owners in self._owners.items():
            for owner in owners:
                yield owner, directory

    def near(self, directory: str) -> Iterator[tuple[Owner, str]]:
        """(owner, directory) of files that may be of one set with files of `directory`.

        One of the two directories lies in the other, or they are the same.
        """
        near = set(self._below.get(directory, ()))
        near.update(above for above in _upwards(directory) if above in self._owners)
        for other in sorted(near):
            for owner in self._owners[other]:
                yield owner, other


def _upwards(directory: str) -> Iterator[str]:
    """The directory and those above it, except for ``/``."""
    while directory:
        yield directory
        directory = directory.rpartition("/")[0]
