"""A worker for each root: order within one, and nobody waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from omero_fs_plugin.dropbox.disks.calls import HUNG_S, LOST_S, MOST_LOST, Calls, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.disks.trials import Trials
from omero_fs_plugin.errors import JournalError
from tests.clocks import Ahead

T = TypeVar("T")
LONG = 60.0  # s; what takes so long does not come


@pytest.fixture
def clock() -> Ahead:
    return Ahead()


@pytest.fixture
def failures() -> list[tuple[str, Exception]]:
    return []


@pytest.fixture
def lanes(clock: Ahead, failures: list[tuple[str, Exception]]) -> Iterator[Lanes]:
    lanes = Lanes(lambda root, error: failures.append((root, error)), calls=Calls(clock))
    yield lanes
    assert lanes.stop(time.monotonic() + LONG)


class Held:
    """A job that does not end until it is let go."""

    def __init__(self, lanes: Lanes, root: str) -> None:
        self.begun, self._go = threading.Event(), threading.Event()
        self._calls = lanes.calls
        self._root = root
        lanes.do(root, self)
        assert self.begun.wait(LONG)

    def __call__(self) -> None:
        with self._calls.at(self._root):
            self.begun.set()
            assert self._go.wait(LONG)

    def let_go(self) -> None:
        self._go.set()


def then(lanes: Lanes, root: str, question: Callable[[], T]) -> T:
    """What `question` gives once all that was to be done in the lane is done."""
    answers: list[T] = []
    done = threading.Event()

    def job() -> None:
        answers.append(question())
        done.set()

    lanes.do(root, job)
    assert done.wait(LONG)
    return answers[0]


def test_jobs_of_one_root_run_in_their_order(lanes: Lanes) -> None:
    done: list[int] = []
    held = Held(lanes, "/zak")
    for number in range(100):
        lanes.do("/zak", lambda number=number: done.append(number))  # type: ignore[misc]
    held.let_go()
    assert then(lanes, "/zak", lambda: list(done)) == list(range(100))


def test_a_question_waits_for_nothing_that_is_heard(lanes: Lanes) -> None:
    """A disk that is slow, and answers, may have much to do."""
    begun, go = threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        assert go.wait(LONG)

    lanes.do("/zak", long)
    assert begun.wait(LONG)
    assert lanes.ask("/zak", lambda: "answered") == "answered"
    go.set()


def test_one_that_hangs_holds_up_no_other(lanes: Lanes) -> None:
    held = Held(lanes, "/zak")
    assert lanes.ask("/amy", lambda: "answered") == "answered"
    held.let_go()


def test_a_key_is_added_once_until_it_begins(lanes: Lanes) -> None:
    done: list[int] = []
    held = Held(lanes, "/zak")
    for number in range(5):
        lanes.do("/zak", lambda number=number: done.append(number), key="step")  # type: ignore[misc]
    held.let_go()
    assert then(lanes, "/zak", lambda: list(done)) == [0]
    lanes.do("/zak", lambda: done.append(9), key="step")
    assert then(lanes, "/zak", lambda: list(done)) == [0, 9]


def test_beside_a_lane_is_another_one(lanes: Lanes) -> None:
    held, done = Held(lanes, "/zak"), threading.Event()
    lanes.do("/zak", done.set, beside="rescan")
    assert done.wait(LONG)
    held.let_go()


def test_what_a_job_raises_is_told_and_the_next_one_runs(
    lanes: Lanes, failures: list[tuple[str, Exception]]
) -> None:
    error = ValueError("no")

    def fail() -> None:
        raise error

    lanes.do("/zak", fail)
    assert then(lanes, "/zak", lambda: 1) == 1
    assert failures == [("/zak", error)]
    with pytest.raises(ValueError, match="no"):
        lanes.ask("/zak", fail)


def test_a_question_is_given_up_when_the_disk_does_not_answer(lanes: Lanes, clock: Ahead) -> None:
    held = Held(lanes, "/zak")
    waiting, never = threading.Event(), threading.Event()
    answers: list[object] = []

    def late() -> bool:
        waiting.set()
        return never.wait(LONG)

    def ask() -> None:
        try:
            answers.append(lanes.ask("/zak", late))
        except RootAway as away:
            answers.append(away.root)

    asking = threading.Thread(target=ask)
    asking.start()
    assert waiting.wait(LONG)
    clock.ahead += 2 * HUNG_S
    asking.join(LONG)
    assert answers == ["/zak"]
    with pytest.raises(RootAway):  # at once
        lanes.ask("/zak", lambda: "late")
    never.set()
    held.let_go()
    end = time.monotonic() + LONG
    while not lanes.calls.answers("/zak"):
        assert time.monotonic() < end
        time.sleep(0.001)
    assert lanes.ask("/zak", lambda: "again") == "again"


def test_a_stop_waits_no_longer_than_it_may(clock: Ahead) -> None:
    lanes = Lanes(calls=Calls(clock))
    held, begun = Held(lanes, "/zak"), threading.Event()
    lanes.do("/zak", begun.set)
    assert not lanes.stop(time.monotonic())
    held.let_go()
    assert lanes.stop(time.monotonic() + LONG)
    lanes.do("/zak", begun.set)
    assert not begun.is_set(), "nothing begins any more"


def test_many_at_once(lanes: Lanes) -> None:
    """Workers end when they have nothing to do; what comes in just then is done as well."""
    done: list[int] = []
    lock = threading.Lock()

    def add(number: int) -> None:
        with lock:
            done.append(number)

    def hand_in(some: range) -> None:
        for number in some:
            lanes.do(f"/{number % 7}", lambda: add(number))  # noqa: B023

    threads = [threading.Thread(target=hand_in, args=[range(n, 2_000, 4)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for root in range(7):
        then(lanes, f"/{root}", lambda: None)
    assert len(done) == 2_000


def test_threads_with_nothing_to_do_end_but_for_a_few(lanes: Lanes) -> None:
    """As after a rescan of thousands of directories."""
    # Threads of the tests before this one may still be ending.
    others = set(threading.enumerate())

    def ours() -> int:
        return len(set(threading.enumerate()) - others)

    held = [Held(lanes, f"/{number}") for number in range(50)]
    for one in held:
        one.let_go()
    end = time.monotonic() + LONG
    while ours() > 5:
        assert time.monotonic() < end
        time.sleep(0.01)
    for number in range(50):
        then(lanes, f"/{number}", lambda: None)
    assert ours() <= 5


def test_a_thread_that_cannot_be_started_is_started_later(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()

    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refused)
        lanes.do("/zak", done.set)
    assert "can't start new thread" in lanes.trouble
    assert not done.is_set()
    lanes.tend()
    assert done.wait(LONG)
    assert lanes.trouble == ""


def test_a_root_is_back_although_the_trials_of_a_long_hang_are_lost_with_its_calls(
    lanes: Lanes, clock: Ahead
) -> None:
    """As when the server of a share forgets all that it was asked before its restart."""
    held, go, began = Held(lanes, "/zak"), threading.Event(), threading.Event()
    answers = False

    def look(root: str) -> None:
        began.set()
        if not answers:
            assert go.wait(LONG)

    trials = Trials(lanes, look)
    clock.ahead += LOST_S
    for hours in (0.0, 0.1, 0.5):
        clock.ahead += hours * 3600
        began.clear()
        trials.begin()
        assert began.wait(LONG)
    answers = True
    clock.ahead += 5 * 0.6 * 3600
    trials.begin()
    end = time.monotonic() + LONG
    while lanes.calls.away():
        assert time.monotonic() < end
        time.sleep(0.001)
    assert lanes.calls.lost() == {"/zak": 1}
    go.set()
    held.let_go()


class Scene:
    """A lane whose job hangs at a call that never comes back, until the test lets it."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.hung = Held(lanes, "/zak")
        self.trials = Trials(lanes, self._look)
        self.looks: list[str] = []
        self.answers = True

    def _look(self, root: str) -> None:
        self.looks.append(root)
        if not self.answers:
            raise OSError(5, "Input/output error")

    def try_it(self) -> None:
        number = len(self.looks)
        self.trials.begin()
        end = time.monotonic() + LONG
        while len(self.looks) == number or self.trials._under_way:
            assert time.monotonic() < end
            time.sleep(0.001)


