"""Sets in the journal: met again after every end, and with files in common; on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import GONE, Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat

from .counting import counting
from .test_journal import journal, postgres, url

__all__ = ["journal", "postgres", "url"]  # fixtures

ROOT = "/dropbox/amy"
NAMES = ("meta", "p0", "p1", "p2")
META = f"{ROOT}/meta"


def met(name: str, ctime: int = 1) -> Found:
    return Found(f"{ROOT}/{name}", FileStat(1, 10 + NAMES.index(name), 5, 5, ctime))


def form(journal: Journal, *names: str, ctime: int = 1) -> int:
    identifier, _ = journal.form(Formed("amy", ROOT, [met(name, ctime) for name in names]))
    assert identifier is not None
    return identifier


def ends(journal: Journal) -> dict[int, tuple[str, str]]:
    """Fileset -> its state, and why."""
    return {fileset.id: (str(fileset.state), fileset.reason) for fileset in journal.select()}


def names(fileset: Fileset) -> tuple[str, ...]:
    return tuple(one.path.rpartition("/")[2] for one in fileset.files)


def open_rows(journal: Journal) -> dict[tuple[str, ...], str]:
    return {names(one): str(one.state) for one in journal.select(*OPEN)}


@pytest.mark.parametrize("end", [State.SKIPPED, State.FAILED], ids=str)
@pytest.mark.parametrize("order", [("p0", "p1", "p2"), ("p2", "p1", "p0"), ("p1",), ("p0",)])
def test_a_set_is_met_again(journal: Journal, end: State, order: tuple[str, ...]) -> None:
    """After a chmod of its files, or when it was copied over itself."""
    identifier = form(journal, "p0", "p1", "p2")
    journal.move(identifier, State.QUEUED, end, "for a reason")
    journal.wait("amy", ROOT, [met(name, ctime=2) for name in order])
    waiting = open_rows(journal)
    assert set(waiting) >= {(name,) for name in order}
    assert set(waiting.values()) == {"waiting"}
    known = journal.known([met(name, ctime=2) for name in order])
    assert set(known.values()) == {State.WAITING}
    assert len(known) == len(order)


def test_a_set_is_met_again_in_two_lots(journal: Journal) -> None:
    many = [Found(f"{ROOT}/{n:04}", FileStat(1, 100 + n, 5, 5, 1)) for n in range(1100)]
    identifier, _ = journal.form(Formed("amy", ROOT, many))
    assert identifier is not None
    journal.move(identifier, State.QUEUED, State.FAILED, "no")
    again = [Found(one.path, replace(one.stat, ctime_ns=2)) for one in reversed(many)]
    journal.wait("amy", ROOT, again)
    assert journal.counts() == {**dict.fromkeys(map(str, State), 0), "waiting": 1100}


def test_what_was_queued_ends_when_a_larger_set_has_it(journal: Journal) -> None:
    single = form(journal, "p0", "p1")
    larger = form(journal, "meta", "p0", "p1")
    assert ends(journal) == {
        single: ("skipped", f"its files are imported with {ROOT}/meta, as fileset {larger}"),
        larger: ("queued", ""),
    }
    assert open_rows(journal) == {("meta", "p0", "p1"): "queued"}


@pytest.mark.parametrize("end", [State.QUEUED, State.IMPORTED], ids=str)
def test_a_set_that_lies_in_another_is_none_of_its_own(journal: Journal, end: State) -> None:
    larger = form(journal, "meta", "p0", "p1")
    if end is State.IMPORTED:
        assert journal.take("amy") is not None
        journal.imported(larger, 1, [1], ["a", "b", "c"])
    journal.wait("amy", ROOT, [met("p0"), met("p1")])
    first = journal.open_at([f"{ROOT}/p0"])[f"{ROOT}/p0"].id
    assert form(journal, "p0", "p1") == larger
    assert ends(journal)[first] == (
        "skipped",
        f"its files are {end} with {ROOT}/meta, as fileset {larger}",
    )
    assert journal.counts()["waiting"] == 0


def test_one_in_a_set_that_is_being_imported_waits_for_its_end(journal: Journal) -> None:
    form(journal, "meta", "p0", "p1")
    assert journal.take("amy") is not None
    assert journal.form(Formed("amy", ROOT, [met("p0"), met("p1")])) == (None, [])


def test_what_changed_since_it_was_imported_is_a_set_of_its_own(journal: Journal) -> None:
    larger = form(journal, "meta", "p0", "p1")
    assert journal.take("amy") is not None
    journal.imported(larger, 1, [1], ["a", "b", "c"])
    assert form(journal, "p0", "p1", ctime=2) != larger
    assert journal.counts()["queued"] == 1


def test_sets_that_share_a_file_are_both_imported(journal: Journal) -> None:
    """As OMERO's importer has it: neither has all files of the other."""
    one, other = form(journal, "p0", "p2"), form(journal, "p1", "p2")
    assert open_rows(journal) == {("p0", "p2"): "queued", ("p1", "p2"): "queued"}
    assert one != other


def test_a_second_index_of_the_same_images_is_no_second_import(journal: Journal) -> None:
    """It waits until it is known what becomes of the first one."""
    one = form(journal, "p0", "p1", "p2")
    second = Formed("amy", ROOT, [met("meta"), met("p1"), met("p2")], indexes=frozenset([META]))
    journal.wait("amy", ROOT, [met("meta")])
    assert journal.form(second) == (None, [])
    assert journal.take("amy") is not None
    assert journal.form(second) == (None, [])
    journal.imported(one, 1, [1], ["a", "b", "c"])
    assert journal.form(second) == (one, [])
    (skipped,) = journal.select(State.SKIPPED)
    assert skipped.path == META
    assert f"imported already with {ROOT}/p0, as fileset {one}" in skipped.reason
    again = journal.hand_over("amy", ROOT, *second.found)
    assert (again.state, names(again)) == (State.QUEUED, ("meta", "p1", "p2"))


