"""How long a fileset rests after a failure, and when the fault is in the fileset."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.importing.blame import LONGEST_REST_S, Blame
from omero_fs_plugin.dropbox.importing.outage import IN_VAIN_S
from omero_fs_plugin.dropbox.importing.refusals import TRIES, TRY_AGAIN_S
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State

NOW = 1000.0  # s


def one(identifier: int = 7, *, attempts: int = 1, refusals: int = 0) -> Fileset:
    return Fileset(
        identifier,
        "amy",
        "/dropbox/amy",
        f"/dropbox/amy/{identifier}",
        State.IMPORTING,
        "",
        "met",
        attempts,
        refusals,
        False,
        None,
        (),
        0.0,
        0.0,
    )


@pytest.fixture
def blame() -> Blame:
    return Blame()


@pytest.mark.parametrize("attempts", [1, 100, 5000])
def test_however_often_it_was_tried_it_rests_a_minute_at_most(blame: Blame, attempts: int) -> None:
    """An import that OMERO is at for a week is looked at some ten thousand times."""
    blame.was_refused(one(attempts=attempts), NOW)
    assert blame.rests(7, NOW)
    assert blame.resting(NOW + LONGEST_REST_S) == frozenset()


@pytest.mark.parametrize("refusals", range(4))
def test_after_a_refusal_it_rests_for_as_long_as_the_table_says(
    blame: Blame, refusals: int
) -> None:
    seconds = TRY_AGAIN_S[min(refusals, 1)]
    blame.was_refused(one(refusals=refusals), NOW)
    assert blame.rests(7, NOW + seconds - 0.1)
    assert not blame.rests(7, NOW + seconds)


class TestAnUnknownReason:
    def test_the_first_time_nobody_knows(self, blame: Blame) -> None:
        blame.was_imported()
        assert not blame.failed(one(), NOW)
        assert blame.suspects() == {7}

    def test_while_nothing_is_imported_nobody_knows(self, blame: Blame) -> None:
        assert not any(blame.failed(one(attempts=n), NOW) for n in range(1, 10))

    def test_if_others_were_imported_meanwhile_the_fault_is_in_the_fileset(
        self, blame: Blame
    ) -> None:
        assert not blame.failed(one(), NOW)
        blame.was_imported()
        assert blame.failed(one(attempts=2), NOW)

    def test_each_time_only_what_was_imported_since_the_last_one_counts(self, blame: Blame) -> None:
        blame.failed(one(), NOW)
        blame.was_imported()
        assert blame.failed(one(), NOW)
        assert not blame.failed(one(), NOW)

    def test_who_got_a_state_begins_anew(self, blame: Blame) -> None:
        blame.failed(one(), NOW)
        blame.acquit(7)
        blame.was_imported()
        assert blame.suspects() == frozenset()
        assert not blame.failed(one(), NOW)

    def test_it_rests_longer_each_time_five_minutes_at_most(self, blame: Blame) -> None:
        for attempts, seconds in ((1, 2.0), (2, 4.0), (3, 8.0), (40, IN_VAIN_S)):
            blame.failed(one(attempts=attempts), NOW)
            assert blame.rests(7, NOW + seconds - 0.1)
            assert not blame.rests(7, NOW + seconds)


class TestOneThatIsNotFinished:
    def test_it_is_given_up_if_others_were_imported_meanwhile(self, blame: Blame) -> None:
        assert not blame.was_not_finished(7, NOW)
        blame.was_imported()
        told = [blame.was_not_finished(7, NOW) for _ in range(TRIES - 1)]
        assert told == [False] * (TRIES - 2) + [True]
        blame.given_up(7)
        assert not blame.was_not_finished(7, NOW)

    def test_it_is_not_given_up_while_nothing_is_imported(self, blame: Blame) -> None:
        assert not any(blame.was_not_finished(7, NOW) for _ in range(3 * TRIES))

    def test_it_may_be_acquitted_just_before_it_is_given_up(self, blame: Blame) -> None:
        """By the thread of its import, which was off the processor."""
        blame.was_not_finished(7, NOW)
        blame.acquit(7)
        blame.given_up(7)
        assert blame.suspects() == frozenset()
