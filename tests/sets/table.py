"""Tries each fault of each member of each set, and says what came of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.dropbox.grouping.filesets import Grouper, Grouping
from omero_fs_plugin.dropbox.settling.groupers import group_whole

from .kinds import KINDS, SetKind

_BLOCK = 4096  # bytes; a hole is at least so large, unless it is the whole file
NOTHING, ONE, SINGLY = "nothing", "one set", "singly"
RESTS = "after its tree"  # one set, when the whole tree of it is at rest


@dataclass(frozen=True)
class Row:
    """One input, and what came of it."""

    kind: str
    fault: str  # with the member
    order: str  # of arrival
    grouper: str
    expected: str
    got: str
    why: str  # what is told

    @property
    def right(self) -> bool:
        return self.got in self.expected.split(" or ")


def late(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 6 // 10)


def short(path: Path) -> None:
    """Its last byte is not there."""
    os.truncate(path, path.stat().st_size - 1)


def hole(path: Path) -> None:
    """Its length is set, and of its bytes the first half, in whole blocks."""
    _hole_from(path, path.stat().st_size // 2 // _BLOCK * _BLOCK)


def hole_at_end(path: Path) -> None:
    """Its length is set, and its last block, or what there is of it, is not written."""
    _hole_from(path, (path.stat().st_size - 1) // _BLOCK * _BLOCK)


def _hole_from(path: Path, start: int) -> None:
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:start])
    os.truncate(path, size)


def zeros(path: Path) -> None:
    """Its length is set, and on its disk nobody can tell that none of its bytes is written."""
    path.write_bytes(bytes(path.stat().st_size))


def zeros_first(path: Path) -> None:
    """As `zeros`, of its begin: another process writes the rest already."""
    data = path.read_bytes()
    path.write_bytes(bytes(min(64, len(data))) + data[64:])


def zeros_last(path: Path) -> None:
    """As `zeros`, of its second half."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link(path: Path) -> None:
    """A link to a file of another place: no rescan meets it."""
    path.unlink()
    path.symlink_to("/etc/hostname")


def other_case(path: Path) -> None:
    path.rename(path.with_name(path.name.swapcase()))


def forbidden(path: Path) -> None:
    path.chmod(0)


def of_another(path: Path) -> None:
    """The content of another file beside it, as if somebody had confused two."""
    others = (other for other in sorted(path.parent.iterdir()) if other.is_file())
    same = [other for other in others if other != path and other.suffix == path.suffix]
    if same:
        path.write_bytes(same[0].read_bytes())


FAULTS: Mapping[str, Callable[[Path], None]] = {
    "late": late,
    "empty": empty,
    "cut at 60 %": cut,
    "a byte short": short,
    "a hole": hole,
    "a hole at its end": hole_at_end,
    "zeros": zeros,
    "zeros at its begin": zeros_first,
    "zeros at its end": zeros_last,
    "a directory": directory,
    "a link": link,
    "in another case": other_case,
    "with another's content": of_another,
    **({"not to be read": forbidden} if os.geteuid() else {}),  # root may read everything
}
_ZEROS = (zeros, zeros_first, zeros_last)
# With these nobody sees the index, or what it is by its name.
_UNSEEN = (late, directory, link, other_case)


def rows(
    grouper: Grouper, name: str, place: Path, kinds: Sequence[SetKind] = KINDS
) -> Iterator[Row]:
    """The rows of the table for one way of grouping; `place` is an empty directory."""
    for number, kind in enumerate(kinds):
        at = place / f"{number}"
        whole = place / f"{number}-whole"
        whole.mkdir()
        kind.make(whole)
        members = kind.members(whole)
        any_way = f"{NOTHING} or {ONE} or {SINGLY}"  # no reader takes what is written by hand
        expected = ONE if kind.read else any_way
        if name == WITHOUT_JAVA:
            expected = f"{NOTHING} or {ONE}"
        yield _row(kind, "whole", "any", name, expected, grouper, whole)
        for member in members:
            for fault, do in FAULTS.items():
                if member in kind.spare:
                    continue
                shutil.copytree(whole, at)
                ending = (at / member).read_bytes()[-1:]
                do(at / member)
                expected = NOTHING
                if do in _ZEROS and not kind.read:
                    expected = any_way
                elif do is zeros_last or (do in _ZEROS and not _begins(member)):
                    expected = f"{NOTHING} or {ONE}"  # they may be pixels
                if do is other_case or (do is short and ending.isspace()):
                    expected = f"{NOTHING} or {ONE}"  # its reader may take it as it is
                elif do is of_another:  # each file is whole: as if nothing was wrong, or it shows
                    expected = f"{NOTHING} or {ONE}" if kind.read else any_way
                if member == kind.index and kind.mute and do in (cut, short):
                    expected = any_way
                if member == kind.index and (do in _UNSEEN or not kind.named) and not kind.folder:
                    expected = any_way
                yield _row(kind, f"{member}: {fault}", "last", name, expected, grouper, at)
                shutil.rmtree(at)
        for order, arriving in _orders(kind, members):
            yield _arrival(kind, order, arriving, name, grouper, whole, at)
        shutil.rmtree(whole)


