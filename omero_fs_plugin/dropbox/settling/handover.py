"""Makes filesets of the files given to `omero fs import`, as DropBox does with dropped files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouper, Grouping
from omero_fs_plugin.dropbox.grouping.native.signatures import is_image_name
from omero_fs_plugin.dropbox.journal.records import Formed, Found
from omero_fs_plugin.events import FileStat, regular_stat

from .assembly import reason_to_wait
from .groupers import group_whole


@dataclass(frozen=True)
class Given:
    """One file, with its user and the directory that it must not leave."""

    found: Found
    user: str
    root: str
    rule: Rule | None = None  # the rule that covers it
    named: bool = False  # the file itself was given, not only its directory


@dataclass(frozen=True)
class Left:
    """Files that are not handed over, and why."""

    files: tuple[str, ...]
    why: str
    passed_over: bool = False  # it lay in a directory, and nobody said that it is an image


@dataclass(frozen=True)
class Sorted:
    """What became of all that was given."""

    formed: tuple[Formed, ...]
    left: tuple[Left, ...]


def sort_out(
    given: Iterable[Given],
    grouper: Grouper,
    *,
    readers: Callable[[Rule | None], Sequence[str] | None],
    stat: Callable[[str], FileStat | None] = regular_stat,
) -> Sorted:
    """Finds out which of the files belong together.

    Rule: a set is taken whole, with those of its files that were not given, or
    not at all.  `readers` is as in Groupers.  Raises what `grouper` raises.
    """
    lots: dict[tuple[str, str, Rule | None], dict[str, Given]] = {}
    for one in given:
        lot = lots.setdefault((one.user, one.root, one.rule), {})
        former = lot.get(one.found.path)
        if former is None or one.named:
            lot[one.found.path] = one
    formed: list[Formed] = []
    left: list[Left] = []
    for (user, root, rule), files in lots.items():
        try:
            grouping = group_whole(grouper, root, list(files), readers(rule))
        except RootAway as away:
            left.append(Left(tuple(files), f"cannot be read now: {away}"))
            continue
        for candidate in grouping.candidates:
            if files.keys().isdisjoint(candidate.files):
                continue  # an index around them names only other files
            whole = _whole(candidate, files, stat)
            if isinstance(whole, Left):
                left.append(whole)
            else:
                formed.append(Formed(user, root, whole, candidate.reader, candidate.plate))
        left += _unreadable(grouping, files)
    return Sorted(tuple(formed), tuple(left))


def _whole(
    candidate: Candidate, files: dict[str, Given], stat: Callable[[str], FileStat | None]
) -> list[Found] | Left:
    if candidate.refused or not candidate.complete:
        why = candidate.refused or candidate.broken or reason_to_wait(candidate)
        return Left(candidate.files, why)
    found: list[Found] = []
    for path in candidate.files:
        if path in files:
            found.append(files[path].found)
            continue
        try:
            now = stat(path)
        except OSError as error:
            return Left(candidate.files, f"{path}: cannot be looked at: {error.strerror}")
        if now is None:
            return Left(candidate.files, f"{path}: not a regular file")
        found.append(Found(path, now))
    return found


def _unreadable(grouping: Grouping, files: dict[str, Given]) -> list[Left]:
    return [
        Left((path,), why, passed_over=not files[path].named and not _is_wanted(files[path]))
        for path, why in grouping.unreadable.items()
        if path in files
    ]


def _is_wanted(one: Given) -> bool:
    """Whether somebody expects its import: its name is an image's, and no reader is left out."""
    all_readers = one.rule is None or one.rule.readers is None
    return all_readers and is_image_name(PurePath(one.found.path).name)
