"""Directories that are a part of one image: nothing in them is an image of its own.  Pure.

The name of such a directory tells the index that its files belong to.  They wait for the index if
it comes last, go with it while its set waits, and are never imported by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from .filesets import DEADLY, Candidate, Grouping, folded

_SLIDEDAT = "slidedat.ini"
_ANY = re.IGNORECASE | re.DOTALL  # a name may have lines


@dataclass(frozen=True)
class Folder:
    """One kind of such a directory."""

    format: str  # for people
    named: str  # the files in it, for people
    index: str  # the index beside the directory, for people
    path: re.Pattern[str]  # of a file in it; the groups `above` and `name` are those of the index
    suffix: str  # of the index
    # Whether only a directory with this file in it is one: its own name says nothing.
    marked: str = ""


FOLDERS = (
    Folder(
        "Olympus OIF", "NAME.oif.files/*", "NAME.oif",
        re.compile(r"(?P<above>.*/)(?P<name>[^/]+)\.oif\.files/[^/]+", _ANY), ".oif",
    ),
    Folder(
        "cellSens VSI", "_NAME_/stack*/*.ets", "NAME.vsi",
        re.compile(r"(?P<above>.*/)_(?P<name>[^/]+)_/stack\d+/[^/]+\.ets", _ANY), ".vsi",
    ),
    Folder(
        "MIRAX", "NAME/*, with Slidedat.ini in NAME/", "NAME.mrxs",
        re.compile(r"(?P<above>.*/)(?P<name>[^/]+)/[^/]+", re.DOTALL), ".mrxs", _SLIDEDAT,
    ),
)  # fmt: skip


def index_of(path: str, marked: Collection[str]) -> str:
    """The index of the directory that the file at `path` lies in; empty if it lies in none.

    `marked`: directories with a file of which `Folder.marked` is the name.
    """
    for folder in FOLDERS:
        found = folder.path.fullmatch(path)
        if found and (not folder.marked or path.rpartition("/")[0] in marked):
            return found["above"] + found["name"] + folder.suffix
    return ""


def in_folders(grouping: Grouping, asked: Collection[str]) -> Grouping:
    """`grouping`, where the files of such directories go with their index.

    `asked`: the files that were asked about, and the indexes around them.
    """
    every = [*grouping.unreadable, *(path for one in grouping.candidates for path in one.files)]
    marked = {p.rpartition("/")[0] for p in every if p.rpartition("/")[2].lower() == _SLIDEDAT}
    members: dict[str, dict[str, None]] = {}  # index, as `_alike` -> files without it
    wanted: dict[str, str] = {}  # as `_alike` -> the index's path
    rest: list[Candidate] = []
    for candidate in grouping.candidates:
        index = _index_of_all(candidate, lambda path: index_of(path, marked))
        if index and all(_alike(path) != _alike(index) for path in candidate.files):
            wanted.setdefault(_alike(index), index)
            members.setdefault(_alike(index), {}).update(dict.fromkeys(candidate.files))
        else:
            rest.append(candidate)
    for path, why in grouping.unreadable.items():
        index = "" if why.startswith(DEADLY) else index_of(path, marked)
        if index:
            wanted.setdefault(_alike(index), index)
            members.setdefault(_alike(index), {})[path] = None
    return _joined(grouping, rest, members, wanted, asked) if members else grouping


def _joined(
    grouping: Grouping,
    rest: list[Candidate],
    members: dict[str, dict[str, None]],
    wanted: dict[str, str],
    asked: Collection[str],
) -> Grouping:
    unreadable = dict(grouping.unreadable)
    parts: set[str] = set()
    found: list[Candidate] = []
    for candidate in rest:
        with_it = {p: None for f in candidate.files for p in members.pop(_alike(f), ())}
        if candidate.complete and not candidate.refused:
            why = f"a part of {candidate.files[0]}, whose reader does not use it"
            new = [path for path in with_it if path not in candidate.files]
            unreadable.update(dict.fromkeys(new, why))
            parts.update(new)
            found.append(candidate)
        else:
            for path in with_it:
                unreadable.pop(path, None)
            files = tuple(dict.fromkeys((*candidate.files, *with_it)))
            found.append(replace(candidate, files=files))
    there = set(map(_alike, asked))
    for like, of_index in members.items():
        if like in there:
            found += _as_they_were(grouping, of_index)
            continue
        for path in of_index:
            unreadable.pop(path, None)
        found.append(Candidate(tuple(of_index), missing=(wanted[like],)))
    return replace(
        grouping,
        candidates=tuple(found),
        unreadable=unreadable,
        unread=grouping.unread & unreadable.keys(),
        parts=frozenset(parts),
    )


def _as_they_were(grouping: Grouping, files: Collection[str]) -> Iterator[Candidate]:
    """The candidates of an index that no reader takes: nobody makes a set of them."""
    for candidate in grouping.candidates:
        if candidate.files[0] in files:
            yield candidate


def _index_of_all(candidate: Candidate, index_of_one: Callable[[str], str]) -> str:
    """The index of all files of a candidate; empty if they have not the same."""
    indexes = set(map(index_of_one, candidate.files))
    return indexes.pop() if len(indexes) == 1 else ""


def _alike(path: str) -> str:
    directory, slash, name = path.rpartition("/")
    return directory + slash + folded(name)
