"""What waits to be told, and when it is tried."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.requests import PathMode
from omero_fs_plugin.monitor.telling.absence import Absence
from omero_fs_plugin.monitor.telling.keeper import Keeper
from omero_fs_plugin.monitor.telling.outbox import (
    FIRST_RETRY,
    LONGEST_RETRY,
    NOTIFICATION_SIZE,
    PATIENCE,
    Outbox,
)
from omero_fs_plugin.monitor.telling.telling import ASK, LINGER, LONGEST_ASK, Answer, Telling


def tell(number: int, size: int = 1) -> Tell:
    return Tell(EventType.CREATE, b"%0*d" % (size, number))


def filled(many: int, **options: int) -> Outbox:
    outbox = Outbox(**options)
    for number in range(many):
        outbox.put(tell(number), 0.0)
    return outbox


@pytest.mark.parametrize(
    ("block_size", "sizes"), [(0, [10]), (1, [1] * 10), (4, [4, 4, 2]), (10, [10]), (99, [10])]
)
def test_blocks(block_size: int, sizes: list[int]) -> None:
    outbox = filled(10, block_size=block_size)
    taken = []
    while batch := outbox.take(0.0):
        taken.append(batch)
        outbox.delivered(0.0)
    assert [len(batch) for batch in taken] == sizes
    assert [one for batch in taken for one in batch] == [tell(number) for number in range(10)]
    assert outbox.told == 10


def test_a_notification_fits_into_a_message() -> None:
    outbox = Outbox()
    for number in range(300):
        outbox.put(tell(number, 4000), 0.0)
    batch = outbox.take(0.0)
    assert sum(len(one.path) for one in batch) <= NOTIFICATION_SIZE
    assert 90 < len(batch) < 300


def test_one_notification_at_a_time() -> None:
    outbox = filled(2, block_size=1)
    assert outbox.take(0.0) == [tell(0)]
    assert outbox.take(0.0) == []
    assert outbox.due() == math.inf
    outbox.delivered(0.0)
    assert outbox.take(0.0) == [tell(1)]


def test_failures_are_tried_again_later_and_later() -> None:
    outbox = filled(1)
    now, waits = 0.0, []
    for _ in range(10):
        assert outbox.take(now) == [tell(0)]
        wait = outbox.failed(now)
        waits.append(wait)
        assert outbox.due() == now + wait
        assert outbox.take(now + wait * 0.99) == []
        now += wait
    assert waits[0] == FIRST_RETRY
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_RETRY
    outbox.take(now)
    outbox.delivered(now)
    assert not outbox.failing


def test_overfull_when_nothing_is_delivered() -> None:
    outbox = filled(11, capacity=10)
    assert not outbox.overfull(PATIENCE * 0.9)
    assert outbox.overfull(PATIENCE * 1.1)
    assert outbox.crowded_until() == PATIENCE
    outbox.take(PATIENCE)
    assert outbox.clear() == [tell(number) for number in range(11)]
    assert not outbox.overfull(PATIENCE * 2)


def test_a_burst_is_no_overfull_while_it_is_delivered_unless_it_is_far_too_much() -> None:
    outbox = filled(49, capacity=10, block_size=1)
    for second in range(20):
        outbox.take(second)
        outbox.delivered(second)
        assert not outbox.overfull(second)
    for number in range(100):
        outbox.put(tell(number), 20.0)
    assert outbox.overfull(20.0)


@given(st.lists(st.sampled_from(["put", "take", "delivered", "failed", "wait"])))
def test_nothing_is_lost_or_told_out_of_order(acts: list[str]) -> None:
    outbox = Outbox(block_size=3)
    now, put = 0.0, 0
    heard: list[Tell] = []
    batch: list[Tell] = []
    for act in [*acts, "delivered", *["wait", "take", "delivered"] * len(acts)]:
        if act == "put":
            outbox.put(tell(put), now)
            put += 1
        elif act == "take":
            batch = outbox.take(now) or batch
        elif act == "delivered" and batch:
            heard += batch
            batch = []
            outbox.delivered(now)
        elif act == "failed" and batch:
            batch = []
            outbox.failed(now)
        elif act == "wait":
            now += LONGEST_RETRY
    assert heard == [tell(number) for number in range(put)]


def test_crowded_only_while_the_client_gets_on() -> None:
    outbox = filled(5, capacity=10, block_size=3)
    assert outbox.crowded_until() == -math.inf
    outbox.put(tell(5), 1.0)
    assert outbox.crowded_until() == PATIENCE
    outbox.put(tell(6), 1.0)
    outbox.put(tell(7), 1.0)
    outbox.take(2.0)
    outbox.delivered(2.0)
    assert outbox.crowded_until() == -math.inf


# A thread that an error meets anywhere, and that begins anew


class Killed(Exception):
    pass


class Failing(deque[Tell]):
    """Is killed as it drops its second event."""

    left = 2

    def popleft(self) -> Tell:
        self.left -= 1
        if not self.left:
            raise Killed
        return super().popleft()


def test_an_error_while_what_has_arrived_is_dropped_takes_nothing_else_with_it() -> None:
    outbox = filled(7, block_size=4)
    outbox._waiting = Failing(outbox._waiting)
    heard = outbox.take(0.0)
    with pytest.raises(Killed):
        outbox.delivered(0.0)
    outbox.delivered(0.0)  # its answer is heard again
    while batch := outbox.take(0.0):
        heard += batch
        outbox.delivered(0.0)
    assert set(heard) == {tell(number) for number in range(7)}
    assert heard == sorted(heard, key=lambda one: one.path)  # none before one that came earlier


class Called:
    """A client that answers when the test says so."""

    address = ""

    def __init__(self) -> None:
        self.told: list[list[Tell]] = []
        self.answer: list[Callable[[bool], None]] = []
        self.fails = False

    def notify(
        self,
        identifier: str,
        tells: list[Tell],
        done: Callable[[bool], None],
        *,
        asked: bool = False,
    ) -> None:
        self.told.append(tells)
        self.answer.append(done)
        if self.fails:
            raise Killed

    def probe(self, done: Callable[[bool], None]) -> None:
        raise NotImplementedError


class Asked(Called):
    """A client whose answers nobody is called for."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: bool | None = None
        self.dies = False
        self.asked_so_often = 0

    def notify(  # type: ignore[override]
        self,
        identifier: str,
        tells: list[Tell],
        done: Callable[[bool], None],
        *,
        asked: bool = False,
    ) -> Callable[[], bool] | None:
        if self.dies:
            raise Killed
        self.told.append(tells)
        self.arrived = None

        def ask() -> bool:
            self.asked_so_often += 1
            if self.arrived is None:
                return False
            done(self.arrived)
            if self.fails:
                raise Killed
            return True

        return ask if asked else None


