"""omero.fs.afterImport: what it may be, for whom, and where files may not be moved to."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.config.after_import import KEEP, AfterImport
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.settings import Settings


def settings(value: str, **more: str) -> Settings:
    named = {f"omero.fs.{name}": text for name, text in more.items()}
    return read({"omero.data.dir": "/OMERO", "omero.fs.afterImport": value, **named})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", KEEP),
        ("keep", KEEP),
        ("move:/archive", AfterImport("move", Path("/archive"))),
        ("move:/archive/my data/", AfterImport("move", Path("/archive/my data"))),
        ("delete-after:30", AfterImport("delete", days=30)),
        ("delete-after:0", AfterImport("delete")),
        ("delete-after:0.5", AfterImport("delete", days=0.5)),
    ],
)
def test_what_it_may_be(text: str, value: AfterImport) -> None:
    (rule,) = settings(text).rules
    assert rule.after_import == value
    assert rule.after_import.acts is (value is not KEEP)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kep", "did you mean keep?"),
        ("delete", "did you mean delete-after?"),
        ("move", "keep, or move:DIR"),
        ("move:", "an absolute path"),
        ("move:archive", "an absolute path"),
        ("move:/a/../b", "without '..'"),
        ("delete-after:", "a number from 0 to 36500"),
        ("delete-after:-1", "a number from 0 to 36500"),
        ("delete-after:nan", "a number from 0 to 36500"),
        ("delete-after:1e9", "a number from 0 to 36500"),
        ("delete-after:30 days", "a number from 0 to 36500"),
        ("keep:3", "keep, or move:DIR"),
    ],
)
def test_a_wrong_value_is_a_problem_and_touches_nothing(text: str, told: str) -> None:
    found = settings(text)
    (problem,) = found.problems
    assert told in str(problem)
    assert not found.rules


def test_a_time_is_in_seconds_too() -> None:
    assert AfterImport("delete", days=2).delay == 2 * 86400


def test_each_user_may_have_another() -> None:
    found = settings("delete-after:7;move:/archive", importUsers="amy;zak;eve")
    acts = {rule.user: rule.after_import.act for rule in found.rules}
    assert acts == {"amy": "delete", "zak": "move", "eve": "keep"}


@pytest.mark.parametrize(
    ("directory", "told"),
    [
        ("/OMERO/DropBox", "which is watched"),
        ("/OMERO/DropBox/amy/done", "which is watched"),
        ("/OMERO/ManagedRepository", "apart from OMERO's own"),
        ("/OMERO/ManagedRepository/x", "apart from OMERO's own"),
        ("/OMERO", "apart from OMERO's own"),
    ],
)
def test_nothing_is_moved_into_what_is_watched_or_omeros(directory: str, told: str) -> None:
    (problem,) = settings(f"move:{directory}").problems
    assert told in str(problem)


def test_nothing_is_moved_into_the_directory_of_another_rule() -> None:
    found = settings("keep;move:/data/amy/old", importUsers="amy;zak", watchDir="/data/amy;/data/z")
    (problem,) = found.problems
    assert problem.user == "zak" and "/data/amy, which is watched" in str(problem)
    assert [rule.user for rule in found.rules] == ["amy"]
