"""Whose a file is, and which rule holds for it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from omero_fs_plugin.config.layout import OF_OWNER, path_of
from omero_fs_plugin.dropbox import places as places_module
from omero_fs_plugin.dropbox.confine import DEEPEST
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.system_names import coming_of, leaving_of
from tests.rules import places_of, settings_of


def whose(places: Places, path: str) -> tuple[str, str] | None:
    place = places.place(path)
    return (place.user, place.root) if place else None


def test_everyone_has_a_subdirectory() -> None:
    places = places_of("/d")
    assert whose(places, "/d/amy/a.tif") == ("amy", "/d/amy")
    assert whose(places, "/d/amy/deep/er/a.tif") == ("amy", "/d/amy")
    assert whose(places, "/d/stray.tif") is None
    assert whose(places, "/dd/amy/a.tif") is None
    assert whose(places, "/elsewhere") is None


def test_the_most_specific_rule_holds() -> None:
    places = Places(
        settings_of(
            importUsers="default;zak;amy",
            watchDir="/d;/d/amy/for zak;/home/amy",
            dirImportWait="1;2;3",
        ).rules
    )
    assert whose(places, "/d/amy/a.tif") == ("amy", "/d/amy")
    assert whose(places, "/d/amy/for zak/a.tif") == ("zak", "/d/amy/for zak")
    assert whose(places, "/d/amy/for zak/deep/a.tif") == ("zak", "/d/amy/for zak")
    assert whose(places, "/home/amy/a.tif") == ("amy", "/home/amy")
    place = places.place("/d/amy/for zak/a.tif")
    assert place is not None
    assert place.rule.quiet_period == 2
    assert not places.enters("/d/amy/for zak")  # it is looked at for itself
    assert places.enters("/d/amy/other")
    assert set(places.roots("amy")) == {"/home/amy", "/d/amy"}


@pytest.mark.parametrize("user", ["default", "amy"])
def test_flat_is_a_users_directory_itself(user: str) -> None:
    own = "/d/amy" if user == "default" else "/d"
    places = places_of("/d", importUsers=user, pathMode="Flat")
    assert places.passes(f"{own}/a.tif")
    assert not places.passes(f"{own}/deep/a.tif")
    assert not places.enters(f"{own}/deep")


def test_recurse_is_the_subdirectories_there_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "amy" / "old").mkdir(parents=True)
    places = places_of(tmp_path, pathMode="Recurse")
    (tmp_path / "amy" / "new").mkdir()
    assert places.passes(f"{tmp_path}/amy/a.tif")
    assert places.passes(f"{tmp_path}/amy/old/a.tif")
    assert not places.passes(f"{tmp_path}/amy/new/a.tif")
    places.apply(settings_of(watchDir=str(tmp_path), pathMode="Recurse").rules)
    assert not places.passes(f"{tmp_path}/amy/new/a.tif")  # the rule is the same
    changed = settings_of(watchDir=str(tmp_path), pathMode="Recurse", dirImportWait="1")
    places.apply(changed.rules)
    assert places.passes(f"{tmp_path}/amy/new/a.tif")


def test_lists_hold_for_files_that_a_rescan_finds() -> None:
    places = places_of("/d", whitelist=".tif", blacklist="scratch/,bad.tif")
    assert places.passes("/d/amy/a.TIF")
    assert not places.passes("/d/amy/a.czi")
    assert not places.passes("/d/amy/bad.tif")
    assert not places.passes("/d/amy/scratch/a.tif")
    assert not places.passes("/d/amy/scratch/deep/a.tif")
    assert not places.enters("/d/amy/scratch")
    assert not places.passes("/d/amy/.hidden.tif")
    assert not places.passes("/d/amy/copying.tif.part")


@pytest.mark.parametrize(("user", "top"), [("default", "/d/amy"), ("amy", "/d")])
def test_what_is_too_deep_is_passed_over_by_events_and_rescans(user: str, top: str) -> None:
    places = places_of("/d", importUsers=user)
    deepest = top + "/x" * DEEPEST
    assert places.passes(f"{deepest}/a.tif") and places.enters(deepest)
    assert not places.passes(f"{deepest}/x/a.tif") and not places.enters(f"{deepest}/x")
    assert not places.passes(f"{deepest}{'/x' * 10_000}/a.tif")
    assert whose(places, f"{deepest}/x/a.tif") == ("amy", top)


def test_a_blacklisted_user_directory_is_passed_over() -> None:
    places = places_of("/d", blacklist="amy/")
    assert not places.passes("/d/amy/a.tif")
    assert not places.enters("/d/amy")
    assert places.passes("/d/zak/a.tif")


@pytest.mark.parametrize("name", [coming_of("a.zarr"), leaving_of("a.zarr")])
def test_a_store_on_its_way_to_another_disk_is_passed_over(name: str) -> None:
    """Also where hidden files are data."""
    places = places_of("/d", ignoreSysFiles="false")
    assert places.passes("/d/amy/.other.zarr/")
    for path in (f"/d/amy/{name}/", f"/d/amy/{name}/zarr.json", f"/d/amy/b/{name}/0/zarr.json"):
        assert not places.passes(path)
        place = places.place(path)
        assert place is not None and not places.enters(f"/d/amy/{name}/0")


def test_other_rules_hold_at_once() -> None:
    places = places_of("/d")
    assert places.passes("/d/amy/a.tif")
    places.apply(settings_of(importUsers="amy", watchDir="/e").rules)
    assert whose(places, "/d/amy/a.tif") is None
    assert whose(places, "/e/a.tif") == ("amy", "/e")


def test_what_holds_for_files_from_elsewhere() -> None:
    places = Places(settings_of(importUsers="default;amy", watchDir="/d;/a").rules)
    assert [r.user for name in ("amy", "zak") if (r := places.rule_for(name))] == ["amy", "default"]
    assert Places(()).rule_for("amy") is None


def test_directories_of_recurse_are_looked_for_until_the_disk_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload while the share hangs: what was there is known once it answers."""
    (tmp_path / "amy" / "day").mkdir(parents=True)
    answers = threading.Event()
    real = os.listdir

    def listdir(path: str) -> list[str]:
        if not answers.is_set():
            raise RootAway(str(path), 5.0)
        return real(path)

    monkeypatch.setattr(places_module, "_AGAIN_S", 0.01)
    monkeypatch.setattr(places_module, "HUNG_S", 0.05)
    monkeypatch.setattr(os, "listdir", listdir)
    places = places_of(tmp_path, pathMode="Recurse")
    known = threading.Event()
    places.late = known.set
    path = f"{tmp_path}/amy/day/a.tif"
    assert not places.passes(path)
    answers.set()
    assert known.wait(10)
    assert places.passes(path)


