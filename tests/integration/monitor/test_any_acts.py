"""Any sequence of acts on a real disk, with restarts and a client that is away.

As AnySequence of tests/unit/monitor/tracking/test_any_sequence.py, over the real kernel,
threads and record; the model is the disk itself.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.kernel.observers import Observing
from omero_fs_plugin.monitor.monitors import Monitors
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.record.record import Record
from omero_fs_plugin.monitor.telling import outbox
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from tests.conftest import examples
from tests.requests import request_of

from .fsserver import until

QUICK = Timing(
    hold=0.02, silence=0.2, found=0.06, burst_gap=0.06, overflow=0.03, poll=0.03, check=0.05
)
SETTLED = 0.3  # s by the clock of the thread that tells; longer than anything that is due waits
_LIBC = ctypes.CDLL(None, use_errno=True)
_CWD, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
NAMES = st.sampled_from([b"a", b"b", b"c.tif", b"d.new", b"odd\xff"])


class Client:
    """Reads each file when its event comes."""

    address = "here"

    def __init__(self) -> None:
        self.files: dict[bytes, bytes | None] = {}
        self.directories: set[bytes] = set()
        self.wrong: list[Tell] = []  # told of what it knew, or did not know
        self.sure = True  # nothing may come twice
        self.away = False
        self._lock = threading.Lock()

    def notify(
        self,
        identifier: str,
        tells: list[Tell],
        done: Callable[[bool], None],
        *,
        asked: bool = False,
    ) -> None:
        with self._lock:
            for tell in tells:
                self._hear(tell)
        done(not self.away)  # away, it is its answers that are lost

    def probe(self, done: Callable[[bool], None]) -> None:
        done(not self.away)

    def _hear(self, tell: Tell) -> None:
        if tell.type is EventType.SYSTEM:
            return
        known = tell.path in (self.directories if tell.directory else self.files)
        if self.sure and known == (tell.type is EventType.CREATE):
            self.wrong.append(tell)
        if tell.directory:
            (self.directories.add, self.directories.discard)[tell.type is EventType.DELETE](
                tell.path
            )
        elif tell.type is EventType.DELETE:
            self.files.pop(tell.path, None)
        else:
            self.files[tell.path] = content(os.fsdecode(tell.path))

    def picture(self) -> tuple[dict[bytes, bytes | None], set[bytes]]:
        with self._lock:
            return dict(self.files), set(self.directories)


def content(path: str | Path) -> bytes | None:
    path = Path(path)
    try:
        return os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None  # its Delete follows


def exchanged(one: Path, other: Path) -> bool:
    """renameat2(2) with RENAME_EXCHANGE.  Whether it was done."""
    names = os.fsencode(one), os.fsencode(other)
    return not _LIBC.renameat2(_CWD, names[0], _CWD, names[1], _EXCHANGE)


class AnyActs(RuleBasedStateMachine):
    """Rule: after quiet, the client's picture is the disk, content and all."""

    @initialize(kind=st.sampled_from(["inotify", "inotify", "polling"]))
    def begin(self, kind: str) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.root = self.home / "root"
        self.outside = self.home / "outside"
        (self.root / "a" / "b").mkdir(parents=True)
        self.outside.mkdir()
        (self.root / "a" / "c.tif").write_text("old")
        self.number = 0
        self.writers: list[IO[bytes]] = []
        self.linked: set[int] = set()  # inodes that have, or had, several names
        self.observing = Observing(kind)
        self.client = Client()
        self.client.files, self.client.directories = self.disk()
        self.serve()
        request = request_of(
            os.fsencode(self.root), block_size=2, ignore_sys_files=False, ignore_dir_events=False
        )
        self.monitors.get(self.monitors.create(request, self.client)).start()

    def serve(self) -> None:
        self.record = Record(self.home / "record")
        self.monitors = Monitors(QUICK, record=self.record, observing=self.observing)
        self.monitors.restore(lambda address: self.client)

    def disk(self) -> tuple[dict[bytes, bytes | None], set[bytes]]:
        files, directories = {}, set()
        for path in self.root.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                directories.add(os.fsencode(path))
            else:
                files[os.fsencode(path)] = content(path)
        return files, directories

    def directory(self, data: st.DataObject) -> Path:
        found = [
            path
            for top in (self.root, self.outside)
            for path in (top, *top.rglob("*"))
            if path.is_dir() and not path.is_symlink()
        ]
        return data.draw(st.sampled_from(sorted(found)))

    def file(self, data: st.DataObject, *, regular: bool = False) -> Path | None:
        found = [
            path
            for path in self.home.glob("[ro][ou]*/**/*")
            if (path.is_symlink() and not regular) or (path.is_file() and not path.is_symlink())
        ]
        return data.draw(st.sampled_from(sorted(found))) if found else None

    def new(self, data: st.DataObject, name: bytes) -> Path | None:
        path = self.directory(data) / os.fsdecode(name)
        return None if os.path.lexists(path) else path

    def text(self) -> bytes:
        self.number += 1
        return b"%04d" % self.number  # of one length: no size tells one from another

    @rule(data=st.data(), name=NAMES, close=st.booleans())
    def create(self, data: st.DataObject, name: bytes, close: bool) -> None:
        path = self.new(data, name)
        if path is not None:
            file = path.open("wb", buffering=0)
            file.write(self.text())
            if close:
                file.close()
            else:
                self.writers.append(file)

    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        path = self.file(data, regular=True)
        if path is not None:
            path.write_bytes(self.text())

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), close=st.booleans())
    def write_on(self, data: st.DataObject, close: bool) -> None:
        file = data.draw(st.sampled_from(self.writers))
        file.write(self.text())
        if close:
            file.close()
            self.writers.remove(file)

    @rule(data=st.data(), name=NAMES, hard=st.booleans())
    def link(self, data: st.DataObject, name: bytes, hard: bool) -> None:
        path = self.new(data, name)
        source = self.file(data, regular=True)
        if path is None:
            return
        if not hard:
            path.symlink_to("a")
        elif source is not None:
            os.link(source, path)
            self.linked.add(path.stat().st_ino)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        path = self.file(data)
        if path is not None:
            path.unlink()

    @rule(data=st.data(), name=NAMES)
    def mkdir(self, data: st.DataObject, name: bytes) -> None:
        path = self.new(data, name)
        if path is not None and len(path.parts) < len(self.root.parts) + 5:
            path.mkdir()

    @rule(data=st.data(), name=NAMES)
    def rename(self, data: st.DataObject, name: bytes) -> None:
        source = self.file(data)
        target = self.directory(data) / os.fsdecode(name)
        if source is not None and not (target.is_dir() and not target.is_symlink()):
            source.rename(target)

    @rule(data=st.data())
    def exchange(self, data: st.DataObject) -> None:
        """Two names, of files or of directories, inside or outside, in one step."""
        one, other = (self.file(data) or self.directory(data) for _ in range(2))
        if {one, other}.isdisjoint({self.root, self.outside}):
            exchanged(one, other)  # unless one lies in the other

    @rule(data=st.data())
    def exchange_directories(self, data: st.DataObject) -> None:
        one, other = self.directory(data), self.directory(data)
        if {one, other}.isdisjoint({self.root, self.outside}):
            exchanged(one, other)

    @rule(data=st.data(), size=st.integers(0, 4))
    def truncate(self, data: st.DataObject, size: int) -> None:
        """By its path: nobody opens it, and nobody closes it."""
        path = self.file(data, regular=True)
        if path is not None:
            os.truncate(path, size)

    @rule(data=st.data(), name=NAMES)
    def move_tree(self, data: st.DataObject, name: bytes) -> None:
        source = self.directory(data)
        target = self.new(data, name)
        if target is None or source in (self.root, self.outside) or source in target.parents:
            return
        source.rename(target)

    @rule(data=st.data())
    def remove_tree(self, data: st.DataObject) -> None:
        path = self.directory(data)
        if path not in (self.root, self.outside):
            shutil.rmtree(path)

    @rule(data=st.data(), mode=st.sampled_from([0o700, 0o755, 0o500]))
    def chmod(self, data: st.DataObject, mode: int) -> None:
        """For root, who may do all the same, as for anybody else."""
        path = self.file(data, regular=True)
        if path is not None:
            path.chmod(mode | 0o600)
        self.directory(data).chmod(mode | 0o700)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05, 0.1]))
    def time_passes(self, seconds: float) -> None:
        time.sleep(seconds)

    @rule()
    def the_client_goes(self) -> None:
        self.client.sure = False
        self.client.away = True

    @rule()
    def the_client_is_back(self) -> None:
        self.client.away = False

    @rule(killed=st.booleans())
    def restart(self, killed: bool) -> None:
        if killed:
            self.client.sure = False
            with self.record.writer._lock:  # what is not committed now never is
                assert self.record.writer._connection is not None
                self.record.writer._connection.close()
                self.record.writer._connection = None
        self.monitors.close()
        self.record.close()
        self.serve()

    @rule()
    def quiet_at_last(self) -> None:
        self.client.away = False
        for file in self.writers:
            file.close()
        self.writers.clear()
        until(self.agree, "client and disk do not agree")
        self.settle()
        assert self.agree()
        assert self.client.wrong == []

    def settle(self) -> None:
        """Returns when all is told, however long the thread that tells stands still.

        Client and disk may agree before: what was moved away and back is told as gone, then as new.
        """
        (monitor,) = self.monitors.all().values()
        watcher = monitor._watcher
        assert watcher is not None

        def turn_after(at: float) -> float:
            until(lambda: watcher._now > at)
            return watcher._now

        last = time.monotonic()
        for _ in range(2):  # what a scan meets waits once more
            last = turn_after(turn_after(last) + SETTLED)
        turn_after(last)

    def agree(self) -> bool:
        (files, directories), (known, entered) = self.disk(), self.client.picture()
        for path in files.keys() & known.keys():
            # The kernel tells of a write under the one name it was opened by.
            if os.lstat(path).st_ino in self.linked:
                files[path] = known[path]
        return files == known and directories == entered

    def teardown(self) -> None:
        if not hasattr(self, "monitors"):
            return
        try:
            self.quiet_at_last()
        finally:
            for file in self.writers:
                file.close()
            self.monitors.close()
            self.record.close()
            shutil.rmtree(self.home)


TestAnyActs = AnyActs.TestCase
TestAnyActs.settings = settings(
    max_examples=examples(8),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little waits before it is a gap, and a client that is back is tried soon."""
    monkeypatch.setattr(outbox, "LONGEST_RETRY", 0.05)
    monkeypatch.setattr(outbox, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(outbox, "PATIENCE", 0.05)
    monkeypatch.setattr(outbox.Outbox.__init__, "__kwdefaults__", {"block_size": 0, "capacity": 5})
