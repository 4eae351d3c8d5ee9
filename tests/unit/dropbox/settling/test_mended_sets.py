"""A set that has failed is formed anew when somebody mends it, whichever of its files tells of it.

The readers here find a set from its first file alone: asked about another one, they would take
that for an image of its own.
"""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.grouping.filesets import Candidate
from omero_fs_plugin.dropbox.journal.moves import HOME
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import RecordRefused

from .test_assembly import AMY, Stage, build, queued, stage

__all__ = ["stage"]

A, B, C = (f"{AMY}/{name}" for name in "abc")
ALL = Candidate((A, B, C))


def failed(stage: Stage) -> int:
    """A set of a, b and c that OMERO has refused."""
    first = queued(stage, "a", "b", "c")
    stage.failed_by_omero(first.id)
    return first.id


def given_up(stage: Stage) -> int:
    """A set of a and b that lacked c for too long."""
    stage.drop("a", "b")
    stage.answer(stage.lot(), Candidate((A, B), missing=(C,)))
    stage.pipeline.expire(10.0, 10.0)
    (one,) = stage.pipeline.take_failed()
    return one.id


@pytest.mark.parametrize("begin", [failed, given_up])
@pytest.mark.parametrize("how", ["heard", "scanned", "after a restart"])
def test_its_first_file_is_asked_about_too(stage: Stage, begin: object, how: str) -> None:
    assert callable(begin)
    identifier = begin(stage)
    if how == "heard":
        stage.drop("c")
    else:
        stage.disk.write(C, 5)
        stage.pipeline.scanned(stage.disk.scan(), stage.now)
    if how == "after a restart":
        stage.pipeline = build(stage.journal, stage.disk)
        stage.pipeline.revisit(stage.now)
    lot = stage.lot()
    assert {A, C} <= set(lot.files)
    assert stage.answer(lot, ALL) == 1
    assert list(stage.rows()) == [("a", "b", "c")]
    assert stage.rows(State.QUEUED) and stage.journal.open_at([A])[A].id == identifier


def test_one_that_changes_while_it_rests_tells_of_it_too(stage: Stage) -> None:
    """It failed while a file of it was in its quiet period."""
    first = queued(stage, "a", "b", "c")
    stage.disk.write(B, 7)
    stage.pipeline.heard([B], stage.now)
    taken = stage.journal.take("amy")
    assert taken is not None and taken.id == first.id
    stage.journal.note_verified(taken, ["ab"] * 3)
    stage.journal.refused(first.id, State.FAILED, "corrupt")
    assert stage.next_lot() is None, "alone, it might be taken for an image of its own"
    assert stage.lot().files == (A, B, C)


def test_a_set_in_quarantine_stays_there(stage: Stage) -> None:
    """It comes home first: others see to that."""
    identifier = given_up(stage)
    stage.journal.note(f"{HOME}{identifier}", "/elsewhere")
    stage.drop("c")
    assert stage.lot().files == (C,)
    assert stage.journal.get(identifier).state is State.FAILED  # type: ignore[union-attr]


def test_sets_of_others_and_those_that_need_it_not_stay(stage: Stage) -> None:
    identifier = failed(stage)
    theirs = AMY.replace("amy", "zak") + "/c"
    stage.disk.write(theirs, 1)
    stage.pipeline.heard([theirs], stage.now)
    assert stage.lot().files == (theirs,)
    assert stage.journal.get(identifier).state is State.FAILED  # type: ignore[union-attr]
    assert stage.journal.failed_with("amy", [A, B]) == {}, "its row is opened as ever"
    assert stage.journal.failed_with("zak", [B]) == {}
    assert stage.journal.failed_with("amy", [B, C, theirs]) == {identifier: {B, C}}


def test_a_first_file_that_is_gone_ends(stage: Stage) -> None:
    failed(stage)
    del stage.disk.files[A]
    stage.drop("c")
    while (lot := stage.next_lot()) is not None:
        assert A not in lot.files
    assert A not in stage.journal.open_at([A])


def test_one_that_the_journal_refuses_hurts_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(stage)
    wait = stage.journal.wait

    def refusing(user: str, root: str, found: object) -> None:
        if A in {met.path for met in found}:  # type: ignore[attr-defined]
            raise RecordRefused("the journal: UNIQUE constraint failed")
        wait(user, root, found)  # type: ignore[arg-type]

    monkeypatch.setattr(stage.journal, "wait", refusing)
    stage.drop("c")
    assert stage.lot().files == (C,)
    assert "UNIQUE" in stage.pipeline.files.left_alone[A]