def telling(outbox: Outbox, client: Called, *, patient: bool = False) -> Telling:
    keeper = Keeper(None, None, outbox, PathMode.FOLLOW)  # type: ignore[arg-type]
    return Telling(
        "id",
        b"/",
        client,
        outbox=outbox,
        keeper=keeper,
        absence=Absence(0.0),
        wake=lambda: None,
        patient=patient,
    )


def test_an_answer_that_nothing_depends_on_is_asked_for_with_the_next_event() -> None:
    client, outbox = Asked(), filled(1)
    one = telling(outbox, client, patient=True)
    one.send(0.0)
    assert one.due() == LINGER
    client.arrived = True
    assert one.due() == LINGER, "nobody is woken for it"
    outbox.put(tell(1), 0.01)
    assert one.hear(0.01) is Answer.ARRIVED
    one.send(0.01)
    assert client.told == [[tell(0)], [tell(1)]]


def test_after_a_turn_that_took_long_the_answer_is_asked_for_as_soon() -> None:
    """The call was begun at the end of a turn that had begun long before."""
    client, outbox = Asked(), filled(1)
    one = telling(outbox, client, patient=True)
    one.send(0.0)
    now = 0.304
    outbox.put(tell(1), now)
    assert one.hear(now) is Answer.NONE
    one.send(now)
    assert one.due() <= now + ASK


def test_an_answer_that_something_waits_for_is_asked_for_again_and_again() -> None:
    client, outbox = Asked(), filled(1)
    one = telling(outbox, client, patient=True)
    one.send(0.0)
    outbox.put(tell(1), 0.001)
    now, waits = 0.001, []
    assert one.hear(now) is Answer.NONE
    one.send(now)
    while now < 10.0:
        assert now < one.due() < math.inf
        waits.append(one.due() - now)
        now = one.due()
        assert one.hear(now) is Answer.NONE
        one.send(now)
    assert waits[0] <= ASK
    assert max(waits) == pytest.approx(LONGEST_ASK)
    assert client.asked_so_often < 50, "a client that hangs costs little"
    client.arrived = True
    assert one.hear(one.due()) is Answer.ARRIVED
    one.send(now)
    assert client.told == [[tell(0)], [tell(1)]]


@pytest.mark.parametrize("arrived", [True, False])
def test_killed_while_an_answer_is_asked_for(arrived: bool) -> None:
    client, outbox = Asked(), filled(1)
    one = telling(outbox, client, patient=True)
    one.send(0.0)
    client.arrived, client.fails = arrived, True
    with pytest.raises(Killed):
        one.hear(LINGER)
    one.recover()
    client.fails = False
    assert one.hear(LINGER) is (Answer.ARRIVED if arrived else Answer.FAILED)
    assert len(outbox) == (0 if arrived else 1)
    assert not one.in_flight
    one.send(LINGER + FIRST_RETRY)
    assert len(client.told) == (1 if arrived else 2)


def test_killed_while_an_answer_is_to_be_asked_for() -> None:
    """What was taken is told again: nobody knows whether it was sent."""
    client = Asked()
    one = telling(filled(1), client, patient=True)
    client.dies = True
    with pytest.raises(Killed):
        one.send(0.0)
    one.recover()
    client.dies = False
    one.send(0.0)
    client.arrived = True
    assert one.hear(LINGER) is Answer.ARRIVED


def test_an_answer_is_heard_also_by_who_was_killed_as_it_woke_him() -> None:
    client = Called()
    one = telling(filled(1), client)
    one.send(0.0)
    assert one.due() == math.inf
    client.answer[0](True)
    assert one.due() == -math.inf
    assert one.hear(0.0) is Answer.ARRIVED


def test_killed_in_a_call_and_again_before_a_later_one() -> None:
    """A late answer to the first is no sign that what was taken since has been sent."""
    client = Called()
    outbox = filled(1)
    one = telling(outbox, client)
    client.fails = True
    with pytest.raises(Killed):
        one.send(0.0)
    one.recover()
    client.fails = False
    one.send(0.0)
    client.answer[1](True)
    assert one.hear(0.0) is Answer.ARRIVED
    outbox.put(tell(1), 0.0)
    outbox.take(0.0)  # and is killed
    client.answer[0](True)
    one.recover()
    one.hear(0.0)
    one.send(0.0)
    assert client.told == [[tell(0)], [tell(0)], [tell(1)]]
