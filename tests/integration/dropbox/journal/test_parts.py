"""A large set comes together in parts: a kill between any two, and others who look on; on both
databases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.dropbox.journal.database import Database, LeaseLost
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import Lease
from omero_fs_plugin.dropbox.journal.records import Formed, Found
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat
from tests.parts import in_parts_of

from .test_journal import journal, postgres, url

__all__ = ["journal", "postgres", "url"]  # fixtures

ROOT = "/dropbox/amy"
FILES = 7
FOUND = [Found(f"{ROOT}/{n}.tif", FileStat(1, 100 + n, 5, n, 1)) for n in range(FILES)]
FORMED = Formed("amy", ROOT, FOUND)
EXTRA = Found(f"{ROOT}/extra.tif", FileStat(1, 900, 5, 1, 1))
SHA1S = [f"{n:040x}" for n in range(FILES)]
SEVERAL = range(12)  # more transactions than any act has here, or none of them is reached


@pytest.fixture(autouse=True)
def small_parts() -> Iterator[None]:
    with in_parts_of(2):
        yield


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def dies_before(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """... the transaction with this number."""
    numbers, writing = itertools.count(), Database.writing

    def dying(self: Database, **options: Any) -> Any:
        if next(numbers) == number:
            raise Killed
        return writing(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "writing", dying)
        yield


def wait(journal: Journal) -> None:
    journal.wait("amy", ROOT, FOUND)


def failed_with_another(journal: Journal) -> None:
    """In another order, and with a file that the new set lacks."""
    wait(journal)
    identifier, _ = journal.form(Formed("amy", ROOT, [*reversed(FOUND), EXTRA]))
    assert identifier is not None
    journal.move(identifier, State.QUEUED, State.FAILED, "no")


def failed(journal: Journal) -> None:
    wait(journal)
    identifier, _ = journal.form(FORMED)
    assert identifier is not None
    journal.move(identifier, State.QUEUED, State.FAILED, "no")


def queued_without_the_first(journal: Journal) -> None:
    wait(journal)
    assert journal.form(Formed("amy", ROOT, FOUND[1:]))[0] is not None


BEFORE = {
    "waiting": wait,
    "not met": lambda journal: None,
    "failed": failed,
    "failed with another": failed_with_another,
    "queued without the first": queued_without_the_first,
}


def restart(journal: Journal) -> None:
    """What a new DropBox does: sets that wait come apart, and what it meets on disk waits."""
    for fileset in journal.select(State.WAITING):
        journal.dissolve(fileset.id)
    journal.wait("amy", ROOT, unknown(journal))


def unknown(journal: Journal) -> list[Found]:
    """What is news to whoever meets it."""
    return [met for met in FOUND if met.path not in journal.known(FOUND)]


def open_files(journal: Journal) -> list[str]:
    return [met.path for fileset in journal.select(*OPEN) for met in fileset.files]


def import_all(journal: Journal) -> list[list[str]]:
    imported = []
    while (fileset := journal.take("amy")) is not None:
        imported.append([met.path for met in fileset.files])
        journal.note_verified(fileset, SHA1S[: len(fileset.files)], known=None)
        journal.imported(fileset.id, fileset.id, [1], SHA1S[: len(fileset.files)])
    return imported


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=pytest.mark.long if n % 2 else ()) for n in SEVERAL]
)
def test_killed_between_two_parts_it_is_imported_once(
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Journal], None],
    number: int,
) -> None:
    before(journal)
    with dies_before(monkeypatch, number):
        try:
            journal.form(FORMED)
        except Killed:
            journal._gathering.clear()
    paths = [met.path for met in FOUND]
    for fileset in journal.select(State.QUEUED):
        assert {met.path for met in fileset.files} in (set(paths), set(paths[1:]))
    opened = open_files(journal)
    assert len(opened) == len(set(opened))
    restart(journal)
    opened = open_files(journal)
    ended = {met.path for fileset in journal.select(State.FAILED) for met in fileset.files}
    assert sorted({*opened, *ended} - {EXTRA.path}) == paths
    assert len(opened) == len(set(opened))
    identifier, _ = journal.form(FORMED)
    assert identifier is not None
    assert import_all(journal) == [paths]
    assert [one for one in open_files(journal) if one != EXTRA.path] == []
    assert journal.notes("gathers ") == {}


@pytest.mark.parametrize("number", range(8))
def test_giving_up_is_killed_between_two_parts(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    wait(journal)

    def ids() -> list[int]:
        opened = journal.open_at([met.path for met in FOUND])
        return [opened[met.path].id for met in FOUND]

    with dies_before(monkeypatch, number):
        try:
            journal.give_up(ids(), "waits for x", ["x"])
        except Killed:
            journal._gathering.clear()
    if not journal.select(State.FAILED):
        restart(journal)
        assert sorted(open_files(journal)) == [met.path for met in FOUND]
        assert journal.give_up(ids(), "waits for x", ["x"]) is not None
    (given_up,) = journal.select(State.FAILED)
    assert [met.path for met in given_up.files] == [met.path for met in FOUND]
    assert open_files(journal) == []
    assert journal.notes("gathers ") == {}


@pytest.mark.parametrize("chosen", [(0, 1), (1, 0), (FILES - 1, 0)])
def test_the_first_file_of_half_a_set_is_not_given_up(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, chosen: tuple[int, int]
) -> None:
    """Else its other files are lost: in the new set there are others at their positions."""
    wait(journal)
    with dies_before(monkeypatch, 3), suppress(Killed):
        journal.form(FORMED)
    journal._gathering.clear()
    paths = {met.path for met in FOUND}
    half = [one for one in journal.select(State.WAITING) if len(one.files) > 1]
    assert half, "the kill came too early"
    opened = journal.open_at(paths)
    some = [opened[FOUND[n].path].id for n in chosen if FOUND[n].path in opened]
    assert journal.give_up(some, "waits for x", ["x"]) is None
    assert {met.path for one in journal.select() for met in one.files} == paths
    restart(journal)
    opened = journal.open_at(paths)
    assert journal.give_up([opened[FOUND[n].path].id for n in chosen], "waits for x", ["x"])
    assert {met.path for one in journal.select() for met in one.files} == paths


def opened_ids(journal: Journal, found: Sequence[Found] = FOUND) -> list[int]:
    opened = journal.open_at([met.path for met in found])
    return [opened[met.path].id for met in found if met.path in opened]


ACTS: dict[str, Callable[[Journal], object]] = {
    "give up": lambda journal: journal.give_up(opened_ids(journal), "waits for x", ["x"]),
    "give up some": lambda journal: journal.give_up(opened_ids(journal, FOUND[:3]), "for y", ["y"]),
    "give up in another order": lambda journal: journal.give_up(
        opened_ids(journal)[::-1], "waits for x", ["x"]
    ),
    "form": lambda journal: journal.form(FORMED),
    "form some": lambda journal: journal.form(Formed("amy", ROOT, FOUND[:2])),
    "dissolve": lambda journal: [journal.dissolve(one.id) for one in journal.select(State.WAITING)],
    "meet": lambda journal: journal.wait("amy", ROOT, unknown(journal)),
}


@contextmanager
def meanwhile(
    monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]
) -> Iterator[list[bool]]:
    """Does `act` before the transaction with this number.  Yields a list, not empty if it did."""
    numbers, writing, done = itertools.count(), Database.writing, []

    def after_it(self: Database, **options: Any) -> Any:
        if not done and next(numbers) == number:
            done.append(True)
            act()
        return writing(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "writing", after_it)
        yield done


@pytest.mark.parametrize("of_two", [False, True], ids=["small", "in parts"])
@pytest.mark.parametrize("other", ACTS)
@pytest.mark.parametrize("one", ["give up", "give up some", "form"])
def test_two_threads_at_one_set_lose_no_file_of_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, one: str, other: str, of_two: bool
) -> None:
    """The other does all of its work before any transaction of the first: each in turn."""
    paths = [met.path for met in FOUND]
    for number in SEVERAL:
        wait(journal)
        with (
            in_parts_of(2 if of_two else 100),
            meanwhile(monkeypatch, number, partial(ACTS[other], journal)) as done,
        ):
            ACTS[one](journal)
        sets = journal.select(*OPEN, State.FAILED)
        assert sorted(met.path for each in sets for met in each.files) == paths, number
        for failed in journal.select(State.FAILED):
            assert len(failed.files) in (FILES, 3), number  # all that was given up
        assert journal.notes("gathers ") == {}
        if not done:
            return
        for fileset in journal.select(State.FAILED):
            assert journal.retry(fileset.id)
        for fileset in journal.select(State.QUEUED):
            journal.move(fileset.id, State.QUEUED, State.WAITING)
        restart(journal)
        assert sorted(open_files(journal)) == paths
    pytest.fail("it has more transactions than were looked at")


def test_a_set_that_came_apart_lies_nowhere_else(journal: Journal) -> None:
    """Who moved all of its files hears of it, and brings them back."""
    failed(journal)
    (fileset,) = journal.select(State.FAILED)
    journal._part_with(fileset.id, (State.FAILED,))
    assert not journal.put_elsewhere(fileset.id, VAULT, IN_VAULT)
    assert [one.root for one in journal.select(State.FAILED)] == [ROOT]


VAULT = "/bad/amy/1"
IN_VAULT = [replace(m, path=m.path.replace(ROOT, VAULT)) for m in FOUND]
HOME = "quarantined 1"


def until_killed(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    with dies_before(monkeypatch, number), suppress(Killed):
        act()


@pytest.mark.parametrize("number", range(6))
def test_killed_on_the_way_into_quarantine_each_file_has_its_place(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    failed(journal)
    (fileset,) = journal.select(State.FAILED)
    until_killed(monkeypatch, number, lambda: journal.put_elsewhere(fileset.id, VAULT, IN_VAULT))
    (now,) = journal.select()
    at_home, away = [met.path for met in FOUND], [met.path for met in IN_VAULT]
    moved = min(2 * number, FILES)
    assert [met.path for met in now.files] == away[:moved] + at_home[moved:]
    assert now.root == (VAULT if number else ROOT)
    assert now.path == now.files[0].path
    assert journal.put_elsewhere(fileset.id, VAULT, IN_VAULT)
    (now,) = journal.select(State.FAILED)
    assert list(now.files) == IN_VAULT


@pytest.mark.parametrize("number", range(9))
def test_killed_on_the_way_home_each_file_waits_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    failed(journal)
    (fileset,) = journal.select(State.FAILED)
    journal.note(HOME, ROOT)
    assert journal.put_elsewhere(fileset.id, VAULT, IN_VAULT)
    until_killed(monkeypatch, number, lambda: journal.bring_home(fileset, ROOT, FOUND, HOME))
    left = journal.select(State.FAILED)
    assert bool(left) == bool(journal.noted(HOME))
    for one in left:  # who goes on does it with the files that the set still has
        journal.bring_home(one, ROOT, FOUND[: len(one.files)], HOME)
    assert sorted(open_files(journal)) == [met.path for met in FOUND]
    assert journal.form(FORMED)[0] is not None
    assert import_all(journal) == [[met.path for met in FOUND]]
    assert journal.noted(HOME) == ""


def elsewhere() -> list[Found]:
    """The files of the set, moved into another directory."""
    return [
        Found(met.path.replace(ROOT, f"{ROOT}/b"), replace(met.stat, inode=700 + n, ctime_ns=2))
        for n, met in enumerate(FOUND)
    ]


@pytest.mark.parametrize("number", range(10))
def test_killed_while_a_set_is_met_again_it_is_one(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    wait(journal)
    journal.form(FORMED)
    import_all(journal)
    (first,) = journal.select()
    moved = elsewhere()
    identifier, _ = journal.form(Formed("amy", ROOT, moved))
    assert identifier is not None
    again = journal.take("amy")
    assert again is not None
    until_killed(monkeypatch, number, lambda: journal.met(again.id, first.id, moved))
    if journal.importing():
        assert len(journal.load([again.id])[0].files) == FILES
        assert journal.met(again.id, first.id, moved)
    journal.finish_uniting()
    (one,) = journal.select()
    assert (one.id, one.state, one.path) == (first.id, State.IMPORTED, moved[0].path)
    assert list(one.files) == moved
    assert journal.notes("unites ") == {}
    assert [after for _, _, after, *_ in journal.events(one.id)].count(State.IMPORTED) == 1


def test_one_that_is_opened_again_before_it_goes_stays(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait(journal)
    journal.form(FORMED)
    import_all(journal)
    (first,) = journal.select()
    moved = elsewhere()
    journal.form(Formed("amy", ROOT, moved))
    again = journal.take("amy")
    assert again is not None
    until_killed(monkeypatch, 5, lambda: journal.met(again.id, first.id, moved))
    (skipped,) = journal.select(State.SKIPPED)
    assert skipped.id == again.id
    changed = replace(moved[0], stat=replace(moved[0].stat, size=99))
    journal.wait("amy", ROOT, [changed])
    journal.finish_uniting()
    assert [one.files[0] for one in journal.select(State.WAITING) if one.id == again.id] == [
        changed
    ]
    assert journal.notes("unites ") == {}


IN_OMERO = ServerFileset(
    9, (9,), tuple(m.path.lstrip("/") for m in FOUND), tuple(SHA1S), (5,) * FILES
)


@pytest.mark.parametrize("number", range(7))
def test_killed_while_it_learns_what_omero_has_it_learns_it_then(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    until_killed(monkeypatch, number, lambda: journal.found_in_omero("amy", ROOT, [IN_OMERO]))
    half = number < 6  # the part that ends it is the sixth
    assert (journal.newest_in_omero("amy") == 9) is not half
    for some in range(1, FILES + half):  # nothing is the same as what is there of it
        assert journal.same_content("amy", SHA1S[:some]) == []
    assert journal.found_in_omero("amy", ROOT, [IN_OMERO]) == int(half)
    (one,) = journal.select()
    assert (one.server_fileset, one.images, list(one.sha1s)) == (9, (9,), SHA1S)
    assert [met.path for met in one.files] == [met.path for met in FOUND]
    assert [same.id for same in journal.same_content("amy", SHA1S)] == [one.id]
    assert journal.notes("recalls ") == {}


@pytest.mark.parametrize("number", range(14))
def test_killed_while_what_was_found_gives_way_it_gives_way_then(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    journal.found_in_omero("amy", ROOT, [IN_OMERO])
    wait(journal)
    journal.form(FORMED)
    taken = journal.take("amy")
    assert taken is not None
    until_killed(monkeypatch, number, lambda: journal.imported(taken.id, 9, [9], SHA1S))
    if journal.importing():
        journal.imported(taken.id, 9, [9], SHA1S)
    (one,) = journal.select()
    assert (one.id, one.server_fileset, list(one.sha1s)) == (taken.id, 9, SHA1S)
    assert list(one.files) == FOUND


def between_parts(journal: Journal, act: Callable[[], object], number: int = 2) -> Any:
    """Forms the set; `act` happens before the part with this number."""
    take_in, numbers = journal._take_in, itertools.count()

    def acting(*arguments: Any) -> None:
        if next(numbers) == number:
            act()
        take_in(*arguments)

    journal._take_in = acting  # type: ignore[method-assign]
    try:
        return journal.form(FORMED)
    finally:
        del journal._take_in


def test_nobody_takes_half_a_set(journal: Journal) -> None:
    wait(journal)
    seen: list[object] = []

    def look() -> None:
        seen.append(journal.take("amy"))
        seen.extend(journal.select(State.QUEUED))
        journal.settled({one.id: one.files[0].stat for one in journal.select() if one.files[1:]})
        (half,) = [one for one in journal.select() if len(one.files) > 1]
        assert half.state is State.WAITING
        assert half.reason == "waits for its other files to be recorded"

    identifier, left = between_parts(journal, look)
    assert seen == [None]
    assert left == []
    assert import_all(journal) == [[met.path for met in FOUND]]
    assert identifier is not None


def test_a_rescan_meanwhile_leaves_the_half_set_alone(journal: Journal) -> None:
    wait(journal)

    def look() -> None:
        for fileset in journal.select(State.WAITING):
            journal.dissolve(fileset.id)

    assert between_parts(journal, look)[0] is not None


def test_one_imported_meanwhile_by_hand_is_imported_once(journal: Journal) -> None:
    """Whether the set has its file already or not: it is formed later, without a doubt."""
    for position in (0, FILES - 1):
        for met in FOUND:
            journal.wait("amy", ROOT, [met])

        def by_hand(position: int = position) -> None:
            try:
                handed = journal.hand_over("amy", ROOT, FOUND[position])
            except ImportRefused:
                return
            assert handed.state is State.QUEUED
            assert journal.take("amy") is not None

        assert between_parts(journal, by_hand) == (None, [])
        opened = open_files(journal)
        assert sorted(opened) == [met.path for met in FOUND]
        (importing,) = journal.importing()
        journal.move(importing.id, State.IMPORTING, State.FAILED, "no")
        assert journal.form(FORMED)[0] is not None
        (queued,) = journal.select(State.QUEUED)
        journal.move(queued.id, State.QUEUED, State.FAILED, "next")


def test_one_queued_meanwhile_by_hand_goes_into_the_set(journal: Journal) -> None:
    wait(journal)
    changed: list[int] = []

    def by_hand() -> None:
        changed.append(journal.hand_over("amy", ROOT, FOUND[1]).id)

    identifier, _ = between_parts(journal, by_hand)
    assert identifier is not None
    assert import_all(journal) == [[met.path for met in FOUND]]
    (skipped,) = journal.select(State.SKIPPED)
    assert skipped.id in changed


def test_one_that_changed_meanwhile_waits_for_its_rest(journal: Journal) -> None:
    wait(journal)
    changed = replace(FOUND[1], stat=replace(FOUND[1].stat, mtime_ns=99))
    identifier, _ = between_parts(journal, lambda: journal.wait("amy", ROOT, [changed]))
    assert identifier is not None
    (waiting,) = journal.select(State.WAITING)
    assert list(waiting.files) == [changed]


def test_who_has_lost_the_lease_forms_no_further_part(journal: Journal, url: str) -> None:
    """Another takes over, lets the half set come apart, and forms it."""
    wait(journal)
    other = Journal(url)
    first, second = Lease(journal), Lease(other)
    assert first.hold(0.0)
    journal.work_as(first.held)

    def take_over() -> None:
        assert not second.hold(1.0)
        assert second.hold(1000.0)
        other.work_as(second.held)
        restart(other)
        assert sorted(open_files(other)) == [met.path for met in FOUND]

    try:
        with pytest.raises(LeaseLost):
            between_parts(journal, take_over)
        assert other.form(FORMED)[0] is not None
        assert import_all(other) == [[met.path for met in FOUND]]
    finally:
        other.close()
