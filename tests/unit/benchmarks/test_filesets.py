"""What the benchmarks of filesets make, and what a run comes to."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tifffile

from benchmarks.contenders import BenchmarkError
from benchmarks.filesets import files, grouping, importing, large
from benchmarks.filesets.alone import told_by
from omero_fs_plugin.dropbox.grouping.native.grouper import NativeGrouper


def test_sets_and_singles_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    sets = files.sets(tmp_path, 2)
    singles = files.singles(tmp_path, files.IN_DIRECTORY + 1)
    assert [len(lot) for lot in singles] == [files.IN_DIRECTORY, 1]
    for lot in sets:
        with tifffile.TiffFile(lot[0]) as tiff:
            assert tiff.is_ome and tiff.series[0].shape[0] == files.IN_SET
    grouper = NativeGrouper()
    for lots, filesets in ((sets, 1), (singles, None)):
        for lot in lots:
            found = grouper.group(str(tmp_path), lot)
            assert len(found.candidates) == (filesets or len(lot))
            assert all(one.complete for one in found.candidates) and not found.unreadable


def test_the_large_file_is_as_large_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    files.large(path, 3_000_001)
    assert path.stat().st_size == 3_000_001
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1


def test_ratios_are_of_one_round_each() -> None:
    kind = grouping._Kind("some", [], 1, target=30, cold=[], fresh=[], warm=[])
    for cold, ours in ((1.0, 40.0), (10.0, 350.0), (2.0, 20.0)):  # files/s
        kind.cold.append(grouping.Pace(10, 10 / cold, 5 / cold))
        kind.fresh.append(grouping.Pace(100, 200 / ours, 200 / ours))
        kind.warm.append(grouping.Pace(100, 100 / ours, 200 / ours))
    value = {figure.text: figure for figure in grouping._figures(kind)}
    warm = value["some: once more, times as fast as cold"]
    assert warm.value == pytest.approx(35) and warm.met
    fresh = value["some: just started, times as fast as cold"]
    assert fresh.value == pytest.approx(17.5) and fresh.target is None
    per_cpu = value["some: once more, times as many in a second of CPU"]
    assert per_cpu.value == pytest.approx(8.75)


def test_shares_of_an_import() -> None:
    runs = importing._Runs(
        seconds={"bare": [10.0, 8.0], "upload": [12.5, 10.0], "ln_s": [2.2, 2.0]},
        memory={"bare": [1], "upload": [100_000_000, 151_000_000], "ln_s": [1]},
        sha1sum=[2.0, 2.0],
    )
    found = {figure.text: figure for figure in importing._figures(2_000_000_000, runs)}
    assert found["upload, of what the bare loop reaches"].value == pytest.approx(80)
    assert not found["upload, peak memory"].met
    assert found["in place, times as long as sha1sum"].value == pytest.approx(1.05)


def test_a_run_in_a_process_of_its_own_says_what_it_is_at(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = (
        "import sys\n"
        "from benchmarks.progress import say\n"
        "say('half of it')\n"
        "print('no word of ours', file=sys.stderr)\n"
        "print('{\"seconds\": 2}')\n"
    )
    told = told_by("one_store", "met", limit=60, before=(sys.executable, "-c", code))
    assert told == {"seconds": 2}
    said = capfd.readouterr().err
    assert "half of it" in said and "no word of ours" not in said


@pytest.mark.parametrize(
    ("code", "limit", "why"),
    [
        ("import sys; sys.exit('no disk')", 60.0, "ended with 1: no disk"),
        ("import time; print(1, flush=True); time.sleep(600)", 1.0, "took more than 1 s"),
    ],
)
def test_a_run_that_fails_or_hangs_says_why(code: str, limit: float, why: str) -> None:
    with pytest.raises(BenchmarkError, match=why):
        told_by("one_store", "met", limit=limit, before=(sys.executable, "-c", code))


@pytest.mark.parametrize("state", ["failed", "skipped"])
def test_a_set_that_is_not_imported_any_more_is_not_waited_for(tmp_path: Path, state: str) -> None:
    file = tmp_path / "journal.sqlite"
    with sqlite3.connect(file) as journal:
        journal.execute("CREATE TABLE fileset (id, user, path, state, reason)")
        journal.execute("CREATE TABLE event (fileset, at, after)")
        values = (1, "amy", "/in/a.zarr/", state, "has no metadata")
        journal.execute("INSERT INTO fileset VALUES (?, ?, ?, ?, ?)", values)
    journal.close()
    grid = SimpleNamespace(journal=file, logs=lambda: "")
    with pytest.raises(BenchmarkError, match=f"is {state}: has no metadata"):
        large.until_imported(grid, "/in/a.zarr/")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", large.SETS)
def test_a_set_has_as_many_files_as_it_is_said_to_have(tmp_path: Path, kind: str) -> None:
    text, make = large.SETS[kind]
    _, there = make(tmp_path / "set.zarr", 100)
    found = sum(path.is_file() for path in tmp_path.rglob("*"))
    assert text and found == there >= 63
