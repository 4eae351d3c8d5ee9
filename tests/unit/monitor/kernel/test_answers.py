"""Calls that may not be answered: who waits for them, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from omero_fs_plugin.monitor.kernel import answers
from omero_fs_plugin.monitor.kernel.answers import Place, place_of
from omero_fs_plugin.monitor.kernel.entries import Unanswered

AT_ONCE = 0.01  # s
PATIENCE = 20.0  # s


class Hung:
    """A call that comes back when told to."""

    def __init__(self) -> None:
        self.begun, self.answer = threading.Event(), threading.Event()

    def __call__(self, beat: Any) -> str:
        self.begun.set()
        assert self.answer.wait(PATIENCE)
        return "late"


@pytest.fixture
def hung() -> Iterator[Hung]:
    call = Hung()
    yield call
    call.answer.set()


@pytest.fixture
def back() -> threading.Event:
    return threading.Event()


def test_an_answer_is_what_the_call_gives_or_raises() -> None:
    place = Place(PATIENCE)
    assert place.call(lambda beat: 3) == 3
    with pytest.raises(FileNotFoundError):
        place.call(lambda beat: open("/nonexistent/file"))  # noqa: PTH123, SIM115
    assert place.late_since is None


def test_calls_one_after_the_other_have_one_thread() -> None:
    place = Place(PATIENCE)
    assert len({place.call(lambda beat: threading.get_ident()) for _ in range(20)}) == 1


def test_who_waits_too_long_is_told_so_and_those_who_come_later_at_once(hung: Hung) -> None:
    place = Place(AT_ONCE)
    with pytest.raises(Unanswered) as caught:
        place.call(hung, b"/share/a")
    assert caught.value.filename == b"/share/a"
    assert caught.value.strerror == "the file system does not answer"
    assert place.late_since is not None
    asked: list[int] = []
    for _ in range(3):
        with pytest.raises(Unanswered):
            place.call(lambda beat: asked.append(1))
    assert not asked


def test_it_answers_again_when_what_was_given_up_has_come_back(
    hung: Hung, back: threading.Event
) -> None:
    place = Place(AT_ONCE)
    with pytest.raises(Unanswered):
        place.call(hung)
    place.when_back(back.set)
    assert not back.is_set()
    hung.answer.set()
    assert back.wait(PATIENCE)
    assert place.late_since is None
    assert place.call(lambda beat: 4) == 4


def test_who_asks_to_be_woken_when_it_is_back_already_is_woken(back: threading.Event) -> None:
    Place().when_back(back.set)
    assert back.is_set()


class Clock:
    """Passes when the test says so; whoever waits waits for the machine's all the same."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(answers, "time", clock)
    return clock


def test_two_that_hang_must_both_come_back(back: threading.Event) -> None:
    place = Place(AT_ONCE)
    calls = [Hung(), Hung()]
    hanging = [place.begin(call, b"", lambda: None) for call in calls]
    for call in calls:
        assert call.begun.wait(PATIENCE)
    until = time.monotonic() + PATIENCE
    while sum(one.lives() for one in hanging):  # each is asked
        assert time.monotonic() < until
        time.sleep(AT_ONCE)
    place.when_back(back.set)
    calls[0].answer.set()
    assert hanging[0].wait(PATIENCE)
    assert place.late_since is not None and not back.is_set()
    calls[1].answer.set()
    assert back.wait(PATIENCE)


def test_a_long_call_that_shows_life_is_waited_for(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer than anybody would wait for one that shows none."""
    looks, beaten = threading.Semaphore(0), threading.Semaphore(0)

    class Done(threading.Event):
        """Between two looks at it there is a beat, however long the thread of that takes."""

        def wait(self, timeout: float | None = None) -> bool:
            clock.now += 1.0
            looks.release()
            assert beaten.acquire(timeout=PATIENCE)
            return self.is_set()

    job = answers._Job

    def watched(*arguments: Any) -> Any:
        made = job(*arguments)
        made.done = Done()
        return made

    def listing(beat: Any) -> int:
        for _ in range(40):
            assert looks.acquire(timeout=PATIENCE)
            beat()
            beaten.release()
        return 40

    monkeypatch.setattr(answers, "_Job", watched)
    ended = Place._ended

    def told(self: Place, worker: Any, job: Any) -> None:
        ended(self, worker, job)
        beaten.release()

    monkeypatch.setattr(Place, "_ended", told)
    assert Place(AT_ONCE).call(listing) == 40


def test_a_share_that_answers_late_is_given_more_time(
    hung: Hung, back: threading.Event, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LONGEST", PATIENCE)
    place = Place(AT_ONCE)
    began = place.begin(hung, b"", lambda: None)
    assert hung.begun.wait(PATIENCE)
    clock.now += PATIENCE
    assert not began.lives()
    place.when_back(back.set)
    hung.answer.set()
    assert back.wait(PATIENCE)
    late = threading.Event()
    assert place.call(lambda beat: late.wait(5 * AT_ONCE)) is False  # once again as late, in time


def test_one_whose_thread_has_no_processor_yet_is_no_share_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No file system was asked so far."""
    looked = threading.Semaphore(0)
    run = answers._Worker._run

    def late(self: Any) -> None:
        for _ in range(3):  # it is waited for in vain so often
            assert looked.acquire(timeout=PATIENCE)
        run(self)

    class Done(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            done = super().wait(timeout)
            looked.release()
            return done

    job = answers._Job

    def watched(*arguments: Any) -> Any:
        made = job(*arguments)
        made.done = Done()
        return made

    monkeypatch.setattr(answers._Worker, "_run", late)
    monkeypatch.setattr(answers, "_Job", watched)
    place = Place(AT_ONCE)
    assert place.call(lambda beat: "asked") == "asked"


def test_a_place_is_one_for_all_who_have_it() -> None:
    one = place_of("a mount")
    assert place_of("a mount") is one
    assert place_of("another") is not one
