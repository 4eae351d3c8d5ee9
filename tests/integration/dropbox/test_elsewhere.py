"""Importers as processes of their own, beside DropBox, on one journal in PostgreSQL."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.importing import activity, leftovers, tidying
from omero_fs_plugin.dropbox.journal.engines import LIMITS
from omero_fs_plugin.dropbox.journal.lease import Holder
from omero_fs_plugin.dropbox.journal.records import Node
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service.elsewhere import DropBoxImporter
from omero_fs_plugin.errors import ConfigurationError
from tests.integration.blitz import communicator
from tests.integration.whole import Whole

from .journal.postgres import Postgres
from .journal.test_journal import postgres
from .node import EXPIRES_S, Elsewhere
from .test_shared_server import HOUR, in_hours

__all__ = ["postgres"]  # a fixture

_numbers = itertools.count()
_START_S = 120.0
Started = Callable[..., Elsewhere]


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.url(f"elsewhere{next(_numbers)}")


@pytest.fixture
def shared(make_whole: Callable[..., Whole], url: str, monkeypatch: pytest.MonkeyPatch) -> Whole:
    # As in the other processes, see `node`.  What a killed one has left half is DropBox's to take
    # away if DropBox has imported the file then: it would wait for minutes, and look twice in one.
    for name in ("START_S", "FILE_S", "LATE_S", "WATCH_S"):
        monkeypatch.setattr(activity, name, 3.0)
    monkeypatch.setattr(leftovers, "LATE_S", 3.0)
    monkeypatch.setattr(tidying, "SWEEP_S", 0.5)
    return make_whole(journal=url, importers="1")


@pytest.fixture
def start(shared: Whole, url: str, tmp_path: Path) -> Iterator[Started]:
    made: list[Elsewhere] = []

    def another(importers: int = 2) -> Elsewhere:
        log = tmp_path / f"node{len(made) + 1}.log"
        made.append(Elsewhere(shared, url, log, importers=importers))
        return made[-1]

    yield another
    for one in made:
        one.close()


def plain(url: str) -> str:
    """For SQLAlchemy, with the driver that the journal has."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def imported_by(whole: Whole) -> Counter[str]:
    """Who imported how many."""
    rows = whole.journal.select(State.IMPORTED)
    events = [event for row in rows for event in whole.journal.events(row.id)]
    return Counter(who for _, _, after, _, who in events if after == State.IMPORTED)


def rows_of(whole: Whole, node: Elsewhere) -> list[Node]:
    """What the journal has of this process."""
    pid = node.process.pid
    return [one for one in whole.journal.nodes() if Holder.parse(one.holder).pid == pid]


def until_nodes(whole: Whole, number: int) -> None:
    # On a busy machine some processes take long to load all of omero-py.
    whole.until(f"{number} nodes", lambda: len(whole.journal.nodes()) == number, patience=_START_S)


def test_dropbox_leaves_all_imports_to_nodes_if_it_has_none_itself(
    make_whole: Callable[..., Whole], url: str, tmp_path: Path
) -> None:
    whole = make_whole(journal=url, importers="0", nodeImporters="2")
    whole.until_state("waiting for importers")
    node = Elsewhere(whole, url, tmp_path / "node.log", importers=2)
    try:
        until_nodes(whole, 1)
        paths = [whole.drop(f"{number}.tif") for number in range(5)]
        whole.until_known(*paths)
        whole.assert_once(*paths)
        by = imported_by(whole)
        assert all("DropBoxImporter" in who for who in by) and by.total() == len(paths)
        whole.until_state("running")
    finally:
        node.close()


def test_a_node_finds_the_files_where_the_path_map_says(
    make_whole: Callable[..., Whole], url: str, tmp_path: Path
) -> None:
    """Of two files that DropBox has, one is there, and not the other."""
    there = tmp_path / "mnt" / "amy"
    there.mkdir(parents=True)
    whole = make_whole(journal=url, importers="0", nodeImporters="2")
    one, other = whole.drop("one.tif"), whole.drop("other.tif")
    os.link(one, there / one.name)
    whole.properties["omero.fs.pathMap"] = f"{one.parent.parent}={there.parent}"
    node = Elsewhere(whole, url, tmp_path / "node.log", importers=2)
    try:
        whole.until_known(one)
        whole.assert_once(one)  # under the path that DropBox has
        whole.until("the other is left", lambda: "left to other" in whole.row(other).reason)
        assert whole.row(other).state is State.QUEUED
    finally:
        node.close()