def test_a_second_index_is_formed_if_the_first_set_fails(journal: Journal) -> None:
    one = form(journal, "p0", "p1", "p2")
    second = Formed("amy", ROOT, [met("meta"), met("p1"), met("p2")], indexes=frozenset([META]))
    assert journal.form(second) == (None, [])
    assert journal.take("amy") is not None
    journal.refused(one, State.FAILED, "refused")
    identifier, _ = journal.form(second)
    assert identifier not in (None, one)


def test_an_index_takes_what_is_queued_alone_into_its_set(journal: Journal) -> None:
    form(journal, "p0")
    set_of_both = Formed("amy", ROOT, [met("meta"), met("p0")], indexes=frozenset([META]))
    identifier, _ = journal.form(set_of_both)
    assert identifier is not None
    assert open_rows(journal) == {("meta", "p0"): "queued"}


def test_of_a_set_that_loses_its_first_file_to_another_the_rest_waits(journal: Journal) -> None:
    former = form(journal, "p0", "p1")
    journal.wait("amy", ROOT, [met("meta")])
    later = form(journal, "meta", "p0")
    assert ends(journal)[former][0] == "skipped"
    assert open_rows(journal) == {("meta", "p0"): "queued", ("p1",): "waiting"}
    # It turns out to be a set all the same.
    again = form(journal, "p0", "p1")
    assert {later, again} == {one.id for one in journal.select(State.QUEUED)}


@pytest.mark.parametrize("end", [State.SKIPPED, State.FAILED], ids=str)
def test_an_end_is_never_forgotten(journal: Journal, end: State) -> None:
    journal.wait("amy", ROOT, [met("p1")])
    part = journal.open_at([f"{ROOT}/p1"])[f"{ROOT}/p1"].id
    journal.move(part, State.WAITING, end, "for a reason")
    form(journal, "p0", "p1")
    told = ends(journal)[part]
    assert told[0] == "skipped"
    assert told[1]
    assert journal.events(part)


def test_a_single_file_that_waited_for_its_set_goes_into_it(journal: Journal) -> None:
    journal.wait("amy", ROOT, [met("p0"), met("p1")])
    form(journal, "p0", "p1")
    assert len(journal.select()) == 1


def _imported_and_met_again(journal: Journal) -> tuple[int, Fileset]:
    """A fileset that was imported, and the one that its file is being imported as after a chmod."""
    for ctime in (1, 2):
        journal.wait("amy", ROOT, [met("p0", ctime)])
        (fileset,) = journal.select(State.WAITING)
        journal.settled({fileset.id: fileset.files[0].stat})
        taken = journal.take("amy")
        assert taken is not None
        if ctime == 1:
            imported = taken.id
            journal.imported(imported, 70, [70], ["a"])
    return imported, taken


def test_what_is_met_again_is_told_with_what_it_is(journal: Journal) -> None:
    """One row remains; nothing that was told of the other is lost with it."""
    imported, again = _imported_and_met_again(journal)
    before = [event[1:4] for one in (imported, again.id) for event in journal.events(one)]
    assert journal.met(again.id, imported, again.files)
    (row,) = journal.select()
    assert (row.id, row.state, row.files) == (imported, State.IMPORTED, again.files)
    told = [event[1:4] for event in journal.events(imported)]
    reason = f"met again, as fileset {again.id}: it has the same bytes"
    assert told == [*before, ("importing", "skipped", reason)]
    assert journal.events(again.id) == []
    assert journal.claims() == {}


def test_only_what_is_being_imported_turns_out_to_be_another(journal: Journal) -> None:
    """An importer that was left behind by a stop finds its fileset given back."""
    imported, again = _imported_and_met_again(journal)
    assert journal.move(again.id, State.IMPORTING, State.QUEUED, "stopped")
    before = journal.select()
    assert not journal.met(again.id, imported, again.files)
    assert journal.select() == before


def test_a_path_that_is_somebody_elses_is_refused_in_words(journal: Journal) -> None:
    journal.wait("zak", "/dropbox", [met("p0")])
    for others in ((), (met("p1"),)):
        with pytest.raises(ImportRefused, match=r"p0: is waiting for zak, as fileset 1"):
            journal.hand_over("amy", ROOT, met("p0"), *others)


def test_many_that_wait_are_told_at_once(journal: Journal) -> None:
    many = [Found(f"{ROOT}/{n}", FileStat(1, 100 + n, 5, 5, 1)) for n in range(300)]
    journal.wait("amy", ROOT, many)
    ids = [fileset.id for fileset in journal.open_at([one.path for one in many]).values()]
    with counting(journal) as cost:
        journal.tell(dict.fromkeys(ids, "waits for x"))
    assert cost.transactions == 1
    assert cost.statements < 10
    assert {reason for _, reason in ends(journal).values()} == {"waits for x"}
    before = journal.events(ids[0])
    journal.tell(dict.fromkeys(ids, "waits for x"))
    assert journal.events(ids[0]) == before, "told once"


def test_many_that_went_end_at_once(journal: Journal) -> None:
    many = [Found(f"{ROOT}/{n}", FileStat(1, 100 + n, 5, 5, 1)) for n in range(300)]
    journal.wait("amy", ROOT, many)
    ids = sorted(one.id for one in journal.open_at([one.path for one in many]).values())
    journal.move(ids[0], State.WAITING, State.QUEUED)
    with counting(journal) as cost:
        assert journal.end_waiting(dict.fromkeys(ids, GONE), State.SKIPPED) == ids[1:]
    assert cost.transactions == 1
    assert cost.statements < 10
