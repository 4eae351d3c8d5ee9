"""Files in omero.fs.quarantine that belong to no fileset: nobody would ever bring them home.

A journal that was restored does not know them, or a fault has left them there.
"""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from omero_fs_plugin.dropbox.disks.calls import Call, RootAway
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.names import several

from .findings import Finding, Kind, Unseen
from .means import YOUNG_S, Means

PART = "quarantine"
_MOST = 20_000  # directories of filesets that are looked at
_FILES = 1_000  # files that are counted in one of them
_AT_ONCE = 200  # directories


@dataclass(frozen=True)
class _Place:
    """DIR/USER/ID, where the files of one fileset lie, or lay."""

    user: str
    fileset: int
    path: str


def look_for_left_behind(means: Means) -> None:
    """Goes through the quarantine, in the order of the users' names."""
    quarantine = means.settings.quarantine
    if quarantine is not None:
        vault = str(quarantine)
        after = str(means.record.positions.get(PART) or "")
        left = _MOST
        for user in means.look(vault, _names, vault) or ():
            if user <= after:
                continue
            above = f"{vault.rstrip('/')}/{user}"
            numbers = means.look(vault, _numbers, above, left) or []
            places = [_Place(user, number, f"{above}/{number}") for number in numbers[:left]]
            for start in range(0, len(places), _AT_ONCE):
                _look(means, vault, places[start : start + _AT_ONCE])
            means.record.mark(PART, user)
            left -= len(numbers)
            if left < 0:
                means.not_seen(vault, f"only {_MOST:,} filesets of it were looked at")
                break
    means.record.mark(PART, None)


def _names(call: Call, vault: str) -> list[str]:
    """Those of the users.  None are there before the first file has failed."""
    try:
        with os.scandir(vault) as entries:
            return sorted(one.name for one in entries if one.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _numbers(call: Call, above: str, most: int) -> list[int]:
    """Those of the filesets of one user; one more than `most`, if there are more."""
    found = []
    with os.scandir(above) as entries:
        for one in entries:
            call.pulse()
            name = one.name
            # As DropBox writes them.
            plain = name.isascii() and name.isdecimal() and len(name) < 19 and name[0] != "0"
            if plain and one.is_dir(follow_symlinks=False):
                found.append(int(name))
            if len(found) > most:
                break
    return sorted(found)


def _look(means: Means, vault: str, places: Sequence[_Place]) -> None:
    rows, moving = _rows(means, places)
    looked = [one for one in places if one.fileset not in moving]
    means.record.looked[PART] += len(looked)
    rest = means.now() - YOUNG_S
    for found in means.look(vault, _left_in, looked, rows, rest) or ():
        if isinstance(found, Unseen):
            means.not_seen(found.path, found.why)
        else:
            means.record.add(found)


def _rows(means: Means, places: Sequence[_Place]) -> tuple[dict[int, Seen], set[int]]:
    """What the journal has of them, and which of them are on their way there or back."""
    with glance(means.settings.journal_url) as look:
        if look is None:
            return {}, set()
        rows = {one.id: one for one in look.load([place.fileset for place in places])}
        return rows, look.moving(rows)


def _left_in(
    call: Call, places: Sequence[_Place], rows: dict[int, Seen], rest: float
) -> list[Finding | Unseen]:
    """`rest`: s since the epoch; what was touched later may be on its way."""
    found: list[Finding | Unseen] = []
    for place in places:
        row = rows.get(place.fileset)
        known = set(row.files) if row is not None and row.root == place.path else set()
        try:
            some = list(islice(_files(call, place.path, known), _FILES + 1))
        except RootAway:
            raise
        except OSError as error:  # one that is odd hides no others
            found.append(Unseen(place.path, f"cannot be looked at: {error.strerror}"))
            continue
        if some and max(touched for _, touched in some) <= rest:
            found.append(_finding(place, row, [path for path, _ in some]))
    return found


def _finding(place: _Place, row: Seen | None, names: Sequence[str]) -> Finding:
    more = f"more than {_FILES:,} files" if len(names) > _FILES else several(len(names), "file")
    first = min(names)[len(place.path) + 1 :]
    why = f"{more}, such as {first}, of which the journal knows nothing"
    if row is not None and row.root != place.path:
        why += f"; the files of fileset {row.id} are not here"
    return Finding(Kind.LEFT_BEHIND, place.path, why, place.user, None if row is None else row.id)


def _files(call: Call, top: str, known: set[str]) -> Iterator[tuple[str, float]]:
    """The files below `top` that are not `known`, and when each was touched (s since the epoch).

    Hidden ones are DropBox's own, of copies that were cut short.
    """
    directories = [top]
    while directories:
        directory = directories.pop()
        call.pulse()
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
            for one in entries:
                if one.name.startswith(".") or one.path in known or f"{one.path}/" in known:
                    continue
                if one.is_dir(follow_symlinks=False):
                    directories.append(one.path)
                    continue
                status = one.stat(follow_symlinks=False)
                if stat_module.S_ISREG(status.st_mode):
                    yield one.path, max(status.st_mtime, status.st_ctime)
