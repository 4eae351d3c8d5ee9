"""One contract for every way of grouping: Bio-Formats in its process, and signatures alone.

The table of tests/samples.py is what Bio-Formats answered; here it is asked again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats
from omero_fs_plugin.dropbox.grouping.confined import Confined
from omero_fs_plugin.dropbox.grouping.filesets import Grouper
from omero_fs_plugin.dropbox.grouping.native.grouper import NativeGrouper
from tests import bioformats, samples
from tests.groupings import as_table, expected_table, files_below, grouped
from tests.samples import SAMPLES, Sample

ORDERS = 2


def confined(*roots: str) -> Grouper:
    return Confined(roots=lambda: roots)


def native(*roots: str) -> Grouper:
    """In this process, as no DropBox has it."""
    return NativeGrouper()


def bio_formats(*roots: str) -> Grouper:
    """With the Java and the jars of this machine.  Skips if it has none."""
    return BioFormats(bioformats.installation(), time_limit=60, roots=lambda: roots)


@pytest.fixture(
    scope="module",
    params=[native, confined, bio_formats],
    ids=["native", "confined", "Bio-Formats"],
)
def grouper(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Grouper]:
    made: Grouper = request.param(str(tmp_path_factory.getbasetemp()))
    try:
        yield made
    finally:
        made.close()
        if hasattr(made, "rest"):
            made.rest()


@pytest.fixture
def by_signatures(grouper: Grouper) -> bool:
    return isinstance(grouper, (NativeGrouper, Confined))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_the_table_from_any_order_of_arrival(
    grouper: Grouper, by_signatures: bool, sample: Sample, tmp_path: Path
) -> None:
    sample.make(tmp_path)
    files = files_below(tmp_path)
    for seed in range(ORDERS):
        random.Random(seed).shuffle(files)
        found = grouped(grouper, tmp_path, files)
        if by_signatures and sample.held:
            assert not as_table(found.candidates)
        else:
            assert as_table(found.candidates) == expected_table(tmp_path, sample.expected)
        assert not found.unreadable


@pytest.mark.parametrize(
    ("sample", "late"),
    [
        pytest.param(sample, late, id=f"{sample.name}, {late} late")
        for sample in SAMPLES
        for late in sample.needs
    ],
)
def test_nothing_of_a_set_is_imported_until_its_last_file_is_there(
    grouper: Grouper, sample: Sample, late: str, tmp_path: Path
) -> None:
    root = tmp_path / "amy"
    root.mkdir()
    sample.make(root)
    (whole,) = (expected for expected in sample.expected if late in expected.files)
    (root / late).rename(tmp_path / "late")
    before = as_table(grouped(grouper, root).candidates)
    assert not {path for files, _, _ in before for path in files} & {
        f"{root}/{name}" for name in whole.files
    }
    (tmp_path / "late").rename(root / late)
    assert as_table(grouped(grouper, root).candidates) == expected_table(root, sample.expected)


def test_a_whole_tree_in_one_call(grouper: Grouper, by_signatures: bool, tmp_path: Path) -> None:
    expected = set()
    for sample in SAMPLES:
        to = tmp_path / sample.name
        to.mkdir()
        sample.make(to)
        if not (by_signatures and sample.held):
            expected |= expected_table(to, sample.expected)
    assert as_table(grouped(grouper, tmp_path).candidates) == expected


@pytest.mark.parametrize("outside", ["../secret.ome.tif", "sub/../../secret.ome.tif"])
def test_a_name_that_leads_out_is_refused(grouper: Grouper, outside: str, tmp_path: Path) -> None:
    root = tmp_path / "amy"
    (root / "sub").mkdir(parents=True)
    samples.tiff(tmp_path / "secret.ome.tif")
    inner = samples.pixels(2, samples.part(0, outside, 0), samples.part(1, "b.tif", 1))
    (root / "x.companion.ome").write_text(samples.ome(inner, 9))
    samples.tiff(root / "b.tif")
    found = grouped(grouper, root)
    assert not as_table(found.candidates)
    (refused,) = (c for c in found.candidates if c.refused)
    assert outside in refused.refused
    assert f"{tmp_path}/secret.ome.tif" not in refused.files


def test_what_may_not_be_opened_is_told(grouper: Grouper, tmp_path: Path) -> None:
    samples.plain_tiff(tmp_path)
    (tmp_path / "link.tif").symlink_to(tmp_path / "a.tif")
    os.mkfifo(tmp_path / "fifo.tif")
    names = ("a.tif", "b.tiff", "link.tif", "fifo.tif", "gone.tif")
    found = grouped(grouper, tmp_path, [f"{tmp_path}/{name}" for name in names])
    assert {files for files, _, _ in as_table(found.candidates)} == {
        (f"{tmp_path}/a.tif",),
        (f"{tmp_path}/b.tiff",),
    }


def test_only_what_listed_readers_read(grouper: Grouper, tmp_path: Path) -> None:
    samples.plain_tiff(tmp_path)
    samples.Image.fromarray(samples.PLANE).save(tmp_path / "c.png")
    found = grouped(grouper, tmp_path, readers=["APNGReader"])
    assert {files for files, _, _ in as_table(found.candidates)} == {(f"{tmp_path}/c.png",)}
    assert {*found.unreadable} == {f"{tmp_path}/a.tif", f"{tmp_path}/b.tiff"}


def test_rubbish_is_told_and_the_rest_goes_on(grouper: Grouper, tmp_path: Path) -> None:
    samples.plain_tiff(tmp_path)
    rubbish = ("empty.tif", "noise.dv", "text.tif", "thumbs.db")
    for name, data in zip(
        rubbish, (b"", bytes(range(256)) * 9, b"hello", b"\xd0\xcf"), strict=True
    ):
        (tmp_path / name).write_bytes(data)
    found = grouped(grouper, tmp_path)
    assert len(as_table(found.candidates)) == 2
    assert all(why and "\n" not in why for why in found.unreadable.values())


def test_hidden_files_are_passed_over(grouper: Grouper, tmp_path: Path) -> None:
    for name in ("a.tif", ".a.tif", ".b.nd"):
        samples.tiff(tmp_path / name)
    found = grouped(grouper, tmp_path)
    assert {files for files, _, _ in as_table(found.candidates)} == {(f"{tmp_path}/a.tif",)}
    assert {*found.unreadable} == {f"{tmp_path}/.a.tif", f"{tmp_path}/.b.nd"}


def test_nothing_at_all(grouper: Grouper, tmp_path: Path) -> None:
    found = grouped(grouper, tmp_path, [])
    assert (found.candidates, dict(found.unreadable)) == ((), {})
