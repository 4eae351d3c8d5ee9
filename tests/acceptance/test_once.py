"""What was imported is not imported again, and what is being written not before it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from . import images
from .conftest import QUIET_PERIOD
from .dropping import DropBox, sha1

_APPEND_S = 0.5  # between two writes to a file that grows


def test_growing_file_is_imported_whole_and_once(dropbox: DropBox) -> None:
    # From its first bytes on it is a TIFF, which could be imported much too early.
    path = dropbox.drop("growing.tif")
    times = int(2.5 * QUIET_PERIOD / _APPEND_S)
    with path.open("ab", buffering=0) as growing:
        for _ in range(times):
            time.sleep(_APPEND_S)
            growing.write(os.urandom(1000))
            assert dropbox.omero.fileset_ids(path) == {path: []}, "imported while it was written"
    (fileset,) = dropbox.until_imported(path)
    assert [stored.sha1 for stored in fileset.files] == [sha1(path)]
    dropbox.until_settled()
    dropbox.assert_once(path)
    (told,) = dropbox.server.of_file(path)
    assert told["attempts"] == 1


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


def _rewrite(path: Path) -> Path:
    path.write_bytes(path.read_bytes())
    return path


def _move_the_directory(path: Path) -> Path:
    inner = path.parent / "inner"
    _move(path)
    return inner.rename(inner.with_name("elsewhere")) / path.name


HARMLESS: dict[str, Callable[[Path], Path]] = {
    "touch": _touch,
    "chmod": _chmod,
    "rename": _rename,
    "move into a directory": _move,
    "move its directory": _move_the_directory,
    "rewrite with the same bytes": _rewrite,
}


@pytest.fixture(scope="module")
def harmed(new_dropbox: Callable[..., DropBox]) -> dict[str, tuple[DropBox, Path, Path]]:
    """Imported files to each of which one of HARMLESS was done: place, path before and after.

    All at once, for each alone would take a quiet period of its own.
    """
    places = {name: new_dropbox("amy", name) for name in HARMLESS}
    before = {name: place.drop("image.tif") for name, place in places.items()}
    next(iter(places.values())).until_imported(*before.values())
    after = {name: act(before[name]) for name, act in HARMLESS.items()}
    new_dropbox("amy", "sentinel").until_settled()
    return {name: (places[name], before[name], after[name]) for name in HARMLESS}


@pytest.mark.parametrize("act", HARMLESS)
def test_not_imported_again_after(harmed: dict[str, tuple[DropBox, Path, Path]], act: str) -> None:
    place, before, after = harmed[act]
    found = place.omero.fileset_ids(*{before, after})
    assert sum(map(len, found.values())) == 1, f"{found}\n{place.server.evidence()}"


def test_other_content_under_the_same_name_is_a_second_fileset(dropbox: DropBox) -> None:
    path = dropbox.drop("image.tif")
    (first,) = dropbox.until_imported(path)
    was = sha1(path)
    path.write_bytes(images.tiff(side=20))
    (second,) = dropbox.until_imported(path, times=2)
    dropbox.until_settled()
    dropbox.assert_times(2, [path])
    assert [f.files[0].sha1 for f in (first, second)] == [was, sha1(path)]
    assert [image.size[:2] for image in second.images] == [(20, 20)]


def test_file_removed_in_its_quiet_period_is_forgotten(dropbox: DropBox) -> None:
    path = dropbox.drop("gone.tif")
    time.sleep(QUIET_PERIOD / 4)
    path.unlink()
    dropbox.until_settled()
    assert dropbox.omero.fileset_ids(path) == {path: []}
    assert [f["state"] for f in dropbox.server.of_file(path)] in ([], ["skipped"])


def test_restart_of_dropbox_imports_nothing_again(dropbox: DropBox) -> None:
    path = dropbox.drop("image.tif")
    dropbox.until_imported(path)
    server = dropbox.server
    before = server.pid("DropBox")
    server.ice("server stop DropBox")
    server.ice("server start DropBox", check=False)  # IceGrid itself may have been faster
    server.until_healthy()
    assert server.pid("DropBox") != before
    dropbox.until_settled()
    dropbox.assert_once(path)