def test_a_root_is_back_although_one_call_is_lost(
    lanes: Lanes, clock: Ahead, failures: list[tuple[str, Exception]]
) -> None:
    scene = Scene(lanes)
    later = threading.Event()
    lanes.do("/zak", later.set)
    clock.ahead += LOST_S / 2
    scene.trials.begin()
    assert scene.looks == [], "it may come back soon"
    clock.ahead += LOST_S
    scene.answers = False
    scene.try_it()
    assert not lanes.calls.answers("/zak")
    scene.answers = True
    clock.ahead += 5
    scene.try_it()
    assert later.wait(LONG), "the lane goes on without it"
    assert lanes.calls.answers("/zak")
    assert lanes.calls.lost() == {"/zak": 1}
    assert "1 call to its disk has never come back" in lanes.calls.told_of_lost()["/zak"]
    assert "/zak" in lanes.calls.were_away()
    scene.hung.let_go()
    end = time.monotonic() + LONG
    while not failures:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert isinstance(failures[0][1], RootAway), "another thread does its work by now"
    assert lanes.calls.lost() == {}


def test_whoever_asked_a_lost_question_is_told(lanes: Lanes, clock: Ahead) -> None:
    begun, go = threading.Event(), threading.Event()

    def question() -> None:
        with lanes.calls.at("/zak"):
            begun.set()
            assert go.wait(LONG)

    gone: list[str] = []
    lanes.do("/zak", question, beside="rescan", lost=lambda: gone.append("lost"))
    assert begun.wait(LONG)
    clock.ahead += LOST_S
    threads = lanes.calls.give_up("/zak", clock())
    lanes.give_up(threads)
    assert gone == ["lost"]
    go.set()


