"""Calls that may not be answered: who waits for them, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

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


def test_two_that_hang_must_both_come_back(back: threading.Event) -> None:
    place = Place(0.2)
    calls = [Hung(), Hung()]
    refused: list[Unanswered] = []

    def ask(call: Hung) -> None:
        try:
            place.call(call)
        except Unanswered as error:
            refused.append(error)

    threads = [threading.Thread(target=ask, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for call in calls:
        assert call.begun.wait(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert len(refused) == 2
    place.when_back(back.set)
    calls[0].answer.set()
    assert place.late_since is not None and not back.is_set()
    calls[1].answer.set()
    assert back.wait(PATIENCE)


def test_a_long_call_that_shows_life_is_waited_for() -> None:
    """It takes longer than anybody would wait for one that shows none."""
    waited = threading.Event()

    def listing(beat: Any) -> int:
        for _ in range(40):
            beat()
            waited.wait(0.01)  # never set: the time passes
        return 40

    assert Place(0.2).call(listing) == 40


def test_a_share_that_answers_late_is_given_more_time(hung: Hung, back: threading.Event) -> None:
    place = Place(AT_ONCE)
    with pytest.raises(Unanswered):
        place.call(hung)
    place.when_back(back.set)
    waited = threading.Event()
    waited.wait(0.1)
    hung.answer.set()
    assert back.wait(PATIENCE)
    assert place.call(lambda beat: waited.wait(0.1)) is False  # once again as late, and in time


def test_a_place_is_one_for_all_who_have_it() -> None:
    one = place_of("a mount")
    assert place_of("a mount") is one
    assert place_of("another") is not one