@pytest.mark.parametrize("ahead", [300.0, -300.0])
def test_the_times_of_a_node_whose_clock_is_off_are_those_of_dropbox(
    make_whole: Callable[..., Whole], url: str, tmp_path: Path, ahead: float
) -> None:
    """They are compared with those of other machines, as in: is this upload ours."""
    whole = make_whole(journal=url, importers="0", nodeImporters="1")
    node = Elsewhere(whole, url, tmp_path / "node.log", importers=1, ahead=ahead)
    try:
        until_nodes(whole, 1)
        began = whole.journal.now()
        path = whole.drop("a.tif")
        whole.until_known(path)
        whole.assert_once(path)
        ended = whole.journal.now()
        written = [at for at, *_ in whole.journal.events(whole.row(path).id)]
        assert all(began - 2 <= at <= ended + 2 for at in written), (began, written, ended)
        assert began - 2 <= whole.row(path).changed <= ended + 2
    finally:
        node.close()


@pytest.mark.parametrize(
    ("ahead", "zone"),
    [(3.0, ""), (0.0, "XXX-3"), (0.0, "XXX+3")],
    ids=["its clock is ahead", "its zone lies east", "its zone lies west"],
)
def test_a_window_opens_by_the_clock_and_the_zone_of_dropbox(
    make_whole: Callable[..., Whole], url: str, tmp_path: Path, ahead: float, zone: str
) -> None:
    """A container often has no time zone.  `ahead`: hours."""
    there = -3.0 if zone == "XXX+3" else 3.0  # on the wall of the node's machine
    closed = f"{in_hours(there - 0.5)}-{in_hours(there + 0.5)}"
    whole = make_whole(
        journal=url,
        importers="0",
        nodeImporters="1",
        importUsers="amy;zak",
        window=f"{closed};{in_hours(-1)}-{in_hours(1)}",
    )
    node = Elsewhere(whole, url, tmp_path / "node.log", importers=1, ahead=ahead * HOUR, zone=zone)
    try:
        until_nodes(whole, 1)
        waits = whole.drop("a.tif", "amy")
        whole.until_known(waits, states=(State.QUEUED,))
        path = whole.drop("b.tif", "zak")
        whole.until_known(path)
        assert whole.row(waits).state is State.QUEUED
    finally:
        node.close()


def test_a_node_imports_what_dropbox_queues_and_leaves_when_stopped(
    shared: Whole, start: Started, tmp_path: Path
) -> None:
    node = start()
    until_nodes(shared, 1)
    paths: list[Path] = []

    def a_node_has_imported() -> bool:
        """Some of these, and DropBox the others: it may be so fast that none is left of a few."""
        number = len(paths)
        more = [
            shared.drop(f"{number}-{one}.tif", user) for one in range(10) for user in ("amy", "zak")
        ]
        paths.extend(more)
        shared.until_known(*more)
        return any("DropBoxImporter" in who for who in imported_by(shared))

    shared.until("a node has imported", a_node_has_imported)
    shared.assert_once(*paths)
    assert node.stop() == 0, (tmp_path / "node1.log").read_text()
    assert shared.journal.nodes() == [] and shared.journal.claims() == {}


@pytest.mark.parametrize(
    "how",
    [
        "killed",
        pytest.param("stopped", marks=pytest.mark.long),
        pytest.param("cut", marks=pytest.mark.long),
    ],
)
def test_what_a_node_was_at_is_imported_by_others(shared: Whole, start: Started, how: str) -> None:
    pace = shared.blitz.sandbox.pace
    pace.prices = replace(pace.prices, imported=2.0)
    first, _ = start(), start()
    until_nodes(shared, 2)
    paths = [shared.drop(f"{number}.tif") for number in range(8)]
    shared.until(
        "the first node imports", lambda: any(one.claims for one in rows_of(shared, first))
    )
    if how == "killed":
        first.kill()
    elif how == "stopped":
        first.stand_still()
    else:
        first.line.cut()
    began = time.monotonic()
    shared.until("it is given up", lambda: not rows_of(shared, first), patience=60.0)
    # At once if it is known to be dead.  Else within the lease; a transaction in which it was cut
    # off holds everybody up for so long, and nobody is blamed for that time.
    held_up = LIMITS["idle_in_transaction_session_timeout"]
    assert time.monotonic() - began < 2 * EXPIRES_S + held_up + 5.0
    if how == "stopped":
        first.go_on()
    elif how == "cut":
        first.line.heal()
    shared.until_known(*paths)
    shared.until_once(*paths)  # OMERO may carry out a call of the first one late
    if how != "killed":
        # It was told that it had lost its claims.
        assert first.process.wait(60) == 0


