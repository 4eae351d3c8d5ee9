"""OMERO is asked once in a while, and a disk that does not answer ends the wait for itself only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from omero_fs_plugin.dropbox.audit.directories import Walk
from omero_fs_plugin.dropbox.audit.means import Means, Pace
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.dropbox.disks.calls import Call, Calls
from omero_fs_plugin.dropbox.disks.lanes import Lanes


class Clock:
    """Time passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def test_questions_begin_a_second_apart() -> None:
    clock = Clock()
    pace = Pace(1.0, clock, clock.sleep)
    begun = []
    for took in (0.0, 0.25, 5.0, 0.5, 0.0):
        pace.wait()
        begun.append(clock.now)
        clock.now += took
    assert begun == [100.0, 101.0, 102.0, 107.0, 108.0]
    assert pace.queries == 5


@pytest.fixture
def record() -> Iterator[Record]:
    made = Record.fresh("/opt/omero", 1.0)
    yield made
    made.close()


def means(record: Record, calls: Calls) -> Means:
    nobody = cast("Any", None)
    return Means(nobody, nobody, record, Pace(1.0), lambda _: "", lanes=Lanes(calls=calls))


def test_a_disk_that_does_not_answer_is_told_once_and_not_waited_for(record: Record) -> None:
    clock, back = Clock(), threading.Event()
    one = means(record, Calls(clock))

    def hangs(call: Call) -> None:
        clock.now += 60.0  # so much later it has still not answered
        back.wait(30)

    try:
        assert one.look("/mnt/away", hangs) is None
        assert one.look("/mnt/away", lambda call: 1) is None
        assert one.look("/mnt/here", lambda call, number: number, 7) == 7
    finally:
        back.set()
    (left,) = one.record.all_unseen()
    assert left.path == "/mnt/away" and "does not answer" in left.why


def test_an_error_of_a_root_is_told(record: Record) -> None:
    one = means(record, Calls())

    def refuses(call: Call) -> None:
        raise PermissionError(13, "Permission denied")

    assert one.look("/mnt/a", refuses) is None
    (left,) = one.record.all_unseen()
    assert (left.path, left.why) == ("/mnt/a", "cannot be looked at: Permission denied")


def test_a_walk_goes_on_from_any_place_of_it(tmp_path: Path) -> None:
    for name in ("a/x", "a/y/z", "a b/c", "a-b", "b/.omero", "\udcff/d", "c/c/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(b"x")
    for name in (".omero", "lost+found", "empty/empty", "dots"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".omero/file").write_bytes(b"x")
    (tmp_path / "dots/.file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("a")

    def walked(after: str) -> list[str]:
        walk = Walk(str(tmp_path), after)
        with Calls().at(str(tmp_path)) as call:
            return [relative for relative, _ in walk.found(call)]

    every = walked("")
    assert set(every) == {"a/x", "a/y/z", "a b/c", "a-b", "b/.omero", "\udcff/d", "c/c/c"}
    for position, place in enumerate(every):
        assert walked(place) == every[position + 1 :]
