"""What `omero fs check` says of importers on other machines, before any of them runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.checks import Level, Line, Subject, machines
from omero_fs_plugin.checks.machines import importers
from omero_fs_plugin.deployment.node_descriptors import PROPERTY
from omero_fs_plugin.deployment.sources import Origin, Sources

LISTED = "master:Blitz-0,FSServer,DropBox node2:DropBoxImporter node3:DropBoxImporter"
SHARED = "postgresql://fs@db.example.org/fs"


def lines(site: Path, listed: str, **named: str) -> list[Line]:
    given = {f"omero.fs.{name}": value for name, value in named.items()}
    given |= {PROPERTY: listed, "omero.data.dir": str(site), "omero.db.poolsize": "20"}
    return list(importers(Subject(site, Sources(given, dict.fromkeys(given, Origin.CONFIG)))))


@pytest.fixture(autouse=True)
def nobody_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_at_work", lambda url, listed, dropbox: iter(()))


def test_nothing_is_said_where_there_are_none(tmp_path: Path) -> None:
    for listed in ("", "master:Blitz-0,FSServer,DropBox", "not readable"):
        assert lines(tmp_path, listed) == []
        assert lines(tmp_path, listed, journal=SHARED) == []


def test_a_journal_that_they_cannot_share(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, LISTED)
    assert line.level is Level.ERROR
    assert "listed for node2, node3, and the journal is SQLite" in line.what
    assert line.remedy.startswith("`omero fs journal copy postgresql:")


def test_a_router_that_is_not_on_their_machine(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, LISTED, journal=SHARED)
    assert line.level is Level.WARNING
    assert "the importers on node2, node3 look for OMERO's router on their own" in line.what
    assert lines(tmp_path, LISTED, journal=SHARED, host="omero.example.org") == []
    beside = "master:Blitz-0,FSServer,DropBox,DropBoxImporter"
    assert lines(tmp_path, beside, journal=SHARED) == []


@pytest.mark.parametrize(
    ("entry", "useless"),
    [
        ("/data/DropBox=/mnt/x", ""),
        ("/data=/mnt/x", ""),
        ("node2:/data/DropBox/amy/raw=/mnt/x", ""),
        ("/srv/data/DropBox=/mnt/x", "/srv/data/DropBox"),  # where a link of /data leads, say
        ("/data/DropBo=/mnt/x", "/data/DropBo"),
        ("/data=/mnt/x,/data/Dr\u00f6pBox=/mnt/y", "/data/Dr\u00f6pBox"),
    ],
)
def test_an_entry_of_the_path_map_that_no_file_needs(
    tmp_path: Path, entry: str, useless: str
) -> None:
    given = {"journal": SHARED, "host": "omero.example.org", "nodeImporters": "2"}
    told = lines(tmp_path, LISTED, watchDir="/data/DropBox", pathMap=entry, **given)
    found = [one.what.partition(",")[0] for one in told if one.level is Level.WARNING]
    assert found == ([f"omero.fs.pathMap has {useless}"] if useless else [])


def test_nobody_at_work_is_an_error_where_dropbox_imports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(machines, "_nodes", lambda url: [])
    given = {"journal": SHARED, "host": "omero.example.org", "nodeImporters": "2"}
    (line,) = lines(tmp_path, LISTED, **given)
    assert (line.level, line.what) == (Level.WARNING, "0 of 2 are at work")
    (line,) = lines(tmp_path, LISTED, importers="0", **given)
    assert line.level is Level.ERROR
    assert "omero.fs.importers is 0, and none is at work: nothing is imported" in line.what
    (line,) = lines(tmp_path, "", importers="0", **given)
    assert line.level is Level.ERROR


def test_dropbox_without_importers_takes_nothing_from_the_pool(tmp_path: Path) -> None:
    more = {"journal": SHARED, "host": "omero.example.org", "importers": "0"}
    assert lines(tmp_path, LISTED, **more, nodeImporters="5") == []
    (line,) = lines(tmp_path, LISTED, **more, nodeImporters="6")
    assert "make 12 imports at a time" in line.what


def test_a_path_map_for_a_node_that_has_no_importers(tmp_path: Path) -> None:
    given = {"journal": SHARED, "host": "omero.example.org", "watchDir": "/data/in"}
    assert lines(tmp_path, LISTED, **given, pathMap="node2:/data=/mnt/x,/data/in=/c") == []
    (line,) = lines(tmp_path, LISTED, **given, pathMap="node2:/data=/mnt/x,node4:/data=/srv")
    assert line.level is Level.WARNING
    assert "names node4, and omero.server.nodedescriptors has no DropBoxImporter" in line.what


def test_more_imports_than_the_pool_has_room_for(tmp_path: Path) -> None:
    more = {"journal": SHARED, "host": "omero.example.org", "importers": "4"}
    (line,) = lines(tmp_path, LISTED, **more)
    assert "make 12 imports at a time, and omero.db.poolsize is 20" in line.what
    assert "omero config set omero.db.poolsize 24" in line.remedy
