"""The walk over files at rest, with the rules of OMERO's importer.

It notes which files each fileset uses, one file after the other.  The checks of paths and of
completeness are ours: see `confine` and `completeness`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from omero_fs_plugin.dropbox.confine import NOT_NOW, look_beneath, parts_beneath
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.grouping.child.frames import Frame
from omero_fs_plugin.dropbox.grouping.completeness import Findings, is_index
from omero_fs_plugin.dropbox.grouping.filesets import DEADLY, Candidate, Grouping
from omero_fs_plugin.dropbox.grouping.keeping import holder, kept_back, kept_unreadable
from omero_fs_plugin.errors import ImportRefused, Unreadable
from omero_fs_plugin.names import is_utf8

Check = Callable[[str, Sequence[Sequence[str]]], list[Findings]]
Content = tuple[str, int, int, int, int]  # path, device, inode, bytes, mtime in ns


@dataclass(frozen=True)
class _Found:
    """The result of opening one file."""

    files: tuple[str, ...]  # the one that OMERO opens first
    reader: str = ""
    plate: bool = False
    error: str = ""  # what its reader said when it failed
    not_now: bool = False  # see Candidate


def in_order(files: Iterable[str]) -> list[str]:
    """The files in the order of the importer's walk: those of a directory, then those below it."""
    in_each: dict[str, list[str]] = {}  # directory -> files in it
    for path in dict.fromkeys(files):
        in_each.setdefault(path.rpartition("/")[0], []).append(path)
    directories = sorted(in_each, key=lambda directory: directory.split("/"))
    return [path for directory in directories for path in sorted(in_each[directory])]


class Walk:
    """One call: what was found so far."""

    def __init__(self, root: str, check: Check) -> None:
        """`check` as Confined.check.  Raises RootAway."""
        self._root = root
        self._check = check
        # Some readers resolve links on the way to the user's directory, which is the admin's.
        with CALLS.at(root):
            self._real = os.path.realpath(root).rstrip("/")
        self._above = root.rstrip("/")
        self._found: list[_Found] = []
        self.users: Counter[str] = Counter()  # path -> how many use it
        self.unreadable: dict[str, str] = {}
        self._unread: set[str] = set()

    def fit(self, path: str) -> Content | None:
        """What `path` is now.  If it must not go to the worker, notes why and returns None."""
        if not is_utf8(path):
            self.unreadable[path] = "its name is not UTF-8, so Java cannot open it"
            return None
        try:
            stat = look_beneath(self._root, path)
        except FileNotFoundError:
            self.unreadable[path] = "it is no longer there"
        except ImportRefused as refusal:
            self.unreadable[path] = str(refusal)
            if isinstance(refusal, Unreadable):
                self._unread.add(path)
        except OSError as error:
            self._add(_Found((path,), error=f"{NOT_NOW}: {error.strerror}", not_now=True))
        else:
            return path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
        return None

    def inside(self, path: str) -> str:
        """`path` as the worker gets it."""
        return self._real + path[len(self._above) :]

    def _outside(self, name: str, path: str) -> str:
        """The path that a caller knows, for a name in the worker's answer about `path`."""
        directory = self.inside(path).rpartition("/")[0]
        absolute = os.path.normpath(directory + "/" + name if name[:1] != "/" else name)
        if not absolute.startswith(self._real + "/"):
            return absolute
        return self._above + absolute[len(self._real) :]

    def take(self, path: str, answer: Frame) -> None:
        """Notes what the worker said of `path`.  Takes the answer: nobody reads it again."""
        if "killed" in answer:
            self.unreadable[path] = f"{DEADLY}: {answer['killed']}"
        elif "unknown" in answer:
            why = answer["unknown"]
            # The name of the exception alone tells people nothing.
            more = "" if why.startswith("UnknownFormatException") else f": {why}"
            self.unreadable[path] = f"no reader takes it{more}"
        elif "error" in answer:
            # What its metadata names waits with it, rather than being imported singly.
            named = self._check(self._root, [[path]])[0].named
            files = dict.fromkeys([path, *named])
            self._add(_Found(tuple(files), error=f"its reader: {answer['error']}"))
        else:
            names = answer.pop("files")  # of a plate these are very many: none is kept twice
            for position, name in enumerate(names):
                names[position] = self._outside(name, path)
            names.append(path)
            used = tuple(dict.fromkeys(names))
            del names
            self._add(_Found(used, answer["reader"], answer["plate"]))

    def _add(self, found: _Found) -> None:
        self._found.append(found)
        self.users.update(found.files)

    def grouping(self, asked: Sequence[str]) -> Grouping:
        """The answer about all files.  The walk is over then."""
        kept: dict[str, _Found] = {}
        spare: dict[str, _Found] = {}
        for found in self._found:
            first = found.files[0]
            if self.users[first] > len(found.files):
                spare[first] = found
            elif first in kept:
                # Opened through two files, it is one fileset: its first file is the same.
                files = dict.fromkeys((*kept[first].files, *found.files))
                kept[first] = _Found(tuple(files), found.reader, found.plate, found.error)
            else:
                kept[first] = found
        self._found.clear()
        self.users.clear()
        covered = {path for found in kept.values() for path in found.files}
        self._take_indexes(kept, covered)
        for first, found in spare.items():
            if first not in covered:
                kept[first] = found
                covered.update(found.files)
        for path in asked:
            if path not in covered and path not in self.unreadable:
                self.unreadable[path] = "a hidden file, and no fileset uses it"
        unreadable: Mapping[str, str] = {
            path: why for path, why in self.unreadable.items() if path not in covered
        }
        covered.clear()
        # All in one question: each takes as long as some files do.
        states = self._check(self._root, [found.files for found in kept.values()])
        candidates = list(map(self._candidate, kept.values(), states))
        holders = [one for one in map(holder, candidates, states) if one is not None]
        back = list(kept_back(candidates, holders))
        readable = [path for path, why in unreadable.items() if not why.startswith(DEADLY)]
        back = kept_unreadable(back, holders, readable)
        covered = {path for candidate in back for path in candidate.files}
        unreadable = {path: why for path, why in unreadable.items() if path not in covered}
        return Grouping(tuple(back), unreadable, frozenset(self._unread & unreadable.keys()))

    def _take_indexes(self, kept: dict[str, _Found], covered: set[str]) -> None:
        """Takes the indexes that no reader takes, if they or their sets are not whole.

        One on which Bio-Formats fails has failed: it must not be asked again.
        """
        unread = [
            path
            for path, why in self.unreadable.items()
            if path not in covered and is_index(path) and not why.startswith(DEADLY)
        ]
        states = self._check(self._root, [[path] for path in unread])
        for path, state in zip(unread, states, strict=True):
            if state.incomplete or state.missing:
                kept[path] = _Found((path, *state.named), error=self.unreadable[path])
                covered.add(path)

    def _candidate(self, found: _Found, state: Findings) -> Candidate:
        missing = frozenset(state.missing)
        return Candidate(
            files=tuple(
                path for path in found.files if path not in missing and self._is_below(path)
            ),
            reader=found.reader,
            plate=found.plate,
            missing=state.missing,
            incomplete=state.incomplete,
            alike=state.alike,
            broken="" if state.missing or state.incomplete else found.error,
            refused=state.refused,
            not_now=state.not_now or found.not_now,
            unread=state.unread,
            remark=state.remark,
            trees=state.trees,
        )

    def _is_below(self, path: str) -> bool:
        try:
            parts_beneath(self._root, path)
        except ImportRefused:
            return False
        return True
