"""Metrics in a file and over HTTP: who reads them, or does not, holds up nobody."""

from __future__ import annotations

import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.config.outlets import Outlets
from omero_fs_plugin.metrics import page, publisher
from omero_fs_plugin.metrics.page import Page
from omero_fs_plugin.metrics.publisher import Publisher
from omero_fs_plugin.metrics.textfile import TextFile

TEXT = b"# HELP omero_fs_x x\nomero_fs_x 1.0\n"


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end, "not within 10 s"
        time.sleep(0.01)


@pytest.fixture
def pages() -> Iterator[Callable[[int], Page]]:
    made: list[Page] = []

    def make(port: int) -> Page:
        made.append(Page(("127.0.0.1", port)))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        assert one.stop(20)


def get(port: int, path: str = "/metrics") -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        content: bytes = answer.read()
        return content


def test_the_page_has_the_last_text(pages: Callable[[int], Page]) -> None:
    shown = pages(0)
    until(lambda: shown.port)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        get(shown.port)
    shown.show(TEXT)
    assert get(shown.port) == TEXT
    shown.show(b"newer\n")
    assert get(shown.port, "/metrics?x=y") == b"newer\n"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(shown.port, "/etc/passwd")


def test_a_busy_port_is_told_and_taken_when_it_is_free(
    pages: Callable[[int], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_AGAIN_S", 0.05)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        shown = pages(port)
        until(lambda: shown.trouble)
        assert f"127.0.0.1:{port}" in shown.trouble
    shown.show(TEXT)
    until(lambda: not shown.trouble and shown.port)
    assert get(port) == TEXT


def test_clients_that_say_nothing_hold_up_nobody_for_long(
    pages: Callable[[int], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page._Client, "timeout", 0.3)
    shown = pages(0)
    shown.show(TEXT)
    until(lambda: shown.port)
    silent = [socket.create_connection(("127.0.0.1", shown.port)) for _ in range(3 * page.CLIENTS)]
    try:

        def answered() -> bool:
            try:
                return get(shown.port) == TEXT
            except OSError:  # too many for now
                return False

        until(answered)
        threads = [t for t in threading.enumerate() if "process_request" in t.name]
        assert len(threads) <= page.CLIENTS
    finally:
        for one in silent:
            one.close()


@pytest.mark.parametrize("host", ["0.0.0..0", f"{64 * 'a'}.example"])
def test_a_host_that_is_none_is_told(host: str) -> None:
    shown = Page((host, 0))
    shown.start()
    until(lambda: shown.trouble)
    assert f"nobody can ask at {host}:" in shown.trouble
    assert shown.stop(20)


def test_a_system_short_of_threads_and_files_is_survived(
    pages: Callable[[int], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each client that got no thread took one of the few places for good."""
    shown = pages(0)
    shown.show(TEXT)
    until(lambda: shown.port)
    start, short = threading.Thread.start, [2 * page.CLIENTS]

    def none_free(thread: threading.Thread) -> None:
        if "process_request" in thread.name and short[0]:
            short[0] -= 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", none_free)

    def answered() -> bool:
        try:
            return get(shown.port) == TEXT
        except OSError:
            return False

    until(answered)
    assert not short[0]


def test_no_file_left_for_a_client_costs_no_processor(
    pages: Callable[[int], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one who waits stays in the queue, so the server is told of it again and again."""
    shown = pages(0)
    shown.show(TEXT)
    until(lambda: shown.port)
    tries, rests = [0], [0]
    accept, rest = page._Server.accepted, page._Server.rest

    def none_left(self: page._Server) -> tuple[socket.socket, object]:
        tries[0] += 1
        if tries[0] <= 3:
            raise OSError(24, os.strerror(24))
        return accept(self)

    def rested(self: page._Server) -> None:
        rests[0] += 1
        rest(self)

    monkeypatch.setattr(page._Server, "accepted", none_left)
    monkeypatch.setattr(page._Server, "rest", rested)
    assert get(shown.port) == TEXT
    assert rests[0] == 3


def test_a_client_that_does_not_read_is_left_at_a_stop(
    pages: Callable[[int], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page._Client, "timeout", 120.0)  # who waits for it waits too long
    shown = pages(0)
    shown.show(b"x" * 50_000_000)
    until(lambda: shown.port)
    with socket.create_connection(("127.0.0.1", shown.port)) as slow:
        slow.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        slow.recv(10)
        assert shown.stop(20)


def test_the_file_is_whole_and_goes_at_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "omero-fs.prom"
    shown = TextFile(path)
    shown.start()
    shown.show(TEXT)
    until(path.exists)
    assert path.read_bytes() == TEXT
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert shown.stop(20)
    assert not path.exists(), "figures of a server that has ended are not true any more"


def test_a_disk_without_room_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "omero-fs.prom"
    shown = TextFile(path)
    real = os.open

    def full(*_: object, **__: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "open", full)
    shown.start()
    shown.show(TEXT)
    until(lambda: shown.trouble)
    assert shown.trouble == f"metrics: {path}: No space left on device"
    monkeypatch.setattr(os, "open", real)
    shown.show(TEXT)
    until(path.exists)
    until(lambda: not shown.trouble)
    assert shown.stop(20)


def test_the_part_of_a_server_that_was_killed_goes(tmp_path: Path) -> None:
    path = tmp_path / "omero-fs[1].prom"
    old = time.time() - 300
    left, young = tmp_path / f".{path.name}.123", tmp_path / f".{path.name}.124"
    others = [tmp_path / ".omero-fs1.prom.123", tmp_path / f".{path.name}.bak", tmp_path / "x.prom"]
    for one in (left, young, *others):
        one.write_bytes(TEXT)
        if one is not young:
            os.utime(one, (old, old))
    shown = TextFile(path)
    shown.start()
    shown.show(TEXT)
    until(lambda: not left.exists())
    assert young.exists(), "somebody may be writing it"
    assert all(one.exists() for one in others), "they are not ours"
    assert shown.stop(20)


def test_a_disk_that_hangs_does_not_hold_up_the_page(tmp_path: Path) -> None:
    """A FIFO that nobody reads stands for it: to open it takes for ever."""
    path = tmp_path / "omero-fs.prom"
    os.mkfifo(tmp_path / f".{path.name}.{os.getpid()}")
    both = Publisher(Outlets(path, ("127.0.0.1", 0)), lambda: TEXT)
    both.start()
    try:
        assert both._page is not None
        until(lambda: both._page is not None and both._page.port)
        until(lambda: get(both._page.port if both._page else 0) == TEXT)
        # The file got the text before the page; from when it has taken it, it opens the FIFO.
        until(lambda: both._file is not None and both._file._text is None)
    finally:
        assert not both.stop(0.5)
        # Let the thread go on, so that it ends.
        reader = os.open(tmp_path / f".{path.name}.{os.getpid()}", os.O_RDONLY | os.O_NONBLOCK)
        assert both.stop(20)
        os.close(reader)


def test_a_collection_that_fails_is_told_and_the_last_text_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.01)
    fails = threading.Event()

    def collect() -> bytes:
        if fails.is_set():
            raise RuntimeError("the journal\nis odd")
        return TEXT

    one = Publisher(Outlets(None, ("127.0.0.1", 0)), collect)
    one.start()
    try:
        shown = one._page
        assert shown is not None
        until(lambda: shown.port and shown._text)
        fails.set()
        until(lambda: one.trouble)
        assert one.trouble == "metrics: not collected: RuntimeError: the journal is odd"
        assert get(shown.port) == TEXT
        fails.clear()
        until(lambda: not one.trouble)
    finally:
        assert one.stop(20)


def test_what_is_read_waits_for_no_collection() -> None:
    hangs = threading.Event()
    one = Publisher(Outlets(None, ("127.0.0.1", 0)), lambda: bool(hangs.wait()) * b"")
    one.start()
    shown = one._page
    assert shown is not None
    until(lambda: shown.port)
    shown.show(TEXT)
    assert get(shown.port) == TEXT
    hangs.set()
    assert one.stop(20)


def test_without_an_outlet_nothing_runs() -> None:
    one = Publisher(Outlets(), lambda: TEXT)
    before = threading.active_count()
    one.start()
    assert not one.wanted and not one.trouble
    assert threading.active_count() == before
    assert one.stop(0)


def test_a_stop_while_the_port_is_being_taken_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is there, and never serves."""
    shown = Page(("127.0.0.1", 0))
    made, stopped = threading.Event(), threading.Event()
    server = page._Server

    def slow(*arguments: object) -> page._Server:
        taken = server(*arguments)  # type: ignore[arg-type]
        made.set()
        assert stopped.wait(10)
        return taken

    class Stopping(threading.Event):
        def set(self) -> None:
            super().set()
            stopped.set()
            until(lambda: shown._server is not None or not shown._thread.is_alive())

    shown._stopping = Stopping()
    monkeypatch.setattr(page, "_Server", slow)
    shown.start()
    assert made.wait(10)
    ended: list[bool] = []
    stopping = threading.Thread(target=lambda: ended.append(shown.stop(20)), daemon=True)
    stopping.start()
    stopping.join(20)
    assert ended == [True]
