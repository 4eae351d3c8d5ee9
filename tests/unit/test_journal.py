"""The journal: what the database refuses, whoever asks, and what it remembers."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal import Journal
from omero_fs_plugin.dropbox.records import Fileset, Found
from omero_fs_plugin.dropbox.schema import TRANSITIONS, State
from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.events import FileStat


def found(name: str = "a.tif", inode: int = 7, size: int = 10, ctime: int = 1) -> Found:
    return Found(f"/dropbox/amy/{name}", FileStat(1, inode, size, 5, ctime))


@pytest.fixture
def url(tmp_path: Path) -> str:
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
    told = [event[1:] for event in journal.events(fileset.id)]
    assert told == [
        ("", "waiting", ""),
        ("waiting", "queued", ""),
        ("queued", "importing", ""),
        ("importing", "failed", "broken"),
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
    journal.note_verified(fileset.id, ["ab"])
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


class TestRefusals:
    """One clear line, and nothing done to the file."""

    def test_a_newer_journal(self, journal: Journal, tmp_path: Path, url: str) -> None:
        journal.close()
        with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
            connection.execute("update meta set value = '99' where key = 'version'")
        connection.close()
        with pytest.raises(JournalError, match="version 99"):
            Journal(url)

    def test_a_file_that_is_no_database(self, tmp_path: Path, url: str) -> None:
        (tmp_path / "journal.sqlite").write_bytes(b"not a database" * 100)
        with pytest.raises(JournalError, match="not a database"):
            Journal(url)
        assert (tmp_path / "journal.sqlite").read_bytes() == b"not a database" * 100

    def test_none_to_look_at(self, url: str) -> None:
        with pytest.raises(JournalError, match="DropBox makes it"):
            Journal(url, read_only=True)

    def test_a_directory_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(JournalError, match="unable to open"):
            Journal(f"sqlite:///{tmp_path}/no/such/journal.sqlite")
