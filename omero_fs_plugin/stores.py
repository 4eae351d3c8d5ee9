"""Pure: directories that are one image, such as OME-Zarr, and how they are named.

Such a directory is a *store*.  It is one thing on its whole way: one row of the journal, one
decision that it rests, one fileset.  Its path ends with a slash, ``/in/amy/a.zarr/``, and so
everybody can tell it from a file without asking the disk.

A directory is a store if its name ends in ``.zarr``, or if one of `MARKERS` is at its top: the
metadata of Zarr 2 and Zarr 3.  Of several stores within each other, only the outermost counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from .packed import in_order as in_order_of

# The metadata of a group or an array, at its top.  The first that is there comes first in the
# fileset.  Sources: the specifications of Zarr 2 and Zarr 3.
MARKERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
# Hidden names that are data: see `system_names`.
HIDDEN = (".zattrs", ".zgroup", ".zarray", ".zmetadata")
SUFFIX = ".zarr"

_Value = TypeVar("_Value")


def is_store(path: str) -> bool:
    """Whether `path` is that of a store."""
    return path.endswith("/")


def store_at(directory: str) -> str:
    """The path of the store that the directory is."""
    return directory.rstrip("/") + "/"


def directory_of(path: str) -> str:
    """The path of a store, or of a file, without the slash at its end."""
    return path.rstrip("/")


def is_store_name(name: str) -> bool:
    """Whether a directory with this name is a store, whatever is in it."""
    return name.casefold().endswith(SUFFIX) and len(name) > len(SUFFIX)


def not_entered(levels: int) -> list[str]:
    """Items of a monitor's blacklist: the directories of a store are not watched one by one.

    `levels`: how deep a store lies at least below the watched directory.
    """
    return [f"*{SUFFIX}/*/", *(f"{'*/' * levels}[{name}]/*/" for name in MARKERS)]


def above(root: str, path: str) -> Iterator[str]:
    """The directories above `path` and strictly below `root`, from the outermost on."""
    top = root.rstrip("/")
    if not path.startswith(top + "/"):
        return
    position = path.find("/", len(top) + 1)
    while position > 0:
        yield path[:position]
        position = path.find("/", position + 1)


def store_by_name(root: str, path: str) -> str:
    """The store that `path`, below `root`, is or lies in, as the names say; empty: in none."""
    for directory in above(root, path):
        if is_store_name(directory.rpartition("/")[2]):
            return store_at(directory)
    return store_at(path) if is_store(path) else ""


def is_marker(path: str) -> bool:
    """Whether the name is that of the metadata at the top of a store."""
    return path.rpartition("/")[2] in MARKERS


def in_order(names: Iterable[str]) -> list[str]:
    """Names below a store in the order of its fileset: the metadata at its top comes first."""
    return sorted(names, key=place_of)


def place_of(name: str) -> tuple[int, str]:
    """What `in_order` sorts a name by."""
    return (MARKERS.index(name) if name in MARKERS else len(MARKERS)), name


def digest(sha1s: Mapping[str, str]) -> str:
    """The digest of a store: a hash over its names, relative, and the SHA1s of its files.

    It is 40 digits long like a SHA1, and never that of a file with the same bytes, because a file
    would have to begin with the hash's own first line.
    """
    return _digest((name, sha1s[name]) for name in sorted(sha1s))


def digest_of_many(names: Sequence[str], sha1s: Sequence[str]) -> str:
    """As `digest`, of names in any order and the SHA1 of each, in little memory."""
    return _digest((names[one], sha1s[one]) for one in in_order_of(names))


def _digest(each: Iterable[tuple[str, str | None]]) -> str:
    whole = hashlib.sha1(b"omero.fs directory fileset\0", usedforsecurity=False)
    for name, sha1 in each:
        whole.update(f"{sha1} {name}\0".encode(errors="surrogateescape"))
    return whole.hexdigest()


def registered_as(client_path: str) -> str:
    """The client path of a store that is registered and not imported: OMERO has no file of it.

    It ends with a slash, as no client path of a file does.
    """
    return store_at(client_path)


def is_registered(paths: Sequence[str]) -> bool:
    """Whether a fileset with these client paths is a store that was registered."""
    return len(paths) == 1 and is_store(paths[0])


def digest_of_copies(paths: Sequence[str], sha1s: Sequence[str | None]) -> str:
    """The digest of a store that OMERO has; empty if it has not every SHA1, or it is no store.

    `paths`: the client paths of the fileset, the metadata at the top of the store first.  Of a
    store that was registered OMERO has the digest itself.
    """
    if is_registered(paths):
        return sha1s[0] or ""
    top, _, name = paths[0].rpartition("/")
    if name not in MARKERS or not all(path.startswith(top + "/") for path in paths):
        return ""
    if not all(sha1s):
        return ""
    # With the same begin, paths are in the same order as names.
    return _digest((paths[one][len(top) + 1 :], sha1s[one]) for one in in_order_of(paths))
