"""The native importer: sets of files, figures on the way, in place and why not."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers import FileChanged, in_place, sources
from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.importing.importers.protocol import Figures, Imported, Wishes
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.errors import ImportRefused

from .importing import Importing, Notes, run


def test_a_set_in_its_order_and_no_more_directories_than_its_reader_needs(
    world: Importing,
) -> None:
    first = world.drop("one/two/three/four/z.tif")
    members = [first]
    for number in range(12):
        members.append(first.parent / "planes" / f"{11 - number:02}.raw")
        members[-1].parent.mkdir(exist_ok=True)
        members[-1].write_bytes(os.urandom(number * 100_000))
    wishes = Wishes(reader="loci.formats.in.TiffReader")
    (done,) = run(world.importer("native"), Notes(world).task(world.fileset(*members), wishes))
    assert isinstance(done, Imported)
    rows = world.ask(
        "select e.clientPath, o.path, o.name, o.hash from Fileset f join f.usedFiles e "
        "join e.originalFile o order by e.id"
    )
    assert [f"/{row[0]}" for row in rows] == [str(path) for path in members]
    assert tuple(row[3] for row in rows) == done.sha1s
    below = [Path(row[1].rstrip("/")).name for row in rows]
    assert below[1:] == ["planes"] * 12 and below[0] != "four"


def test_of_a_set_with_a_fault_nothing_is_left(world: Importing) -> None:
    members = [world.drop("a.tif"), *(world.root / f"{n}.raw" for n in range(8))]
    for path in members[1:]:
        path.write_bytes(b"x")
    fileset = world.fileset(*members)
    members[4].write_bytes(b"changed")
    (outcome,) = run(world.importer("native"), Notes(world).task(fileset))
    assert isinstance(outcome, FileChanged) and "3.raw" in str(outcome)
    assert world.ask("select f.id from Fileset f") == []
    assert world.stored() == []


def test_figures_can_be_read_on_the_way(world: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK", 1000)
    path = world.root / "big.tif"
    path.write_bytes(world.drop("a.tif").read_bytes() + bytes(20_000))
    importer = world.importer("native")
    task = Notes(world).task(world.fileset(path))
    seen: list[Figures] = []

    def look() -> bool:
        reader = threading.Thread(target=lambda: seen.append(importer.progress()))
        reader.start()
        reader.join()
        return False

    ((_, outcome),) = importer.run([task], look)
    assert isinstance(outcome, Imported)
    size = path.stat().st_size
    assert {figures.total for figures in seen} == {size}
    done = [figures.done for figures in seen]
    assert done == sorted(done) and len(set(done)) > 10
    assert importer.progress() == Figures(size, size)


def test_a_hard_link_is_to_the_file_that_was_opened(
    world: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its name leads to a moment later."""
    path = world.drop("a.tif")
    inode = path.stat().st_ino
    real = in_place.InPlace._take_over

    def meanwhile(self: Any, target: Path) -> None:
        real(self, target)
        path.rename(world.root / "moved.tif")
        path.symlink_to("/etc/passwd")

    monkeypatch.setattr(in_place.InPlace, "_take_over", meanwhile)
    (done,) = run(world.importer("native", Transfer.LN), Notes(world).task(world.fileset(path)))
    assert isinstance(done, Imported), done
    (place,) = world.stored()
    assert (place.stat().st_ino, place.is_symlink()) == (inode, False)


def test_a_symbolic_link_that_leads_elsewhere_by_now_is_refused(
    world: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.drop("a.tif", 1)
    fileset = world.fileset(path)
    secret = world.root.parent / "secret.tif"
    secret.write_bytes(path.read_bytes()[:-1] + b"?")
    real = in_place.InPlace._take_over

    def meanwhile(self: Any, target: Path) -> None:
        real(self, target)
        path.rename(world.root / "moved.tif")
        path.symlink_to(secret)

    monkeypatch.setattr(in_place.InPlace, "_take_over", meanwhile)
    (outcome,) = run(world.importer("native", Transfer.LN_S), Notes(world).task(fileset))
    assert isinstance(outcome, ImportRefused) and "does not match" in str(outcome)
    assert world.ask("select f.id from Fileset f") == []
    assert secret.exists() and world.stored() == []


@pytest.mark.parametrize("why", ["gone", "not writable", "another", "other file system", "not his"])
def test_in_place_where_it_cannot_be(
    world: Importing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, why: str
) -> None:
    path = world.drop("a.tif")
    fileset = world.fileset(path)
    real = in_place.InPlace.of
    if why == "not writable":
        monkeypatch.setattr(os, "access", lambda *_, **__: False)
        reason = "may not write there"
    elif why == "other file system":
        monkeypatch.setattr(os, "link", _raising(18))
        reason = "not on the file system of"
    elif why == "not his":
        monkeypatch.setattr(os, "link", _raising(1))
        reason = "fs.protected_hardlinks"
    elif why == "another":
        other = in_place.InPlace(world.session, Transfer.LN, tmp_path / "elsewhere")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.setattr(in_place.InPlace, "of", lambda *_: other)
        reason = "another directory here than where OMERO runs"
    else:
        monkeypatch.setattr(Path, "is_dir", lambda self: False)
        reason = "no such directory on this machine"
    (outcome,) = run(world.importer("native", Transfer.LN), Notes(world).task(fileset))
    assert isinstance(outcome, ImportRefused), outcome
    assert reason in str(outcome) and "omero.fs.transfer" in str(outcome)
    monkeypatch.undo()
    assert in_place.InPlace.of == real
    assert world.ask("select f.id from Fileset f") == []
    assert path.exists() and world.stored() == []


def _raising(number: int) -> Any:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return link


def test_a_hard_link_to_another_file_system_is_refused_before_anything_is_begun(
    world: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == world.root.stat().st_dev:
        pytest.skip("no second file system at hand")
    monkeypatch.setattr(NativeImport, "_description", lambda self: pytest.fail("begun"))
    place = shared / f"omero-fs-{os.getpid()}"
    place.mkdir()
    try:
        path = world.drop("a.tif").read_bytes()
        (place / "a.tif").write_bytes(path)
        world.root = place
        task = Notes(world).task(world.fileset(place / "a.tif"))
        (outcome,) = run(world.importer("native", Transfer.LN_RM), task)
    finally:
        (place / "a.tif").unlink()
        place.rmdir()
    assert isinstance(outcome, ImportRefused) and outcome.final
    assert "ln_s, cp or upload instead of ln_rm" in str(outcome)
