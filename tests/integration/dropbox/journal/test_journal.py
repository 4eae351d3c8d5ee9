"""The journal: what the database refuses to anyone, and what it remembers.

Everything here holds on SQLite and on PostgreSQL, but for what is said of the
one or the other at the end.
"""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from benchmarks.filesets.relay import ALONE, possible
from omero_fs_plugin.dropbox.journal.engines import LIMITS
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.schema import VERSION
from omero_fs_plugin.dropbox.journal.seen import Asked
from omero_fs_plugin.dropbox.journal.states import TRANSITIONS, State
from omero_fs_plugin.dropbox.metrics.tally import Tally
from omero_fs_plugin.errors import ConfigurationError, ImportRefused, JournalError
from omero_fs_plugin.events import FileStat
from tests import DATA

from .former import drop_indexes
from .postgres import Postgres, running

_numbers = itertools.count()
# A process that begins to write, and is stopped by its parent then.
_STANDS_STILL = """
import time
from omero_fs_plugin.dropbox.journal import engines
from omero_fs_plugin.dropbox.journal.journal import Journal
engines.LIMITS["idle_in_transaction_session_timeout"] = {limit!r}
with Journal({url!r}, make=False)._database.writing():
    print("in a transaction", flush=True)
    time.sleep(600)
"""
OLD = DATA / "journal-version-1.sql"


