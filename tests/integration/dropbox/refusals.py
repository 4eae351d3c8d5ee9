"""zak's directory really refuses: an access list, a mount that is read-only, a disk that is full.

test_refusals.py runs each of these, as the account 2; zak is the account 1.  rights.py has the same
and more on a share that answers as it is told to.  In every case:

- amy's file takes no longer than before, but for the noise of the machine; both are printed,
- status or `omero fs explain` tells of zak's, with what to do,
- once that is mended, all is imported once, soon, without any other event.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.situation import remedy_for
from tests.integration.whole import Whole

from .hanging_disks import MARGIN, Scene, image, measured
from .rights import amy_is_served, mend, told, until_told

SOON = 10.0  # s, from when it is mended until it is imported
SERVER, ZAK = 2, 1  # accounts
ROOM = 1 << 20  # bytes of a small disk


def root(*words: str | Path) -> None:
    """Root does it."""
    command = shlex.join(map(str, words))
    with open("/mnt/ask", "w") as ask:  # noqa: PTH123 - a FIFO
        ask.write(f"{command}\n")
    code = Path("/mnt/told").read_text().strip()
    assert code == "0", f"{command}: {code}: {Path('/mnt/said').read_text()}"


@dataclass
class Disk:
    """What stands for the share of a Scene: zak's directory, a disk of its own."""

    point: Path
    behind: Path
    answer: Callable[[], Any] = field(default=lambda: None)  # mends it


class Refusing(Scene):
    """A Scene whose zak owns his files."""

    def zak_drops(self, name: str, side: int = 16, number: int = 2) -> list[Path]:
        paths = []
        for count in range(number):
            made = image(Path("/mnt") / "made.tif", side)
            path = self.share.point / f"{name}{count}.tif"
            root(
                "sh",
                "-c",
                f'chown 1:1 "$1"; chmod 640 "$1"; setfacl -m u:{SERVER}:r "$1"',
                "sh",
                made,
            )
            root("mv", made, path)
            paths.append(path)
        return paths


@pytest.fixture
def make_scene(tmp_path: Path, make_whole: Callable[..., Whole]) -> Callable[..., Refusing]:
    assert os.getuid() == SERVER

    def make(**properties: str) -> Refusing:
        of_zak = tmp_path / "OMERO" / "DropBox" / "zak"
        of_zak.mkdir(parents=True)
        root("mount", "-t", "tmpfs", "-o", "mode=770,uid=1,gid=1", "none", of_zak)
        root("setfacl", "-m", f"u:{SERVER}:rwx,d:u:{SERVER}:rwx", of_zak)
        whole = make_whole(**properties)
        whole.until_state("running")
        return Refusing(whole, Disk(of_zak, of_zak))  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("where", ["a file", "the directory", "a directory above"])
def test_access_lists(make_scene: Callable[..., Refusing], where: str) -> None:
    scene = make_scene(dirImportWait="1.5")
    deep = scene.share.point / "above" / "deep"
    deep.mkdir(parents=True)
    with scene.whole.clock.halted():  # nothing comes to rest before it is refused
        files = scene.zak_drops("above/deep/z")
        scene.whole.until_known(*files, states=(State.WAITING,))
        refuse = {"a file": files, "the directory": [deep], "a directory above": [deep.parent]}[
            where
        ]
        root("setfacl", "-b", *refuse)
        root("chown", "1:1", *refuse)
        root("chmod", "700", *refuse)
    if where == "a file":
        for path in files:
            until_told(scene, path, "cannot be read", "let the server read it")
    else:

        def is_told() -> bool:
            scene.whole.dropbox.rescanner.ask()
            return any(
                path.startswith(str(deep.parent)) and why.startswith("cannot be ") and remedy
                for path, (why, remedy) in told(scene).items()
            )

        scene.whole.until("it is told", is_told)
    amy_is_served(scene)
    scene.share.answer = lambda: root("setfacl", "-m", f"u:{SERVER}:rwx", *refuse)
    mend(scene, files, SOON)


@pytest.mark.parametrize("step", ["met", "grouped"])
def test_read_only(make_scene: Callable[..., Refusing], step: str) -> None:
    """To read is all that DropBox needs: nobody has to mend anything."""
    scene = make_scene(dirImportWait="1.5" if step == "met" else "0.3")
    met = step == "met"  # and nothing comes to rest before it is read-only
    with scene.whole.clock.halted() if met else nullcontext():
        files = scene.zak_drops("z", number=6)
        if met:
            scene.whole.until_known(*files, states=(State.WAITING,))
        else:
            scene.whole.until(
                "they are at rest", lambda: not scene.whole.dropbox.pipeline.pending()
            )
        root("mount", "-o", "remount,bind,ro", scene.share.point)
    amy_is_served(scene)
    scene.imported_once(files)
    root("mount", "-o", "remount,bind,rw", scene.share.point)
    assert not told(scene)


