"""The files of a store in little memory: what goes in comes out, in the order of the fileset."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.dropbox.importing.unfolding import StoreFiles
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import MARKERS, in_order

STORE = "/in/amy/a.zarr/"
SIGNED = st.integers(-(2**63), 2**63 - 1)
UNSIGNED = st.integers(0, 2**64 - 1)
BYTES = st.binary(min_size=1, max_size=9).map(lambda b: b.replace(b"\0", b"0"))
NAMES = BYTES.map(lambda b: b.decode(errors="surrogateescape")) | st.sampled_from(MARKERS)
STATS = st.builds(FileStat, UNSIGNED, UNSIGNED, st.integers(0, 2**63 - 1), SIGNED, SIGNED)


@given(st.dictionaries(NAMES, STATS, max_size=9))
def test_what_goes_in_comes_out(files: dict[str, FileStat]) -> None:
    whole = StoreFiles(STORE, files.items())
    names = in_order(files)
    assert list(whole.names) == names
    assert len(whole) == len(files)
    expected = [Found(STORE + name, files[name]) for name in names]
    assert list(whole) == expected
    assert [one.stat.ctime_ns for one in whole] == [one.stat.ctime_ns for one in expected]
    assert list(whole[1:]) == expected[1:]
    if expected:
        assert whole[-1] == expected[-1]


@pytest.mark.parametrize("position", [2, -3])
def test_beyond_its_end(position: int) -> None:
    stat = FileStat(1, 2, 3, 4, 5)
    whole = StoreFiles(STORE, [("a", stat), ("b", stat)])
    with pytest.raises(IndexError):
        whole[position]


def test_at_most_1_kib_for_each_ten_chunks() -> None:
    number = 20_000

    def found() -> Iterator[tuple[str, FileStat]]:
        for one in range(number):
            stat = FileStat(2049, 10**9 + one, 4096, 10**18 + one, 10**18 + one)
            yield f"0/{one // 250}/{one % 250}/0/0", stat

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        whole = StoreFiles(STORE, found())
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(whole) == number
    assert after - before <= 1024 * number / 10
