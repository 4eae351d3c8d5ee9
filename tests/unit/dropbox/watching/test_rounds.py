"""A look at many directories waits for those that answer, and for no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from omero_fs_plugin.dropbox.disks.calls import HUNG_S, Calls, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.watching.rounds import LONGEST_S, TURN_S, Late, Round
from omero_fs_plugin.errors import JournalError
from tests.clocks import Ahead


@pytest.fixture
def clock() -> Ahead:
    return Ahead()


@pytest.fixture
def lanes(clock: Ahead) -> Iterator[Lanes]:
    lanes = Lanes(calls=Calls(clock))
    yield lanes
    assert lanes.stop(time.monotonic() + 10)


@pytest.fixture
def looked(lanes: Lanes, clock: Ahead) -> Round:
    return Round(lanes, threading.Event(), late=Late(clock))


def raising(error: Exception) -> Callable[[], int]:
    def look() -> int:
        raise error

    return look


def test_all_are_looked_at_and_counted(looked: Round) -> None:
    for number in range(20):
        looked.begin(f"/{number}", lambda number=number: number)  # type: ignore[misc]
    looked.wait()
    assert (looked.number, looked.away, looked.failed) == (sum(range(20)), {}, {})


def test_no_more_than_a_few_at_once(looked: Round) -> None:
    lock, at_once, most = threading.Lock(), 0, 0

    def look() -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002)
        with lock:
            at_once -= 1
        return 1

    for number in range(20):
        looked.begin(f"/{number}", look)
    looked.wait()
    assert (looked.number, most <= 2) == (20, True)


def test_those_that_hang_are_left_behind_and_go_on_by_themselves(
    looked: Round, lanes: Lanes, clock: Ahead
) -> None:
    go, later = threading.Event(), threading.Event()
    begun = [threading.Event(), threading.Event(), threading.Event()]

    def hang(number: int) -> int:
        with lanes.calls.at(f"/zak{number}"):
            begun[number].set()
            assert go.wait(10)
        later.set()
        return 1

    for number in range(3):  # more than may be looked at at once
        looked.begin(f"/zak{number}", lambda number=number: hang(number))  # type: ignore[misc]
        assert begun[number].wait(10)
        clock.ahead += HUNG_S
    looked.begin("/amy", lambda: 7)
    looked.wait()
    assert looked.number == 7
    assert looked.away.keys() == {"/zak0", "/zak1", "/zak2"}
    assert not later.is_set()
    go.set()
    assert later.wait(10)


def test_one_that_is_refused_is_away(looked: Round) -> None:
    looked.begin("/zak", raising(RootAway("/zak", 5.0)))
    looked.wait()
    assert looked.away == {"/zak": "its disk does not answer, since 5 s ago"}


def test_a_defect_hurts_one_directory(looked: Round) -> None:
    looked.begin("/zak", raising(ValueError("no")))
    looked.begin("/amy", lambda: 7)
    looked.wait()
    assert looked.number == 7
    assert looked.failed == {
        "/zak": "the rescan of it failed with ValueError; see the log",
    }


def test_what_concerns_everybody_ends_it(looked: Round) -> None:
    looked.begin("/zak", raising(JournalError("the disk is full")))
    with pytest.raises(JournalError):
        looked.wait()


def test_a_stop_ends_it(lanes: Lanes) -> None:
    stopping, go, begun = threading.Event(), threading.Event(), threading.Event()
    looked = Round(lanes, stopping)

    def hold() -> int:
        begun.set()
        assert go.wait(10)
        return 1

    looked.begin("/zak", hold)
    assert begun.wait(10)
    stopping.set()
    looked.wait()
    looked.begin("/amy", lambda: 7)
    assert looked.number == 0
    go.set()


def test_one_that_hangs_already_is_not_begun_again(
    looked: Round, lanes: Lanes, clock: Ahead
) -> None:
    """Else every rescan of an hour's hang would be made when the disk answers."""
    begun, go, again = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        with lanes.calls.at("/zak"):
            begun.set()
            assert go.wait(10)

    lanes.do("/zak", hang)
    assert begun.wait(10)
    clock.ahead += HUNG_S

    def look() -> int:
        again.set()
        return 1

    looked.begin("/zak", look)
    looked.wait()
    assert looked.away.keys() == {"/zak"}
    go.set()
    assert lanes.ask("/amy", lambda: True)
    assert not again.wait(0.1)


