"""Files that belong together, from the directory to OMERO, in DropBox as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy
import pytest
import tifffile
from PIL import Image

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import assembly, lots
from tests.integration.whole import Whole

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def write_part(directory: Path, number: int, names: list[str]) -> Path:
    """One plane of an OME-TIFF set that has a file for each of its time points."""
    planes = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:00000000-0000-0000-0000-{t:012}</UUID></TiffData>'
        for t, name in enumerate(names)
    )
    xml = (
        f'<?xml version="1.0"?><OME xmlns="{OME}" '
        f'UUID="urn:uuid:00000000-0000-0000-0000-{number:012}">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
        f'SizeX="8" SizeY="8" SizeZ="1" SizeC="1" SizeT="{len(names)}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )
    path = directory / names[number]
    pixels = numpy.frombuffer(numpy.random.bytes(64), "uint8").reshape(8, 8)
    tifffile.imwrite(path, pixels, description=xml.encode(), metadata=None)
    return path


def paths_in_omero(whole: Whole, path: Path) -> list[tuple[str, ...]]:
    """Of the filesets that OMERO has of this file: the names of all of their files."""
    return [tuple(Path(p).name for p in found.paths) for found in whole.filesets(path)]


def reason(whole: Whole, path: Path) -> str:
    """Of the fileset of `path`, once there is one."""
    rows = [row for row in whole.journal.select() if row.path == str(path)]
    return rows[0].reason if rows else ""


@pytest.fixture
def directory(whole: Whole) -> Path:
    directory = whole.watch_dir / "amy" / "set"
    directory.mkdir()
    return directory


NAMES = ["t0.ome.tif", "t1.ome.tif", "t2.ome.tif"]


def test_a_set_is_one_fileset(whole: Whole, directory: Path) -> None:
    for number in (2, 0, 1):
        write_part(directory, number, NAMES)
    single = whole.drop("set/single.tif")
    first = directory / NAMES[0]
    whole.until_known(first, single)
    row = whole.row(first)
    assert [Path(met.path).name for met in row.files] == NAMES
    assert row.reader == "loci.formats.in.OMETiffReader"
    assert paths_in_omero(whole, directory / NAMES[1]) == [tuple(NAMES)]
    assert whole.journal.counts()[State.IMPORTED] == 2
    whole.until_settled()
    assert whole.journal.counts()[State.WAITING] == 0


def test_it_waits_for_the_file_that_comes_last(whole: Whole, directory: Path) -> None:
    for number in (0, 2):
        write_part(directory, number, NAMES)
    first, last = directory / NAMES[0], directory / NAMES[1]
    why = f"waits for {last}"
    for path in (first, directory / NAMES[2]):
        whole.until("it says what it waits for", lambda path=path: reason(whole, path) == why)
    assert whole.in_omero(first) == []
    write_part(directory, 1, NAMES)
    whole.until_known(first)
    assert paths_in_omero(whole, first) == [tuple(NAMES)]


def test_it_waits_over_a_restart(whole: Whole, directory: Path) -> None:
    for number in (0, 2):
        write_part(directory, number, NAMES)
    first = directory / NAMES[0]
    whole.until("it waits", lambda: reason(whole, first).startswith("waits for"))
    whole.stop_dropbox()
    write_part(directory, 1, NAMES)
    whole.start_dropbox()
    whole.until_known(first)
    assert paths_in_omero(whole, first) == [tuple(NAMES)]


def test_what_never_comes_is_failed_and_imported_when_it_comes_after_all(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_whole(completeTimeout="3000")
    directory = whole.watch_dir / "amy" / "set"
    directory.mkdir()
    for number in (0, 2):
        write_part(directory, number, NAMES)
    first, last = directory / NAMES[0], directory / NAMES[1]
    whole.until("it waits", lambda: reason(whole, first).startswith("waits for"))

    def failed() -> bool:
        whole.clock.pass_by(600)
        return whole.row(first).state is State.FAILED

    whole.until("it has failed", failed)
    assert whole.row(first).reason == f"waits for {last}"
    write_part(directory, 1, NAMES)
    whole.until_known(first)
    assert paths_in_omero(whole, first) == [tuple(NAMES)]
    assert whole.journal.counts()[State.FAILED] == 0


def test_a_part_that_is_still_written_holds_the_set(whole: Whole, directory: Path) -> None:
    with ExitStack() as opened:
        with whole.clock.halted():  # nothing comes to rest before it is written to
            for number in (0, 1):
                write_part(directory, number, NAMES)
            last = write_part(directory, 2, NAMES)
            writer = opened.enter_context(last.open("r+b"))
        other = whole.drop("elsewhere.tif")
        whole.until_known(other)
        whole.clock.pass_by(60)
        whole.until(
            "it says so",
            lambda: (
                whole.row(directory / NAMES[0]).reason
                == f"waits for {last}, which is in its quiet period"
            ),
        )
        writer.write(b"II")
    whole.until_known(directory / NAMES[0])
    assert paths_in_omero(whole, last) == [tuple(NAMES)]


def test_a_set_that_is_touched_or_moved_is_not_imported_again(
    whole: Whole, directory: Path
) -> None:
    for number in range(3):
        write_part(directory, number, NAMES)
    first = directory / NAMES[0]
    whole.until_known(first)
    os.utime(directory / NAMES[1])
    (directory / NAMES[2]).chmod(0o600)
    moved = directory.rename(directory.with_name("moved"))
    whole.dropbox.rescanner.ask()
    whole.until_settled()
    assert whole.journal.counts()[State.IMPORTED] == 1
    assert whole.in_omero(moved / NAMES[0]) == []


def test_a_part_that_changes_makes_a_revision_of_the_set(whole: Whole, directory: Path) -> None:
    for number in range(3):
        write_part(directory, number, NAMES)
    first = directory / NAMES[0]
    whole.until_known(first)
    former = whole.row(first)
    write_part(directory, 1, NAMES)
    whole.until("it is imported again", lambda: whole.row(first).id != former.id)
    whole.until_known(first)
    whole.until_settled()
    assert whole.row(first).revision_of == former.id
    assert paths_in_omero(whole, first) == [tuple(NAMES)] * 2


def test_what_is_no_image_is_passed_over_and_a_broken_one_has_failed(whole: Whole) -> None:
    amy = whole.watch_dir / "amy"
    notes = amy / "notes.txt"
    notes.write_text("buffer changed at noon", encoding="ascii")
    broken = amy / "broken.tif"
    broken.write_bytes(b"II*\0 and no more")
    rubbish = amy / "rubbish.tif"
    rubbish.write_bytes(b"nothing that anybody knows")
    whole.until_known(notes, states=(State.SKIPPED,))
    whole.until_known(rubbish, states=(State.FAILED,))
    whole.until("the broken one is told", lambda: reason(whole, broken))
    assert whole.in_omero(broken) == []


def test_what_the_readers_of_a_rule_leave_out_is_skipped(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    readers = tmp_path / "readers.txt"
    readers.write_text("TiffDelegateReader\nOMETiffReader", encoding="ascii")
    whole = make_whole(readers=str(readers))
    picture = whole.watch_dir / "amy" / "a.png"
    Image.fromarray(numpy.zeros((4, 4), "uint8")).save(picture)
    whole.until_known(whole.drop("a.tif"))
    whole.until_known(picture, states=(State.SKIPPED,))
    assert "omero.fs.readers leaves out" in whole.row(picture).reason


def test_a_set_that_leads_out_of_the_users_directory_is_refused(
    whole: Whole, directory: Path, tmp_path: Path
) -> None:
    secret = write_part(tmp_path, 1, ["a", "secret.ome.tif", "b"])
    names = [NAMES[0], os.path.relpath(secret, directory), NAMES[2]]
    for number in (0, 2):
        write_part(directory, number, names)
    first = directory / NAMES[0]
    whole.until_known(first, states=(State.FAILED,))
    assert "which is not below" in whole.row(first).reason
    assert whole.in_omero(first) == []


def test_files_of_different_users_are_never_one_set(whole: Whole) -> None:
    for user, numbers in (("amy", (0, 1)), ("zak", (2,))):
        for number in numbers:
            write_part(whole.watch_dir / user, number, NAMES)
    for user, name in (("amy", NAMES[0]), ("zak", NAMES[2])):
        path = whole.watch_dir / user / name
        whole.until("it waits", lambda path=path: reason(whole, path).startswith("waits for"))
    assert whole.journal.counts()[State.IMPORTED] == 0


def test_many_singles_are_asked_about_once_each(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answered = assembly.Assembly.answered

    def counting(self: assembly.Assembly, lot: lots.Lot, *rest: object) -> int:
        asked.extend(lot.files)
        return answered(self, lot, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(assembly.Assembly, "answered", counting)
    # A rescan meets all of them at once.  Events may come in parts, with a quiet period between.
    whole.stop_dropbox()
    paths = [whole.drop(f"many/{number}.tif") for number in range(60)]
    with whole.clock.halted():  # also if that takes long
        whole.start_dropbox()
        whole.until_known(*paths, states=(State.WAITING,))
    whole.until_known(*paths)
    assert sorted(asked) == sorted(map(str, paths))
