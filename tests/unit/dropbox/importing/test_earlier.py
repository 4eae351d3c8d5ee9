"""What OMERO has of an earlier attempt, when that changes while it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.dropbox.importing import earlier as earlier_module
from omero_fs_plugin.dropbox.importing.earlier import Earlier
from omero_fs_plugin.dropbox.importing.importers import StillRunning

UNFINISHED = ServerFileset(7, (), ("dropbox/amy/a.tif",), ("ab",), (5,))
REST = SimpleNamespace(told=False, over=lambda limit: True)


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    ids: list[int] = []
    monkeypatch.setattr(
        earlier_module, "delete_filesets", lambda session, filesets: ids.extend(filesets)
    )
    return ids


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> Callable[[ServerFileset], Earlier]:
    def made(now: ServerFileset) -> Earlier:
        """It had no images when it was looked for; it is `now` when it is to be deleted."""
        answers: Any = {
            "unrecorded": lambda self: [now],
            "_look": lambda self, unfinished: None,
            "_rests": lambda self, unfinished, found: [(UNFINISHED, REST)],
            "_limit": lambda self, one, rest: 0.0,
            "_ours": lambda self, one, rest: True,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(Earlier, name, answer)
        fileset = SimpleNamespace(id=1, verified=True)
        return Earlier(mock.Mock(), mock.Mock(), mock.Mock(), fileset, mock.Mock())  # type: ignore[arg-type]

    return made


def test_one_whose_images_come_just_then_is_not_imported_once_more(
    earlier: Callable[[ServerFileset], Earlier], deleted: list[int]
) -> None:
    """OMERO has carried out a late call of a process that was killed."""
    with pytest.raises(StillRunning, match="OMERO has just imported it as Fileset:7"):
        earlier(replace(UNFINISHED, images=(3,))).settle([UNFINISHED])
    assert deleted == []


def test_nor_is_it_cleared_away(
    earlier: Callable[[ServerFileset], Earlier], deleted: list[int]
) -> None:
    assert not earlier(replace(UNFINISHED, images=(3,))).clear()
    assert deleted == []


def test_one_without_life_is_deleted(
    earlier: Callable[[ServerFileset], Earlier], deleted: list[int]
) -> None:
    assert not earlier(UNFINISHED).settle([UNFINISHED])
    assert deleted == [7]