@contextmanager
def standing_still(url: str, limit: float) -> Iterator[None]:
    """A process has begun to write, and stands still; the server bears that for `limit` s."""
    command = [sys.executable, "-c", _STANDS_STILL.format(url=url, limit=limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peer:
        try:
            assert peer.stdout is not None
            assert peer.stdout.readline() == "in a transaction\n"
            os.kill(peer.pid, signal.SIGSTOP)
            yield
        finally:
            peer.kill()


def found(name: str = "a.tif", inode: int = 7, size: int = 10, ctime: int = 1) -> Found:
    return Found(f"/dropbox/amy/{name}", FileStat(1, inode, size, 5, ctime))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(f"journal{next(_numbers)}")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.sqlite"


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    ticks = itertools.count(1_000_000)
    journal = Journal(url, clock=lambda: float(next(ticks)))
    yield journal
    journal.close()


def waiting(journal: Journal, met: Found | None = None) -> Fileset:
    met = met or found()
    journal.wait("amy", "/dropbox/amy", [met])
    return journal.open_at([met.path])[met.path]


def bring_to(journal: Journal, fileset: int, state: State) -> None:
    """Moves a waiting fileset along legal transitions to `state`."""
    ways = {
        State.WAITING: [],
        State.QUEUED: [State.QUEUED],
        State.IMPORTING: [State.QUEUED, State.IMPORTING],
        State.IMPORTED: [State.QUEUED, State.IMPORTING, State.IMPORTED],
        State.SKIPPED: [State.SKIPPED],
        State.FAILED: [State.FAILED],
    }
    before = State.WAITING
    for after in ways[state]:
        assert journal.move(fileset, before, after)
        before = after


@pytest.mark.parametrize("before", State, ids=str)
@pytest.mark.parametrize("after", State, ids=str)
def test_the_database_allows_the_legal_transitions_and_no_other(
    journal: Journal, before: State, after: State
) -> None:
    fileset = waiting(journal)
    bring_to(journal, fileset.id, before)
    if before is after or after in TRANSITIONS[before]:
        assert journal.move(fileset.id, before, after)
    else:
        with pytest.raises(JournalError, match="illegal transition"):
            journal.move(fileset.id, before, after)
        unmoved = journal.get(fileset.id)
        assert unmoved is not None
        assert unmoved.state is before


def test_of_two_who_take_only_one_succeeds(journal: Journal, url: str) -> None:
    fileset = waiting(journal)
    journal.settled({fileset.id: fileset.files[0].stat})
    other = Journal(url)
    taken = [journal.take("amy"), other.take("amy")]
    other.close()
    assert [t.id for t in taken if t] == [fileset.id]


def test_a_move_from_a_state_it_is_not_in_does_nothing(journal: Journal) -> None:
    fileset = waiting(journal)
    assert not journal.move(fileset.id, State.IMPORTING, State.QUEUED)
    assert journal.counts()["waiting"] == 1


def test_the_smallest_is_taken_first_if_that_is_wanted(journal: Journal) -> None:
    for number, size in enumerate((30, 10, 20)):
        found = Found(f"/dropbox/amy/{number}.tif", FileStat(1, 100 + number, size, 5, 5))
        journal.wait("amy", "/dropbox/amy", [found])
        bring_to(journal, journal.open_at([found.path])[found.path].id, State.QUEUED)

    def taken(**how: bool) -> int:
        fileset = journal.take("amy", **how)
        assert fileset is not None
        return fileset.files[0].stat.size

    assert [taken(small=True), taken(), taken(small=True)] == [10, 30, 20]
    assert journal.take("amy", small=True) is None


def test_what_was_gone_before_anything_was_tried_is_forgotten_and_nothing_else(
    journal: Journal,
) -> None:
    def made(number: int) -> int:
        met = Found(f"/dropbox/amy/{number}.tif", FileStat(1, number, 5, 5, 5))
        return waiting(journal, met).id

    gone, told, tried, open_still = (made(number) for number in range(1, 5))
    bring_to(journal, tried, State.QUEUED)
    assert journal.take("amy") is not None
    assert journal.move(tried, State.IMPORTING, State.SKIPPED, GONE)
    journal.end_waiting({gone: GONE, told: "a person said so"}, State.SKIPPED)
    everything = [gone, told, tried, open_still]
    assert journal.forget_gone(everything) == 1
    assert {row.id for row in journal.select()} == {told, tried, open_still}
    assert journal.events(gone) == []
    assert journal.forget_gone(everything) == 0


def test_sizes_that_no_database_can_add_up(url: str, journal: Journal) -> None:
    """Of files with holes, as everybody may make them: those of others are still taken and told."""
    huge = 2**63 - 1
    tally = Tally()
    with glance(url) as look:
        assert look is not None
        tally.look(look)
    many = [Found(f"/dropbox/amy/s/{n}", FileStat(1, 200 + n, huge, 5, 5)) for n in range(3)]
    journal.wait("amy", "/dropbox/amy", many)
    journal.form(Formed("amy", "/dropbox/amy", many))
    small = waiting(journal)
    bring_to(journal, small.id, State.QUEUED)
    taken = journal.take("amy", small=True)
    assert taken is not None and taken.id == small.id
    large = journal.take("amy", small=True)
    assert large is not None and len(large.files) == 3
    assert journal.move(large.id, State.IMPORTING, State.IMPORTED)
    with glance(url) as look:
        assert look is not None
        sizes = [one.size for one in look.came(Asked(), 1e12, None) if one.files == 3]
        assert sizes == [pytest.approx(3 * huge)]
        imported = [step.size for step in tally.look(look) if step.after == State.IMPORTED]
        assert imported == [pytest.approx(3 * huge)]


def test_waiting_twice_for_the_same_path_is_one_fileset(journal: Journal) -> None:
    waiting(journal)
    waiting(journal)
    assert journal.counts() == {
        "waiting": 1,
        "queued": 0,
        "importing": 0,
        "imported": 0,
        "skipped": 0,
        "failed": 0,
    }


def test_many_files_keep_their_own_rows(journal: Journal) -> None:
    many = [found(f"{n}.tif", inode=n) for n in range(1000)]
    journal.wait("amy", "/dropbox/amy", many)
    opened = journal.open_at([m.path for m in many])
    assert {p: f.files[0] for p, f in opened.items()} == {m.path: m for m in many}


def test_the_event_log_tells_the_whole_story(journal: Journal) -> None:
    fileset = waiting(journal)
    journal.settled({fileset.id: fileset.files[0].stat})
    journal.take("amy")
    journal.move(fileset.id, State.IMPORTING, State.FAILED, "broken")
    told = [event[1:4] for event in journal.events(fileset.id)]
    assert told == [
        ("", "waiting", ""),
        ("waiting", "queued", ""),
        ("queued", "importing", ""),
        ("importing", "failed", "broken"),
    ]


def test_the_event_log_says_who_it_was(journal: Journal, url: str) -> None:
    with_name = Journal(url, who="omero fs, run by eve")
    fileset = with_name.hand_over("amy", "/dropbox/amy", found())
    with_name.close()
    dropbox = Journal(url, who="DropBox")
    dropbox.take("amy")
    dropbox.move(fileset.id, State.IMPORTING, State.FAILED, "no image")
    dropbox.close()
    assert [(event[2], event[4]) for event in journal.events(fileset.id)] == [
        ("queued", "omero fs, run by eve"),
        ("importing", "DropBox"),
        ("failed", "DropBox"),
    ]


def test_settling_records_what_the_file_was_when_it_came_to_rest(journal: Journal) -> None:
    fileset = waiting(journal)
    final = FileStat(1, 7, 99, 6, 3)
    journal.settled({fileset.id: final})
    (queued,) = journal.select(State.QUEUED)
    assert queued.files[0].stat == final
    assert queued.files[0].stat.ctime_ns == 3


def test_settling_leaves_a_fileset_alone_that_no_longer_waits(journal: Journal) -> None:
    fileset = waiting(journal)
    bring_to(journal, fileset.id, State.IMPORTING)
    journal.settled({fileset.id: FileStat(1, 7, 99, 6, 3)})
    unmoved = journal.get(fileset.id)
    assert unmoved is not None
    assert (unmoved.state, unmoved.files[0].stat.size) == (State.IMPORTING, 10)


class TestKnown:
    """Accounted for as it is: the bytes and the inode untouched since."""

    def test_the_same_file_is_known_under_any_name(self, journal: Journal) -> None:
        waiting(journal, found("a.tif"))
        assert journal.known([found("b.tif")]) == {"/dropbox/amy/b.tif": State.WAITING}

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(found(inode=8), id="inode"),
            pytest.param(found(size=11), id="size"),
            pytest.param(found(ctime=2), id="ctime: chmod, rename, or an inode given anew"),
        ],
    )
    def test_another_is_not(self, journal: Journal, other: Found) -> None:
        waiting(journal, found())
        assert journal.known([other]) == {}

    def test_an_inode_that_uses_all_64_bits(self, journal: Journal) -> None:
        huge = found(inode=2**64 - 3)
        fileset = waiting(journal, huge)
        assert fileset.files[0].stat.inode == 2**64 - 3
        assert huge.path in journal.known([huge])

    def test_a_share_that_was_mounted_anew_has_the_same_files(self, journal: Journal) -> None:
        """Its device has another number, and the rest of what identifies a file is what it was."""
        was = found()
        waiting(journal, was)
        elsewhere = replace(was, stat=replace(was.stat, device=99))
        assert journal.known([elsewhere]) == {was.path: State.WAITING}
        other = Found("/dropbox/amy/b.tif", elsewhere.stat)
        assert journal.known([other]) == {}, "an inode of another file system"

    def test_one_that_is_open_under_another_path(self, journal: Journal) -> None:
        """As after its directory was renamed.  When that fileset has ended, it is accounted for."""
        was = found("day 1/a.tif")
        fileset = waiting(journal, was)
        journal.settled({fileset.id: was.stat})
        now = replace(was, path="/dropbox/amy/day 2/a.tif")
        assert journal.known([now]) == {now.path: State.QUEUED}
        assert journal.under_another_path([was, now, found("b.tif", inode=9)]) == {
            now.path: was.path
        }
        assert journal.under_another_path([]) == {}
        journal.move(fileset.id, State.QUEUED, State.SKIPPED, GONE)
        assert journal.known([now]) == {}
        assert journal.under_another_path([now]) == {}

    def test_what_another_user_had_under_another_path_does_not_count(
        self, journal: Journal
    ) -> None:
        """As after a directory was moved from one user to another: nothing of its files changes."""
        was = found("day 1/a.tif")
        waiting(journal, was)
        now = replace(was, path="/dropbox/zak/day 1/a.tif")
        user_of = {was.path: "amy", now.path: "zak"}.get
        assert journal.known([was, now], user_of) == {was.path: State.WAITING}
        assert journal.under_another_path([now], user_of) == {}
        nobodys = replace(was, path="/elsewhere/a.tif")
        assert journal.known([nobodys], user_of) == {nobodys.path: State.WAITING}
        # A person has handed it over for zak.
        assert journal.known([was], lambda path: "zak") == {was.path: State.WAITING}

    def test_in_lots(self, journal: Journal) -> None:
        many = [found(f"{n}.tif", inode=n) for n in range(1500)]
        journal.wait("amy", "/dropbox/amy", many[:1200])
        assert set(journal.known(many)) == {m.path for m in many[:1200]}