@pytest.mark.parametrize(
    ("layout", "path"), [("{group}/{user}", "/d/lab/amy"), ("{user}/{group}", "/d/amy/lab")]
)
def test_a_layout_with_groups_says_the_group(layout: str, path: str) -> None:
    places = places_of("/d", layout=layout, blacklist="core")
    assert whose(places, f"{path}/a.tif") == whose(places, f"{path}/deep/a.tif") == ("amy", path)
    assert places.group_of(f"{path}/a.tif", "amy") == "lab"
    assert places.group_of(f"{path}/a.tif", "zak") == ""  # handed over by somebody else
    between = f"{path.rpartition('/')[0]}/a.tif"
    assert places.place(between) is None and places.group_of(between, "amy") == ""
    assert places.nobodys(between) == f"lies in no user's directory: omero.fs.layout is {layout}"
    assert places.passes(f"{path}/a.tif")
    assert not places.passes(f"{path.replace('lab', 'core')}/a.tif")
    assert not places.enters(path.replace("lab", "core"))
    assert places.roots("amy") == []  # nobody knows the groups


@pytest.mark.parametrize("name", ["{owner}", "{user}", "{group}", "default", "*"])
@pytest.mark.parametrize("layout", ["{user}", "{group}/{user}", "{user}/{group}"])
def test_a_name_with_a_meaning_in_the_configuration_has_none_on_the_disk(
    layout: str, name: str
) -> None:
    """In the directory of a group anybody may make one: its files are not those of their owners."""
    path = path_of(layout, name, "lab")
    stat = FileStat(1, 2, 3, 4, 5)
    place = places_of("/d", layout=layout).of(f"/d/{path}/a.tif", stat)
    assert place is not None and place.user == name != OF_OWNER
    assert places_of("/d", layout=layout).user_of(f"/d/{path}/a.tif") == name


def test_flat_is_the_directory_that_the_layout_gives() -> None:
    places = places_of("/d", layout="{group}/{user}", pathMode="Flat")
    assert places.passes("/d/lab/amy/a.tif") and not places.passes("/d/lab/amy/deep/a.tif")


def test_another_layout_holds_at_once() -> None:
    places = places_of("/d")
    assert whose(places, "/d/lab/amy/a.tif") == ("lab", "/d/lab")
    places.apply(settings_of(watchDir="/d", layout="{group}/{user}").rules)
    assert whose(places, "/d/lab/amy/a.tif") == ("amy", "/d/lab/amy")
