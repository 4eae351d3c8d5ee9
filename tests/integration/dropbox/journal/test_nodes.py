"""Importers of several machines on one journal: a claim is one's own, until it is given back.

Each node is a journal of its own on the same database, as in a process of its own.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from omero_fs_plugin.dropbox.journal import engines
from omero_fs_plugin.dropbox.journal.copying import copy
from omero_fs_plugin.dropbox.journal.database import JournalAway, LeaseLost
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import EXPIRES, Holder, Lease
from omero_fs_plugin.dropbox.journal.records import Fileset, Start
from omero_fs_plugin.dropbox.journal.rounds import NODE_EXPIRES, RENEW_NODE, Rounds
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import JournalError

from .former import drop_indexes
from .postgres import Postgres
from .test_fence import SHA1, WRITES
from .test_journal import found, journal, postgres, url, waiting

__all__ = ["journal", "postgres", "url"]  # fixtures


class Node:
    """Importers on a machine called `name`; the time is set by hand."""

    def __init__(self, url: str, name: str) -> None:
        self.now = 0.0
        self.lost = ""
        self.adopted: list[int] = []
        self.me = replace(Holder.me(), host=name, boot="another", token=name)
        self.journal = Journal(url, who=name)
        self.rounds = Rounds(
            self.journal,
            self.me,
            told=lambda: "{}",
            joined=self.journal.work_as,
            lost=self._lost,
            adopted=self.adopted.extend,
            clock=lambda: self.now,
        )

    def _lost(self, why: str) -> None:
        self.lost = why


@pytest.fixture
def nodes(url: str) -> Iterator[tuple[Node, Node, Node]]:
    made = Node(url, "one"), Node(url, "two"), Node(url, "three")
    for node in made:
        assert node.rounds.once()
    yield made
    for node in made:
        node.journal.close()


def queued(journal: Journal, name: str, inode: int, user: str = "amy") -> Fileset:
    met = found(name, inode)
    journal.wait(user, f"/dropbox/{user}", [met])
    fileset = journal.open_at([met.path])[met.path]
    journal.settled({fileset.id: met.stat})
    return fileset


def passes(nodes: tuple[Node, ...], seconds: float) -> None:
    """Time goes by, and `nodes` make their rounds meanwhile."""
    for _ in range(round(seconds / RENEW_NODE)):
        for node in nodes:
            node.now += RENEW_NODE
            node.rounds.once()


def test_a_fileset_is_taken_by_one_of_them(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    numbers = [queued(journal, f"{n}.tif", n + 10).id for n in range(20)]
    taken: list[tuple[int, int]] = []

    def take(node: Node) -> None:
        while (fileset := node.journal.take("amy")) is not None:
            taken.append((fileset.id, node.journal._me[1]))

    threads = [threading.Thread(target=take, args=[node]) for node in nodes for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(number for number, _ in taken) == numbers
    claims = journal.claims()
    assert dict(taken) == {n: c.epoch for n, c in claims.items()}
    number = Counter(epoch for _, epoch in taken)
    assert all(node.claims == number[node.id] for node in journal.nodes())


def test_claims_of_a_node_that_stands_still_go_back_within_the_lease(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    one, two, three = nodes
    fileset = queued(journal, "a.tif", 10)
    assert one.journal.take("amy") is not None
    passes((two, three), NODE_EXPIRES - RENEW_NODE)
    assert journal.importing() != []
    passes((two, three), 2 * RENEW_NODE)
    assert journal.importing() == [] and journal.claims() == {}
    assert [node.holder for node in journal.nodes()] == [str(two.me), str(three.me)]
    (*_, last) = journal.events(fileset.id)
    assert (last[1], last[2]) == ("importing", "queued")
    assert last[3].startswith("the importers of process") and "on one" in last[3]
    # Another one takes it; the first wakes up, and is told.
    again = two.journal.take("amy")
    assert again is not None and again.id == fileset.id
    assert not one.rounds.once() and "stood still" in one.lost
    assert journal.claims()[fileset.id].holder == str(two.me)


def test_claims_of_three_users_go_back_whole_and_in_turns(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    """A machine is killed in the middle of imports of three users: each has its own back."""
    one, two, three = nodes
    users = ("amy", "zak", "eve")
    of = {
        queued(journal, f"{user} {n}.tif", 10 * place + n, user).id: user
        for place, user in enumerate(users, 1)
        for n in range(4)
    }
    taken = [one.journal.take(user) for user in users for _ in range(2)]
    kept = two.journal.take("zak")
    assert None not in taken and kept is not None
    lost = {each.id for each in taken if each is not None}
    passes((two, three), NODE_EXPIRES + RENEW_NODE)
    assert journal.claims().keys() == {kept.id}, "another machine's claims stay"
    assert {row.id for row in journal.select(State.QUEUED)} == of.keys() - {kept.id}
    for identifier in lost:
        steps = [(before, after) for _, before, after, *_ in journal.events(identifier)]
        assert steps[-2:] == [("queued", "importing"), ("importing", "queued")]
    again = [(two, three)[n % 2].journal.take(user) for user in users for n in range(4)]
    found = [each.id for each in again if each is not None]
    assert sorted([*found, kept.id]) == sorted(of), "each once, none of another user"
    assert Counter(of[each] for each in found) == {"amy": 4, "zak": 3, "eve": 4}


def test_a_node_of_an_older_release_ends_when_dropbox_is_upgraded(
    journal: Journal, nodes: tuple[Node, Node, Node], url: str
) -> None:
    """It knows nothing of what the newer release has made of the journal."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as db:
        db.execute(text("UPDATE meta SET value = '99' WHERE key = 'version'"))
    engine.dispose()
    for node in nodes:
        node.now += RENEW_NODE
        assert not node.rounds.once()
        assert node.lost


