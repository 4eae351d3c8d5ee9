"""Directories that were emptied: only those, and only when nobody uses them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.afterwards.emptied import QUIET_S, tidy
from omero_fs_plugin.errors import ImportRefused

NOW = 1_800_000_000.0
OLD = NOW - 2 * QUIET_S


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "amy" / "day 1" / "series").mkdir(parents=True)
    for directory in ("amy/day 1/series", "amy/day 1", "amy"):
        age(tmp_path / directory)
    return tmp_path / "amy"


def age(directory: Path, at: float = OLD) -> None:
    os.utime(directory, (at, at))


def test_it_goes_with_those_above_it_and_the_users_own_stays(root: Path) -> None:
    assert tidy(str(root), str(root / "day 1" / "series"), NOW) == ""
    assert list(root.iterdir()) == [] and root.is_dir()


@pytest.mark.parametrize(("changed", "goes"), [(QUIET_S - 1, False), (QUIET_S, True)])
def test_one_that_was_changed_within_the_hour_is_for_later(
    root: Path, changed: float, goes: bool
) -> None:
    directory = root / "day 1" / "series"
    age(directory, NOW - changed)
    assert tidy(str(root), str(directory), NOW) == ("" if goes else str(directory))
    assert directory.exists() is not goes


def test_the_one_above_is_for_later_if_it_was_changed_within_the_hour(root: Path) -> None:
    age(root / "day 1", NOW - 10)
    assert tidy(str(root), str(root / "day 1" / "series"), NOW) == str(root / "day 1")
    assert (root / "day 1").is_dir() and not (root / "day 1" / "series").exists()


def test_one_with_something_in_it_stays(root: Path) -> None:
    (root / "day 1" / "notes.txt").write_text("x")
    age(root / "day 1")
    assert tidy(str(root), str(root / "day 1" / "series"), NOW) == ""
    assert [one.name for one in (root / "day 1").iterdir()] == ["notes.txt"]


def test_one_that_is_gone_is_no_error(root: Path) -> None:
    assert tidy(str(root), str(root / "day 2" / "series"), NOW) == ""
    assert tidy(str(root), str(root / "day 2"), NOW) == ""


def test_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "zak" / "empty"
    other.mkdir(parents=True)
    age(other)
    (root / "link").symlink_to(tmp_path / "zak")
    with pytest.raises(ImportRefused):
        tidy(str(root), str(root / "link" / "empty"), NOW)
    assert tidy(str(root), str(root / "link"), NOW) in ("", str(root / "link"))
    assert other.is_dir() and (root / "link").is_symlink()
