"""The keeper of the lease: when it is gained and lost, whatever the journal does meanwhile."""

from __future__ import annotations

from typing import cast

from omero_fs_plugin.dropbox.journal.keeper import LeaseKeeper
from omero_fs_plugin.dropbox.journal.lease import EXPIRES, RENEW, RENEW_AGAIN, Lease
from omero_fs_plugin.dropbox.journal.records import Held
from omero_fs_plugin.errors import JournalError


class FakeLease:
    """Says what it is told to; a call takes as long as it is told to."""

    held_by = "process 7 on elsewhere"

    def __init__(self) -> None:
        self.now = 0.0
        self.takes = 0.0  # s
        self.held = Held("me", 1, 1)
        self.answers: list[bool | Exception] = []
        self.there: bool | Exception = JournalError("away")  # what is read of it
        self.asked_at: list[float] = []

    def hold(self, now: float) -> bool:
        self.asked_at.append(now)
        self.now += self.takes
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def is_still_ours(self) -> bool:
        if isinstance(self.there, Exception):
            raise self.there
        return self.there


def kept(lease: FakeLease) -> tuple[LeaseKeeper, list[str]]:
    told: list[str] = []
    keeper = LeaseKeeper(
        cast(Lease, lease),
        gained=lambda: told.append("gained"),
        lost=told.append,
        clock=lambda: lease.now,
    )
    return keeper, told


def test_it_is_gained_once_and_lost_once() -> None:
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.answers = [False, True, True, False]
    assert [keeper.ask() for _ in range(4)] == [False, True, True, None]
    assert told == ["gained", "it is held by process 7 on elsewhere"]


def test_one_that_another_had_meanwhile_is_lost() -> None:
    """It took over while we stood still, and has stopped since: ours is another lease now."""
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.answers = [True, True]
    assert keeper.ask()
    lease.held = Held("me", 2, 3)
    assert keeper.ask() is None
    assert told == ["gained", "another had it meanwhile"]


def test_a_journal_that_is_away_for_a_moment_costs_nothing() -> None:
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.answers = [True, JournalError("busy"), True]
    assert keeper.ask()
    lease.now += EXPIRES / 2 - 1
    assert keeper.ask()
    assert keeper.ask()
    assert told == ["gained"]


def test_a_journal_that_is_away_is_asked_again_soon() -> None:
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.answers = [True, JournalError("away"), JournalError("away"), True]
    assert [keeper.pause(bool(keeper.ask())) for _ in range(4)] == [
        RENEW,
        RENEW_AGAIN,
        RENEW_AGAIN,
        RENEW,
    ]
    assert told == ["gained"]
    # So an outage that is over by then ends nobody, wherever between two counts it began.
    assert RENEW + 2 * RENEW_AGAIN < EXPIRES / 2


def test_who_cannot_ask_gives_up_long_before_another_may_take_over() -> None:
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.answers = [True, JournalError("busy")]
    assert keeper.ask()
    lease.now += EXPIRES / 2
    assert keeper.ask() is None
    assert told == ["gained", "the journal cannot be asked for it"]


def test_a_journal_that_can_be_read_and_not_written_ends_nobody() -> None:
    """A backup holds its lock for minutes, or its disk is full: nobody takes it over."""
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.there = True
    lease.answers = [True, *[JournalError("database is locked")] * 10, True]
    assert keeper.ask()
    for _ in range(10):
        lease.now += EXPIRES
        assert keeper.ask()
        assert keeper.trouble == "database is locked"
    assert keeper.ask()
    assert (keeper.trouble, told) == ("", ["gained"])


def test_one_that_was_taken_over_is_lost_although_nothing_can_be_written() -> None:
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.answers = [True, JournalError("disk is full")]
    assert keeper.ask()
    lease.there = False
    lease.now += EXPIRES / 2
    assert keeper.ask() is None
    assert told == ["gained", "the journal cannot be asked for it"]


def test_the_time_of_a_call_that_blocks_counts() -> None:
    """From before it: the answer may be as old as the call."""
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.takes = EXPIRES / 2
    lease.answers = [True, JournalError("busy")]
    assert keeper.ask()
    assert keeper.ask() is None
    assert told[-1] == "the journal cannot be asked for it"
    assert lease.asked_at == [0.0, EXPIRES / 2]


def test_a_journal_that_was_never_ours_is_asked_again() -> None:
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.answers = [JournalError("away"), JournalError("away"), True]
    lease.takes = EXPIRES
    assert [keeper.ask() for _ in range(3)] == [False, False, True]
    assert told == ["gained"]


def test_a_defect_is_not_the_end_of_the_thread_alone() -> None:
    lease = FakeLease()
    keeper, told = kept(lease)
    lease.answers = [TypeError("a defect")]
    assert keeper.ask() is None
    assert told == ["it cannot be kept"]


def test_if_nothing_can_begin_it_is_lost() -> None:
    """Else it would run out while this process waits for nothing."""
    lease, told = FakeLease(), list[str]()

    def gained() -> None:
        raise RuntimeError("can't start new thread")

    keeper = LeaseKeeper(cast(Lease, lease), gained=gained, lost=told.append)
    lease.answers = [True]
    keeper.start()
    keeper._thread.join(20)
    assert not keeper._thread.is_alive()
    assert told == ["it cannot be kept"]
