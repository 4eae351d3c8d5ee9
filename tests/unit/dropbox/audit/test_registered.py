"""What OMERO has told of on the way is not asked for again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from omero_fs_plugin.blitz.inventory import Kept
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.audit import directories
from omero_fs_plugin.dropbox.audit.means import Means, Pace
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.dropbox.audit.registered import Registered

LATER_S = 30 * 86400.0


def kept(place: str, repository: str = "uuid") -> Kept:
    return Kept(1, 2, 3, "in/a.tif", place, 1, "", "", repository)


def test_a_directory_is_known_by_the_repository_and_its_path() -> None:
    known = Registered()
    known.add_all([kept("amy_2/1/a.tif"), kept("b.tif"), kept("amy_2/\udcff/a.tif")])
    assert known.knows("uuid", "amy_2/1")
    assert known.knows("uuid", "amy_2/\udcff")
    assert not known.knows("another", "amy_2/1"), "the same path elsewhere says nothing"
    assert not known.knows("uuid", "amy_2"), "a file in it is not a file of its own"
    assert not known.knows("uuid", "amy_2/1/a.tif")


def test_its_memory_has_a_bound() -> None:
    known = Registered(most=2)
    known.add_all([kept(f"{number}/a.tif") for number in range(5)])
    assert [known.knows("uuid", str(number)) for number in range(5)] == [True] * 2 + [False] * 3


@pytest.mark.parametrize("listed", [1, 3, 1000])
@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_omero_is_asked_only_for_directories_that_it_did_not_tell_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, listed: int
) -> None:
    monkeypatch.setattr(directories, "_AT_ONCE", at_once)
    monkeypatch.setattr(directories, "_LISTED", listed)
    repository = tmp_path / "ManagedRepository"
    for number in range(7):
        (repository / f"amy_2/{number}").mkdir(parents=True)
        (repository / f"amy_2/{number}/a.tif").touch()
    registered = {"amy_2/1"}  # somebody else imported it
    asked: list[str] = []

    class Query:
        def projection(self, text: str, parameters: Any, context: Any) -> list[list[Any]]:
            if "o.repo, e.id" in text:
                return [["uuid", 1]]
            paths = {one.val.strip("/") for one in parameters.map["paths"].val}
            asked.extend(sorted(paths))
            return [[f"{path}/"] for path in paths & registered]

    omero = SimpleNamespace(asked=lambda what, question: question(Query()))
    record = Record.fresh("/opt/omero", 1.0)
    settings = read({"omero.data.dir": os.fspath(tmp_path), "omero.fs.bioformatsJars": "none"})
    means = Means(
        *(cast("Any", omero), settings, record, Pace(1.0, sleep=lambda seconds: None)),
        passed_over=lambda path: "",
        now=lambda: time.time() + LATER_S,
    )
    means.registered.add_all([kept(f"amy_2/{number}/a.tif") for number in (0, 2, 3, 6)])
    directories.look_for_directories(means, str(repository))
    found = sorted(one.path for one in record.findings())
    assert found == [f"{repository}/amy_2/{number}" for number in (4, 5)]
    assert asked == ["amy_2/1", "amy_2/4", "amy_2/5"]
    assert record.looked[directories.PART] == 7
    assert record.done(directories.PART)
    record.close()
