"""What is imported twice is found also if DropBox's journal has it once."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import omero.model
import pytest
from omero.rtypes import rstring

from benchmarks.dropbox import history, loop, stored
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import Outcome, faults
from benchmarks.dropbox.stored import Stored
from omero_fs_plugin.dropbox.importing.importers.checksums import CHECKSUM
from tests.integration.whole import Whole


class AsGrid:
    """What the benchmarks ask of a Grid for this."""

    def __init__(self, whole: Whole, dropped: list[Path]) -> None:
        self.dropped = dropped
        self.data = whole.blitz.data
        self.journal = whole.blitz.data / "omero-fs-journal.sqlite"


def test_a_file_imported_behind_the_journal_s_back_is_a_fault(whole: Whole) -> None:
    paths = [whole.drop(f"{n}.tif", user) for n, user in enumerate(("amy", "amy", "zak"))]
    whole.until_known(*paths)
    grid = cast(Grid, AsGrid(whole, paths))
    assert stored.once(grid) == []
    assert stored.so_far(grid) == []
    _import_again(whole, paths[0])
    assert history.counts(grid.journal) == {"imported": 3}
    twice = f"1 more than once in OMERO: {paths[0]}"
    assert stored.once(grid) == [twice]
    assert stored.so_far(grid) == [twice]
    outcome = Outcome("three files")
    faults(outcome, stored.once(grid))
    assert outcome.faults == [f"three files: {twice}"]


def test_a_file_of_which_the_journal_knows_nothing_is_a_fault(whole: Whole) -> None:
    path = whole.drop("a.tif")
    whole.until_known(path)
    other = path.with_name("never.tif")
    grid = cast(Grid, AsGrid(whole, [path, other]))
    assert stored.once(grid) == [
        "of 2 files: {'imported': 1}",
        f"1 missing in OMERO: {other}",
    ]
    assert stored.so_far(grid) == [
        "1 filesets of 2 files",
        f"1 are not in the journal: {other}",
    ]


def _import_again(whole: Whole, path: Path) -> None:
    session = whole._omero.session_for(whole._omero.user("amy"))
    try:
        repository = session.managed_repository()
        wanted = omero.model.ChecksumAlgorithmI()
        wanted.value = rstring(CHECKSUM)
        loop.import_one(repository, repository.suggestChecksumAlgorithm([wanted]), path)
    finally:
        session.close()


A, B = Path("/in/amy/a.tif"), Path("/in/amy/b.zarr")
WHOLE = [Stored(str(A), 1), Stored(f"{B}/0/.zarray", 2)]


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (WHOLE, []),
        ([*WHOLE, Stored(str(A), 0)], []),
        (WHOLE[1:], [f"1 missing in OMERO: {A}"]),
        ([*WHOLE[1:], Stored(str(A), 0)], [f"1 missing in OMERO: {A}"]),
        ([*WHOLE, Stored(f"{B}/.zgroup", 1)], [f"1 more than once in OMERO: {B}"]),
        ([*WHOLE, Stored("/in/c", 1)], ["1 in OMERO, and nobody dropped them: /in/c"]),
    ],
    ids=["once", "a half beside", "missing", "a half", "twice", "strange"],
)
def test_each_fault_has_its_words(found: list[Stored], wrong: list[str]) -> None:
    assert stored.compared(found, [A, B]) == wrong


def test_what_is_under_way_may_be_missing_and_not_twice() -> None:
    assert stored.compared([], [], [A]) == []
    assert stored.compared(WHOLE[:1], [], [A]) == []
    assert stored.compared(WHOLE[:1] * 2, [], [A]) == [f"1 more than once in OMERO: {A}"]
