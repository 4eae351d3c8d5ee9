"""What a share that can hang does; test_share.py runs this in a mount namespace of its own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .share import Share, is_mounted

PATIENCE = 30.0  # s


@pytest.fixture(params=[True, False], ids=["direct", "cached"])
def share(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Share]:
    with Share(tmp_path / "behind", tmp_path / "point", direct=request.param) as share:
        yield share


class Call(threading.Thread):
    """A call that may hang, on a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.result: Any = None
        self.error: OSError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._call()
        except OSError as error:
            self.error = error

    def end(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.result


def test_it_is_a_file_system(share: Share) -> None:
    top = share.point
    content = os.urandom(300_000)
    (top / "a").write_bytes(content)
    assert (top / "a").read_bytes() == (share.behind / "a").read_bytes() == content
    (top / "d").mkdir()
    (top / "d" / "link").symlink_to("../a")
    assert (top / "d" / "link").resolve() == top / "a"
    (top / "a").rename(top / "d" / "b")
    os.link(top / "d" / "b", top / "c")
    assert sorted(path.name for path in top.rglob("*")) == ["b", "c", "d", "link"]
    assert (top / "c").stat().st_nlink == 2
    os.utime(top / "c", ns=(1_500_000_001, -2_250_000_001))
    (top / "c").chmod(0o640)
    os.truncate(top / "c", 5)
    with (top / "c").open("ab") as file:
        file.write(b"more")
        file.flush()
        os.fsync(file.fileno())
    assert (top / "c").read_bytes() == content[:5] + b"more"
    here, there = (top / "c").stat(), (share.behind / "c").stat()
    for field in ("st_mode", "st_ino", "st_size", "st_uid", "st_gid", "st_mtime_ns", "st_atime_ns"):
        assert getattr(here, field) == getattr(there, field), field
    os.utime(top / "d" / "b", ns=(1, -1))
    assert (top / "c").stat().st_mtime_ns == -1
    with pytest.raises(FileExistsError):
        (top / "d").mkdir()
    with pytest.raises(OSError, match="not empty"):
        (top / "d").rmdir()
    os.mkfifo(top / "pipe")
    assert (top / "pipe").is_fifo()
    for name in ("c", "pipe", "d/b", "d/link"):
        (top / name).unlink()
    (top / "d").rmdir()
    assert list(share.behind.iterdir()) == []


def test_what_others_do_is_seen_at_once(share: Share) -> None:
    assert not (share.point / "a").exists()
    (share.behind / "a").write_text("one")
    assert (share.point / "a").read_text() == "one"
    (share.behind / "a").write_text("other")
    assert (share.point / "a").read_text() == "other"
    (share.behind / "a").rename(share.behind / "b")
    assert not (share.point / "a").exists()
    assert (share.point / "b").stat().st_size == 5


def test_thousands_of_names(share: Share) -> None:
    names = {f"file {number}" for number in range(3000)}
    for name in names:
        (share.behind / name).touch()
    assert {path.name for path in share.point.iterdir()} == names
    assert all((share.point / name).exists() for name in names)


def test_nothing_is_answered_until_all_is(share: Share) -> None:
    (share.behind / "a").write_text("one")
    share.hang()
    looks = [Call((share.point / "a").stat), Call(lambda: list(share.point.iterdir()))]
    share.until_waiting("lookup", "getattr")
    time.sleep(0.2)
    assert all(look.is_alive() for look in looks)
    assert share.answer() >= 1
    assert looks[0].end().st_size == 3
    assert looks[1].end() == [share.point / "a"]
    assert share.waiting() == []


def test_one_operation_hangs_on_one_path_after_some(share: Share) -> None:
    for name in ("a", "b"):
        (share.behind / name).write_bytes(bytes(400_000))
    share.hang("read", pattern="a", after=1)
    assert len((share.point / "b").read_bytes()) == 400_000
    assert (share.point / "a").stat().st_size == 400_000
    reading = Call((share.point / "a").read_bytes)
    waiting = share.until_waiting("read")
    assert (waiting.path, waiting.pid) == ("a", reading.native_id)
    share.answer()
    assert len(reading.end()) == 400_000


def test_it_fails_and_is_slow(share: Share) -> None:
    (share.behind / "a").write_text("one")
    share.fail(errno.ESTALE, "getattr", "lookup", pattern="a")
    with pytest.raises(OSError) as caught:
        (share.point / "a").stat()
    assert caught.value.errno == errno.ESTALE
    share.answer()
    share.slow(0.2)
    began = time.monotonic()
    (share.point / "a").stat()
    assert time.monotonic() - began >= 0.2
    share.slow(0)


@pytest.mark.parametrize("killable", [True, False], ids=["killable", "unkillable"])
def test_who_waits_can_be_killed_if_the_test_wants_it(share: Share, killable: bool) -> None:
    (share.behind / "a").touch()
    share.hang("lookup", "getattr", killable=killable)
    process = subprocess.Popen(
        [sys.executable, "-c", "import os, sys; os.stat(sys.argv[1])", str(share.point / "a")]
    )
    share.until_waiting()
    process.kill()
    if killable:
        process.wait(PATIENCE)
    else:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        share.answer()
        process.wait(PATIENCE)


def test_nobody_waits_and_nothing_is_left_once_it_is_closed(share: Share) -> None:
    share.hang(killable=False)
    look = Call((share.point / "a").stat)
    share.until_waiting()
    share.close()
    look.end()
    assert look.error is not None and look.error.errno in (errno.ECONNABORTED, errno.ENOTCONN)
    assert not is_mounted(share.point)


def test_it_ends_with_its_test(tmp_path: Path) -> None:
    script = """
import os, sys, threading, time
from pathlib import Path
from tests.integration.hanging.share import Share
share = Share(Path(sys.argv[1]), Path(sys.argv[2]))
share.hang(killable=False)
threading.Thread(target=lambda: os.stat(share.point), daemon=True).start()
share.until_waiting()
os.kill(os.getpid(), 9)
"""
    point = tmp_path / "point"
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "behind"), str(point)])
    process.wait(PATIENCE)  # its thread too: whoever is killed ends when the last thread has
    end = time.monotonic() + PATIENCE
    while is_mounted(point):
        assert time.monotonic() < end
        time.sleep(0.05)
