"""A look at many directories waits for those that answer, and for no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from omero_fs_plugin.dropbox.disks.calls import HUNG_S, Calls, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.watching.rounds import Round
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
def looked(lanes: Lanes) -> Round:
    return Round(lanes, threading.Event())


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
