"""What every way of grouping files is held against, whatever it is made with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouper, Grouping

from .samples import Expected

Table = set[tuple[tuple[str, ...], str, bool]]  # files, reader, plate


def files_below(root: Path) -> list[str]:
    return sorted(str(path) for path in root.rglob("*") if path.is_file())


def grouped(
    grouper: Grouper,
    root: Path,
    files: Sequence[str] | None = None,
    readers: Collection[str] | None = None,
) -> Grouping:
    """All files below `root`, or `files`; the rule of Grouping is looked after."""
    asked = files_below(root) if files is None else files
    found = grouper.group(str(root), asked, readers)
    told = [path for candidate in found.candidates for path in candidate.files]
    firsts = [candidate.files[0] for candidate in found.candidates]
    assert len(firsts) == len(set(firsts)), "two filesets have the same first file"
    assert set(asked) <= {*told, *found.unreadable}, "of a file nothing is told"
    assert {*told}.isdisjoint(found.unreadable)
    assert {*found.unreadable} <= {*asked}
    return found


def expected_table(root: Path, expected: Iterable[Expected]) -> Table:
    return {
        (tuple(f"{root}/{name}" for name in e.files), f"loci.formats.in.{e.reader}", e.plate)
        for e in expected
    }


def as_table(candidates: Iterable[Candidate]) -> Table:
    """Of what may be imported now."""
    return {(c.files, c.reader, c.plate) for c in candidates if c.complete and not c.refused}
