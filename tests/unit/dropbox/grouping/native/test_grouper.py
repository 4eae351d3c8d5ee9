from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.grouping.native.grouper import NativeGrouper
from tests import ended, samples
from tests.groupings import as_table, expected_table, files_below, grouped
from tests.samples import SAMPLES, Sample

ORDERS = 4
SETS = [sample for sample in SAMPLES if sample.needs]


def native(root: Path, files: list[str] | None = None, **more: list[str]) -> Grouping:
    return grouped(NativeGrouper(), root, files, **more)


def only(found: Grouping) -> Candidate:
    (candidate,) = found.candidates
    assert not found.unreadable
    return candidate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories of the samples, made once; not to be changed."""
    directories = {}
    for sample in SAMPLES:
        directories[sample.name] = tmp_path_factory.mktemp("sample")
        sample.make(directories[sample.name])
    return directories


@pytest.fixture
def root(tmp_path: Path, made: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Path]:
    """A copy of the sample that the test is about, if it is about one."""
    sample = getattr(request, "param", None)
    if sample is not None:
        shutil.copytree(made[sample.name], tmp_path, dirs_exist_ok=True)
    yield tmp_path


def each(found: list[Sample]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("sample", "root"), [pytest.param(s, s, id=s.name) for s in found], indirect=["root"]
    )


@each([sample for sample in SAMPLES if not sample.held])
def test_the_table_from_any_order_of_arrival(sample: Sample, root: Path) -> None:
    files = files_below(root)
    for seed in range(ORDERS):
        random.Random(seed).shuffle(files)
        found = native(root, files)
        assert as_table(found.candidates) == expected_table(root, sample.expected)
        assert not found.unreadable


@each([sample for sample in SAMPLES if sample.held])
def test_what_only_bioformats_groups_is_held_as_one(sample: Sample, root: Path) -> None:
    candidate = only(native(root))
    assert {*candidate.files} == {*files_below(root)}
    assert candidate.held.count(sample.held) == 1
    assert "install Java" in candidate.held and "\n" not in candidate.held


@each(SETS)
def test_a_set_is_found_from_any_of_its_files(sample: Sample, root: Path) -> None:
    for expected in sample.expected:
        for name in expected.files:
            asked = [f"{root}/{name}"]
            if name in ("z0.tif", "z1.tif") or not sample.needs.get(name):
                continue  # nothing but the companion says that it is a part
            (candidate,) = native(root, asked).candidates
            assert {*candidate.files} == {f"{root}/{name}" for name in expected.files}


@each(SETS)
def test_one_file_missing_is_told_by_name_and_its_arrival_completes(
    sample: Sample, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away") / "file"
    for late, told in sample.needs.items():
        (root / late).rename(away)
        waiting = [c for c in native(root).candidates if not c.complete]
        assert waiting
        assert {path for c in waiting for path in c.missing} == {f"{root}/{told}"}
        assert not any(c.refused for c in waiting)
        away.rename(root / late)
        found = native(root)
        assert as_table(found.candidates) == expected_table(root, sample.expected)


@pytest.mark.parametrize("last", ["z0.tif", "a.companion.ome"])
def test_plain_parts_are_claimed_by_a_companion_that_was_not_asked_about(
    root: Path, last: str
) -> None:
    samples.ome_companion_plain(root)
    candidate = only(native(root, [f"{root}/{last}"]))
    assert candidate.files == tuple(f"{root}/{n}" for n in ("a.companion.ome", "z0.tif", "z1.tif"))


def test_many_filesets_in_one_call(root: Path, made: dict[str, Path]) -> None:
    """Each of them in a directory of its own, as of several users' afternoons."""
    for name, directory in made.items():
        shutil.copytree(directory, root / name)
    expected = set()
    for sample in SAMPLES:
        if not sample.held:
            expected |= expected_table(root / sample.name, sample.expected)
    assert as_table(native(root).candidates) == expected


def test_a_companion_that_names_a_file_outside_is_refused(root: Path) -> None:
    user = root / "amy"
    user.mkdir()
    samples.tiff(root / "secret.ome.tif")
    inner = samples.pixels(1, samples.part(0, "../secret.ome.tif", 0))
    (user / "x.companion.ome").write_text(samples.ome(inner, 9))
    candidate = only(native(user))
    assert candidate.files == (f"{user}/x.companion.ome",)
    assert "names ../secret.ome.tif, which is not below" in candidate.refused


@pytest.mark.parametrize("name", ["../secret.raw", "sub/../../secret.raw"])
def test_a_header_that_names_a_file_outside_is_refused(root: Path, name: str) -> None:
    user = root / "amy"
    (user / "sub").mkdir(parents=True)
    (root / "secret.raw").write_bytes(b"secret")
    (user / "x.nhdr").write_bytes(samples.nrrd(name))
    assert "which is not below" in only(native(user)).refused


