"""A file that comes alone, after a long rest, goes to the grouper whose Java is warm."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from unittest import mock

import pytest

from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.dropbox.settling import groupers as groupers_
from omero_fs_plugin.dropbox.settling.groupers import Groupers
from omero_fs_plugin.dropbox.settling.lots import Lot

PATIENCE_S = 30.0
FILES = 20


class Java(BioFormats):
    """One that notes what becomes of it."""

    def __init__(self) -> None:
        self.asked: deque[Sequence[str]] = deque()
        self.answers = threading.Event()
        self.answers.set()
        self.is_asked, self.rested = threading.Event(), threading.Event()

    def version(self) -> str:
        return "8.0.0"

    def group(
        self, root: str, files: Sequence[str], readers: Collection[str] | None = None
    ) -> Grouping:
        self.asked.append(files)
        self.is_asked.set()
        assert self.answers.wait(PATIENCE_S)
        return Grouping(())

    def rest(self) -> None:
        self.rested.set()

    def close(self) -> None:
        self.answers.set()


class Scene:
    """Two groupers, of which the second has given back its memory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.both = [Java(), Java()]
        self.lots: deque[Lot] = deque()
        self.done = threading.Semaphore(0)
        pipeline = mock.MagicMock()
        pipeline.lots.__len__.side_effect = lambda: len(self.lots)
        pipeline.lots.stores.return_value = []
        pipeline.next_lot = self._next
        pipeline.journal.select.return_value = []
        pipeline.grouped = self._grouped
        made = iter(self.both)
        self.groupers = Groupers(
            pipeline,
            lambda: next(made),
            lanes=Lanes(),
            readers=lambda rule: None,
            queued=lambda: None,
            failed=lambda fileset: None,
            complete_timeout=lambda: 60.0,
            number=2,
        )

    def _next(self, now: float) -> Lot | None:
        try:
            return self.lots.popleft()
        except IndexError:
            return None

    def _grouped(self, *answer: object) -> bool:
        self.done.release()
        return False

    def comes(self, name: str) -> None:
        self.lots.append(Lot("amy", str(self.place), None, (f"{self.place}/{name}",)))
        self.groupers.wake()

    def until_done(self, at_work: int = 0) -> None:
        """Until an answer is taken, and no more than so many are at work, and so take no other."""
        assert self.done.acquire(timeout=PATIENCE_S)
        until = time.monotonic() + PATIENCE_S
        while len(self.groupers._warmth._at_work) > at_work:
            assert time.monotonic() < until
            time.sleep(0.001)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in ("_REST_S", "_STEP_S", "_IDLE_S"):
        monkeypatch.setattr(groupers_, name, 0.001)
    scene = Scene(tmp_path)
    scene.groupers.start()
    assert scene.both[1].rested.wait(PATIENCE_S)
    yield scene
    scene.groupers.stop(time.monotonic() + PATIENCE_S)


def test_it_goes_to_the_warm_one_each_time(scene: Scene) -> None:
    warm, cold = scene.both
    for number in range(FILES):
        scene.comes(f"{number}.tif")
        scene.until_done()
    assert len(warm.asked) == FILES and not cold.asked
    assert not warm.rested.is_set()


def test_while_the_warm_one_is_at_work_the_other_takes_it(scene: Scene) -> None:
    warm, cold = scene.both
    warm.answers.clear()
    scene.comes("long.tif")
    assert warm.is_asked.wait(PATIENCE_S)
    scene.comes("short.tif")
    scene.until_done(at_work=1)
    assert len(warm.asked) == len(cold.asked) == 1
