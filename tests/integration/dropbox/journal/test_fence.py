"""A DropBox without the lease writes nothing more, even if it believes in it; both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.dropbox.journal import schema
from omero_fs_plugin.dropbox.journal.database import JournalAway, LeaseLost, NotYet
from omero_fs_plugin.dropbox.journal.gathering import Gathered
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import EXPIRES, Holder, Lease
from omero_fs_plugin.dropbox.journal.outbox import Outbox
from omero_fs_plugin.dropbox.journal.records import Claim, Formed, Held, Node
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.journal.writer import JournalWriter

from .former import drop_indexes
from .test_journal import found, journal, postgres, url, waiting

__all__ = ["journal", "postgres", "url"]  # fixtures

SHA1 = "0" * 40


class Side:
    """One DropBox on the journal."""

    def __init__(self, url: str, name: str) -> None:
        self.told = 0  # that it has lost the lease
        self.holder = replace(Holder.me(), host=name, boot="another", token=name)
        self.journal = Journal(url, who=name)
        self.lease = Lease(self.journal, self.holder)

    def takes_over(self, now: float) -> None:
        assert self.lease.hold(now)
        self.journal.work_as(self.lease.held, lost=self._lost)

    def _lost(self) -> None:
        self.told += 1


@pytest.fixture
def sides(url: str) -> Iterator[tuple[Side, Side]]:
    both = Side(url, "first"), Side(url, "second")
    yield both
    for side in both:
        side.journal.close()


# All writes of DropBox, by a process that was stopped in the middle of an import.
WRITES: dict[str, Callable[[Journal, int], object]] = {
    "moved": lambda j, i: j.moved(i, 0, found("b.tif")),
    "not_started": lambda j, i: j.not_started("amy", i),
    "met": lambda j, i: j.met(i, i, [found("b.tif")]),
    "set_out": lambda j, i: j.set_out(j.load([i])[0], {"key": "value"}),
    "end_way": lambda j, i: j.end_way(i, "said"),
    "put_elsewhere": lambda j, i: j.put_elsewhere(i, "/bad", [found("b.tif")]),
    "bring_home": lambda j, i: j.bring_home(j.load([i])[0], "/bad", [found("b.tif")], "away"),
    "wait": lambda j, i: j.wait("amy", "/dropbox/amy", [found("new.tif", 8)]),
    "follow": lambda j, i: j.follow({i: ("/dropbox/amy", found("b.tif"))}),
    "form": lambda j, i: j.form(Formed("amy", "/dropbox/amy", [found("s", 3), found("t", 4)])),
    "tell_clock": lambda j, i: j.tell_clock(),
    "gather": lambda j, i: j.gather(Formed("amy", "/dropbox/amy", [found("s", 3)])),
    "queue": lambda j, i: j.queue(Gathered(Formed("amy", "/dropbox/amy", [found()]), i)),
    "release": lambda j, i: j.release(Gathered(Formed("amy", "/dropbox/amy", [found()]), i)),
    "absorb": lambda j, i: j.absorb("amy", "/dropbox/amy/s.zarr/"),
    "dissolve": lambda j, i: j.dissolve(i),
    "skip_as_seen": lambda j, i: j.skip_as_seen(j.load([i])[0], "it is gone"),
    "settle_anew": lambda j, i: j.settle_anew(i, "it changed"),
    "give_to": lambda j, i: j.give_to(i, "zak", "/dropbox/zak"),
    "give_up": lambda j, i: j.give_up([i], "waits for b.tif", []),
    "skip": lambda j, i: j.skip("amy", "/dropbox/amy", found("new.tif", 8), "why"),
    "settled": lambda j, i: j.settled({i: found().stat}),
    "waited": lambda j, i: j.waited([i], 1.0),
    "rested": lambda j, i: j.rested({i: found().stat}),
    "move": lambda j, i: j.move(i, State.IMPORTING, State.QUEUED, "stopped"),
    "tell": lambda j, i: j.tell({i: "waits for b.tif"}),
    "end_waiting": lambda j, i: j.end_waiting({i: "it is gone"}, State.SKIPPED),
    "forget_gone": lambda j, i: j.forget_gone([i]),
    "take": lambda j, i: j.take("amy"),
    "duplicate": lambda j, i: j.duplicate(i, None, "a copy"),
    "refused": lambda j, i: j.refused(i, State.FAILED, "no"),
    "retry": lambda j, i: j.retry(i),
    "forget": lambda j, i: j.forget(i, "it is blank"),
    "note_nothing_there": lambda j, i: j.note_nothing_there(i),
    "imported": lambda j, i: j.imported(i, 70, [70], [SHA1]),
    "finished": lambda j, i: j.finished(i),
    "remark": lambda j, i: j.remark(i, "imported, but"),
    "found_in_omero": lambda j, i: j.found_in_omero(
        "amy", "/dropbox/amy", [ServerFileset(9, (9,), ("x",), (SHA1,), (1,))]
    ),
    "give_back_of": lambda j, i: j.give_back_of(Node(1, "", 0, ""), "why"),
    "give_back_orphans": lambda j, i: j.give_back_orphans("why"),
    "note": lambda j, i: j.note("key", "value"),
    "unnote": lambda j, i: j.unnote("key", ""),
    "make_sure": lambda j, i: j.make_sure(),
}


@pytest.mark.parametrize("write", [*WRITES, "note_verified"])
def test_each_write_of_the_loser_is_refused(sides: tuple[Side, Side], write: str) -> None:
    first, second = sides
    first.takes_over(0.0)
    fileset = waiting(first.journal)
    first.journal.settled({fileset.id: fileset.files[0].stat})
    taken = first.journal.take("amy")
    assert taken is not None
    # It stands still; the other watches it do so, and takes over.
    assert not second.lease.hold(0.0)
    second.takes_over(EXPIRES)
    before = (first.journal.select(), first.journal.events(fileset.id), first.journal.claims())
    with pytest.raises(LeaseLost, match="the lease has passed to another DropBox"):
        if write == "note_verified":
            first.journal.note_verified(taken, [SHA1])
        else:
            WRITES[write](first.journal, fileset.id)
    after = (first.journal.select(), first.journal.events(fileset.id), first.journal.claims())
    assert after == before
    assert first.told == 1
    # The winner resolves it, and the command line goes on.
    assert second.journal.move(fileset.id, State.IMPORTING, State.QUEUED, "interrupted")
    again = second.journal.take("amy")
    assert again is not None
    assert second.journal.note_verified(again, [SHA1]) is None
    second.journal.imported(fileset.id, 70, [70], [SHA1])
    assert second.told == 0


def test_no_write_of_a_journal_is_without_a_row_here() -> None:
    """Whoever adds a method that writes adds it to the table above."""
    # the command line's; the lease itself, and that of a node
    not_fenced = {"hand_over", "set_lease", "work_as", "join", "renew", "leave"}
    not_fenced |= {"finish_uniting"}  # it writes only what `met` has left
    not_fenced |= {"one_at_a_time"}  # it writes nothing
    # These read.
    not_fenced |= {
        "nodes",
        "mine",
        "turns",
        "started",
        "told_for",
        "told_at",
        "ahead_of",
        "owners_below",
    }
    writing = [of for of in Journal.__mro__ if issubclass(of, JournalWriter)]
    methods = {
        name for one in writing for name, of in vars(one).items() if callable(of) and name[0] != "_"
    }
    assert methods - not_fenced == {*WRITES, "note_verified"}


# All writes of the outbox, with a letter that is being sent.
LETTERS: dict[str, Callable[[Outbox, int], object]] = {
    "begin": lambda o, i: o.begin(),
    "end": lambda o, i: o.end(),
    "put": lambda o, i: o.put("zak", "digest", "{}"),
    "settled": lambda o, i: o.settled(1),
    "told": lambda o, i: o.told("amy", 1),
    "take": lambda o, i: o.take(i),
    "waits": lambda o, i: o.waits(i, "why"),
    "sent": lambda o, i: o.sent(i),
    "later": lambda o, i: o.later(i, "why"),
    "unsure": lambda o, i: o.unsure(i, "why"),
    "drop": lambda o, i: o.drop(i, "why"),
    "take_up": lambda o, i: o.take_up(),
}


@pytest.mark.parametrize("name", LETTERS)
def test_letters_are_written_only_with_the_lease(sides: tuple[Side, Side], name: str) -> None:
    first, second = sides
    first.takes_over(0.0)
    outbox = first.journal.outbox
    outbox.begin()
    letter = outbox.put("amy", "digest", "{}", through=1)
    assert letter is not None and outbox.take(letter)
    before = outbox.get(letter)
    assert not second.lease.hold(0.0)
    second.takes_over(EXPIRES)
    with pytest.raises(LeaseLost):
        LETTERS[name](outbox, letter)
    assert second.journal.outbox.get(letter) == before
    assert second.journal.outbox.marks() == {"amy": 1}


def test_no_write_of_the_outbox_is_without_a_row_there() -> None:
    reads = {"marks", "news", "touched", "waiting", "get", "has", "last"}
    methods = {name for name, of in vars(Outbox).items() if callable(of) and name[0] != "_"}
    assert methods - reads == {*LETTERS}


def test_a_claim_lasts_as_long_as_the_attempt(sides: tuple[Side, Side]) -> None:
    first, second = sides
    first.takes_over(0.0)
    fileset = waiting(first.journal)
    first.journal.settled({fileset.id: fileset.files[0].stat})
    assert first.journal.claims() == {}
    assert first.journal.take("amy")
    claim = first.journal.claims()[fileset.id]
    assert (claim.holder, claim.epoch) == (str(first.holder), 1)
    assert first.lease.hold(5.0)
    renewed = first.journal.claims()[fileset.id]
    assert renewed == Claim(claim.holder, claim.epoch, renewed.until)
    assert renewed.until >= claim.until
    assert not second.lease.hold(5.0)
    second.takes_over(5.0 + EXPIRES)
    assert second.journal.claims() == {fileset.id: renewed}
    assert second.journal.move(fileset.id, State.IMPORTING, State.QUEUED, "interrupted")
    assert second.journal.claims() == {}
    assert second.journal.take("amy")
    assert second.journal.claims()[fileset.id].epoch == 2


@pytest.mark.parametrize("now", ["older", "as old", "new"])
def test_a_journal_that_was_exchanged_refuses_whoever_held_the_former(
    sides: tuple[Side, Side], url: str, now: str
) -> None:
    """A backup was put back, or the journal was made anew, while the first stood still."""
    first, second = sides
    for _ in range(2):
        first.takes_over(0.0)
        first.lease.release()
        assert second.lease.hold(0.0)
        second.lease.release()
    first.takes_over(0.0)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        count = first.lease.held.epoch - 2
        connection.execute(text("DELETE FROM lease"))
        if now != "new":
            epoch = count if now == "older" else first.lease.held.epoch - 1
            row = f"(1, '', 1, {epoch})"
            connection.execute(text(f"INSERT INTO lease (id, holder, count, epoch) VALUES {row}"))
    engine.dispose()
    if now != "new":
        second.takes_over(1.0)
        assert second.lease.held.epoch <= first.lease.held.epoch
    with pytest.raises(LeaseLost):
        first.journal.note("key", "value")
    assert first.told == 1
    assert not first.journal.noted("key")


def test_who_has_given_up_the_lease_writes_nothing_more(sides: tuple[Side, Side]) -> None:
    first, _ = sides
    first.takes_over(0.0)
    first.lease.release()
    with pytest.raises(LeaseLost):
        first.journal.note("key", "value")


def test_an_epoch_never_goes_back(sides: tuple[Side, Side], url: str) -> None:
    first, _ = sides
    first.takes_over(0.0)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with (
        pytest.raises(Exception, match="the epoch of a lease never goes back"),
        engine.begin() as connection,
    ):
        connection.execute(text("UPDATE lease SET epoch = 0"))
    engine.dispose()


def test_a_journal_of_the_version_before_is_brought_up(journal: Journal, url: str) -> None:
    fileset = waiting(journal)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        postgresql = connection.dialect.name == "postgresql"
        on = {"fence_holds": "fence", "lease_epoch_grows": "lease", "claim_ends": "fileset"}
        for name, table in on.items():
            of = f" ON {table}" if postgresql else ""
            connection.execute(text(f"DROP TRIGGER {name}{of}"))
            if postgresql:
                connection.execute(text(f"DROP FUNCTION {name}"))
        connection.execute(text("DROP VIEW fence"))
        connection.execute(text("DROP TABLE claim"))
        for table in ("letter", "node", "turn"):
            connection.execute(text(f"DROP TABLE {table}"))
        drop_indexes(connection, 3)
        connection.execute(text("ALTER TABLE lease DROP COLUMN epoch"))
        connection.execute(text("ALTER TABLE fileset DROP COLUMN waited"))
        connection.execute(text("INSERT INTO lease (id, holder, count) VALUES (1, 'a b 1 2 c', 3)"))
        connection.execute(text("UPDATE meta SET value = '3' WHERE key = 'version'"))
    engine.dispose()
    upgraded = Journal(url)
    assert upgraded.lease() == Held("a b 1 2 c", 3, 0)
    mine, late = Held("me", 1, 1), Held("late", 1, 0)
    assert upgraded.set_lease(upgraded.lease(), mine)
    upgraded.work_as(mine)
    upgraded.settled({fileset.id: fileset.files[0].stat})
    assert upgraded.take("amy")
    assert upgraded.claims()[fileset.id].holder == "me"
    upgraded.work_as(late)
    with pytest.raises(LeaseLost):
        upgraded.note("key", "value")
    assert upgraded.noted("key") != "value"
    upgraded.close()
    assert schema.VERSION >= 4


def test_a_backup_that_is_put_back_while_its_holder_works_is_refused(
    sides: tuple[Side, Side], url: str
) -> None:
    """Its holder is the same, and so is the epoch.  But its rows are not what the holder knows."""
    first, second = sides
    first.takes_over(0.0)
    assert first.lease.hold(15.0)
    first.journal.note("key", "of now")
    _count_back(url, "lease")
    with pytest.raises(LeaseLost, match="an older journal was put in its place"):
        first.journal.note("key", "of later")
    assert first.told == 1
    assert first.journal.noted("key") == "of now"
    assert not first.lease.hold(30.0), "so that it ends"
    assert "older journal" in first.lease.held_by
    assert not second.lease.hold(30.0)
    assert second.lease.hold(30.0 + EXPIRES)


def test_so_it_is_for_a_node(sides: tuple[Side, Side], url: str) -> None:
    first, node = sides
    first.takes_over(0.0)
    held = node.journal.join(str(node.holder), "{}")
    node.journal.work_as(held, lost=node._lost)
    for _ in range(3):
        assert node.journal.renew(held, "{}")
    node.journal.note("key", "of now")
    _count_back(url, "node")
    with pytest.raises(LeaseLost):
        node.journal.note("key", "of later")
    node.journal.renew(held, "{}")
    with pytest.raises(LeaseLost):
        node.journal.note("key", "of later")
    first.journal.note("key", "of the others")
    assert first.told == 0


def _count_back(url: str, table: str) -> None:
    """As it was in a backup."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {table} SET count = count - 1"))
    engine.dispose()


def test_a_journal_that_was_moved_away_is_not_made_anew(tmp_path: Path) -> None:
    """Beside an empty file SQLite would remove the WAL, and with it what was written last."""
    file, aside = tmp_path / "journal.sqlite", tmp_path / "aside.sqlite"
    journal = Journal(f"sqlite:///{file}")
    journal.note("key", "value")
    wal = (tmp_path / "journal.sqlite-wal").stat().st_size
    file.rename(aside)
    for call in (journal.counts, lambda: journal.note("key", "another")):
        with pytest.raises(JournalAway):
            call()
    with pytest.raises(NotYet):
        Journal(f"sqlite:///{file}", make=False)
    assert not file.exists()
    assert (tmp_path / "journal.sqlite-wal").stat().st_size == wal
    aside.rename(file)
    assert journal.noted("key") == "value"
    journal.note("key", "another")
    journal.close()
    again = Journal(f"sqlite:///{file}")
    assert again.noted("key") == "another"
    again.close()
