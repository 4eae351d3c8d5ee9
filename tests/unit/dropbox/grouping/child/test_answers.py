"""An answer that has come counts, whatever the thread that waits for it was kept from."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.dropbox.grouping.child import process as module
from omero_fs_plugin.dropbox.grouping.child.frames import encode
from omero_fs_plugin.dropbox.grouping.child.process import Child, ChildDied
from omero_fs_plugin.dropbox.grouping.child.pulse import Pulse

LIMIT = 60.0  # s


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Process:
    """Stands for the process: it runs until it is ended."""

    pid = os.getpid()
    code: int | None = None

    def ended(self) -> int | None:
        return self.code

    def wait(self, limit: float) -> int | None:
        return self.code

    def send(self, number: int) -> None:
        self.code = -number

    def close(self) -> None:
        """Nothing is left."""


class Scene:
    """A child whose other end is ours, and what happens after the first look at it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        ours, self.theirs = socket.socketpair()
        reading, self.output = os.pipe()
        os.set_blocking(reading, False)
        page = Pulse.memory()
        child: Any = Child.__new__(Child)
        child._child, child._connection, child._output = Process(), ours, reading
        child._pulse, child._scratch = Pulse(page), None
        child._explain = lambda code, said: ""
        child._received, child._said = bytearray(), bytearray()
        child._printed = child._printed_before = 0
        selector = selectors.DefaultSelector()
        selector.register(ours, selectors.EVENT_READ, child._take_answer)
        selector.register(reading, selectors.EVENT_READ, child._take_output)
        self.select = selector.select
        child._selector = SimpleNamespace(select=self._select, close=selector.close)
        os.close(page)
        self.child: Child = child
        self.looks = 0
        self.after_the_first = lambda: None

    def _select(self, timeout: float) -> Any:
        self.looks += 1
        found = self.select(0)
        if self.looks == 1:
            self.clock.now += 2 * LIMIT
            self.after_the_first()
        return found


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    scene = Scene(clock)
    yield scene
    scene.child.close()
    scene.theirs.close()
    os.close(scene.output)


@pytest.mark.parametrize("prints", [True, False])
def test_one_that_came_after_the_look_counts(scene: Scene, prints: bool) -> None:
    """The thread was off the processor for longer than the answer may take."""
    if prints:
        take = scene.child._take_output
        take()
        scene.child._take_output = lambda: None  # type: ignore[method-assign]
        os.write(scene.output, b"a notice")
    scene.after_the_first = lambda: scene.theirs.sendall(encode({"it": "is"}))
    assert scene.child.ask({"what": "is it"}, LIMIT) == {"it": "is"}


def test_one_that_had_come_before_the_look_counts(scene: Scene) -> None:
    scene.theirs.sendall(encode({"it": "is"}))
    assert scene.child.ask({"what": "is it"}, LIMIT) == {"it": "is"}


def test_without_one_it_is_late_and_what_it_did_until_then_counts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To be ended takes a processor, too."""
    process: Any = scene.child._child
    monkeypatch.setattr(module, "_cpu", lambda pid: 5 if process.code is None else 6)
    with pytest.raises(ChildDied, match="no answer within 60 s") as died:
        scene.child.ask({"what": "is it"}, LIMIT)
    assert died.value.idle
