"""The figures for Prometheus are those of the journal, whatever happens there."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import OPEN, TRANSITIONS, State
from omero_fs_plugin.dropbox.metrics import tally as tallies
from omero_fs_plugin.dropbox.metrics.families import Families, Now
from omero_fs_plugin.dropbox.metrics.tally import Step, Tally

USERS = ("amy", "zak")


class World:
    """A journal, written by its own rules but without DropBox."""

    def __init__(self, file: Path) -> None:
        self.url = f"sqlite:///{file}"
        Journal(self.url, who="a test").close()
        self.sql = sqlite3.connect(file, isolation_level=None)
        self.sql.execute("PRAGMA synchronous=OFF")
        self.sql.execute("PRAGMA foreign_keys=ON")
        self.now = 1000.0
        self._number = 0

    def new(self, state: State, user: str, size: int = 7) -> int:
        self._number += 1
        path = f"/w/{user}/{self._number}.tif"
        made = self.sql.execute(
            "INSERT INTO fileset (user, root, path, state, reason, origin, attempts, refusals, "
            "verified, images, created, changed) VALUES (?, ?, ?, ?, '', 'dropbox', 0, 0, 0, '', "
            "?, ?)",
            [user, f"/w/{user}", path, str(state), self.now, self.now],
        )
        identifier = int(made.lastrowid or 0)
        self.sql.execute(
            "INSERT INTO file (fileset, position, path, device, inode, size, mtime_ns, ctime_ns) "
            "VALUES (?, 0, ?, 1, ?, ?, 0, 0)",
            [identifier, path, identifier, size],
        )
        return identifier

    def move(self, identifier: int, state: State, reason: str = "") -> None:
        self.sql.execute(
            "UPDATE fileset SET state = ?, reason = ?, changed = ? WHERE id = ?",
            [str(state), reason, self.now, identifier],
        )

    def has_only_waited(self, identifier: int) -> bool:
        """Only then the journal removes a row whose file has come into a set."""
        events = "SELECT 1 FROM event WHERE fileset = ? AND after <> 'waiting'"
        return self.sql.execute(events, [identifier]).fetchone() is None

    def forget(self, identifier: int) -> None:
        for table, key in (("file", "fileset"), ("event", "fileset"), ("fileset", "id")):
            self.sql.execute(f"DELETE FROM {table} WHERE {key} = ?", [identifier])

    def counts(self) -> Counter[tuple[str, str]]:
        rows = self.sql.execute("SELECT state, user, count(*) FROM fileset GROUP BY state, user")
        return Counter({(state, user): number for state, user, number in rows})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "journal.sqlite")
    yield made
    made.sql.close()


def looked(tally: Tally, world: World) -> list[Step]:
    with glance(world.url) as look:
        assert look is not None
        return tally.look(look)


def figures(text: bytes) -> dict[tuple[str, ...], float]:
    """Name and labels' values -> value.  It raises ValueError for what is no such text."""
    return {
        (sample.name, *(v for v in dict(sorted(sample.labels.items())).values() if v)): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def collected(
    families: Families, world: World, now: Now, at: float = 0.0
) -> dict[tuple[str, ...], float]:
    with glance(world.url) as look:
        return figures(families.collect(look, now, at))


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_the_counts_are_those_of_the_journal(world: World, seed: int) -> None:
    chance = random.Random(seed)
    there = [world.new(chance.choice(list(State)), chance.choice(USERS)) for _ in range(20)]
    tally = Tally()
    looked(tally, world)
    for _ in range(60):
        for _ in range(chance.randrange(6)):
            world.now += chance.random()
            row = chance.choice(there)
            (state,) = world.sql.execute("SELECT state FROM fileset WHERE id = ?", [row]).fetchone()
            to = TRANSITIONS[State(state)]
            if chance.random() < 0.2:
                there.append(world.new(chance.choice(list(State)), chance.choice(USERS)))
            elif world.has_only_waited(row) and chance.random() < 0.2:
                world.forget(row)
                there.remove(row)
            elif to:
                world.move(row, chance.choice(to), chance.choice(("", "why")))
        looked(tally, world)
        told = {(str(s), user): n for s in State for user, n in tally.number(s).items()}
        assert told == dict(world.counts())


def test_a_row_that_ended_and_is_joined_to_another_is_counted_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, _ = world.new(State.SKIPPED, "amy"), world.new(State.SKIPPED, "amy")
    tally = Tally()
    looked(tally, world)
    world.forget(gone)
    looked(tally, world)
    assert tally.number(State.SKIPPED) == {"amy": 2}  # for some minutes
    monkeypatch.setattr(tallies, "ANEW_S", 0.0)
    looked(tally, world)
    assert tally.number(State.SKIPPED) == {"amy": 1}


def test_the_stages_of_a_fileset(world: World) -> None:
    families = Families(users=lambda: False)
    collected(families, world, Now())
    row = world.new(State.WAITING, "amy", size=1000)
    for seconds, state in (
        (60, State.QUEUED),
        (2, State.IMPORTING),
        (5, State.QUEUED),  # given back
        (3, State.IMPORTING),
        (9, State.IMPORTED),
    ):
        world.now += seconds
        world.move(row, state)
    told = collected(families, world, Now())
    seconds = {stage: told["omero_fs_stage_seconds_sum", stage] for stage in STAGES}
    assert seconds == {"settling": 60, "queued": 5, "importing": 14}
    assert told["omero_fs_stage_seconds_count", "importing"] == 2
    assert told["omero_fs_stage_seconds_bucket", "5.0", "importing"] == 1
    assert told["omero_fs_retries_total",] == 1
    assert told["omero_fs_imported_bytes_total",] == 1000
    assert told["omero_fs_filesets_ended_total", "imported"] == 1
    assert told["omero_fs_last_import_timestamp_seconds",] == world.now
    again = collected(families, world, Now())
    assert again["omero_fs_imported_bytes_total",] == 1000, "each step counts once"


STAGES = ("settling", "queued", "importing")


def test_a_stage_that_began_before_the_start_is_known(world: World) -> None:
    row = world.new(State.WAITING, "amy")
    families = Families(users=lambda: False)
    collected(families, world, Now())
    world.now += 600
    world.move(row, State.QUEUED)
    told = collected(families, world, Now())
    assert told["omero_fs_stage_seconds_sum", "settling"] == 600


def test_what_is_open_with_its_age(world: World) -> None:
    world.now = time.time() - 100
    held = world.new(State.QUEUED, "amy")
    world.move(held, State.WAITING, "waits for a.idx")
    world.now += 60
    world.new(State.WAITING, "zak")
    told = collected(Families(users=lambda: False), world, Now())
    assert told["omero_fs_filesets", "waiting"] == 2
    assert told["omero_fs_filesets_held",] == 1
    assert told["omero_fs_oldest_seconds", "waiting"] == pytest.approx(100, abs=5)
    assert told["omero_fs_oldest_seconds", "queued"] == 0


def test_no_name_of_a_user_leaves_unless_it_is_asked_for(world: World) -> None:
    for user in USERS:
        world.new(State.FAILED, user)
    asked = [False]
    families = Families(users=lambda: asked[0])
    with glance(world.url) as look:
        assert b"amy" not in families.collect(look, Now(), 0.0)
    asked[0] = True
    told = collected(families, world, Now())
    assert told["omero_fs_filesets", "failed", "amy"] == 1
    asked[0] = False
    told = collected(families, world, Now())
    assert told["omero_fs_filesets", "failed"] == 2
    assert ("omero_fs_filesets", "failed", "amy") not in told


@pytest.mark.parametrize(
    "user",
    [
        'a"} 7\nomero_fs_lease_held 5\n#',
        "back\\slash",
        "back\\",
        "new\nline",
        "return\rhere",
        "\u2028separator\x85",
        "J\u00fcrgen \u5c71\u7530",
        '{}=,""',
        "x" * 5000,
    ],
    ids=[
        "injection",
        "backslash",
        "last backslash",
        "newline",
        "return",
        "lines",
        "names",
        "marks",
        "long",
    ],
)
def test_a_hostile_name_of_a_user_is_one_label_of_one_line(world: World, user: str) -> None:
    world.new(State.FAILED, user)
    families = Families(users=lambda: True)
    with glance(world.url) as look:
        text = families.collect(look, Now(), 0.0).decode()
    samples = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "omero_fs_filesets" and sample.labels.get("user")
    ]
    (failed,) = [sample for sample in samples if sample.labels["state"] == "failed"]
    assert (failed.labels["user"], failed.value) == (user, 1)
    assert "\nomero_fs_lease_held 5" not in text


