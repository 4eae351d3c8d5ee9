"""Directories of OMERO's managed repository with files in them that OMERO has not registered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from omero_fs_plugin.blitz import inventory
from omero_fs_plugin.blitz.inventory import MOST
from omero_fs_plugin.dropbox.disks.calls import Call, RootAway

from .findings import Finding, Kind
from .means import YOUNG_S, Means

PART = "directories"
_AT_ONCE = MOST // 2  # each is asked for in two spellings
_LISTED = 20_000  # directories in one question to the disk
_NO_DATA = ("lost+found",)  # at the top


@dataclass
class Walk:
    """The directories below `top` that have files, in the order of their paths.

    It holds one list of names for each level.  `refused` has those that could not be listed.
    """

    top: str
    after: str = ""  # relative; what comes up to it is left out
    refused: list[tuple[str, str]] = field(default_factory=list)  # path, why

    def __post_init__(self) -> None:
        self._start = tuple(self.after.split("/")) if self.after else ()

    def found(self, call: Call) -> Iterator[tuple[str, float]]:
        """(relative path, its time of change in s since the epoch).

        `call` is the call to the disk: it is told each time that the disk answers.
        """
        levels = [iter([""])]
        while levels:
            relative = next(levels[-1], None)
            if relative is None:
                levels.pop()
                continue
            names, has_files, changed = self.listed(call, relative)
            levels.append(iter(self._below(relative, names)))
            if has_files and relative and tuple(relative.split("/")) > self._start:
                yield relative, changed

    def _below(self, relative: str, names: list[str]) -> list[str]:
        """The directories to enter, without those that were gone through before."""
        paths = [f"{relative}/{name}" if relative else name for name in sorted(names)]
        depth = relative.count("/") + 2 if relative else 1
        return [one for one in paths if tuple(one.split("/")) >= self._start[:depth]]

    def listed(self, call: Call, relative: str) -> tuple[list[str], bool, float]:
        """The names of the directories in one, whether it has files, and its time of change."""
        place = f"{self.top}/{relative}" if relative else self.top
        names, has_files = [], False
        try:
            call.pulse()
            changed = os.stat(place).st_mtime  # noqa: PTH116
            with os.scandir(place) as entries:
                for entry in entries:
                    call.pulse()
                    if not relative and (entry.name.startswith(".") or entry.name in _NO_DATA):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        names.append(entry.name)
                    elif not entry.name.startswith("."):
                        has_files = True
        except RootAway:
            raise
        except FileNotFoundError:  # removed while we were looking
            return [], False, 0.0
        except OSError as error:
            self.refused.append((place, f"cannot be listed: {error.strerror}"))
            return [], False, 0.0
        return names, has_files, changed


def look_for_directories(means: Means, repository: str) -> None:
    """Goes through the repository, whose directory is here."""
    record = means.record
    after = str(record.positions.get(PART) or "")
    uuid = means.ask("asking for the repository", inventory.repository_id)
    call = means.lanes.calls.at(repository)
    walk = Walk(repository, after)
    found = walk.found(call)
    old = means.now() - YOUNG_S
    while uuid:
        lot = means.look(repository, _next, found, partial(means.registered.knows, uuid), call=call)
        for place, why in walk.refused:
            means.not_seen(place, why)
        walk.refused.clear()
        if lot is None or not lot.listed:
            break
        there: set[str] = set()
        if lot.unknown:
            paths = [relative for relative, _ in lot.unknown]
            there = means.ask(
                "asking what is registered",
                inventory.registered,
                uuid,
                paths,
            )
        strange = [one for one, changed in lot.unknown if one not in there and changed < old]
        # OMERO may have deleted it since it was listed.
        again = means.look(repository, _with_files, repository, strange) if strange else None
        for relative in again or ():
            why = "OMERO has registered nothing in it"
            record.add(Finding(Kind.UNREGISTERED, f"{repository}/{relative}", why))
        record.looked[PART] += lot.listed
        record.mark(PART, lot.last)
    record.mark(PART, None)


@dataclass
class _Lot:
    """Some directories in the order of the walk."""

    unknown: list[tuple[str, float]] = field(default_factory=list)  # OMERO is to be asked for them
    listed: int = 0  # all of them
    last: str = ""  # the relative path of the last one


def _next(call: Call, found: Iterator[tuple[str, float]], known: Callable[[str], bool]) -> _Lot:
    call.pulse()
    lot = _Lot()
    while len(lot.unknown) < _AT_ONCE and lot.listed < _LISTED:
        one = next(found, None)
        if one is None:
            break
        lot.listed, lot.last = lot.listed + 1, one[0]
        if not known(lot.last):
            lot.unknown.append(one)
    return lot


def _with_files(call: Call, top: str, some: Sequence[str]) -> list[str]:
    """Those of these directories that still have files."""
    walk, found = Walk(top), []
    for relative in some:
        _, has_files, _ = walk.listed(call, relative)
        if has_files:
            found.append(relative)
    return found