class TestHandOver:
    """`omero fs import` goes through the same rows."""

    def test_a_new_file_is_queued(self, journal: Journal) -> None:
        assert journal.hand_over("amy", "/x", found()).state is State.QUEUED

    def test_a_waiting_file_waits_no_longer(self, journal: Journal) -> None:
        fileset = waiting(journal)
        handed = journal.hand_over("amy", "/dropbox/amy", found())
        assert (handed.id, handed.state) == (fileset.id, State.QUEUED)

    def test_a_failed_file_is_tried_again(self, journal: Journal) -> None:
        fileset = waiting(journal)
        bring_to(journal, fileset.id, State.FAILED)
        handed = journal.hand_over("amy", "/dropbox/amy", found())
        assert (handed.id, handed.state) == (fileset.id, State.QUEUED)

    def test_an_imported_file_is_not_imported_again(self, journal: Journal) -> None:
        fileset = waiting(journal)
        bring_to(journal, fileset.id, State.IMPORTED)
        handed = journal.hand_over("amy", "/dropbox/amy", found())
        assert (handed.id, handed.state) == (fileset.id, State.IMPORTED)

    def test_of_another_user_it_is_another_fileset(self, journal: Journal) -> None:
        fileset = waiting(journal)
        bring_to(journal, fileset.id, State.IMPORTED)
        assert journal.hand_over("zak", "/dropbox/amy", found()).id != fileset.id


