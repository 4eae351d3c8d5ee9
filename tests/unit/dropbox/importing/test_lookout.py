"""Importers that have nothing to do: one of them looks out for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.events import FileStat
from tests.rules import places_of

from .building import importers_of

NUMBER = 5  # importers


class News(threading.Condition):
    """A wait with a limit lasts until the test lets time pass, or until it is woken."""

    def __init__(self) -> None:
        lock = threading.RLock()
        super().__init__(lock)
        self.waiting: list[int] = []  # threads, those with a limit
        self.without_limit = 0
        self._over = 0  # times that a wait with a limit has ended
        self._limited = threading.Condition(lock)
        self._test = threading.Condition(lock)

    def wait(self, timeout: float | None = None) -> bool:
        me = threading.get_ident()
        self.without_limit += timeout is None
        self.waiting += [me] * (timeout is not None)
        self._test.notify_all()
        if timeout is None:
            super().wait()
            self.without_limit -= 1
        else:
            over = self._over
            self._limited.wait_for(lambda: self._over > over)
        return True

    def notify_all(self) -> None:
        super().notify_all()
        self.pass_time()

    def pass_time(self) -> None:
        with self:
            self._over += 1
            self.waiting.clear()
            self._limited.notify_all()

    def tell(self) -> None:
        """What the test waits for may be true now."""
        with self:
            self._test.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        with self:
            assert self._test.wait_for(true, 20)


class Stage:
    """Importers whose imports last until the test lets them end."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.journal = journal
        self.news = News()
        self.looks = 0
        self.handed_over = 0
        self.begun: list[int] = []  # filesets
        self.end = threading.Event()
        places = places_of("/dropbox", throttleImport="0")
        self.importers = importers_of(journal, places, number=NUMBER)
        self.importers._lookout._news = self.news
        take = self.importers._taking.take

        def looked() -> list[Fileset]:
            with self.news:
                self.looks += 1
            return take()

        def imported(filesets: list[Fileset]) -> None:
            with self.news:
                self.begun += [fileset.id for fileset in filesets]
                self.news.tell()
            assert self.end.wait(20)

        monkeypatch.setattr(self.importers._taking, "take", looked)
        monkeypatch.setattr(self.importers._runs, "make", imported)
        self.threads = [threading.Thread(target=self.importers._work) for _ in range(NUMBER)]
        monkeypatch.setattr(self.importers._crew, "is_spare", lambda: False)

    def hand_over(self, number: int) -> None:
        """As another process does: nobody is told."""
        for _ in range(number):
            self.handed_over += 1
            name, stat = self.handed_over, FileStat(1, self.handed_over, 1, 1, 1)
            self.journal.hand_over("amy", "/dropbox/amy", Found(f"/dropbox/amy/{name}", stat))

    def idle(self) -> bool:
        return len(self.news.waiting) == 1 and self.news.without_limit == NUMBER - 1


@pytest.fixture
def stage(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(journal, monkeypatch)
    for thread in stage.threads:
        thread.start()
    yield stage
    stage.end.set()
    stage.importers._stopping.set()
    stage.importers.wake()
    for thread in stage.threads:
        thread.join(20)
        assert not thread.is_alive()


def test_one_of_them_looks(stage: Stage) -> None:
    stage.news.until(stage.idle)
    before = stage.looks
    for count in range(1, 11):
        stage.news.pass_time()
        stage.news.until(lambda expected=before + count: stage.looks == expected and stage.idle())


def test_what_another_process_hands_over_is_found_by_all(stage: Stage) -> None:
    """Whoever finds something wakes the others, and one of them looks out."""
    stage.news.until(stage.idle)
    stage.hand_over(NUMBER)
    for _ in range(2 * NUMBER):
        stage.news.pass_time()
        # One that looked just before the others were woken looks out.
        stage.news.until(lambda: len(stage.begun) == NUMBER or bool(stage.news.waiting))
    assert len(stage.begun) == NUMBER
    assert not stage.news.waiting


def test_while_all_but_one_import_that_one_looks_out(stage: Stage) -> None:
    stage.news.until(stage.idle)
    for _ in range(NUMBER - 1):
        before = len(stage.begun)
        stage.hand_over(1)
        stage.news.pass_time()
        stage.news.until(lambda expected=before + 1: len(stage.begun) == expected)
        stage.news.until(lambda: len(stage.news.waiting) == 1)
    assert stage.news.without_limit == 0
    assert len(stage.begun) == NUMBER - 1


def test_one_whose_thread_ends_looks_out_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of an importer too many does."""
    stage.news.until(stage.idle)
    (lookout,) = stage.news.waiting
    monkeypatch.setattr(stage.importers._crew, "is_spare", lambda: threading.get_ident() == lookout)
    stage.news.pass_time()
    stage.news.until(
        lambda: (
            len(stage.news.waiting) == 1
            and stage.news.waiting != [lookout]
            and stage.news.without_limit == NUMBER - 2
        )
    )
