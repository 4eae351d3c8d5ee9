"""Stores in the pipeline: one thing, which the disk is not asked about for each of its chunks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.outside import Outside
from omero_fs_plugin.dropbox.settling.pipeline import Pipeline
from omero_fs_plugin.dropbox.settling.settle import Settler
from omero_fs_plugin.events import FileStat
from tests.rules import places_of

STORE = "/dropbox/amy/a.zarr/"
STAT = FileStat(1, 2, 3, 4, 5)
QUIET = 10.0


class World:
    """A pipeline over paths whose stats a test sets."""

    def __init__(self, journal: Journal) -> None:
        self.stats: dict[str, FileStat] = {}
        self.asked: list[str] = []
        self.stores: dict[str, str] = {}  # metadata at a top -> its store
        self.pipeline = Pipeline(
            journal,
            places_of("/dropbox", dirImportWait=str(QUIET)),
            Settler(QUIET),
            Outside(
                self.stat, {"amy"}.__contains__, store_around=lambda path: self.stores.get(path, "")
            ),
        )

    def stat(self, path: str) -> FileStat | None:
        self.asked.append(path)
        return self.stats.get(path)

    def queues(self, now: float) -> int:
        """Takes a step, and groups the store that has come to rest; how many are queued."""
        self.pipeline.step(now)
        lot = self.pipeline.next_lot(now)
        if lot is None:
            return 0
        return self.pipeline.grouped(lot, Grouping((Candidate((STORE,)),)), now, 0.0)


@pytest.fixture
def world(journal: Journal) -> World:
    return World(journal)


def paths(journal: Journal) -> dict[str, str]:
    return {row.path: str(row.state) for row in journal.select()}


def test_many_chunks_are_one_question_and_one_row(world: World, journal: Journal) -> None:
    world.stats[STORE] = STAT
    for batch in range(100):
        chunks = [f"{STORE}0/{batch}.{n}" for n in range(100)]
        world.pipeline.heard(chunks, float(batch))
    assert world.asked == [STORE]
    assert paths(journal) == {STORE: "waiting"}


def test_each_chunk_begins_its_quiet_period_anew(world: World, journal: Journal) -> None:
    world.stats[STORE] = STAT
    for now in (0.0, 9.0, 18.0):
        world.pipeline.heard([f"{STORE}0/0.0"], now)
        assert world.pipeline.step(now + 0.5) == 0
    assert world.pipeline.step(27.9) == 0
    assert world.pipeline.step(28.0) == 1


def test_a_tree_that_has_changed_unheard_rests_anew(world: World) -> None:
    world.stats[STORE] = STAT
    world.pipeline.heard([f"{STORE}.zattrs"], 0.0)
    world.stats[STORE] = replace(STAT, mtime_ns=99)
    assert world.pipeline.step(10.0) == 0
    assert world.pipeline.step(19.9) == 0
    assert world.pipeline.step(20.0) == 1


def test_what_was_met_before_its_metadata_is_a_part_of_it(world: World, journal: Journal) -> None:
    store, others = "/dropbox/amy/plain/", ["/dropbox/amy/plain.tif", "/dropbox/amy/PLAIN/0/0"]
    chunks = [f"{store}0/{n}" for n in range(3)]
    for inode, path in enumerate((*chunks, *others), 10):
        world.stats[path] = replace(STAT, inode=inode)
    world.pipeline.heard([*chunks, *others], 0.0)
    assert set(paths(journal)) == {*chunks, *others}
    world.stats[store] = STAT
    world.stores[f"{store}zarr.json"] = store
    world.pipeline.heard([f"{store}zarr.json"], 1.0)
    assert paths(journal) == {store: "waiting", **dict.fromkeys(others, "waiting")}
    assert world.pipeline.pending() == 3
    world.pipeline.heard([f"{store}0/3"], 2.0)
    assert f"{store}0/3" not in paths(journal)


def test_what_failed_before_its_metadata_came_is_skipped(world: World, journal: Journal) -> None:
    store, chunk = "/dropbox/amy/plain/", "/dropbox/amy/plain/0/0"
    journal.wait("amy", "/dropbox/amy", [Found(chunk, STAT)])
    (row,) = journal.select()
    journal.end_waiting({row.id: "no reader takes it"}, State.FAILED)
    assert journal.absorb("zak", store) == 0
    assert journal.absorb("amy", store) == 1
    (row,) = journal.select()
    assert (row.state, row.reason) == (State.SKIPPED, f"it is a part of {store}")


def test_what_a_set_has_outside_of_it_waits_by_itself(journal: Journal) -> None:
    """A set had a file below the directory, before that was known to be a store."""
    inside = Found("/dropbox/amy/plain/0.tif", STAT)
    beside = Found("/dropbox/amy/plain.tif", replace(STAT, inode=STAT.inode + 1))
    journal.wait("amy", "/dropbox/amy", [inside, beside])
    journal.form(Formed("amy", "/dropbox/amy", [inside, beside]))
    assert journal.absorb("amy", "/dropbox/amy/plain/") == 1
    assert paths(journal) == {inside.path: "skipped", beside.path: "waiting"}
    assert journal.known([beside]) == {beside.path: State.WAITING}


def test_after_a_restart_it_is_known_by_the_journal(world: World, journal: Journal) -> None:
    store = "/dropbox/amy/plain/"
    journal.wait("amy", "/dropbox/amy", [Found(store, STAT)])
    world.stats[store] = STAT
    world.pipeline.heard([f"{store}0/0"], 0.0)
    assert set(paths(journal)) == {store}


def test_a_rescan_that_meets_its_files_says_that_it_is_none(world: World, journal: Journal) -> None:
    store = "/dropbox/amy/plain/"
    journal.wait("amy", "/dropbox/amy", [Found(store, STAT)])
    world.pipeline.scanned([Found(f"{store}a.tif", replace(STAT, inode=6))], 0.0)
    world.stats[f"{store}b.tif"] = replace(STAT, inode=7)
    world.pipeline.heard([f"{store}b.tif"], 1.0)
    assert {f"{store}a.tif", f"{store}b.tif"} <= set(paths(journal))


def test_one_that_changes_often_rests_longer_and_says_so(world: World, journal: Journal) -> None:
    """Its second revision within a day waits for two quiet periods, its third for four."""
    now, told = 0.0, []
    for revision in range(4):
        world.stats[STORE] = replace(STAT, mtime_ns=revision)
        world.pipeline.heard([STORE], now)
        rested = 0.0
        while not (queued := world.queues(now := now + QUIET)):
            told.append(max(journal.select(), key=lambda row: row.id).reason)
            rested += QUIET
            assert rested < 10 * QUIET
        assert queued == 1 and rested == [0.0, 0.0, QUIET, 3 * QUIET][revision]
        row = journal.take("amy")
        assert row is not None
        journal.imported(row.id, revision, (revision,), ["0" * 40])
    assert told == [
        f"changes often: waits until it has been quiet for {seconds} s"
        for seconds in (20, 40, 40, 40)
    ]
