"""`omero fs check` over free space."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.checks import Level, space

from .sites import ERROR, OK, WARNING, levels, subject


@pytest.mark.parametrize(
    ("gib", "inodes", "level"),
    [(0.5, 1.0, ERROR), (1, 1.0, WARNING), (9.9, 1.0, WARNING), (10, 1.0, OK), (99, 0.01, WARNING)],
)
def test_free_space(site: Path, gib: float, inodes: float, level: Level) -> None:
    asked: list[Path] = []

    def look(path: Path) -> space.Free:
        asked.append(path)
        return space.Free(int(gib * space.GIB), inodes)

    assert levels(space.repository(subject(site), look)) == [level]
    assert levels(space.journal(subject(site), look)) == [level]
    assert asked == [site / "data", site / "data"]  # the repository is not there yet
    elsewhere = subject(site, {"omero.managed.dir": "${omero.data.dir}/DropBox"})
    assert levels(space.repository(elsewhere, look)) == [level]
    assert asked[2] == site / "data/DropBox"


def test_a_journal_in_postgresql_takes_no_room_here(site: Path) -> None:
    assert list(space.journal(subject(site, journal="postgresql://h/db"))) == []


def test_free_space_is_asked_of_the_disk(tmp_path: Path) -> None:
    found = space.free(tmp_path)
    assert found.bytes > 0
    assert 0 < found.inodes <= 1
