"""Importers on another machine import only the very files that DropBox has met."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from omero_fs_plugin import events
from omero_fs_plugin.config.path_map import PATH_MAP, translated
from omero_fs_plugin.dropbox import confine
from omero_fs_plugin.dropbox.confine import is_unmounted, open_beneath
from omero_fs_plugin.dropbox.confine.roots import Roots
from omero_fs_plugin.dropbox.importing import visible as visible_module
from omero_fs_plugin.dropbox.importing.importers.in_place import InPlace
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.dropbox.importing.visible import Visible
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat
from tests.rules import places_of

from .building import importers_of

THERE = 4711  # the device number that DropBox's machine has for the share


@pytest.fixture(autouse=True)
def numbers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(events, "_NUMBER_THERE", {})
    yield


@pytest.fixture
def met(tmp_path: Path, journal: Journal) -> Fileset:
    """A file, as DropBox has met it on its own machine."""
    root = tmp_path / "DropBox" / "amy"
    root.mkdir(parents=True)
    path = root / "a.tif"
    path.write_bytes(b"pixels")
    stat = replace(FileStat.of(path.stat()), device=THERE)
    journal.hand_over("amy", str(root), Found(str(path), stat))
    return journal.open_at([str(path)])[str(path)]


def test_the_same_file_is_seen_and_its_device_is_known_from_then_on(met: Fileset) -> None:
    visible = Visible("node2")
    assert FileStat.of(Path(met.path).stat()) != met.files[0].stat
    assert visible.unseen(met) == ""
    assert FileStat.of(Path(met.path).stat()) == met.files[0].stat
    assert visible.told() == {}


def test_whether_it_can_be_hard_linked_is_told_by_the_devices_of_this_machine(
    met: Fileset, tmp_path: Path
) -> None:
    repository = InPlace(None, Transfer.LN, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ImportRefused, match="not on the file system"):
        repository.check(met)
    assert Visible("node2").unseen(met) == ""
    repository.check(met)


def test_a_share_that_is_not_mounted_is_named(met: Fileset) -> None:
    Path(met.path).unlink()
    visible = Visible("node2")
    assert visible.unseen(met) == f"{met.path} is not there on node2: is its share mounted?"
    shutil.rmtree(met.root)
    assert "node2" in visible.unseen(met)
    assert list(visible.told()) == [met.root]


@pytest.mark.parametrize("how", ["copy", "newer"])
def test_another_file_of_that_name_is_not_it(met: Fileset, how: str) -> None:
    path = Path(met.path)
    if how == "copy":  # with its times, as a replica of the share has it
        other = path.with_name("other")
        shutil.copy2(path, other)
        other.replace(path)
    else:
        os.utime(path, ns=(1, 1))
    visible = Visible("node2")
    assert visible.unseen(met) == f"{met.path} on node2 is not the file that DropBox has met"
    assert FileStat.of(path.stat()).device != THERE


def test_what_is_not_seen_is_given_back_and_rests_here(
    met: Fileset, journal: Journal, tmp_path: Path
) -> None:
    importers = importers_of(
        journal,
        places_of(tmp_path / "DropBox"),
        quarantine=lambda fileset: pytest.fail("nothing is decided about it"),
        changed=lambda fileset: pytest.fail("nothing is decided about it"),
        shared=True,
        unseen=lambda fileset: "its share is not mounted",
    )
    taken = importers._taking.take()
    assert [one.id for one in taken] == [met.id]
    importers._runs.make(taken)
    row = journal.get(met.id)
    assert row is not None
    assert (row.state, row.refusals) == (State.QUEUED, 0)
    assert row.reason == "left to other importers: its share is not mounted"
    assert importers._taking.take() == []
    importers._taking.skip_gone("amy")
    assert journal.counts()[State.QUEUED] == 1


def test_turns_given_elsewhere_count_here(journal: Journal, tmp_path: Path) -> None:
    """amy was served last, by the importers of another machine: it is zak's turn."""
    for number, user in enumerate(("amy", "amy", "zak")):
        path = f"/dropbox/{user}/{number}"
        journal.hand_over(user, f"/dropbox/{user}", Found(path, FileStat(1, number + 5, 1, 1, 1)))

    def importers() -> Importers:
        return importers_of(journal, places_of("/dropbox"), shared=True)

    one, other = importers(), importers()
    assert [fileset.user for fileset in one._taking.take()] == ["amy"]
    assert [fileset.user for fileset in other._taking.take()] == ["zak"]
    assert journal.turns() == {"amy": 1, "zak": 2}


@pytest.fixture
def mapped(met: Fileset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same file below another directory, and nothing at the path that DropBox has for it."""
    there = tmp_path / "mnt" / "amy"
    there.mkdir(parents=True)
    os.link(met.path, there / "a.tif")
    shutil.rmtree(tmp_path / "DropBox")
    roots = Roots()
    for module in (visible_module, confine):
        monkeypatch.setattr(module, "ROOTS", roots)
    paths = PATH_MAP.read(f"{tmp_path}/DropBox={tmp_path}/mnt")
    roots.apply([str(tmp_path / "DropBox")], {}, partial(translated, paths=paths))
    return there / "a.tif"


def test_a_directory_that_has_another_path_here_is_read_there(met: Fileset, mapped: Path) -> None:
    visible = Visible("node2")
    assert visible.unseen(met) == ""
    with os.fdopen(open_beneath(met.root, met.path), "rb") as file:
        assert file.read() == b"pixels"
    assert not is_unmounted(met.root, met.path, mapped.stat().st_dev)
    mapped.write_bytes(b"others")
    assert "is not the file that DropBox has met" in visible.unseen(met)


def test_what_omero_would_look_for_under_that_path_is_left_to_others(
    met: Fileset, mapped: Path
) -> None:
    visible = Visible("node2", lambda fileset: "a transfer in place would tell OMERO that path")
    assert visible.unseen(met) == (
        f"{met.path} is {mapped} on node2 (omero.fs.pathMap), and a transfer in place would tell "
        "OMERO that path"
    )
    assert list(visible.told()) == [met.root]


def test_under_its_own_path_all_is_imported(met: Fileset) -> None:
    assert Visible("node2", lambda fileset: "it must be that path").unseen(met) == ""


def test_what_is_done_beside_omero_alone_is_left_to_others(met: Fileset) -> None:
    visible = Visible("node2", beside_omero=lambda fileset: f"{fileset.path}: not on this machine")
    assert visible.unseen(met) == f"{met.path}: not on this machine"
    assert visible.told() == {met.root: f"{met.path}: not on this machine"}