@pytest.mark.long
def test_a_user_with_very_many_files_holds_nobody_up(shared: Whole, start: Started) -> None:
    many = [shared.drop(f"{number}.tif", "amy") for number in range(60)]
    shared.until_known(*many[:1])
    start()
    start()
    until_nodes(shared, 2)
    few = [shared.drop(f"{number}.tif", "zak") for number in range(5)]
    shared.until_known(*many, *few)
    rows = sorted(shared.journal.select(State.IMPORTED), key=lambda row: row.changed)
    users = [row.user for row in rows]
    last = max(place for place, user in enumerate(users) if user == "zak")
    first = min(place for place, row in enumerate(rows) if row.user == "zak")
    # In turns: of the files imported meanwhile not many more are of the one who has so many.
    assert last - first <= 3 * len(few) + 6, users


def test_sqlite_is_refused_in_one_line(tmp_path: Path) -> None:
    properties = {"omero.data.dir": str(tmp_path)}
    assert read(properties).journal_url.startswith("sqlite:")
    ice = communicator(properties)
    with pytest.raises(ConfigurationError) as refused:
        DropBoxImporter(ice, properties)
    ice.destroy()
    assert "need a journal in PostgreSQL" in str(refused.value)
    assert "\n" not in str(refused.value)


def strike(victim: Elsewhere, how: str) -> None:
    if how == "kill":
        victim.kill()
    elif how == "stop":
        victim.stand_still()
        time.sleep(EXPIRES_S + 1)
        victim.go_on()
    else:
        victim.line.cut()
        time.sleep(EXPIRES_S + 1)
        victim.line.heal()


def some(shared: Whole, blow: int) -> list[Path]:
    names = [(f"{blow}-{number}.tif", user) for number in range(3) for user in ("amy", "zak")]
    return [shared.drop(*name) for name in names]


def test_one_is_killed_one_stands_still_and_one_is_cut_off(shared: Whole, start: Started) -> None:
    """Missing 0, twice 0.  `make torture` does this for minutes."""
    nodes = [start() for _ in range(3)]
    until_nodes(shared, 3)
    paths = []
    for blow, how in enumerate(("kill", "stop", "cut")):
        paths += some(shared, blow)
        time.sleep(0.7)
        strike(nodes[blow], how)
    start()
    shared.until_known(*paths)
    shared.until_settled()
    shared.until_once(*paths)


@pytest.mark.long
def test_blows_at_random_for_long(shared: Whole, start: Started) -> None:
    """Three nodes: each time one is killed, stopped or cut off, and another is started."""
    chance = random.Random(15)
    end = time.monotonic() + float(os.environ.get("OMERO_FS_NODES_S", "40"))
    nodes = [start() for _ in range(3)]
    until_nodes(shared, 3)
    paths = []
    for blow in itertools.count():
        paths += some(shared, blow)
        time.sleep(chance.uniform(0.3, 1.5))
        place = chance.randrange(len(nodes))
        strike(nodes[place], chance.choice(["kill", "stop", "cut"]))
        nodes[place] = start()
        if time.monotonic() > end:
            break
    shared.until_known(*paths)
    shared.until_settled()
    shared.assert_once(*paths)


def test_the_database_is_restarted_while_two_users_files_are_imported(
    shared: Whole, start: Started, postgres: Postgres
) -> None:
    pace = shared.blitz.sandbox.pace
    pace.prices = replace(pace.prices, imported=1.0)
    node = start()
    until_nodes(shared, 1)
    paths = some(shared, 0)
    shared.until("it imports", lambda: any(one.claims for one in rows_of(shared, node)))
    postgres.stop()
    during = some(shared, 1)
    postgres.start()
    shared.until_known(*paths, *during)
    shared.until_settled()
    shared.until_once(*paths, *during)
    assert not shared._dropbox_ice.isShutdown()
    assert node.process.poll() is None


def test_the_database_has_no_connection_left_for_a_while(
    shared: Whole, start: Started, url: str
) -> None:
    """Who has one goes on, and who has none waits."""
    shared.until_state("running")
    taken = []
    with contextlib.suppress(OperationalError):
        for _ in range(1_000):
            taken.append(create_engine(plain(url)).connect())
    assert 10 < len(taken) < 1_000
    try:
        node = start()
        paths = some(shared, 0)
        shared.until(
            "the node waits",
            lambda: "waiting for the journal" in node.log.read_text(),
            patience=_START_S,
        )
        assert node.process.poll() is None
    finally:
        for one in taken:
            one.close()
            one.engine.dispose()
    until_nodes(shared, 1)
    shared.until_known(*paths)
    shared.until_settled()
    shared.until_once(*paths)
