"""Two names that are exchanged in one step: afterwards the client knows what is where."""

from __future__ import annotations

import pytest

from omero_fs_plugin.monitor.tracking.exchanges import _KEPT, Exchanges
from omero_fs_plugin.monitor.tracking.tree import Directory

from .fake_disk import Watched, p

OUTSIDE = b"/data/outside"


def put(watched: Watched, *paths: bytes) -> None:
    for path in paths:
        watched.disk.mkdirs(path.rpartition(b"/")[0])
        watched.disk.put(path)


@pytest.mark.parametrize("apart", [False, True], ids=["read at once", "read one by one"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (p("a"), p("b")),
        (p("p/a"), p("q/b")),
        (OUTSIDE + b"/new", p("a")),
        (p("a"), OUTSIDE + b"/new"),
        (p("p"), p("q")),
        (OUTSIDE + b"/p", p("q")),
        (p("a"), p("q")),
        (p("q"), p("a")),
    ],
    ids=lambda path: path.decode(),
)
def test_what_is_there_afterwards_is_known(one: bytes, other: bytes, apart: bool) -> None:
    watched = Watched()
    put(watched, p("a"), p("b"), p("p/a"), p("p/more"), p("q/b"), OUTSIDE + b"/new")
    put(watched, OUTSIDE + b"/p/far")
    watched.wait(12)
    files = {text for kind, text in watched.take() if kind == "Create"}
    watched.disk.exchange(one, other)
    while apart and watched.disk.queue:
        watched.feed(1)
        watched.tracker.step(watched.disk.now)
    watched.wait(12)
    for kind, text in watched.take():
        if kind == "Create":
            files.add(text)
        elif kind == "Delete":
            files.discard(text)
    there = watched.disk.below(p("")[:-1])
    assert files == {path[len(p("")) :].decode() for path in there}
    watched.disk.put((one if one.startswith(p("")) else other) + b".late")
    watched.wait(1)
    assert [kind for kind, _ in watched.take()] == ["Create"]


@pytest.mark.parametrize("apart", [False, True], ids=["read at once", "read one by one"])
@pytest.mark.parametrize(("one", "other"), [("a", "q"), ("q", "a")])
def test_what_was_there_is_gone_before_something_else_takes_its_name(
    one: str, other: str, apart: bool
) -> None:
    """Else a client that hears of directories too would take the new one for gone."""
    watched = Watched(directory_events=True)
    put(watched, p("a"), p("q/b"))
    watched.wait(12)
    watched.take()
    watched.disk.exchange(p(one), p(other))
    while apart and watched.disk.queue:
        watched.feed(1)
        watched.tracker.step(watched.disk.now)
    watched.wait(12)
    there = {"a", "q", "q/b"}
    for kind, text in watched.take():
        assert (kind == "Delete") == (text in there)
        there ^= {text}
    assert there == {"a", "a/b", "q"}


def test_two_exchanges_of_the_same_names_at_once() -> None:
    """In two directories: the kernel's messages of both may come one by one."""
    watched = Watched()
    put(watched, *(p(f"{above}/{name}") for above in "pq" for name in "ab"))
    watched.wait(12)
    watched.take()
    queue = watched.disk.queue
    watched.disk.exchange(p("p/a"), p("p/b"))
    first = list(queue)
    queue.clear()
    watched.disk.exchange(p("q/a"), p("q/b"))
    second = list(queue)
    queue.clear()
    queue.extend(one for both in zip(first, second, strict=True) for one in both)
    watched.wait(12)
    files = {"p/a", "p/b", "q/a", "q/b"}
    for kind, text in watched.take():
        files = files | {text} if kind == "Create" else files - {text}
    assert files == {"p/a", "p/b", "q/a", "q/b"}


def test_it_keeps_few_names() -> None:
    exchanges, directory = Exchanges(), Directory(b"/d", None)
    for number in range(1000):
        exchanges.came(directory, b"%d" % number)
        assert len(exchanges._came) <= _KEPT
    assert exchanges.may_be(directory, b"999")
    assert not exchanges.may_be(directory, b"999")
    assert not exchanges.may_be(directory, b"0")


@pytest.mark.parametrize("before", range(2 * _KEPT))
def test_a_rename_in_between_does_not_make_it_forget(before: int) -> None:
    exchanges, directory = Exchanges(), Directory(b"/d", None)
    for number in range(before):
        exchanges.came(directory, b"%d" % number)
    exchanges.came(directory, b"exchanged")
    exchanges.came(directory, b"another")
    assert exchanges.may_be(directory, b"exchanged")
