"""The users with something in the queue: how often the journal is asked, and what is missed."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.importing.line import OLDEST_S, Line


class Queue:
    """A journal with one fileset for each user, and what its answers cost."""

    def __init__(self, number: int) -> None:
        self.users = [f"user-{n:04}" for n in range(number)]
        self.told = 0  # users named in all answers

    def ask(self) -> list[str]:
        self.told += len(self.users)
        return list(self.users)


def _emptied(number: int) -> int:
    """How many users were named until the queue of so many was empty."""
    queue = Queue(number)
    line = Line(queue.ask)
    served: set[str] = set()
    while queue.users:
        users, _ = line.users(100.0)
        user = next(name for name in users if name not in served)
        served.add(user)
        queue.users.remove(user)
    return queue.told


def test_twice_as_many_users_cost_twice_as_much() -> None:
    assert _emptied(2_000) < 2.1 * _emptied(1_000)


def test_a_few_users_are_asked_for_each_time() -> None:
    queue = Queue(7)
    line = Line(queue.ask)
    for _ in range(3):
        assert line.users(100.0) == (queue.users, True)
    assert queue.told == 21


@pytest.mark.parametrize("later", [OLDEST_S, -1.0])
def test_who_comes_is_there_within_a_second(later: float) -> None:
    queue = Queue(100)
    line = Line(queue.ask)
    assert line.users(100.0) == (queue.users, True)
    queue.users.append("zak")
    assert line.users(100.0 + OLDEST_S / 2) == (queue.users[:-1], False)
    assert line.users(100.0 + later) == (queue.users, True)


def test_what_is_given_may_be_changed() -> None:
    line = Line(Queue(100).ask)
    line.users(100.0)[0].clear()
    assert len(line.users(100.0)[0]) == 100


def test_as_now_asks_at_once() -> None:
    queue = Queue(100)
    line = Line(queue.ask)
    line.users(100.0)
    queue.users.clear()
    assert line.as_now(100.0) == []
    assert line.users(100.0) == ([], True)