def test_an_import_is_recorded_once(journal: Journal) -> None:
    fileset = waiting(journal)
    bring_to(journal, fileset.id, State.IMPORTING)
    journal.note_verified(fileset, ["ab"])
    journal.imported(fileset.id, 41, [5, 6], ["ab"])
    done = journal.get(fileset.id)
    assert done is not None
    assert (done.state, done.server_fileset, done.images) == (State.IMPORTED, 41, (5, 6))
    assert done.sha1s == ("ab",)
    assert journal.recorded([40, 41]) == {41}
    assert [f.id for f in journal.twins("amy", "ab")] == [fileset.id]
    assert journal.twins("zak", "ab") == []
    with pytest.raises(JournalError, match="was not being imported"):
        journal.imported(fileset.id, 42, [7], ["ab"])


def test_one_fileset_of_omero_stands_in_one_row(journal: Journal) -> None:
    for name, inode in (("a.tif", 1), ("b.tif", 2)):
        bring_to(journal, waiting(journal, found(name, inode)).id, State.IMPORTING)
    first, second = journal.select(State.IMPORTING)
    journal.imported(first.id, 41, [5], ["ab"])
    with pytest.raises(JournalError):
        journal.imported(second.id, 41, [5], ["cd"])


def test_a_copy_is_found_however_many_share_a_file_with_it(journal: Journal) -> None:
    """150 sets have a common file, such as an empty log.  One of them is the same set."""
    for number in range(151):
        files = [found(f"{number}/{n}", inode=1000 + 2 * number + n) for n in range(2)]
        identifier, _ = journal.form(Formed("amy", "/dropbox/amy", files))
        assert identifier is not None
        journal.take("amy")
        sha1s = ["empty", f"{number}"]
        journal.imported(identifier, number + 1, [number + 1], sha1s)
    (same,) = journal.same_content("amy", ["empty", "0"])
    assert same.server_fileset == 1
    for other in (["empty"], ["empty", "0", "0"], ["0", "empty"], ["empty", "x"]):
        assert journal.same_content("amy", other) == []
    assert journal.same_content("zak", ["empty", "0"]) == []