class Slow:
    """Looks that last until the test ends them.  Their disks answer."""

    def __init__(self, lanes: Lanes, clock: Ahead, *, waited_for: bool = False) -> None:
        self.lanes = lanes
        self.clock = clock
        self.late = Late(clock)
        self.waited_for = waited_for
        self.go = threading.Event()
        self.begun = {"/zak": threading.Event(), "/kim": threading.Event()}
        self.caught_up: list[tuple[str, int | None, bool]] = []
        self.news = threading.Event()

    def round(self) -> Round:
        def caught_up(root: str, number: int | None, again: bool) -> None:
            self.caught_up.append((root, number, again))
            self.news.set()

        return Round(
            self.lanes,
            threading.Event(),
            late=self.late,
            waited_for=lambda: self.waited_for,
            caught_up=caught_up,
        )

    def begin(self, looked: Round, root: str, error: Exception | None = None) -> None:
        def look() -> int:
            self.begun[root].set()
            assert self.go.wait(20)
            if error is not None:
                raise error
            return 3

        looked.begin(root, look)
        assert self.begun[root].wait(20)


def until_quiet(looked: Round, most: int) -> None:
    """Returns when no more than so many looks of `looked` are under way."""
    with looked._news:
        assert looked._news.wait_for(lambda: len(looked._under_way) <= most, 20)


@pytest.fixture
def slow(lanes: Lanes, clock: Ahead) -> Iterator[Slow]:
    slow = Slow(lanes, clock)
    yield slow
    slow.go.set()


def test_two_slow_ones_hold_up_nobody_else(slow: Slow) -> None:
    looked = slow.round()
    for root in slow.begun:
        slow.begin(looked, root)
    slow.clock.ahead += TURN_S
    done = threading.Event()

    def quick() -> int:
        done.set()
        return 7

    looked.begin("/amy", quick)  # it did not come back before
    assert done.wait(20)
    until_quiet(looked, 2)
    slow.clock.ahead += LONGEST_S
    looked.wait()
    assert (looked.number, looked.late, looked.away) == (7, {"/zak", "/kim"}, {})
    assert slow.late.told().keys() == looked.late


def test_a_round_that_others_wait_for_ends_sooner_without_the_slow_ones(slow: Slow) -> None:
    slow.waited_for = True
    looked = slow.round()
    slow.begin(looked, "/zak")
    slow.clock.ahead += TURN_S
    looked.wait()
    assert looked.late == {"/zak"}


def test_a_late_one_goes_on_and_is_not_begun_again(slow: Slow) -> None:
    first, second = slow.round(), slow.round()
    slow.begin(first, "/zak")
    slow.clock.ahead += LONGEST_S
    first.wait()
    second.begin("/zak", raising(AssertionError("begun again")))
    second.wait()
    assert second.late == {"/zak"}
    slow.go.set()
    assert slow.news.wait(20)
    # What happened meanwhile is for another look.
    assert slow.caught_up == [("/zak", 3, True)]
    assert slow.late.told() == {}
    third = slow.round()
    third.begin("/zak", lambda: 4)
    third.wait()
    assert third.number == 4


def test_a_late_one_that_fails_is_told(slow: Slow) -> None:
    looked = slow.round()
    slow.begin(looked, "/zak", JournalError("the disk is full"))
    slow.clock.ahead += LONGEST_S
    looked.wait()
    slow.go.set()
    assert slow.news.wait(20)
    assert slow.caught_up == [("/zak", None, False)]
    assert slow.late.told() == {}


def test_a_late_one_whose_disk_stops_answering_is_away_and_not_late(
    slow: Slow, lanes: Lanes
) -> None:
    looked = slow.round()
    gone = threading.Event()

    def look() -> int:
        slow.begun["/zak"].set()
        assert slow.go.wait(20)
        try:
            raise RootAway("/zak", 5.0)
        finally:
            gone.set()

    looked.begin("/zak", look)
    assert slow.begun["/zak"].wait(20)
    slow.clock.ahead += LONGEST_S
    looked.wait()
    slow.go.set()
    assert gone.wait(20)
    assert lanes.stop(time.monotonic() + 20)
    assert (slow.caught_up, slow.late.told()) == ([], {})


def test_one_that_is_refused_just_as_its_round_ends_is_away_and_not_late(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would count as late for ever, and no round would look at it any more."""
    looked, leaves, waited = slow.round(), threading.Event(), threading.Event()
    ended = slow.late.ended

    def ended_first(root: str, since: float | None) -> bool:
        again = ended(root, since)
        leaves.set()
        assert waited.wait(20)  # meanwhile the round comes to its end
        return again

    monkeypatch.setattr(slow.late, "ended", ended_first)
    slow.begin(looked, "/zak", RootAway("/zak", 5.0))
    slow.clock.ahead += LONGEST_S
    slow.go.set()
    assert leaves.wait(20)
    looked.wait()
    waited.set()
    assert slow.lanes.stop(time.monotonic() + 20)
    assert looked.away.keys() == {"/zak"}
    assert slow.late.told() == {}