def until_it_is_said(scene: Refusing, paths: list[Path], why: str, remedy: str) -> None:
    """Of files that failed, why they are not in quarantine: beside why they failed."""

    def is_said() -> bool:
        figures = scene.whole.dropbox.figures()
        said = [figures.get(f"left.{path}", "") for path in paths]
        return all(why in one and remedy_for(one).startswith(remedy) for one in said)

    scene.whole.until(f"it is said: {why} -> {remedy}", is_said)


def bad(scene: Refusing, number: int = 3) -> list[Path]:
    """Files that no reader can make anything of; a part of the room each."""
    paths = []
    for count in range(number):
        path = scene.share.point / f"bad{count}.ome.tif"
        made = Path("/mnt/made.bad")
        made.write_bytes(b"rubbish %d" % count + os.urandom(ROOM // 16))
        root("mv", made, path)
        paths.append(path)
    scene.whole.until_known(*paths, states=(State.FAILED,))
    return paths


def until_moved(scene: Refusing, quarantine: Path, paths: list[Path]) -> None:
    began = time.monotonic()
    names = sorted(path.name for path in paths)
    scene.whole.until(
        "all are in quarantine, once, and nowhere else",
        lambda: (
            sorted(path.name for path in quarantine.rglob("*.tif")) == names
            and not [path for path in paths if path.exists()]
        ),
    )
    took = time.monotonic() - began
    measured(f"it is mended, and all are in quarantine after {took:.2f} s")
    assert took <= SOON + MARGIN
    scene.whole.until(
        "nothing is said any more",
        lambda: not [one for one in scene.whole.dropbox.figures() if one.startswith("left.")],
    )


def test_read_only_while_it_is_put_into_quarantine(
    make_scene: Callable[..., Refusing], tmp_path: Path
) -> None:
    scene = make_scene(quarantine=str(tmp_path / "bad"))
    root("mount", "-o", "remount,bind,ro", scene.share.point)
    root("mount", "-o", "remount,bind,rw", scene.share.point)
    whole = scene.whole
    with whole.dropbox.pipeline.files.lock:  # nothing is grouped meanwhile
        for count in range(3):
            (scene.share.point / f"bad{count}.ome.tif").write_bytes(b"rubbish %d" % count)
        root("mount", "-o", "remount,bind,ro", scene.share.point)
    paths = [scene.share.point / f"bad{count}.ome.tif" for count in range(3)]
    whole.until_known(*paths, states=(State.FAILED,))
    until_it_is_said(scene, paths, "Read-only file system", "it is mounted read-only")
    amy_is_served(scene)
    root("mount", "-o", "remount,bind,rw", scene.share.point)
    until_moved(scene, tmp_path / "bad", paths)


def test_a_full_quarantine(make_scene: Callable[..., Refusing], tmp_path: Path) -> None:
    quarantine = tmp_path / "bad"
    quarantine.mkdir()
    root("mount", "-t", "tmpfs", "-o", f"mode=700,uid={SERVER},size={ROOM}", "none", quarantine)
    filler = quarantine / "filler"
    filler.write_bytes(bytes(ROOM - 4096 * 8))
    scene = make_scene(quarantine=str(quarantine))
    paths = bad(scene)
    until_it_is_said(scene, paths, "No space left", "make room")
    amy_is_served(scene)
    filler.unlink()
    until_moved(scene, quarantine, paths)


def test_originals_on_what_became_read_only(make_scene: Callable[..., Refusing]) -> None:
    scene = make_scene(transfer="upload_rm", dirImportWait="1.5")
    with scene.whole.clock.halted():  # nothing comes to rest before that
        files = scene.zak_drops("kept")
        scene.whole.until_known(*files, states=(State.WAITING,))
        root("mount", "-o", "remount,bind,ro", scene.share.point)
    scene.whole.until_known(*files)
    for path in files:
        until_told(scene, path, "may not be removed", "OMERO has it: remove it")
    amy_is_served(scene)
    root("mount", "-o", "remount,bind,rw", scene.share.point)
    scene.imported_once(files)
    assert scene.whole.journal.counts()[State.FAILED] == 0
