"""While one file is being written, whoever waits wakes for anything else, and for nothing else."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.kernel.entries import Waitable
from omero_fs_plugin.monitor.kernel.inotify import Inotify
from omero_fs_plugin.monitor.kernel.polling import Polling


@pytest.fixture
def inotify(tmp_path: Path) -> Iterator[Inotify]:
    observer = Inotify(os.fsencode(tmp_path))
    assert observer.watch(os.fsencode(tmp_path)) is not None
    yield observer
    observer.close()


def _masks(inotify: Inotify) -> list[int]:
    inotify.drain()
    return [event.mask for event in inotify.events()]


def _is_ready(waitable: Waitable | None) -> bool:
    assert waitable is not None
    descriptor = waitable.fileno()
    assert descriptor is not None
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


@pytest.mark.parametrize("other", ["close", "another file"])
def test_writes_wake_nobody_and_anything_else_does(
    inotify: Inotify, tmp_path: Path, other: str
) -> None:
    with (tmp_path / "large.tif").open("wb", buffering=0) as stream:
        assert _masks(inotify) == [raw.IN_CREATE]
        for _ in range(2):  # in each look anew
            stream.write(b"-")
            assert _masks(inotify) == [raw.IN_MODIFY]
            stream.write(b"-")
            beyond = inotify.beyond()
            for _ in range(100):
                stream.write(b"-")
                assert not _is_ready(beyond)
        if other == "another file":
            (tmp_path / "b.tif").touch()
            assert _is_ready(beyond)
    assert _is_ready(beyond)
    assert _masks(inotify)[0] & raw.IN_MODIFY


def test_what_came_before_is_not_overlooked(inotify: Inotify, tmp_path: Path) -> None:
    with (tmp_path / "large.tif").open("wb", buffering=0) as stream:
        _masks(inotify)
        stream.write(b"-")
        assert _masks(inotify) == [raw.IN_MODIFY]
        stream.write(b"-")
    assert inotify.beyond() is None  # its close waits already


def test_what_else_happened_to_the_file_counts(inotify: Inotify, tmp_path: Path) -> None:
    """Its close may be as large as that."""
    with (tmp_path / "large.tif").open("wb", buffering=0) as stream:
        _masks(inotify)
        stream.write(b"-")
        (tmp_path / "large.tif").chmod(0o600)
        assert _masks(inotify) == [raw.IN_MODIFY]
        stream.write(b"-")
    assert inotify.beyond() is None


def test_nobody_can_say_of_several_files_or_after_the_end(inotify: Inotify, tmp_path: Path) -> None:
    assert inotify.beyond() is None
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).write_bytes(b"-")
    assert len(_masks(inotify)) == 2
    (tmp_path / "a.tif").touch()
    assert inotify.beyond() is None
    inotify.close()
    assert inotify.beyond() is None


def test_who_polls_cannot_say(tmp_path: Path) -> None:
    assert Polling(os.fsencode(tmp_path), lambda: None).beyond() is None
