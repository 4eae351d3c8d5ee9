"""How many files are on their way at once: many small ones, few large ones, and a bound for all."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from omero_fs_plugin.dropbox.importing.importers import Stopped
from omero_fs_plugin.dropbox.importing.importers.streams import (
    AT_ONCE,
    MORE_AT_ONCE,
    SMALL,
    Streams,
)

LIMIT_S = 20.0


class Under:
    """Counts who is under way, and lets nobody go before `together` are."""

    def __init__(self, together: int) -> None:
        self._gate = threading.Barrier(together)
        self._lock = threading.Lock()
        self.now = self.most = 0

    def put(self, position: int) -> str:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self._gate.wait(LIMIT_S)
        with self._lock:
            self.now -= 1
        return str(position)


@pytest.mark.parametrize(
    ("size", "together"),
    [(0, AT_ONCE + MORE_AT_ONCE), (SMALL, AT_ONCE + MORE_AT_ONCE), (SMALL + 1, AT_ONCE)],
    ids=["empty", "small", "large"],
)
def test_small_files_are_more_at_once_than_large_ones(size: int, together: int) -> None:
    under = Under(together)
    results = Streams([size] * (4 * together)).run(under.put)
    assert results == [str(position) for position in range(4 * together)]
    assert under.most == together


def test_large_files_among_small_ones_are_no_more_at_once() -> None:
    sizes = [SMALL + 1, 0] * 40
    lock = threading.Lock()
    under = {"large": 0, "most": 0}

    def put(position: int) -> str:
        if sizes[position] <= SMALL:
            return ""
        with lock:
            under["large"] += 1
            under["most"] = max(under["most"], under["large"])
        with lock:
            under["large"] -= 1
        return ""

    Streams(sizes).run(put)
    assert 1 <= under["most"] <= AT_ONCE


def test_two_imports_share_what_is_more() -> None:
    """Each has AT_ONCE; of the rest there is a number for all imports together."""
    total = 2 * AT_ONCE + MORE_AT_ONCE
    begun, go = threading.Semaphore(0), threading.Event()

    def put(position: int) -> str:
        begun.release()
        assert go.wait(LIMIT_S)
        return ""

    before = _uploading()
    threads = [threading.Thread(target=Streams([1] * 50).run, args=(put,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(total):
            assert begun.acquire(timeout=LIMIT_S)
        assert _uploading() - before == total
    finally:
        go.set()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    _all_are_free()


def _uploading() -> int:
    return sum(thread.name.startswith("upload-") for thread in threading.enumerate())


@pytest.mark.parametrize("fails", [ValueError("no"), KeyboardInterrupt()])
def test_after_a_failure_nothing_is_begun_and_what_is_more_is_given_back(
    fails: BaseException,
) -> None:
    begun: list[int] = []

    def put(position: int) -> str:
        begun.append(position)
        if position == 2:
            raise fails
        if streams.failed:
            raise Stopped("another one failed")
        return ""

    for _ in range(2 * MORE_AT_ONCE):
        begun.clear()
        streams = Streams([1] * 1000)
        with pytest.raises(type(fails)):
            streams.run(put)
        assert len(begun) < 1000
    _all_are_free()


def _all_are_free() -> None:
    together: Callable[[int], str] = Under(AT_ONCE + MORE_AT_ONCE).put
    Streams([1] * (AT_ONCE + MORE_AT_ONCE)).run(together)


def test_one_file_needs_no_thread_of_its_own() -> None:
    assert Streams([5]).run(lambda position: threading.current_thread().name) == ["MainThread"]
