"""A function is called in a copy of a process, which must not differ from a new process."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.processes import program
from omero_fs_plugin.dropbox.processes import starter as module
from omero_fs_plugin.dropbox.processes.order import Order, Process
from omero_fs_plugin.dropbox.processes.program import STARTED_BY
from omero_fs_plugin.dropbox.processes.starter import Starter, ready, start
from tests.unit.dropbox.processes import copied

LONG = 30.0  # s; what takes so long does not come
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kept in (module._STARTER, module._NURSERY):
        monkeypatch.setattr(kept, "found", None)
    ready()
    yield
    for kept in (module._NURSERY, module._STARTER):
        if kept.found is not None:
            kept.found.kill()
            until = time.monotonic() + LONG
            while Path(f"/proc/{kept.found.pid}").exists() and time.monotonic() < until:
                time.sleep(0.01)


def order(
    name: str, descriptor: int, *, copied_one: bool = True, stderr: int | None = None
) -> Order:
    paths = json.dumps([str(Path(path).absolute()) for path in sys.path if path])
    begin = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
        f"from {copied.__name__} import {name}; {name}(int(sys.argv[2]))"
    )
    return Order(
        [sys.executable, "-I", "-c", begin, paths, descriptor],
        ENVIRONMENT,
        "/",
        stdout=stderr,
        stderr=stderr,
        does=f"{copied.__name__}:{name}" if copied_one else "",
        imports=[copied.__name__, "no.such.module"],
    )


def told(name: str, *, copied_one: bool) -> Mapping[str, object]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = start(order(name, theirs.fileno(), copied_one=copied_one))
        theirs.close()
        ours.settimeout(LONG)
        said = b""
        while data := ours.recv(1 << 16):
            said += data
        assert process.wait(LONG) == 0
        process.close()
    found: dict[str, object] = json.loads(said)
    return found


def test_it_finds_what_a_new_process_finds() -> None:
    new, copy = (dict(told("report", copied_one=which)) for which in (False, True))
    for one in (new, copy):
        environment = one["environment"]
        assert isinstance(environment, dict)
        del environment[STARTED_BY], one["descriptors"]
    assert copy == new


def test_it_has_no_descriptor_but_those_it_was_given() -> None:
    with Path(os.devnull).open() as held:  # the caller's own
        os.set_inheritable(held.fileno(), True)
        found = told("report", copied_one=True)["descriptors"]
    assert isinstance(found, list)
    assert found[:3] == [0, 1, 2] and len(found) == 4


def _begin(name: str, theirs: socket.socket) -> Process:
    return start(order(name, theirs.fileno()))


def test_a_defect_is_an_exit_code_and_a_traceback(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "said").open("w") as said:
        process = start(order("fail", theirs.fileno(), stderr=said.fileno()))
        assert process.wait(LONG) == 1
        process.close()
    text = (tmp_path / "said").read_text()
    assert "before" in text
    assert "LookupError: nothing is there\n" in text


def test_a_function_that_is_not_there_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(OSError, match="Invalid argument"):
        start(order("nothing", theirs.fileno()))


def test_copies_end_one_by_one_and_none_stays_a_zombie() -> None:
    pairs = [socket.socketpair() for _ in range(4)]
    processes = [_begin("wait", theirs) for _, theirs in pairs]
    for _, theirs in pairs:
        theirs.close()
    assert len({process.pid for process in processes}) == 4
    processes[0].send(signal.SIGKILL)
    assert processes[0].wait(LONG) == -signal.SIGKILL
    assert [process.ended() for process in processes[1:]] == [None] * 3
    for ours, _ in pairs:
        ours.close()
    assert [process.wait(LONG) for process in processes[1:]] == [0, 0, 0]
    for process in processes:
        process.close()
    nursery = _nursery().pid
    children = Path(f"/proc/{nursery}/task/{nursery}/children")
    until = time.monotonic() + LONG
    while children.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert not children.read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_reaches_a_copy_that_has_not_run_yet(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Whoever is told of the copy may be faster than the copy itself."""
    ours, theirs = socket.socketpair()

    def slow(*_: object) -> None:  # the copy is held up before its first own instruction
        theirs.recv(1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, program.UNHEEDED)
        os._exit(7)

    before = signal.signal(signal.SIGTERM, lambda *_: None)  # as the one that copies itself has
    try:
        monkeypatch.setattr(program, "_be_copy", slow)
        monkeypatch.setattr(program.gc, "freeze", lambda: None)
        with ours, theirs:
            made = program._Program(ours)
            pid = made._copy({"does": "os:getpid", "imports": []}, [])
            with suppress(ProcessLookupError):  # as Process.send
                os.killpg(pid, number)
            ours.send(b".")
            _, status = os.waitpid(pid, 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert os.waitstatus_to_exitcode(status) == -number


def _nursery() -> Starter:
    assert module._NURSERY.found is not None
    return module._NURSERY.found


@pytest.mark.parametrize("whose", ["the one that copies itself", "the starter"])
def test_it_ends_with_what_started_it_and_the_next_has_another(whose: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = _begin("wait", theirs)
        first = _nursery()
        killed = first if whose == "the one that copies itself" else ready()
        os.kill(killed.pid, signal.SIGKILL)
        assert process.wait(LONG) == -signal.SIGKILL
        process.close()
        theirs.close()
        ours.settimeout(LONG)
        assert ours.recv(1) == b""  # it has ended, and so has the copy
    assert told("report", copied_one=True)["at"] == "/"
    assert _nursery() is not first


def test_it_is_started_though_what_starts_it_has_ended_and_nobody_knows_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its socket is closed between the choice and the order.  That of the copies is gone, too."""
    told("report", copied_one=True)
    former, until = _nursery(), time.monotonic() + LONG
    os.kill(former.pid, signal.SIGKILL)
    while not former.gone:
        assert time.monotonic() < until
        time.sleep(0.01)
    chosen, real = ready(), Starter.start

    def late(self: Starter, order: Order) -> Process:
        if self is chosen:
            os.kill(self.pid, signal.SIGKILL)
            until = time.monotonic() + LONG
            while self._connection.fileno() >= 0 and time.monotonic() < until:
                time.sleep(0.01)
        return real(self, order)

    monkeypatch.setattr(Starter, "start", late)
    assert told("report", copied_one=True)["at"] == "/"
    assert ready() is not chosen


def test_no_key_of_another_process_is_in_what_is_copied() -> None:
    told("report", copied_one=True)
    secret = "b1946ac92492d2347c6235b4d2611184"
    words = ["sh", "-c", f"sleep 60 # {secret}"]
    started = start(Order(words, {"OMERO_SESSION": secret}, "/"))
    environment = Path(f"/proc/{_nursery().pid}/environ").read_text().split("\0")
    assert {line.partition("=")[0] for line in environment if line} == {*ENVIRONMENT, STARTED_BY}
    assert secret in _memory_of(ready().pid), "what is searched for can be found"
    told("report", copied_one=True)
    assert secret not in _memory_of(_nursery().pid)
    started.send(signal.SIGKILL)
    assert started.wait(LONG) == -signal.SIGKILL
    started.close()


def _memory_of(pid: int) -> str:
    """All that it has written, as far as another process may read it."""
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            first, last = (int(place, 16) for place in span.split("-"))
            try:
                memory.seek(first)
                found += memory.read(last - first)
            except (OSError, ValueError, OverflowError):
                continue  # of the kernel
    return found.decode("latin-1")
