"""What identifies a file, in numbers that a database can hold."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from omero_fs_plugin.events import FileStat, in_64_bits, regular_stat, size_in_64_bits

LARGEST = 2**63 - 1
SECOND = 10**9


@pytest.mark.parametrize("ns", [0, -1, 5, LARGEST, -LARGEST])
def test_a_time_of_our_days_is_as_it_is(ns: int) -> None:
    assert in_64_bits(ns) == ns


def test_any_other_fits_and_two_that_differ_go_on_differing() -> None:
    times = [LARGEST + 1, LARGEST + 2, 13_569_465_600 * SECOND, 15_032_385_535 * SECOND]
    kept = [in_64_bits(ns) for ns in times]
    assert all(-(2**63) <= ns <= LARGEST for ns in kept)
    assert len(set(kept)) == len(times)
    assert size_in_64_bits(2 * LARGEST) == LARGEST and size_in_64_bits(5) == 5


@pytest.mark.parametrize("year", ["2300-01-01", "2446-01-01"])
def test_a_file_from_the_far_future(tmp_path: Path, year: str) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(b"x")
    subprocess.run(["touch", "-d", year, path], check=True)
    if path.stat().st_mtime_ns <= LARGEST:
        pytest.skip("this file system has no such times")
    stat = regular_stat(str(path))
    assert stat is not None and -(2**63) <= stat.mtime_ns <= LARGEST
    assert stat == FileStat.of(os.lstat(path))
