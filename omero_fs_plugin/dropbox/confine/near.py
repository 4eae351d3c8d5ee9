"""Which of many roots may be one with another, or lie in it: so that not each is compared with all.

Asks no disk.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from omero_fs_plugin.links import Route

from .shown import Shown


class Near:
    """The roots that were taken, by what they are and by what they lie in.

    Rule: whatever has a directory in common with a root is among its `candidates`.  Others may be
    among them too.  Not thread-safe.
    """

    def __init__(self) -> None:
        self._by: dict[Hashable, dict[str, None]] = {}  # what it is, or lies in -> paths of roots
        self._keys: dict[str, tuple[Hashable, ...]] = {}  # path of a root -> what it is under

    def add(self, path: str, route: Route, shown: Iterable[Shown]) -> None:
        """The root at `path` was taken, perhaps anew."""
        for key in self._keys.pop(path, ()):
            del self._by[key][path]
            if not self._by[key]:
                del self._by[key]
        keys = self._keys[path] = tuple(dict.fromkeys(_of(route, shown)))
        for key in keys:
            self._by.setdefault(key, {})[path] = None

    def candidates(self, route: Route, shown: Iterable[Shown]) -> set[str]:
        """The paths of roots that may have to do with a directory."""
        wanted: list[Hashable] = [("in", route.identity)]
        wanted += [("is", above) for above in route.above]
        for one in shown:
            wanted.append(("within", one.system, one.inside))
            wanted += [("shows", one.system, above) for above in _with_above(one.inside)]
        return {path for key in wanted for path in self._by.get(key, ())}


def _of(route: Route, shown: Iterable[Shown]) -> Iterator[Hashable]:
    yield "is", route.identity
    yield from (("in", above) for above in route.above)
    for one in shown:
        yield "shows", one.system, one.inside
        yield from (("within", one.system, above) for above in _with_above(one.inside))


def _with_above(path: str) -> Iterator[str]:
    """An absolute path, and each directory above it, with /."""
    while path not in ("", "/"):
        yield path
        path = path.rpartition("/")[0]
    yield "/"
