"""Nothing is linked for OMERO from a directory that OMERO does not see as this machine does.

What another machine sees is a table here: which directory it has at the path that we mean.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers import native, proof
from omero_fs_plugin.dropbox.importing.importers.proof import NotProved, Proofs
from omero_fs_plugin.dropbox.importing.importers.protocol import Imported
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.sandbox import repository

from .importing import Importing, Notes, run

See = Callable[[Path], None]


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture(autouse=True)
def proofs(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> Proofs:
    made = Proofs(lambda: now[0])
    monkeypatch.setattr(native, "PROOFS", made)
    return made


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What OMERO was asked for."""
    asked: list[Path] = []
    sees = repository.sees

    def told(place: Path) -> bool:
        asked.append(place)
        return sees(place)

    monkeypatch.setattr(repository, "sees", told)
    return asked


@pytest.fixture
def omero_has(world: Importing, monkeypatch: pytest.MonkeyPatch) -> See:
    """OMERO runs where another directory is at the path of the user's."""

    def has(there: Path) -> None:
        def sees(place: Path) -> bool:
            if not place.is_symlink():
                return place.exists()
            return Path(str(place.readlink()).replace(str(world.root), str(there))).exists()

        monkeypatch.setattr(repository, "sees", sees)

    return has


def imports(world: Importing, name: str = "a.tif") -> Any:
    fileset = world.fileset(world.drop(name))
    (outcome,) = run(world.importer("native", Transfer.LN_S), Notes(world).task(fileset))
    return outcome


def nothing_left(world: Importing, *names: str) -> None:
    assert sorted(path.name for path in world.root.iterdir()) == sorted(names)
    assert [path.name for path in world.repository.iterdir() if "probe" in path.name] == []


def test_it_is_proved_once_and_again_after_a_while(
    world: Importing, looks: list[Path], now: list[float]
) -> None:
    assert isinstance(imports(world), Imported)
    assert isinstance(imports(world, "b.tif"), Imported)
    assert len(looks) == 1
    now[0] += proof.PROVED_S + 1
    assert isinstance(imports(world, "c.tif"), Imported)
    assert len(looks) == 2
    nothing_left(world, "a.tif", "b.tif", "c.tif")


def test_another_mount_of_the_same_directory_is_it(
    world: Importing, omero_has: See, tmp_path: Path
) -> None:
    (tmp_path / "mnt").symlink_to(world.root)
    omero_has(tmp_path / "mnt")
    assert isinstance(imports(world), Imported)


@pytest.mark.parametrize("what", ["not there", "the same names", "the same files"])
def test_another_directory_is_not(
    world: Importing, omero_has: See, tmp_path: Path, proofs: Proofs, what: str
) -> None:
    """Also a copy of it, of which an older share may have one."""
    other = tmp_path / "mnt"
    world.drop("a.tif")
    if what == "the same names":
        other.mkdir()
        (other / "a.tif").touch()
    elif what == "the same files":
        shutil.copytree(world.root, other)
    omero_has(other)
    outcome = imports(world)
    assert isinstance(outcome, NotProved), outcome
    assert f"OMERO does not see {world.root} as this machine does" in str(outcome)
    assert proofs.told() == {str(world.root): str(outcome)}
    assert world.ask("select f.id from Fileset f") == []
    assert world.stored() == []
    nothing_left(world, "a.tif")
    omero_has(world.root)
    assert isinstance(imports(world), Imported)
    assert proofs.told() == {}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_where_nothing_may_be_made_the_file_itself_is_looked_for(
    world: Importing, omero_has: See, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    really = os.open

    def refuses(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & os.O_CREAT and "dir_fd" in named:
            raise OSError(number, os.strerror(number))
        return really(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuses)
    omero_has(tmp_path / "mnt")
    outcome = imports(world)
    assert isinstance(outcome, NotProved) and f"{world.root}/a.tif" in str(outcome)
    omero_has(world.root)
    assert isinstance(imports(world), Imported)
    nothing_left(world, "a.tif")


def test_an_omero_that_says_nothing_of_its_disk_must_give_the_sha1(
    world: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before: a file with other bytes is refused, and no link stays."""
    monkeypatch.setattr(repository, "sees", lambda place: False)
    assert isinstance(imports(world), Imported)
    nothing_left(world, "a.tif")


def test_what_a_killed_process_left_is_removed(world: Importing) -> None:
    """A user's file stays, whatever a link leads to."""
    name = ".omero-fs-probe-1.omero-fs-coming"
    long_ago = time.time() - 3600
    (world.root / name).touch()
    kept = world.drop("kept.tif")
    world.repository.mkdir(exist_ok=True)
    for link, target in ((name, world.root / name), (".omero-fs-probe-2", kept)):
        place = world.repository / link
        place.symlink_to(target)
        os.utime(place, (long_ago, long_ago), follow_symlinks=False)
    assert isinstance(imports(world), Imported)
    nothing_left(world, "a.tif", "kept.tif")


def test_one_that_cannot_be_removed_is_removed_later(
    world: Importing, monkeypatch: pytest.MonkeyPatch, now: list[float]
) -> None:
    def refuses(root: str, name: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as ill:
        ill.setattr(proof, "remove", refuses)
        assert isinstance(imports(world), Imported)
    (left,) = (path for path in world.root.iterdir() if "probe" in path.name)
    (link,) = (path for path in world.repository.iterdir() if "probe" in path.name)
    assert link.readlink() == left
    os.utime(link, (1, 1), follow_symlinks=False)
    now[0] += proof.PROVED_S + 1
    assert isinstance(imports(world, "b.tif"), Imported)
    nothing_left(world, "a.tif", "b.tif")


def test_no_other_way_needs_it(world: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "sees", lambda place: pytest.fail("OMERO was asked"))
    for number, transfer in enumerate((Transfer.LN, Transfer.CP, Transfer.UPLOAD)):
        fileset = world.fileset(world.drop(f"{number}.tif"))
        (done,) = run(world.importer("native", transfer), Notes(world).task(fileset))
        assert isinstance(done, Imported), done
