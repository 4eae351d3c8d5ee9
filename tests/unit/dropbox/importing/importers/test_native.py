"""An import that OMERO does not answer as it should."""

from __future__ import annotations

from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers import native
from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.importing.importers.protocol import Task
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ServerBusyError
from omero_fs_plugin.events import FileStat

FIRST = 7  # OriginalFile id


class Repository:
    """Lets an upload begin, and has too much to do for the import."""

    def __init__(self, looks: float) -> None:
        self._looks = looks  # so often it is asked for the answer in vain

    def isCompleted(self) -> bool:
        self._looks -= 1
        return self._looks < 0

    def end_getFileId(self, asked: object) -> int:
        assert asked is self
        return FIRST

    def close(self) -> None:
        pass


def run(repository: Repository, monkeypatch: pytest.MonkeyPatch, stopping: bool = False) -> Any:
    """Makes the import, and returns what is known to be over."""
    found = Found("/dropbox/amy/a.tif", FileStat(1, 1, 1, 1, 1))
    row = Fileset(
        1, "amy", "/dropbox/amy", found.path, State.IMPORTING, "", "met", 1, 0, False, None, (),
        0.0, 0.0, (found,),
    )  # fmt: skip
    over: list[int] = []
    session: Any = type("Session", (), {"managed_repository": lambda self: None})()
    attempt = NativeImport(
        session, Task(row, lambda sha1s: None, over=over.append), stopping=lambda: stopping
    )

    def busy(_: object) -> tuple[int, ...]:
        attempt._asked_first = repository, repository
        raise ServerBusyError("too much to do")

    monkeypatch.setattr(attempt, "_begin", lambda _: repository)
    monkeypatch.setattr(attempt, "_import", busy)
    with pytest.raises(ServerBusyError):
        attempt.run()
    return over


@pytest.mark.parametrize("looks", [0, 1, 5])
def test_an_upload_that_is_over_is_known_by_its_first_file_if_the_answer_is_late(
    monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """Without it, the next attempt waits until OMERO shows no sign of life for long."""
    assert run(Repository(looks), monkeypatch) == [FIRST]


def test_an_answer_that_never_comes_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_ANSWER_S", 0.03)
    assert run(Repository(float("inf")), monkeypatch) == []


def test_a_stop_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_ANSWER_S", 600.0)
    assert run(Repository(float("inf")), monkeypatch, stopping=True) == []