def test_an_absolute_name_is_one_below_the_directory(root: Path) -> None:
    """As Java joins the two: so it waits, and nothing outside is opened."""
    (root / "x.nhdr").write_bytes(samples.nrrd("/etc/passwd"))
    assert only(native(root)).missing == (f"{root}/etc/passwd",)


@pytest.mark.parametrize("name", ["a\0b", "n" * 300, "x/" * 3000 + "x", ""])
def test_a_name_that_no_file_can_have(root: Path, name: str) -> None:
    (root / "x.nhdr").write_bytes(samples.nrrd("x").replace(b": x\n", f": {name}\n".encode()))
    (candidate,) = native(root).candidates
    assert candidate.refused or candidate.missing


def test_a_part_that_is_a_link_is_refused(root: Path) -> None:
    user = root / "amy"
    user.mkdir()
    samples.ome_companion(user)
    (user / "t2.ome.tif").rename(root / "elsewhere.tif")
    (user / "t2.ome.tif").symlink_to(root / "elsewhere.tif")
    found = native(user, [f"{user}/set.companion.ome", f"{user}/t0.ome.tif"])
    assert all("t2.ome.tif: reached through a symbolic link" in c.refused for c in found.candidates)
    assert not as_table(found.candidates)


def test_links_fifos_and_files_that_are_gone(root: Path) -> None:
    samples.plain_tiff(root)
    (root / "link.tif").symlink_to(root / "a.tif")
    os.mkfifo(root / "fifo.tif")
    asked = [f"{root}/{name}" for name in ("link.tif", "fifo.tif", "gone.tif", "a.tif")]
    found = native(root, asked)
    refused = {c.files[0]: c.refused for c in found.candidates if c.refused}
    assert "symbolic link" in refused[f"{root}/link.tif"]
    assert "not a regular file" in refused[f"{root}/fifo.tif"]
    assert found.unreadable == {f"{root}/gone.tif": "is not there any more"}
    assert [c.files for c in found.candidates if not c.refused] == [(f"{root}/a.tif",)]


def test_two_companions_of_one_file(root: Path) -> None:
    samples.ome_companion_plain(root)
    (root / "b.companion.ome").write_bytes((root / "a.companion.ome").read_bytes())
    assert {files for files, _, _ in as_table(native(root).candidates)} == {
        tuple(f"{root}/{name}" for name in (first, "z0.tif", "z1.tif"))
        for first in ("a.companion.ome", "b.companion.ome")
    }


def test_a_renamed_ome_tiff_is_its_own(root: Path) -> None:
    inner = samples.pixels(1, samples.part(0, "old.ome.tif", 0))
    samples.tiff(root / "new.ome.tif", samples.ome(inner, 0))
    samples.tiff(root / "other.ome.tif", samples.ome(inner))
    assert {c.files for c in native(root).candidates if c.complete} == {
        (f"{root}/new.ome.tif",),
        (f"{root}/other.ome.tif",),
    }


def test_a_copy_of_one_of_a_set(root: Path) -> None:
    samples.ome_tiff_set(root)
    shutil.copy(root / "a.ome.tif", root / "copy of a.ome.tif")
    found = native(root)
    assert len(as_table(found.candidates)) == 1
    assert "its planes are in other files" in found.unreadable[f"{root}/copy of a.ome.tif"]


def test_a_companion_that_is_still_written(root: Path) -> None:
    samples.ome_companion(root)
    companion = root / "set.companion.ome"
    companion.write_bytes(companion.read_bytes()[:-20])
    found = native(root)
    assert not found.unreadable
    (waiting,) = found.candidates
    assert len(waiting.files) == 4
    assert f"{companion}: its OME-XML cannot" in waiting.incomplete


def test_a_part_that_its_metadata_does_not_know(root: Path) -> None:
    samples.ome_companion(root)
    samples.tiff(root / "t9.ome.tif", samples.binary_only("set.companion.ome", 7, 9))
    found = native(root)
    assert "but that does not name this file" in found.unreadable[f"{root}/t9.ome.tif"]
    assert len(as_table(found.candidates)) == 1


def test_metadata_that_leads_on_and_on(root: Path) -> None:
    samples.tiff(root / "a.ome.tif", samples.binary_only("b.ome.tif", 0, 1))
    samples.tiff(root / "b.ome.tif", samples.binary_only("a.ome.tif", 1, 0))
    samples.tiff(root / "c.ome.tif", samples.binary_only("c.ome.tif", 2, 2))
    found = native(root)
    assert not found.candidates
    assert all("for its metadata, but that has none" in why for why in found.unreadable.values())


