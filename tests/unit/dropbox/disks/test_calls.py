"""Which roots do not answer, by the calls that are under way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.disks.calls import HUNG_S, LOST_S, Call, Calls, RootAway


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def calls(clock: Clock) -> Calls:
    return Calls(clock)


class Elsewhere:
    """A call to the disk of `root` in a thread of its own, until it is told to come back."""

    def __init__(self, calls: Calls, root: str) -> None:
        self._calls, self._root = calls, root
        self._begun, self._back = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._call)
        self._thread.start()
        assert self._begun.wait(10)

    def _call(self) -> None:
        with self._calls.at(self._root):
            self._begun.set()
            assert self._back.wait(10)

    def come_back(self) -> None:
        self._back.set()
        self._thread.join()


def test_a_call_that_comes_back_leaves_nothing(calls: Calls, clock: Clock) -> None:
    with calls.at("/zak"):
        clock.now += HUNG_S / 2
    clock.now += 10 * HUNG_S
    assert calls.answers("/zak")
    assert (calls.away(), calls.were_away()) == ({}, {})


def test_one_that_does_not_is_told_and_the_next_is_refused_at_once(
    calls: Calls, clock: Clock
) -> None:
    hung = Elsewhere(calls, "/zak")
    clock.now += HUNG_S
    assert calls.away() == {"/zak": HUNG_S}
    assert not calls.answers("/zak")
    assert calls.answers("/amy")
    with pytest.raises(RootAway) as refused, calls.at("/zak"):
        pytest.fail("entered")
    assert str(refused.value) == "/zak: its disk does not answer, since 2 s ago"
    hung.come_back()
    assert calls.answers("/zak")
    with calls.at("/zak"):
        clock.now += 1


def test_each_answer_of_several_counts(calls: Calls, clock: Clock) -> None:
    with calls.at("/zak") as call:
        for _ in range(10):
            clock.now += 0.9 * HUNG_S
            call.pulse()
            assert calls.answers("/zak")
        call.rest()
        clock.now += 10 * HUNG_S
        assert calls.answers("/zak"), "the disk is not waited for"
        call.pulse()
        clock.now += HUNG_S
        assert not calls.answers("/zak")


def test_a_call_within_a_call_is_not_refused_by_it(calls: Calls, clock: Clock) -> None:
    with calls.at("/zak"):
        clock.now += 3 * HUNG_S
        with calls.at("/zak"):
            clock.now += HUNG_S / 2
            assert calls.answers("/zak")
        assert calls.answers("/zak"), "it goes on from here"
        with calls.at("/amy"):
            clock.now += HUNG_S
            assert not calls.answers("/amy")
            assert calls.answers("/zak"), "the outer one waits for the inner one alone"


def test_whoever_looks_later_learns_what_was_away(calls: Calls, clock: Clock) -> None:
    hung = Elsewhere(calls, "/zak")
    clock.now += HUNG_S
    with pytest.raises(RootAway), calls.at("/zak"):
        pytest.fail("entered")
    hung.come_back()
    assert calls.were_away() == {"/zak": clock.now}


def test_what_is_raised_within_is_passed_on(calls: Calls, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), calls.at("/zak"):
        (tmp_path / "none").stat()
    assert calls.stat(str(tmp_path), f"{tmp_path}/none") is None


class Restless(Call):
    """One whose thread lets it rest between two looks of another thread at it."""

    @property
    def since(self) -> float | None:  # type: ignore[override]
        value, self.seconds = self.seconds, None
        return value

    @since.setter
    def since(self, value: float | None) -> None:
        self.seconds = value


@pytest.mark.parametrize("look", ["answers", "away", "waited_for", "give_up"])
def test_one_that_comes_to_rest_while_it_is_looked_at_hurts_nobody(
    calls: Calls, clock: Clock, look: str
) -> None:
    both = [Restless(calls, "/zak") for _ in range(2)]
    calls._under_way["/zak"] = set(both)
    for one in both:
        one.since = clock.now
    clock.now += LOST_S
    asked = {
        "answers": lambda: calls.answers("/zak"),
        "away": lambda: calls.away(),
        "waited_for": lambda: calls.waited_for(1.0)[0],
        "give_up": lambda: calls.give_up("/zak", clock.now),
    }
    found = {"answers": False, "away": {"/zak": LOST_S}, "waited_for": {"/zak"}, "give_up": {0}}
    assert asked[look]() == found[look]