def test_the_running_parts(world: World) -> None:
    families = Families(users=lambda: False)
    away = Now(
        troubles={"OMERO": "refused", "share /mnt": "hangs"}, roots=3, unreachable=1, rescans=2
    )
    collected(families, world, Now(rescans=2, java={"grouping": 1}), at=10.0)
    collected(families, world, away, at=15.0)
    told = collected(families, world, Now(rescans=5, rescanned=77.0, java={"grouping": 4}), at=20.0)
    assert told["omero_fs_trouble_seconds_total", "omero"] == 5
    assert told["omero_fs_trouble_seconds_total", "share"] == 5
    assert told["omero_fs_trouble", "omero"] == 0
    assert told["omero_fs_rescans_total",] == 5
    assert told["omero_fs_last_rescan_timestamp_seconds",] == 77
    assert told["omero_fs_java_starts_total", "grouping"] == 4


def test_a_trouble_that_nobody_foresaw_is_other() -> None:
    told = figures(Families(users=lambda: False).collect(None, Now({"meteors": "many"}), 0.0))
    assert told["omero_fs_trouble", "other"] == 1


def test_without_a_journal_the_rest_is_told() -> None:
    families = Families(users=lambda: False)
    told = figures(families.collect(None, Now(troubles={"journal": "away"}), 0.0))
    assert told["omero_fs_trouble", "journal"] == 1
    assert ("omero_fs_filesets", "waiting") not in told


def many(world: World, number: int) -> None:
    """So many imported filesets, with their events."""
    world.sql.execute("BEGIN")
    world.sql.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO fileset (user, root, path, state, reason, origin, attempts, refusals, "
        "verified, images, created, changed) SELECT 'u' || (i % 50), '/w', '/w/' || i, 'imported', "
        "'', 'dropbox', 1, 0, 0, i, i, i FROM n",
        [number],
    )
    world.sql.execute("COMMIT")


@pytest.mark.parametrize(
    "number", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)], ids=str
)
def test_a_large_journal_costs_no_more(world: World, number: int) -> None:
    """The first look counts; each of the others is as quick as on a small journal."""
    many(world, number)
    families = Families(users=lambda: False)
    collected(families, world, Now())
    took = []
    for _ in range(5):
        world.move(world.new(State.WAITING, "amy"), State.QUEUED)
        with glance(world.url) as look:
            begun = time.thread_time()  # without what others take of the processor
            text = families.collect(look, Now(), 0.0)
            took.append(time.thread_time() - begun)
    assert figures(text)["omero_fs_filesets", "imported"] == number
    assert min(took) < 0.05


def test_states_that_have_not_ended_are_those_that_are_counted_each_time() -> None:
    assert set(OPEN) == {State.WAITING, State.QUEUED, State.IMPORTING}
