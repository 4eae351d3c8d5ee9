"""omero.fs.pathMap: where other machines find the directories of DropBox.  Pure.

Rule: everywhere a file has the path that DropBox has for it: in the journal, in OMERO, in what
people read.  Only when a directory is opened on another machine is its path there used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass

from .kinds import Kind
from .lists import ITEMS, items, joined, quoted


@dataclass(frozen=True)
class Elsewhere:
    """One directory on other machines."""

    node: str  # of IceGrid, or the machine's name; empty: each
    there: str  # its path on DropBox's machine, absolute and without a slash at its end
    here: str  # its path on the other machine


PathMap = tuple[Elsewhere, ...]


def for_machine(paths: PathMap, names: Collection[str]) -> PathMap:
    """What holds for a machine with one of these names."""
    return tuple(one for one in paths if not one.node or one.node in names)


def translated(path: str, paths: PathMap) -> str:
    """The path here of what DropBox calls `path`.  The longest directory that fits counts.

    Of two for the same directory, one that names the machine comes before one for each.
    """
    fit = [one for one in paths if path == one.there or path.startswith(f"{one.there}/")]
    if not fit:
        return path
    best = max(fit, key=lambda one: (len(one.there), bool(one.node)))
    return best.here + path[len(best.there) :]


def for_fsserver(paths: PathMap, node: str) -> PathMap:
    """What holds for the FSServer of a node; nothing for the one without a node's name.

    The machine's own name does not count here, because DropBox does not know it.
    """
    return for_machine(paths, [node]) if node else ()


_MUST_BE = "/DROPBOX/PATH=/PATH/THERE or NODE:/DROPBOX/PATH=/PATH/THERE, with commas between"
_BETWEEN = re.compile(r"\s*=\s*(?=/)")  # a name may have a `=` of its own, but not before a slash


def _read(entry: str) -> PathMap:
    found: dict[tuple[str, str], Elsewhere] = {}
    for item in items(entry):
        left, *right = _BETWEEN.split(item.strip())
        node, slash, there = left.partition("/")
        named = node.removesuffix(":")
        well = len(right) == 1 and (not node or (node.endswith(":") and named and " " not in node))
        if not well or not _is_path(slash + there) or not _is_path(right[0]):
            raise ValueError(_MUST_BE)
        one = Elsewhere(named, _plain(slash + there), _plain(right[0]))
        if found.setdefault((one.node, one.there), one) is not one:
            raise ValueError(f"one path for each directory, and {one.there} has two")
    return tuple(found.values())


def _is_path(text: str) -> bool:
    """Absolute, below /, and without a way upwards."""
    parts = set(text.split("/")) - {"", "."}
    return text.startswith("/") and bool(parts) and ".." not in parts and "\0" not in text


def _plain(path: str) -> str:
    return os.path.normpath(path).replace("//", "/")


def _write(value: PathMap) -> str:
    texts = (f"{one.node}:" * bool(one.node) + f"{one.there}={one.here}" for one in value)
    return joined((quoted(text) for text in texts), ITEMS)


PATH_MAP = Kind("list of paths on other machines", _read, _write)
