"""omero.fs.eventTypes, and the others that become part of a monitor, as DropBox goes by them."""

from __future__ import annotations

from typing import Any

import pytest
from omero.grid import monitors

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.watching.subscription import Subscription
from tests.rules import places_of, settings_of
from tests.unit.dropbox.settling.test_pipeline import QUIET, ROOT, Disk, build

PATH = f"{ROOT}/amy/a"


@pytest.fixture
def disk() -> Disk:
    return Disk()


def imported(journal: Journal, disk: Disk, event_types: str) -> Pipeline:
    """A pipeline whose one file is in OMERO."""
    pipeline = build(journal, disk, {"amy"})
    pipeline.places.apply(places_of(ROOT, dirImportWait=str(QUIET), eventTypes=event_types).rules)
    disk.write(PATH, 1)
    pipeline.heard([PATH], 0.0)
    assert pipeline.step(QUIET) == 1
    taken = journal.take("amy")
    assert taken is not None
    journal.imported(taken.id, 1, [1], ["ab"])
    return pipeline


@pytest.mark.parametrize("event_types", ["Creation,Modification", "Modification", "All"])
def test_a_changed_file_is_imported_where_that_is_asked_for(
    journal: Journal, disk: Disk, event_types: str
) -> None:
    pipeline = imported(journal, disk, event_types)
    disk.write(PATH, 2)
    pipeline.heard([PATH], 20.0)
    assert pipeline.step(20.0 + QUIET) == 1


@pytest.mark.parametrize("event_types", ["Creation", "Deletion", "Creation,Deletion"])
@pytest.mark.parametrize("how", ["an event", "a rescan"])
def test_a_changed_file_is_not_imported_where_nobody_asked(
    journal: Journal, disk: Disk, event_types: str, how: str
) -> None:
    pipeline = imported(journal, disk, event_types)
    disk.write(PATH, 2)
    if how == "an event":
        pipeline.heard([PATH], 20.0)
    else:
        pipeline.scanned(disk.scan(), 20.0)
    assert pipeline.step(20.0 + QUIET) == 0
    assert [fileset.state for fileset in journal.select()] == [State.IMPORTED]


@pytest.mark.parametrize("event_types", ["Creation", "Modification", "Deletion"])
def test_a_rescan_finds_new_files_whatever_was_asked_for(
    journal: Journal, disk: Disk, event_types: str
) -> None:
    pipeline = imported(journal, disk, event_types)
    disk.write(f"{ROOT}/amy/new", 1)
    pipeline.scanned(disk.scan(), 20.0)
    assert pipeline.step(20.0 + QUIET) == 1


def test_a_deletion_takes_nothing_out_of_omero(journal: Journal, disk: Disk) -> None:
    pipeline = imported(journal, disk, "All")
    del disk.files[PATH]
    pipeline.heard([PATH], 20.0)
    assert pipeline.step(20.0 + QUIET) == 0
    assert [fileset.state for fileset in journal.select()] == [State.IMPORTED]


class Server:
    """Keeps what createMonitor was called with."""

    def __init__(self) -> None:
        self.asked: tuple[Any, ...] = ()

    def createMonitor(self, *arguments: Any) -> str:
        self.asked = arguments
        return "the monitor"

    def startMonitor(self, identifier: str) -> None:
        assert identifier == "the monitor"


def test_what_dropbox_asks_fsserver_for() -> None:
    (rule,) = settings_of(
        importUsers="amy",
        watchDir="/home/amy",
        eventTypes="Creation,Deletion",
        pathMode="Recurse",
        whitelist=".tif,.czi",
        blacklist="old/",
        timeout="7",
        blockSize="5",
        ignoreSysFiles="False",
        ignoreDirEvents="False",
    ).rules
    server = Server()
    subscription = Subscription(
        lambda: server,
        rule,
        "the client",
        platform_check=True,
        connected=lambda rule, first: None,
        note=lambda monitor: None,
        noted=lambda: "",
    )
    subscription._create(server)
    assert server.asked == (
        monitors.MonitorType.Persistent,
        [monitors.WatchEventType.Creation, monitors.WatchEventType.Deletion],
        monitors.PathMode.Recurse,
        "/home/amy",
        # A store is known by its metadata, and its directories are not watched one by one.
        [".tif", ".czi", "zarr.json", ".zattrs", ".zgroup", ".zarray"],
        [
            *("old/", "*.zarr/*/", "*/[zarr.json]/*/"),
            *("*/[.zattrs]/*/", "*/[.zgroup]/*/", "*/[.zarray]/*/"),
        ],
        0.0,  # a persistent monitor has none, whatever omero.fs.timeout says
        5,
        False,
        False,
        True,
        "the client",
    )