def test_equal_content_that_was_imported_meanwhile_is_seen(journal: Journal) -> None:
    first, second = waiting(journal), waiting(journal, found("b.tif", 8))
    for fileset in (first, second):
        bring_to(journal, fileset.id, State.IMPORTING)
    journal.note_verified(first, ["ab"], ())
    assert journal.note_verified(second, ["ab"], ()) == first.id, "it is under way"
    journal.imported(first.id, 41, [5], ["ab"])
    assert journal.note_verified(second, ["ab"], ()) == first.id, "it was faster"
    assert journal.note_verified(second, ["ab"], {first.id}) is None, "that was known"
    assert journal.note_verified(second, ["ab"]) is None, "copies are wanted"


def test_the_same_file_of_another_user_speaks_against_an_import(
    journal: Journal,
) -> None:
    """It is shown in the directories of both; two importers take both at the same time."""
    met = found()
    ids = {
        user: journal.hand_over(user, f"/d/{user}", Found(f"/d/{user}/a", met.stat)).id
        for user in ("amy", "zak")
    }
    amys, zaks = (journal.take(user) for user in ids)
    assert amys is not None and zaks is not None
    assert journal.of_others(zaks) == [], "OMERO was not told of it yet"
    assert journal.note_verified(amys, ["ab"]) is None
    assert journal.note_verified(zaks, ["ab"]) == amys.id, "it is under way"
    assert [one.id for one in journal.of_others(zaks)] == [amys.id]
    journal.imported(amys.id, 1, [1], ["ab"])
    assert journal.note_verified(zaks, ["ab"]) == amys.id, "it is imported"
    assert journal.note_verified(zaks, ["ab"], None, {amys.id}) is None, "that was found apart"


class TestRetry:
    """failed -> queued."""

    def test_with_the_files_as_they_are_now(self, journal: Journal) -> None:
        fileset = waiting(journal)
        bring_to(journal, fileset.id, State.FAILED)
        now = found(size=99, ctime=2)
        assert journal.retry(fileset.id, [now])
        (queued,) = journal.select(State.QUEUED)
        assert queued.files == (now,)

    def test_where_its_path_is_open_again(self, journal: Journal) -> None:
        fileset = waiting(journal)
        bring_to(journal, fileset.id, State.FAILED)
        journal.wait("zak", "/dropbox", [found()])
        with pytest.raises(ImportRefused, match=r"a\.tif: is waiting for zak, as fileset"):
            journal.retry(fileset.id)
        assert journal.counts()["failed"] == 1


def test_users_wait_in_the_order_they_came(journal: Journal) -> None:
    for user in ("zak", "amy", "zak"):
        met = Found(f"/{user}/{len(journal.select())}", found().stat)
        journal.hand_over(user, f"/{user}", met)
    assert journal.queued_users() == ["zak", "amy"]


def test_it_is_all_there_after_a_restart(journal: Journal, url: str) -> None:
    fileset = waiting(journal)
    journal.close()
    again = Journal(url)
    assert again.get(fileset.id) == fileset
    again.close()


def test_a_changed_file_is_a_revision_of_the_former(journal: Journal) -> None:
    first = waiting(journal)
    bring_to(journal, first.id, State.IMPORTING)
    journal.imported(first.id, 41, [5], ["ab"])
    second = waiting(journal, found(size=11))
    bring_to(journal, second.id, State.IMPORTING)
    journal.imported(second.id, 42, [6], ["cd"])
    ids = [(f.id, f.revision_of) for f in journal.load([first.id, second.id])]
    assert ids == [(first.id, None), (second.id, first.id)]


def test_a_duplicate_names_what_it_is_a_copy_of(journal: Journal) -> None:
    first, second = waiting(journal), waiting(journal, found("b.tif", 8))
    bring_to(journal, first.id, State.IMPORTING)
    journal.imported(first.id, 41, [5], ["ab"])
    bring_to(journal, second.id, State.IMPORTING)
    journal.duplicate(second.id, first.id, "as a.tif")
    (told,) = journal.select(State.SKIPPED)
    assert (told.id, told.duplicate_of, told.reason) == (second.id, first.id, "as a.tif")