def test_who_counts_on_keeps_its_claims_for_ever(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    queued(journal, "a.tif", 10)
    assert nodes[0].journal.take("amy") is not None
    until = [claim.until for claim in journal.claims().values()]
    passes(nodes, 10 * NODE_EXPIRES)
    assert len(journal.importing()) == 1 and len(journal.nodes()) == 3
    assert [claim.until for claim in journal.claims().values()] > until


def test_while_nobody_looks_nobody_is_blamed(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    """The database was away for an hour: nobody was able to count."""
    queued(journal, "a.tif", 10)
    assert nodes[0].journal.take("amy") is not None
    passes(nodes, 2 * RENEW_NODE)
    for node in nodes[1:]:
        node.now += 3600
        assert node.rounds.once()
    nodes[0].now += 3600
    passes(nodes, RENEW_NODE)
    assert len(journal.nodes()) == 3 and len(journal.importing()) == 1


@pytest.mark.parametrize("write", [*WRITES, "note_verified"])
def test_each_write_of_an_older_claim_is_refused(
    journal: Journal, nodes: tuple[Node, Node, Node], write: str
) -> None:
    one, two, _ = nodes
    fileset = queued(journal, "a.tif", 10)
    taken = one.journal.take("amy")
    assert taken is not None
    passes((two,), NODE_EXPIRES + RENEW_NODE)
    assert two.journal.take("amy") is not None
    before = (journal.select(), journal.events(fileset.id), journal.claims(), journal.nodes())
    with pytest.raises(LeaseLost):
        if write == "note_verified":
            one.journal.note_verified(taken, [SHA1])
        else:
            WRITES[write](one.journal, fileset.id)
    after = (journal.select(), journal.events(fileset.id), journal.claims(), journal.nodes())
    assert after == before


def test_at_its_stop_a_node_gives_back_what_it_has(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    for number in range(2):
        queued(journal, f"{number}.tif", number + 10)
    one, two, _ = nodes
    mine, theirs = one.journal.take("amy"), two.journal.take("amy")
    assert mine is not None and theirs is not None
    one.rounds.start()
    assert one.rounds.stop(10)
    assert [fileset.id for fileset in journal.importing()] == [theirs.id]
    assert len(journal.nodes()) == 2


def test_dropbox_that_starts_leaves_the_others_alone(
    journal: Journal, nodes: tuple[Node, Node, Node], url: str
) -> None:
    """What DropBox itself left importing is queued, and what others are at stays theirs."""
    for number in range(2):
        queued(journal, f"{number}.tif", number + 10)
    with closing(Journal(url, who="dropbox")) as first, closing(Journal(url, who="next")) as second:
        lease = Lease(first, replace(Holder.me(), host="a", boot="another", token="a"))
        assert lease.hold(0.0)
        first.work_as(lease.held)
        left, at = first.take("amy"), nodes[0].journal.take("amy")
        assert left is not None and at is not None
        next_one = Lease(second, replace(Holder.me(), host="b", boot="another", token="b"))
        assert not next_one.hold(0.0) and next_one.hold(EXPIRES)
        second.work_as(next_one.held)
        assert second.give_back_orphans("interrupted") == []
        assert [fileset.id for fileset in journal.importing()] == [at.id]
        assert second.mine() == ([], []) and nodes[0].journal.mine() == ([at.id], [])


def test_what_is_to_be_finished_after_an_import_is_one_nodes_too(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    """It died between the images and their annotations: one of the others annotates them."""
    one, two, three = nodes
    queued(journal, "a.tif", 10)
    taken = one.journal.take("amy")
    assert taken is not None
    one.journal.imported(taken.id, 70, [71], [SHA1], finished=False)
    assert one.journal.mine() == ([], [taken.id])
    assert two.journal.give_back_orphans("nobody's") == []
    passes((two, three), NODE_EXPIRES + RENEW_NODE)
    adopted = [*two.adopted, *three.adopted]
    assert adopted == [taken.id]
    heir = two if two.adopted else three
    assert heir.journal.mine() == ([], [taken.id])
    heir.journal.finished(taken.id)
    assert journal.claims() == {} and journal.unfinished() == []
    assert journal.get(taken.id).state is State.IMPORTED  # type: ignore[union-attr]


def test_what_is_to_be_finished_is_taken_on_after_an_orderly_stop_too(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    """Else nobody would annotate it, or remove its files, before the next start of DropBox."""
    one, two, three = nodes
    for number in range(2):
        queued(journal, f"{number}.tif", number + 10)
    taken, cut_off = one.journal.take("amy"), one.journal.take("amy")
    assert taken is not None and cut_off is not None
    one.journal.imported(taken.id, 70, [71], [SHA1], finished=False)
    one.rounds.start()
    assert one.rounds.stop(10)
    assert journal.importing() == []
    passes((two, three), NODE_EXPIRES + RENEW_NODE)
    adopted = [*two.adopted, *three.adopted]
    assert adopted == [taken.id]
    heir = two if two.adopted else three
    assert heir.journal.mine() == ([], [taken.id])
    assert [node.holder for node in journal.nodes()] == [str(two.me), str(three.me)]


def test_a_journal_is_not_copied_while_importers_work_on_it(
    journal: Journal, nodes: tuple[Node, Node, Node], tmp_path: Path
) -> None:
    with (
        closing(Journal(f"sqlite:///{tmp_path}/copy.sqlite")) as target,
        pytest.raises(JournalError, match=r"in use by DropBoxImporter, process \d+ on one"),
    ):
        copy(journal, target, lambda: 0.0)


def test_turns_are_shared(journal: Journal, nodes: tuple[Node, Node, Node]) -> None:
    queued(journal, "a.tif", 10)
    queued(journal, "b.tif", 11)
    assert nodes[0].journal.take("amy", turn=7) is not None
    assert nodes[1].journal.turns() == {"amy": 7}
    assert nodes[1].journal.take("amy", turn=5) is not None  # it had not heard of the other
    assert journal.turns() == {"amy": 7}


def test_starts_of_one_entry_lie_apart_on_all_machines_together(
    journal: Journal, nodes: tuple[Node, Node, Node]
) -> None:
    """By the database's clock, for those of the machines may differ."""
    one, two, three = (node.journal for node in nodes)
    for number in range(5):
        queued(journal, f"{number}.tif", 10 + number)
    other = queued(journal, "other.tif", 20, user="zak")
    amy, long = Start("amy", 1000.0), 10.0**6
    assert journal.started() == {}
    first = one.take("amy", start=amy)
    assert first is not None
    assert two.take("amy", start=amy) is None and one.take("amy", start=amy) is None
    assert 0 <= three.started()["amy"] < 1000
    taken = two.take("zak", start=Start("zak", long))
    assert taken is not None and taken.id == other.id

    def ago(seconds: float, fileset: int) -> None:
        when = float(journal.noted("start:amy").split()[0]) - seconds
        journal.note("start:amy", f"{when:.3f} {fileset}")

    ago(1000, first.id)
    second = two.take("amy", start=amy)
    assert second is not None and one.take("amy", start=amy) is None
    # What was taken first needed no import: that frees nobody, for the second began after it.
    one.not_started("amy", first.id)
    assert one.take("amy", start=amy) is None
    two.not_started("amy", second.id)
    assert one.take("amy", start=amy) is not None
    # The clock was set back meanwhile.
    ago(-long, first.id)
    assert three.take("amy", start=amy) is not None


def test_a_fileset_that_somebody_else_has_locked_is_passed_over(
    journal: Journal, nodes: tuple[Node, Node, Node], url: str
) -> None:
    """An admin's open transaction in psql holds up this fileset and no other."""
    if not url.startswith("postgresql"):
        pytest.skip("SQLite locks the whole database")
    first, second = queued(journal, "a.tif", 10), queued(journal, "b.tif", 11)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as admin:
        admin.execute(text("SELECT * FROM fileset WHERE id = :id FOR UPDATE"), {"id": first.id})
        taken = nodes[0].journal.take("amy")
        assert taken is not None and taken.id == second.id
        small = nodes[0].journal.take("amy", small=True)
        assert small is None
        admin.rollback()
    engine.dispose()
    taken = nodes[0].journal.take("amy", small=True)
    assert taken is not None and taken.id == first.id


def test_a_journal_of_version_8_gets_nodes(url: str) -> None:
    """As version 8 was: all but the nodes, the turns, and the fence for them.  On both."""
    journal = Journal(url)
    waiting(journal)
    with journal._database.writing() as connection:
        for table in ("node", "turn"):
            connection.execute(text(f"DROP TABLE {table}"))
        drop_indexes(connection, 8)
        if connection.dialect.name == "postgresql":
            connection.execute(
                text(
                    "CREATE OR REPLACE FUNCTION fence_holds() RETURNS trigger LANGUAGE plpgsql "
                    "AS $$ BEGIN RAISE EXCEPTION 'that of version 8'; END $$"
                )
            )
        connection.execute(text("UPDATE meta SET value = '8' WHERE key = 'version'"))
    journal.close()
    node = Node(url, "one")
    assert node.rounds.once()
    fileset = queued(node.journal, "b.tif", 12)
    assert node.journal.take("amy", turn=1) is not None
    assert node.journal.mine() == ([fileset.id], []) and node.journal.turns() == {"amy": 1}
    node.journal.close()


def test_a_node_that_is_cut_off_holds_the_others_up_once(
    nodes: tuple[Node, Node, Node], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its threads write at that moment: one of them asks PostgreSQL, no more."""
    if not url.startswith("postgresql"):
        pytest.skip("no other machine writes to SQLite")
    one, two, _ = nodes
    with two.journal.database.writing():  # so that the others wait
        threads = [threading.Thread(target=one.journal.note, args=[f"k{n}", "v"]) for n in range(5)]
        for thread in threads:
            thread.start()
        waiting_for_it = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        with one.journal.database.reading() as connection:
            end = time.monotonic() + 30
            while not (asked := connection.scalar(text(waiting_for_it))):
                assert time.monotonic() < end
            time.sleep(0.5)  # the others would ask, too
            connection.rollback()
            asked = connection.scalar(text(waiting_for_it))
    for thread in threads:
        thread.join(30)
    assert asked == 1
    assert len(one.journal.notes("k")) == 5
    # A write that never gets an answer ends with an error, and so do those behind it.
    monkeypatch.setitem(engines.LIMITS, "lock_timeout", 0.2)
    with one.journal.database._alone(), pytest.raises(JournalAway, match="gets no answer"):
        one.journal.note("key", "value")


def test_people_are_shown_who_imports_and_how_much(
    journal: Journal, nodes: tuple[Node, Node, Node], url: str
) -> None:
    queued(journal, "a.tif", 10)
    assert nodes[1].journal.take("amy") is not None
    with glance(url) as look:
        assert look is not None
        shown = look.nodes()
    assert [(Holder.parse(one.holder).host, one.claims) for one in shown] == [
        ("one", 0),
        ("two", 1),
        ("three", 0),
    ]
    assert {one.told for one in shown} == {"{}"}


def test_what_is_done_one_at_a_time_is_so_on_two_machines(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the search for a dataset that is made if there is none."""
    monkeypatch.setitem(engines.LIMITS, "lock_timeout", 0.2)
    url = postgres.url("one_at_a_time")
    with closing(Journal(url, who="one")) as one, closing(Journal(url, who="two")) as two:
        with one.one_at_a_time("a dataset"):
            with two.one_at_a_time("another"):
                queued(two, "a.tif", 7)  # and the journal is free meanwhile
            with pytest.raises(JournalAway), two.one_at_a_time("a dataset"):
                raise AssertionError("both are at it")
        with suppress(ZeroDivisionError), one.one_at_a_time("a dataset"):
            raise ZeroDivisionError
        with two.one_at_a_time("a dataset"):
            pass
