"""The process of a large fileset, as DropBox sees it: when it counts as one that hangs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from omero_fs_plugin.dropbox.disks.calls import Calls
from omero_fs_plugin.dropbox.importing.apart import job as module
from omero_fs_plugin.dropbox.importing.apart.job import SILENT_S, Gone, Job
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State

BEAT = {"beat": [1, 2, False]}


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Talk:
    """A process that says what the test has it say, look by look."""

    def __init__(self, *looks: Callable[[], list[dict[str, Any]]]) -> None:
        self._looks = list(looks)

    def heard(self) -> list[dict[str, Any]]:
        return self._looks.pop(0)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def watched(talk: Any) -> Any:
    fileset = Fileset(
        *(7, "amy", "/in/amy", "/in/amy/a.zarr/", State.IMPORTING, "", "met", 1, 0, False),
        *(None, (), 0.0, 0.0),
    )
    call = Calls(lambda: 0.0).at("/in/amy")
    return module._Watch(Job("import", fileset), talk, call, lambda: False).end()


def test_what_it_said_while_we_had_no_processor_counts(clock: Clock) -> None:
    def nothing() -> list[dict[str, Any]]:
        clock.now += 2 * SILENT_S  # after the look at what it has said
        return []

    assert watched(Talk(nothing, lambda: [BEAT], lambda: [{"gives": "it"}])) == "it"


def test_one_that_says_nothing_is_given_its_time(clock: Clock) -> None:
    def nothing() -> list[dict[str, Any]]:
        clock.now += 1.0
        return []

    with pytest.raises(Gone, match="has not moved for 120 s"):
        watched(Talk(*[nothing] * 200))
    assert SILENT_S < clock.now - 100.0 < SILENT_S + 3