def test_all_names_of_one_file_are_known(journal: Journal) -> None:
    waiting(journal)
    assert set(journal.known([found("x.tif"), found(), found("y.tif")])) == {
        "/dropbox/amy/a.tif",
        "/dropbox/amy/x.tif",
        "/dropbox/amy/y.tif",
    }


def test_all_that_waits_is_told_once(journal: Journal) -> None:
    names = [found(f"{n:04}.tif", n) for n in range(1, 1000)]
    journal.wait("zak", "/dropbox", names[::2])
    journal.wait("amy", "/dropbox", names[1::2])
    bring_to(journal, journal.open_at([names[3].path])[names[3].path].id, State.IMPORTING)
    told = [fileset.path for some in journal.waiting() for fileset in some]
    assert sorted(told) == sorted(met.path for met in names if met is not names[3])


def test_users_in_a_long_queue(journal: Journal) -> None:
    assert journal.queued_users() == []
    for number, user in enumerate(("kim", "zak", "amy", "zak", "kim")):
        journal.hand_over(user, "/", found(f"{number}.tif", number))
    journal.take("kim")
    assert journal.queued_users() == ["zak", "amy", "kim"]
    journal.take("kim")
    assert journal.queued_users() == ["zak", "amy"]


def test_many_threads_take_each_fileset_once(journal: Journal) -> None:
    for number in range(60):
        journal.hand_over("amy", "/", found(f"{number}.tif", number))
    taken: list[int] = []

    def take() -> None:
        while (fileset := journal.take("amy")) is not None:
            taken.append(fileset.id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(f.id for f in journal.select(State.IMPORTING))
    assert len(taken) == 60


def test_no_transaction_locks_out_readers_at_its_end(sqlite_url: str) -> None:
    """Who closes the last connection does, and may be stopped then; so there is always one more."""
    journal = Journal(sqlite_url)
    other = Journal(sqlite_url, make=False)
    wal = Path(f"{sqlite_url.removeprefix('sqlite:///')}-wal")
    for one in (journal, other):
        one.note("key", "value")
        assert wal.exists(), "it was not the last connection that closed"
    journal.close()
    other.note("key", "other")
    assert not wal.exists(), "nobody keeps it open any more"
    other.close()


def test_a_connection_in_use_is_closed_when_its_thread_is_done(url: str) -> None:
    journal = Journal(url)
    with journal.database._engine.connect() as used:
        journal.close()
        used.execute(text("SELECT 1"))
        connection: Any = used.connection.dbapi_connection
    with pytest.raises(Exception, match="closed"):
        connection.execute("SELECT 1")


def test_a_newer_journal_is_refused(journal: Journal, url: str) -> None:
    with journal._database.writing() as connection:
        connection.execute(text("UPDATE meta SET value = '99' WHERE key = 'version'"))
    with pytest.raises(JournalError, match="version 99"):
        Journal(url)


def test_who_hands_over_makes_no_journal_and_checks_none(url: str, journal: Journal) -> None:
    """A running DropBox has done both; a large journal takes long to check."""
    statements: list[str] = []

    def executed(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", executed)
    try:
        with closing(Journal(url, make=False)) as other:
            other.hand_over("amy", "/x", found())
    finally:
        event.remove(Engine, "before_cursor_execute", executed)
    assert not [one for one in statements if "quick_check" in one or "CREATE" in one]
    assert journal.counts()["queued"] == 1


def test_who_hands_over_leaves_an_older_journal_as_it_is(url: str, journal: Journal) -> None:
    with journal._database.writing() as connection:
        connection.execute(text("UPDATE meta SET value = '3' WHERE key = 'version'"))
    with pytest.raises(JournalError, match="when it is started"):
        Journal(url, make=False)


def test_a_journal_that_is_not_there(url: str) -> None:
    with pytest.raises(JournalError, match="DropBox makes it"):
        Journal(url, read_only=True)


class TestMigration:
    """A journal of the first release, as it was written then."""

    @pytest.fixture
    def old(self, tmp_path: Path) -> str:
        file = tmp_path / "journal.sqlite"
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.executescript(OLD.read_text(encoding="utf-8"))
        connection.close()
        return f"sqlite:///{file}"

    def test_keeps_what_it_knew(self, old: str) -> None:
        journal = Journal(old)
        first, second = journal.load([1, 2])
        assert (first.state, first.server_fileset, first.images) == (State.IMPORTED, 41, (5, 6))
        assert (first.revision_of, second.duplicate_of) == (None, None)
        assert second.files[0].path == "/dropbox/zak/b.tif"
        journal.close()

    def test_ends_as_a_new_one_would(self, old: str, tmp_path: Path) -> None:
        Journal(old).close()
        Journal(f"sqlite:///{tmp_path}/new.sqlite").close()
        columns = {}
        for name in ("journal", "new"):
            with closing(sqlite3.connect(tmp_path / f"{name}.sqlite")) as db, db:
                columns[name] = {
                    (table, row[1], row[2], row[3])
                    for table in ("meta", "lease", "fileset", "file", "event", "letter")
                    for row in db.execute(f"PRAGMA table_info({table})")
                }
                assert db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone() == (
                    str(VERSION),
                )
            db.close()
        assert columns["journal"] == columns["new"]

    def test_has_the_indexes_of_a_new_one(self, old: str, tmp_path: Path) -> None:
        Journal(old).close()
        Journal(f"sqlite:///{tmp_path}/new.sqlite").close()
        indexes, statistics = [], []
        for name in ("journal", "new"):
            with closing(sqlite3.connect(tmp_path / f"{name}.sqlite")) as db, db:
                rows = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index'")
                indexes.append({(row[0], " ".join((row[1] or "").split())) for row in rows})
                statistics.append(sorted(db.execute("SELECT tbl, idx, stat FROM sqlite_stat1")))
            db.close()
        assert indexes[0] == indexes[1]
        assert statistics[0] == statistics[1] != []

    def test_goes_on_telling(self, old: str) -> None:
        journal = Journal(old, who="DropBox")
        assert journal.move(2, State.WAITING, State.FAILED, "no image")
        told = journal.events(2)[-1]
        assert told[1:] == ("waiting", "failed", "no image", "DropBox")
        journal.close()

    def test_still_refuses_what_is_illegal(self, old: str) -> None:
        journal = Journal(old)
        with pytest.raises(JournalError, match="illegal transition"):
            journal.move(1, State.IMPORTED, State.QUEUED)
        journal.close()

    def test_only_looking_does_not_do_it(self, old: str) -> None:
        with pytest.raises(JournalError, match="when it is started"):
            Journal(old, read_only=True)


def test_a_journal_of_version_6_gets_an_outbox(url: str) -> None:
    """As version 6 was: all but the letters.  On both databases."""
    journal = Journal(url)
    fileset = waiting(journal)
    with journal._database.writing() as connection:
        for table in ("letter", "node", "turn"):
            connection.execute(text(f"DROP TABLE {table}"))
        drop_indexes(connection, 6)
        connection.execute(text("UPDATE meta SET value = '6' WHERE key = 'version'"))
    journal.close()
    with pytest.raises(JournalError, match="has version 6"):
        Journal(url, make=False)
    journal = Journal(url)
    assert journal.get(fileset.id) == fileset
    letter = journal.outbox.put("amy", "digest", "{}", through=1)
    assert letter is not None and [one.id for one in journal.outbox.waiting()] == [letter]
    with pytest.raises(JournalError), journal._database.writing() as connection:
        connection.execute(text("UPDATE letter SET state = 'lost'"))
    journal.close()


class TestPostgreSQL:
    """What only a server can do to us."""

    def test_a_restart_is_one_error_and_no_more(self, postgres: Postgres) -> None:
        journal = Journal(postgres.url("restarted"))
        fileset = waiting(journal)
        postgres.stop()
        with pytest.raises(JournalError, match="the journal postgresql://"):
            journal.counts()
        postgres.start()
        assert journal.get(fileset.id) == fileset
        journal.close()

    def test_a_peer_that_stands_still_in_a_transaction_stops_nobody_for_long(
        self, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As one that was lost with its network: its connection is open, and it says nothing."""
        url = postgres.url("lost_peer")
        journal = Journal(url)
        fileset = waiting(journal)
        with standing_still(url, 600.0), monkeypatch.context() as patched:
            patched.setitem(LIMITS, "lock_timeout", 0.2)
            hasty = Journal(url, make=False)
            with pytest.raises(JournalError, match="lock timeout"):
                hasty.move(fileset.id, State.WAITING, State.QUEUED)
            hasty.close()
        # The server ends the transaction of who is silent, and all go on.
        with standing_still(url, 2.0):
            assert journal.move(fileset.id, State.WAITING, State.QUEUED)
        journal.close()

    def test_what_the_url_says_of_limits_wins(self, postgres: Postgres) -> None:
        journal = Journal(postgres.url("limits") + "%20-c%20lock_timeout%3D7s")
        with journal._database.reading() as connection:
            limits = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in LIMITS}
        assert limits == {
            "lock_timeout": "7s",
            "statement_timeout": "40s",
            "idle_in_transaction_session_timeout": "15s",
        }
        journal.close()

    def test_a_machine_that_is_gone_keeps_no_connection(self) -> None:
        """PostgreSQL asks it, over a network: by its own settings only after two hours."""
        if why := possible():
            pytest.skip(f"no network of our own: {why}")
        alone = (
            ALONE if os.geteuid() else ("unshare", "--net")
        )  # as others than root, see `running`
        script = (
            "import subprocess\n"
            "from omero_fs_plugin.dropbox.journal.database import Database\n"
            "from omero_fs_plugin.dropbox.journal.engines import KEEPALIVES\n"
            "from tests.integration.dropbox.journal.postgres import running\n"
            "subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"
            "with running(inside=('env',)) as server:\n"
            "    address = server.url('gone').partition('@')[2].partition('?')[2]\n"
            "    options = address.partition('&')[2]\n"
            "    url = f'postgresql://fs@127.0.0.1/postgres?{options}'\n"
            "    database = Database(url, make=True)\n"
            "    with database.reading() as connection:\n"
            "        for name in KEEPALIVES:\n"
            "            print(name, connection.exec_driver_sql(f'SHOW {name}').scalar())\n"
            "    database.close()\n"
        )
        done = subprocess.run(
            [*alone, sys.executable, "-c", script], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert dict(line.split() for line in done.stdout.splitlines()) == {
            "tcp_keepalives_idle": "60",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "3",
        }

    def test_a_password_is_not_shown(self) -> None:
        with pytest.raises(JournalError) as told:
            Journal("postgresql://amy:secret@127.0.0.1:1/fs")
        assert "secret" not in str(told.value)

    @pytest.mark.parametrize("url", ["mysql://amy:secret@x/y", "amy:secret", "nope://x"])
    def test_another_database_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"omero\.fs\.journal") as told:
            Journal(url)
        assert "secret" not in str(told.value)


class TestSQLite:
    """One clear line, and nothing done to the file."""

    def test_a_file_that_is_no_database(self, tmp_path: Path, sqlite_url: str) -> None:
        (tmp_path / "journal.sqlite").write_bytes(b"not a database" * 100)
        with pytest.raises(JournalError, match=r"not a database.*move the file"):
            Journal(sqlite_url)
        assert (tmp_path / "journal.sqlite").read_bytes() == b"not a database" * 100

    def test_a_damaged_page(self, tmp_path: Path, sqlite_url: str) -> None:
        journal = Journal(sqlite_url)
        journal.wait("amy", "/", [found(f"{n}.tif", n) for n in range(500)])
        journal.close()
        file = tmp_path / "journal.sqlite"
        content = bytearray(file.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 4096] = b"\xaa" * 4096
        file.write_bytes(content)
        with pytest.raises(JournalError, match=r"is corrupt.*move the file"):
            Journal(sqlite_url)

    def test_a_directory_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(JournalError, match="No such file or directory"):
            Journal(f"sqlite:///{tmp_path}/no/such/journal.sqlite")

    @pytest.mark.parametrize(("share", "mode"), [("", "wal"), ("nfs4", "delete")])
    def test_wal_is_not_used_on_a_share(
        self, sqlite_url: str, tmp_path: Path, share: str, mode: str
    ) -> None:
        journal = Journal(sqlite_url, share=share)
        waiting(journal)
        journal.close()
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection, connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
        connection.close()