def test_a_part_of_no_name(root: Path) -> None:
    strange = f"<TiffData><UUID>{samples.uuid(5)}</UUID></TiffData>"
    own = f"<TiffData><UUID>{samples.uuid(0)}</UUID></TiffData>"
    samples.tiff(root / "a.ome.tif", samples.ome(samples.pixels(1, strange), 0))
    samples.tiff(root / "b.ome.tif", samples.ome(samples.pixels(1, own), 0))
    found = native(root)
    assert "a part without a name" in found.unreadable[f"{root}/a.ome.tif"]
    assert only(native(root, [f"{root}/b.ome.tif"])).files == (f"{root}/b.ome.tif",)


@pytest.mark.parametrize(
    ("readers", "imported"),
    [
        (["TiffDelegateReader", "OMETiffReader"], ["a.tif", "b.ome.tif"]),
        (["loci.formats.in.TiffReader"], ["a.tif"]),
        (["APNGReader"], ["c.png"]),
    ],
    ids=["two", "canonical", "another"],
)
def test_what_no_listed_reader_reads(root: Path, readers: list[str], imported: list[str]) -> None:
    samples.tiff(root / "a.tif")
    samples.tiff(root / "b.ome.tif", samples.ome(samples.pixels(1, "<TiffData/>"), 0))
    samples.Image.fromarray(samples.PLANE).save(root / "c.png")
    found = native(root, readers=readers)
    assert {c.files for c in found.candidates} == {(f"{root}/{name}",) for name in imported}
    assert all("which omero.fs.readers leaves out" in why for why in found.unreadable.values())


def test_a_reader_that_is_left_out_makes_no_sets(root: Path) -> None:
    samples.metamorph(root)
    found = native(root, readers=["TiffDelegateReader"])
    assert len(as_table(found.candidates)) == 2
    assert {*found.unreadable} == {f"{root}/exp.nd"}


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (["a.czi", "a(1).czi", "b.czi"], [["a(1).czi", "a.czi"]]),
        (["x.oir", "x_00001", "x_00002", "y.oir"], [["x.oir", "x_00001", "x_00002"]]),
    ],
    ids=["CZI", "OIR"],
)
def test_images_split_over_numbered_files(
    root: Path, names: list[str], held: list[list[str]]
) -> None:
    content = ended.czi() if names[0].endswith("czi") else b"OLYMPUSRAWFORMAT".ljust(600, b"\0")
    for name in names:
        (root / name).write_bytes(content)
    found = native(root)
    assert [[Path(p).name for p in c.files] for c in found.candidates if c.held] == held
    assert len(as_table(found.candidates)) == 1


def test_a_neighbour_that_says_nothing_of_sets_holds_nothing(root: Path) -> None:
    samples.plain_tiff(root)
    for name in ("a.xml", "notes.txt", "a.csv"):
        (root / name).write_text("<a>hello</a>")
    found = native(root)
    assert len(as_table(found.candidates)) == 2
    assert len(found.unreadable) == 3
    assert all("install Java" in why for why in found.unreadable.values())


def test_parts_of_an_oif(root: Path) -> None:
    parts = root / "x.oif.files"
    samples.tiff(parts / "s_C001.tif")
    (parts / "s_C001.pty").write_text("x")
    candidate = only(native(root))
    assert {*candidate.files} == {*files_below(root)}
    assert "x.oif" in candidate.held
    (root / "x.oif").write_text("x")
    assert {*only(native(root)).files} == {*files_below(root)}


def test_a_share_that_does_not_answer_is_no_verdict(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omero_fs_plugin.dropbox.grouping import opening

    def away(*_: object) -> int:
        raise OSError(5, "Input/output error")

    samples.plain_tiff(root)
    files = files_below(root)
    monkeypatch.setattr(opening, "open_beneath", away)
    found = native(root, files)
    assert not found.unreadable
    assert {c.incomplete for c in found.candidates} == {"cannot be read now: Input/output error"}


def test_a_tiff_that_was_cut_short_waits(root: Path) -> None:
    samples.tiff(root / "a.tif", software="x" * 100)
    (root / "a.tif").write_bytes((root / "a.tif").read_bytes()[:-50])
    assert only(native(root)).incomplete


def test_a_tiff_without_a_directory_is_unreadable(root: Path) -> None:
    (root / "a.tif").write_bytes(b"II*\0\x08\0\0\0")
    found = native(root)
    assert "TIFF that is cut short or corrupt" in found.unreadable[f"{root}/a.tif"]