def test_one_who_cannot_be_told_of_a_lost_job_keeps_nobody_else_from_it(
    lanes: Lanes, clock: Ahead
) -> None:
    """As a note, when the journal is away just then.  Files come to rest only if others hear it."""
    begun, go, told = (threading.Event(), threading.Event()), threading.Event(), threading.Event()

    def hang(begins: threading.Event) -> None:
        with lanes.calls.at("/zak"):
            begins.set()
            assert go.wait(LONG)

    def fail() -> None:
        raise JournalError("it does not answer")

    lanes.do("/zak", lambda: hang(begun[0]), beside="notes", lost=fail)
    assert begun[0].wait(LONG)
    lanes.do("/zak", lambda: hang(begun[1]), lost=told.set)
    assert begun[1].wait(LONG)
    clock.ahead += LOST_S
    lanes.give_up(lanes.calls.give_up("/zak", clock()))
    assert told.is_set()
    go.set()


def test_no_more_than_a_few_are_given_up(lanes: Lanes, clock: Ahead) -> None:
    held = []
    for number in range(MOST_LOST + 1):
        begun, go = threading.Event(), threading.Event()

        def hang(begun: threading.Event = begun, go: threading.Event = go) -> None:
            with lanes.calls.at("/zak"):
                begun.set()
                assert go.wait(LONG)

        lanes.do("/zak", hang, beside=str(number))
        assert begun.wait(LONG)
        held.append(go)
    clock.ahead += LOST_S
    assert lanes.calls.give_up("/zak", clock()) == set()
    assert not lanes.calls.answers("/zak")
    held.pop().set()
    end = time.monotonic() + LONG
    while len(lanes.calls.waited_for(LOST_S)[1]) > MOST_LOST:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert len(lanes.calls.give_up("/zak", clock())) == MOST_LOST
    for go in held:
        go.set()


def test_a_trial_that_hangs_is_one_of_a_few(lanes: Lanes, clock: Ahead) -> None:
    held, go = Held(lanes, "/zak"), threading.Event()
    begun: list[str] = []

    def look(root: str) -> None:
        begun.append(root)
        assert go.wait(LONG)

    trials = Trials(lanes, look)
    for number in range(1, 9):
        # Each costs a thread, so each begins later than the one before.
        clock.ahead += LOST_S * 4 ** max(0, number - 2) - 1
        trials.begin()
        assert len(trials._under_way.get("/zak", {})) == min(number - 1, 5)
        clock.ahead += 1
        trials.begin()
        end = time.monotonic() + LONG
        while len(begun) < min(number, 5):
            assert time.monotonic() < end
            time.sleep(0.001)
        assert len(trials._under_way["/zak"]) == min(number, 5)
    assert len(begun) == 5
    go.set()
    held.let_go()


def test_one_whose_call_comes_back_just_before_its_lane_is_given_up_goes_on(
    lanes: Lanes, clock: Ahead
) -> None:
    """Its thread is at the next job by then: that one is not lost, and has no second thread."""
    held = Held(lanes, "/zak")
    begun, go, lost = threading.Event(), threading.Event(), threading.Event()
    at_work: list[str] = []

    def second() -> None:
        at_work.append("second begins")
        begun.set()
        assert go.wait(LONG)
        at_work.append("second ends")

    lanes.do("/zak", second, lost=lost.set)
    lanes.do("/zak", lambda: at_work.append("third"))
    clock.ahead += LOST_S
    threads = lanes.calls.give_up("/zak", clock())
    assert threads
    held.let_go()
    assert begun.wait(LONG)
    lanes.give_up(threads)
    assert not lost.is_set()
    go.set()
    then(lanes, "/zak", lambda: None)
    assert at_work == ["second begins", "second ends", "third"]


def test_a_lane_goes_on_although_nobody_could_be_told_of_an_error(clock: Ahead) -> None:
    def full(root: str, error: Exception) -> None:
        raise OSError(28, "No space left on device")

    def fail() -> None:
        raise ValueError("no")

    lanes = Lanes(full, calls=Calls(clock))
    lanes.do("/zak", fail)
    assert then(lanes, "/zak", lambda: 1) == 1
    assert lanes.stop(time.monotonic() + LONG)
