"""Files in quarantine that no fileset has there are found, and no others."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.audit import quarantine as part
from omero_fs_plugin.dropbox.audit.findings import Finding, Kind
from omero_fs_plugin.dropbox.audit.means import Means, Pace
from omero_fs_plugin.dropbox.audit.quarantine import PART, look_for_left_behind
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from tests.rules import places_of

HOURS_3 = 10_800.0


class Site:
    """amy's directory, a quarantine, and the journal."""

    def __init__(self, place: Path, record: Record) -> None:
        self.home, self.vault, self.record = place / "DropBox" / "amy", place / "failed", record
        self.home.mkdir(parents=True)
        given = {"data.dir": str(place), "fs.quarantine": str(self.vault)}
        self.settings = read({f"omero.{name}": value for name, value in given.items()})
        self.journal = Journal(self.settings.journal_url)
        self.quarantine = Quarantine(self.vault, places_of(self.home.parent), self.journal)

    def failed(self, name: str, *, store: bool = False) -> Fileset:
        path = self.home / name
        (path if store else path.parent).mkdir(parents=True, exist_ok=True)
        (path / ".zgroup" if store else path).write_text("{}")
        (path / "0" if store else path).write_text("{}")
        text = f"{path}/" if store else str(path)
        stat = tree_stat(str(self.home), text) if store else FileStat.of(path.lstat())
        assert stat is not None
        fileset = self.journal.hand_over("amy", str(self.home), Found(text, stat))
        self.journal.move(fileset.id, State.QUEUED, State.FAILED, "no image")
        self.quarantine.take(self.journal.load([fileset.id])[0])
        assert not path.exists()
        return self.journal.load([fileset.id])[0]

    def leave(self, name: str) -> Path:
        path = self.vault / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left")
        return path

    def look(self, later: float = HOURS_3) -> list[Finding]:
        look_for_left_behind(
            Means(
                *(cast("Any", SimpleNamespace()), self.settings, self.record, Pace(1.0)),
                passed_over=lambda path: "",
                now=lambda: time.time() + later,
            )
        )
        assert self.record.done(PART)
        return list(self.record.findings())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    record = Record.fresh("/opt/omero", 1.0)
    made = Site(tmp_path, record)
    yield made
    made.journal.close()
    record.close()


def test_what_the_journal_has_there_is_no_finding(site: Site) -> None:
    site.failed("day 1/a.tif")
    site.failed("b.zarr", store=True)
    assert site.look() == []
    assert site.record.looked[PART] == 2
    assert site.record.unseen == 0


def test_nothing_has_failed_yet(site: Site) -> None:
    assert site.look() == []
    assert site.record.unseen == 0


def test_what_nobody_knows_is_found(site: Site) -> None:
    known = site.failed("day 1/a.tif")
    site.leave("amy/700/day 1/a.tif")
    site.leave("amy/700/day 1/b.tif")
    beside = site.leave(f"amy/{known.id}/day 1/b.tif")
    other = site.failed("c.tif")
    assert site.quarantine.bring_back(other)
    site.leave(f"amy/{other.id}/c.tif")
    for name in ("amy/.9.lock", "amy/9.txt", "amy/800/.half.part", "amy/notes/a.tif", "readme"):
        site.leave(name)
    found = site.look()
    assert {one.kind for one in found} == {Kind.LEFT_BEHIND}
    assert {one.user for one in found} == {"amy"}
    nothing = "of which the journal knows nothing"
    assert [(one.path, one.fileset, one.why) for one in found] == [
        (str(beside.parent.parent), known.id, f"1 file, such as day 1/b.tif, {nothing}"),
        (
            f"{site.vault}/amy/{other.id}",
            other.id,
            f"1 file, such as c.tif, {nothing}; the files of fileset {other.id} are not here",
        ),
        (f"{site.vault}/amy/700", None, f"2 files, such as day 1/a.tif, {nothing}"),
    ]


def test_what_is_on_its_way_is_left_out(site: Site) -> None:
    fileset = site.failed("b.tif")
    assert site.quarantine.bring_back(fileset)
    site.leave(f"amy/{fileset.id}/b.tif")
    assert site.look(later=600.0) == []
    site.journal.note(f"{GOES}{fileset.id}", str(site.vault))
    assert site.look() == []
    site.journal.note(f"{GOES}{fileset.id}", "")
    assert len(site.look()) == 1


def test_it_has_a_bound(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "_MOST", 3)
    monkeypatch.setattr(part, "_FILES", 2)
    for user in ("amy", "bob"):
        for number in (1, 2):
            for name in "abc":
                site.leave(f"{user}/{number}/{name}")
    found = site.look()
    assert len(found) == 3
    assert all(one.why.startswith("more than 2 files") for one in found)
    assert [(one.path, one.why) for one in site.record.all_unseen()] == [
        (str(site.vault), "only 3 filesets of it were looked at")
    ]


def test_one_that_is_odd_hides_no_others(site: Site, tmp_path: Path) -> None:
    site.leave("amy/1/a")
    site.leave("amy/3/\udcff\n\x1b[31m")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    (site.vault / "amy" / "2").symlink_to(outside)
    (site.vault / "amy" / "3" / "link").symlink_to(outside)
    os.mkfifo(site.vault / "amy" / "3" / "pipe")
    deep = os.open(site.vault / "amy" / "1", os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=deep)
        deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    assert [one.path for one in site.look()] == [f"{site.vault}/amy/3"]
    (unseen,) = site.record.all_unseen()
    assert unseen.path == f"{site.vault}/amy/1"
    assert "File name too long" in unseen.why
    shutil.rmtree(site.vault)  # pytest cannot look into it
