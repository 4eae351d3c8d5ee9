"""A file that was imported is not imported again.  A file is not imported before it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import images
from .api import Fileset
from .conftest import QUIET_PERIOD
from .dropping import DropBox, sha1

_APPEND_S = 0.5  # between two writes to a file that grows


def _touch(path: Path) -> Path:
    os.utime(path)
    return path


def _chmod(path: Path) -> Path:
    path.chmod(0o640)
    return path


def _rename(path: Path) -> Path:
    return path.rename(path.with_name("renamed.tif"))


def _move(path: Path) -> Path:
    inner = path.parent / "inner"
    inner.mkdir()
    return path.rename(inner / path.name)


def _move_its_directory(path: Path) -> Path:
    inner = _move(path).parent
    return inner.rename(inner.with_name("elsewhere")) / path.name


def _rewrite(path: Path) -> Path:
    path.write_bytes(path.read_bytes())
    return path


HARMLESS: dict[str, Callable[[Path], Path]] = {
    "touch": _touch,
    "chmod": _chmod,
    "rename": _rename,
    "move into a directory": _move,
    "move its directory": _move_its_directory,
    "rewrite with the same bytes": _rewrite,
}


@dataclass(frozen=True)
class Scene:
    """What was done to files, and what came of it.

    All of it at once, for each alone would take quiet periods of its own.
    """

    place: DropBox
    growing: Path
    imported_early: list[int]  # filesets that were there while it grew
    removed: Path
    harmless: dict[str, set[Path]]  # name in HARMLESS -> the file's path before and after
    changed: Path
    sha1s_of_changed: list[str]  # before and after
    filesets_of_changed: list[Fileset]  # in the order of import


@pytest.fixture(scope="module")
def scene(new_dropbox: Callable[..., DropBox]) -> Scene:
    place = new_dropbox("amy", "once")
    before = {name: place.drop(f"{name}/image.tif") for name in HARMLESS}
    changed = place.drop("changed.tif")
    with place.held("removed.tif") as removed:  # so it is removed before it has been quiet
        place.server.until_told(removed, states=("waiting",))
        removed.unlink()

    # A TIFF from its first bytes on, which could be imported much too early.
    early: list[int] = []
    with place.held("growing.tif") as growing, growing.open("ab", buffering=0) as appended:
        for _ in range(int(2.5 * QUIET_PERIOD / _APPEND_S)):
            time.sleep(_APPEND_S)
            appended.write(os.urandom(1000))
            early += place.omero.fileset_ids(growing)[growing]

    first = place.until_imported(changed, *before.values())[0]
    sha1s = [sha1(changed)]
    changed.write_bytes(images.tiff(side=20))
    sha1s.append(sha1(changed))
    harmless = {name: {path, HARMLESS[name](path)} for name, path in before.items()}
    (second,) = place.until_imported(changed, times=2)
    place.until_imported(growing)
    place.until_settled()
    return Scene(place, growing, early, removed, harmless, changed, sha1s, [first, second])


def test_growing_file_is_not_imported_before_it_is_whole(scene: Scene) -> None:
    assert scene.imported_early == []
    (told,) = scene.place.server.of_file(scene.growing)
    assert told["attempts"] == 1


def test_growing_file_is_imported_whole_and_once(scene: Scene) -> None:
    (fileset,) = scene.place.until_imported(scene.growing)
    assert [stored.sha1 for stored in fileset.files] == [sha1(scene.growing)]
    scene.place.assert_once(scene.growing)


@pytest.mark.parametrize("act", HARMLESS)
def test_not_imported_again_after(scene: Scene, act: str) -> None:
    found = scene.place.omero.fileset_ids(*scene.harmless[act])
    assert sum(map(len, found.values())) == 1, f"{found}\n{scene.place.server.evidence()}"


def test_other_content_under_the_same_name_is_a_second_fileset(scene: Scene) -> None:
    scene.place.assert_times(2, [scene.changed])
    assert [f.files[0].sha1 for f in scene.filesets_of_changed] == scene.sha1s_of_changed
    assert [image.size[:2] for image in scene.filesets_of_changed[1].images] == [(20, 20)]


def test_file_removed_in_its_quiet_period_is_not_imported(scene: Scene) -> None:
    assert scene.place.omero.fileset_ids(scene.removed) == {scene.removed: []}
    told = scene.place.server.of_file(scene.removed)
    assert [f["state"] for f in told] in ([], ["skipped"])
