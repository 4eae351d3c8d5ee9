"""zak's share refuses: an access list, a quota, a squashed root, a mount that became read-only.

test_rights.py runs each of these, in a mount namespace of its own.  In every case:

- amy's file takes no longer than before, but for the noise of the machine; both are printed,
- status or `omero fs explain` tells of zak's, with what to do,
- once that is mended, all is imported once, without any other event.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.config.settings import JOURNAL_FILE
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.situation import remedy_for, standing

from .hanging_disks import MARGIN, Scene, make_scene, measured

__all__ = ["make_scene"]

# From when it is mended until it is imported.  A share is polled here every 0.2 s; that a file on
# it was silent, FSServer knows after ten seconds.
SOON = 10.0  # s
SILENT = 10.0  # s


def told(scene: Scene) -> dict[str, tuple[str, str]]:
    """Path -> why, and what to do about it: of what is left alone, and of filesets."""
    figures = scene.whole.dropbox.figures()
    left = {
        key.removeprefix("left."): (why, remedy_for(why))
        for key, why in figures.items()
        if key.startswith("left.")
    }
    with glance(f"sqlite:///{scene.whole.watch_dir.parent / JOURNAL_FILE}") as look:
        assert look is not None
        settings = scene.whole.dropbox.configuration.settings
        for one in look.load([row.id for row in scene.whole.journal.select()]):
            if one.reason:
                stands = standing(one, settings, look.now())
                left[one.path] = stands.what, stands.remedy
    return left


def amy_is_served(scene: Scene) -> None:
    took = [scene.import_of_amy() for _ in range(3)]
    figures = ", ".join(f"{seconds:.2f}" for seconds in took)
    measured(f"amy's file takes {scene.before:.2f} s, and while zak's are refused {figures} s")
    assert max(took) <= scene.before + MARGIN, (scene.before, took)


def until_told(scene: Scene, path: Path, why: str, remedy: str) -> None:
    def is_told() -> bool:
        found = told(scene).get(str(path), ("", ""))
        return why in found[0] and found[1].startswith(remedy)

    scene.whole.until(f"{path.name} is told: {why} -> {remedy}", is_told)


def mend(scene: Scene, files: list[Path], within: float) -> None:
    scene.share.answer()
    began = time.monotonic()
    scene.whole.until_known(*files)
    took = time.monotonic() - began
    measured(f"it is mended, and all is imported after {took:.2f} s")
    assert took <= within + MARGIN
    scene.imported_once(files)
    scene.whole.until("nothing is told any more", lambda: not told(scene))


@pytest.mark.parametrize(
    ("operation", "code", "remedy"),
    [
        ("open", errno.EACCES, "let the server read it"),
        ("read", errno.EACCES, "let the server read it"),
        ("open", errno.EDQUOT, "a quota is used up"),
    ],
    ids=["an access list", "a squashed root", "a quota"],
)
def test_files(make_scene: Callable[..., Scene], operation: str, code: int, remedy: str) -> None:
    scene = make_scene()
    scene.share.fail(code, operation, pattern="deep/z*")
    (scene.share.behind / "deep").mkdir()
    files = scene.zak_drops("deep/z", number=2)
    for path in files:
        until_told(scene, path, "cannot be read now", remedy)
    amy_is_served(scene)
    mend(scene, files, SOON)


@pytest.mark.parametrize(
    ("operation", "pattern", "within"),
    [
        ("opendir", "deep", SOON),
        ("readdir", "deep", SOON),
        ("lookup", "deep/z*", SOON + SILENT),
    ],
    ids=["entered and not listed", "listed in part", "listed and not entered"],
)
def test_directories(
    make_scene: Callable[..., Scene], operation: str, pattern: str, within: float
) -> None:
    scene = make_scene()
    (scene.share.behind / "deep").mkdir()
    scene.share.fail(errno.EACCES, operation, pattern=pattern)
    files = scene.zak_drops("deep/z", number=2)
    where = scene.share.point / "deep"

    def is_told() -> bool:
        scene.whole.dropbox.rescanner.ask()
        return any(
            path.startswith(str(where)) and why.startswith("cannot be ") and remedy
            for path, (why, remedy) in told(scene).items()
        )

    scene.whole.until("it is told", is_told)
    amy_is_served(scene)
    mend(scene, files, within)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES], ids=["read-only", "an access list"])
def test_originals_that_may_not_be_removed(make_scene: Callable[..., Scene], code: int) -> None:
    scene = make_scene(transfer="upload_rm")
    scene.share.fail(code, "unlink")
    files = scene.zak_drops("kept", number=2)
    scene.whole.until_known(*files)
    for path in files:
        until_told(scene, path, "may not be removed", "OMERO has it: remove it")
    amy_is_served(scene)
    scene.share.answer()
    scene.imported_once(files)
    assert scene.whole.journal.counts()[State.FAILED] == 0


def test_originals_of_one_whose_quota_is_used_up(make_scene: Callable[..., Scene]) -> None:
    """On a file system that copies what it changes, to remove a file needs room."""
    scene = make_scene(transfer="upload_rm")
    scene.share.fail(errno.EDQUOT, "unlink")
    files = scene.zak_drops("kept", number=2)
    scene.whole.until_known(*files)
    amy_is_served(scene)
    scene.share.answer()
    scene.whole.until("all are removed", lambda: list(scene.share.behind.iterdir()) == [])
    scene.imported_once(files)