def _begins(member: str) -> bool:
    """Whether a whole file of this name never begins with zeros."""
    return not member.endswith((".raw", ".ids", ".dcm", ".dv"))


WITHOUT_JAVA = "without Java"


def _orders(kind: SetKind, members: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Orders of arrival in which the set can be known from its first file on."""
    needed = [member for member in members if member not in kind.spare]
    if len(needed) < 2:
        return
    first = [kind.index] if kind.index else []
    rest = [member for member in needed if member not in first]
    spare = [member for member in members if member in kind.spare]
    yield "as named", [*first, *spare, *rest]
    yield "backwards", [*first, *spare, *reversed(rest)]
    if kind.folder:
        yield "its index last", [*spare, *rest, *first]


def _arrival(
    kind: SetKind,
    order: str,
    arriving: Sequence[str],
    name: str,
    grouper: Grouper,
    whole: Path,
    at: Path,
) -> Row:
    """Each file comes and rests before the next one: nothing is imported before the last."""
    at.mkdir()
    got, why = NOTHING, ""
    expected = f"{NOTHING} or {RESTS}" if kind.endless else NOTHING
    try:
        for count, member in enumerate(arriving[:-1], 1):
            (at / member).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(whole / member, at / member)
            grouping = _asked(grouper, at)
            found = _outcome(kind, grouping, at)
            if found == ONE and all(one.trees for one in grouping.candidates):
                found = RESTS
            if found != NOTHING:
                got, why = found, f"after {count} of {len(arriving)}"
                break
            why = why or _told(grouping)
    finally:
        shutil.rmtree(at)
    return Row(kind.name, f"the last of {len(arriving)} late", order, name, expected, got, why)


def _row(
    kind: SetKind, fault: str, order: str, name: str, expected: str, grouper: Grouper, at: Path
) -> Row:
    grouping = _asked(grouper, at)
    got = _outcome(kind, grouping, at)
    return Row(kind.name, fault, order, name, expected, got, _told(grouping))


def _asked(grouper: Grouper, at: Path) -> Grouping:
    files = sorted(str(path) for path in at.rglob("*") if path.is_file() and not path.is_symlink())
    return group_whole(grouper, str(at), files, None)


def _outcome(kind: SetKind, grouping: Grouping, at: Path) -> str:
    """What would be imported now."""
    imported = [c for c in grouping.candidates if c.complete and not c.refused]
    if not imported:
        return NOTHING
    needed = {str(at / name) for name in kind.members(at)} - {str(at / n) for n in kind.spare}
    if len(imported) == 1 and needed <= set(imported[0].files):
        return ONE
    if kind.index and all(len(candidate.files) == 1 for candidate in imported):
        return SINGLY
    return " and ".join(
        "+".join(os.path.relpath(path, at) for path in candidate.files) for candidate in imported
    )[:200]


def _told(grouping: Grouping) -> str:
    for one in grouping.candidates:
        if not one.complete or one.refused:
            missing = f"waits for {one.missing[0].rpartition('/')[2]}" if one.missing else ""
            told = one.refused or one.held or missing or one.incomplete or one.broken
            return told.replace(one.files[0].rpartition("/")[0] + "/", "")[:100]
    return next((why[:100] for why in grouping.unreadable.values()), "")


def shown(row: Row) -> str:
    """The row, for people."""
    mark = " " if row.right else "!"
    return (
        f"{mark} {row.grouper:<20.20} {row.kind:<26.26} {row.fault:<52.52} {row.order:<9} "
        f"{row.expected:<18} {row.got:<18} {row.why}"
    )
