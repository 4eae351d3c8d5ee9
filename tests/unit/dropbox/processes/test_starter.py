"""What is started: the same whether by this process, or by the one that starts others."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.processes import own
from omero_fs_plugin.dropbox.processes import starter as module
from omero_fs_plugin.dropbox.processes.order import Order, Process, Unanswered
from omero_fs_plugin.dropbox.processes.program import STARTED_BY
from omero_fs_plugin.dropbox.processes.starter import Starter, ready, start

LONG = 30.0  # s; what takes so long does not come


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other test's starter."""
    for kept in (module._STARTER, module._NURSERY):
        monkeypatch.setattr(kept, "found", None)


@pytest.fixture(params=["by itself", "by the starter"])
def begin(request: pytest.FixtureRequest, alone: None) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []
    if request.param == "by the starter":
        ready()

    def begin(
        *words: str | int, environment: Mapping[str, str] = os.environ, **how: Any
    ) -> Process:
        made.append(start(Order(words, environment, "/", **how)))
        return made[-1]

    yield begin
    for process in made:
        process.send(signal.SIGKILL)
        process.wait(LONG)
        process.close()
    if module._STARTER.found is not None:
        module._STARTER.found.kill()


def python(begin: Callable[..., Process], code: str, *words: str | int, **how: int) -> Process:
    return begin(sys.executable, "-c", f"import os, sys; {code}", *words, **how)


def test_it_ends_with_its_code_and_stays_a_zombie(begin: Callable[..., Process]) -> None:
    process = python(begin, "sys.exit(7)")
    assert process.wait(LONG) == 7
    assert process.ended() == 7
    assert Path(f"/proc/{process.pid}").exists()
    process.close()
    process.close()
    assert process.ended() == 7


def test_it_is_ended_by_a_signal_with_its_group(begin: Callable[..., Process]) -> None:
    """A group of its own, so that nobody else is hit."""
    reading, writing = os.pipe()
    child = "os.fork() or os.write(1, b'.'); import time; time.sleep(1000)"
    process = python(begin, child, stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb", 0) as said:
        assert said.read(1) == b"."
        assert process.ended() is None
        assert process.wait(0.01) is None
        process.send(signal.SIGKILL)
        assert process.wait(LONG) == -signal.SIGKILL
        assert said.read() == b""  # its child has ended, too


def test_who_looks_while_another_thread_closes_it_is_told(
    begin: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = begin("sh", "-c", "exit 7")
    assert process.wait(LONG) == 7
    code = own.exit_code

    def closed_meanwhile(pid: int) -> int | None:
        monkeypatch.setattr(own, "exit_code", code)
        process.close()
        return code(pid)

    monkeypatch.setattr(own, "exit_code", closed_meanwhile)
    assert process.ended() == 7
    assert process.ended() == 7


def test_nobody_gives_the_number_away_while_a_signal_is_sent_to_it(
    begin: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be another process' number by then."""
    process = begin("sh", "-c", "exit 7")
    assert process.wait(LONG) == 7
    closing = threading.Thread(target=process.close)
    there: list[bool] = []

    def meanwhile(group: int, number: int) -> None:
        closing.start()
        until = time.monotonic() + 0.5  # a close that does not wait comes to its end in it
        while Path(f"/proc/{group}").exists() and time.monotonic() < until:
            time.sleep(0.01)
        there.append(Path(f"/proc/{group}").exists())

    with monkeypatch.context() as patch:
        for who in (own, module):
            patch.setattr(who, "send", meanwhile)
        process.send(signal.SIGTERM)
    assert there == [True]
    closing.join(LONG)
    assert not closing.is_alive()
    assert process.ended() == 7


def test_one_that_has_ended_in_time_is_seen_though_the_look_came_late(
    begin: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread was off the processor between the look and the clock."""
    process = begin("sh", "-c", "exit 7")
    assert process.wait(LONG) == 7
    looked: list[int] = []
    code = own.exit_code

    def not_yet(pid: int) -> int | None:
        looked.append(pid)
        return code(pid) if len(looked) > 1 else None

    monkeypatch.setattr(own, "exit_code", not_yet)
    assert process.wait(0.0) == 7


def test_it_has_a_group_of_its_own_in_the_session_of_its_client(alone: None) -> None:
    """Linux may give a session of its own as much as all of OMERO, whatever its nice value."""
    starter = ready()
    process = start(Order(["sleep", "1000"], os.environ, "/"))
    try:
        assert os.getpgid(process.pid) == process.pid
        assert os.getpgid(starter.pid) == starter.pid
        assert os.getsid(process.pid) == os.getsid(starter.pid) == os.getsid(0)
    finally:
        starter.kill()


def test_it_has_what_it_is_given_and_nothing_else(
    begin: Callable[..., Process], tmp_path: Path
) -> None:
    (tmp_path / "in").write_text("said")
    with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("w+b") as out:
        reading, writing = os.pipe()
        code = (
            "os.write(int(sys.argv[1]), sys.stdin.read().encode());"
            "print(sorted(os.environ), os.getcwd(), sorted(map(int, os.listdir('/proc/self/fd'))))"
        )
        process = python(
            begin,
            code,
            writing,
            stdin=stdin.fileno(),
            stdout=out.fileno(),
            environment={"A": "b", "LC_ALL": "C.UTF-8"},
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as said:
            assert said.read() == b"said"
        assert process.wait(LONG) == 0
        out.seek(0)
        told = out.read().decode()
    environment, _, rest = told.partition("] ")
    assert environment == f"['A', 'LC_ALL', '{STARTED_BY}'"
    directory, _, descriptors = rest.partition(" ")
    assert directory == "/"
    assert len(descriptors.split(",")) == 5, descriptors  # 0, 1, 2, the pipe and the listing itself


def test_what_cannot_be_started_says_why(begin: Callable[..., Process], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        begin(str(tmp_path / "nothing"))
    (tmp_path / "text").write_text("x")
    with pytest.raises(PermissionError):
        begin(str(tmp_path / "text"))
    with pytest.raises(OSError, match="Invalid argument"):
        begin("with\0zero")
    assert python(begin, "sys.exit(0)").wait(LONG) == 0


def test_signals_are_those_of_any_process(begin: Callable[..., Process]) -> None:
    reading, writing = os.pipe()
    process = python(begin, "os.write(1, b'.'); import time; time.sleep(1000)", stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb", 0) as said:
        said.read(1)
    process.send(signal.SIGTERM)
    assert process.wait(LONG) == -signal.SIGTERM


def test_many_at_once(begin: Callable[..., Process]) -> None:
    codes: dict[int, int | None] = {}

    def one(number: int) -> None:
        codes[number] = python(begin, f"sys.exit({number})").wait(LONG)

    threads = [threading.Thread(target=one, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {number: number for number in range(20)}


def test_a_long_order(begin: Callable[..., Process]) -> None:
    """Longer than a packet of the socket."""
    environment = {**os.environ, "LONG": "x" * 100_000}
    words = ["y" * 100_000] * 3
    process = begin("/bin/sh", "-c", "exit $#", "sh", *words, environment=environment)
    assert process.wait(LONG) == 3


# -- the process that starts others ------------------------------------------


def test_when_it_is_killed_what_it_started_ends_and_another_takes_its_place(alone: None) -> None:
    first = ready()
    process = start(Order(["sleep", "1000"], os.environ, "/"))
    os.kill(first.pid, signal.SIGKILL)
    assert process.wait(LONG) == -signal.SIGKILL
    process.close()
    for _ in range(2):
        other = start(Order(["true"], os.environ, "/"))
        assert other.wait(LONG) == 0
        other.close()
    assert ready() is not first
    ready().kill()


def test_who_chose_it_just_before_it_ended_gets_another(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket is closed between the choice and the order."""
    chosen = ready()
    real = Starter.start

    def late(self: Starter, order: Order) -> Process:
        if self is chosen:
            os.kill(self.pid, signal.SIGKILL)
            until = time.monotonic() + LONG
            while self._connection.fileno() >= 0 and time.monotonic() < until:
                time.sleep(0.01)
        return real(self, order)

    monkeypatch.setattr(Starter, "start", late)
    process = start(Order([sys.executable, "-c", ""], os.environ, "/"))
    assert process.wait(LONG) == 0
    process.close()
    assert ready() is not chosen
    ready().kill()


def test_when_it_is_stopped_the_caller_is_told_and_another_takes_its_place(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready()
    monkeypatch.setattr(module, "_ANSWER_S", 1)  # when it is there: its start may take longer
    os.kill(first.pid, signal.SIGSTOP)
    with pytest.raises(Unanswered):
        start(Order(["true"], os.environ, "/"))
    monkeypatch.undo()
    monkeypatch.setattr(module._STARTER, "found", first)
    assert start(Order(["true"], os.environ, "/")).wait(LONG) == 0
    assert ready() is not first
    ready().kill()


def test_it_ends_with_its_client_and_not_before(alone: None) -> None:
    """SIGTERM comes to all processes of a container, and DropBox still needs it then."""
    code = (
        "import os, signal\n"
        "from omero_fs_plugin.dropbox.processes.order import Order\n"
        "from omero_fs_plugin.dropbox.processes.starter import ready, start\n"
        "os.kill(ready().pid, signal.SIGTERM)\n"
        "assert start(Order(['true'], os.environ, '/')).wait(30) == 0\n"
        "print(ready().pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # It has the output that it inherited, which is read to its end.
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=LONG, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{done.stdout.strip()}/exe").exists()


CLIENT = """
import os, signal, sys
from omero_fs_plugin.dropbox.processes.order import Order
from omero_fs_plugin.dropbox.processes.starter import ready, start
code = "import os, time; os.fork(); os.write(1, b'%d ' % os.getpid()); time.sleep(1000)"
ready()
reading, writing = os.pipe()
start(Order([sys.executable, "-c", code], os.environ, "/", stdout=writing))
os.close(writing)
started = b""
while started.count(b" ") < 2:
    started += os.read(reading, 100)
if sys.argv[1:] == ["stopped"]:
    os.kill(ready().pid, signal.SIGSTOP)
print(ready().pid, started.decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def has_ended(pid: int) -> bool:
    """Whether it ends within LONG.  It may be a zombie of an init that reaps none."""
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def killed(*arguments: str) -> list[int]:
    """The starter of a client that is killed, and what it has started, with its child."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_when_its_client_is_killed_everything_ends(alone: None, state: str) -> None:
    """Java would go on to import what the next DropBox imports, too."""
    pids = killed(state)
    assert len(pids) == 3
    assert [pid for pid in pids if not has_ended(pid)] == []


def test_when_it_dies_between_the_start_and_its_answer(alone: None, tmp_path: Path) -> None:
    """Nobody has its number then, so nobody could end it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    paths = json.dumps([path for path in sys.path if path])
    words = [module._BEGIN, paths, str(theirs.fileno()), str(os.getpid())]
    program = subprocess.Popen(
        [sys.executable, "-I", "-c", *words], pass_fds=[theirs.fileno()], start_new_session=True
    )
    theirs.close()
    reading, writing = os.pipe()
    order = {
        "words": ["/bin/sh", "-c", "echo $$; exec sleep 1000"],
        "environment": dict(os.environ),
        "at": "/",
        "stdin": None,
        "stdout": 0,
        "stderr": None,
        "pass": [],
    }
    (tmp_path / "order").write_text(json.dumps(order), encoding="utf-8")
    with (tmp_path / "order").open("rb") as file:
        socket.send_fds(ours, [b'{"start": 1}'], [file.fileno(), writing])
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        pid = int(said.readline())
        program.kill()
        program.wait(LONG)
        assert said.read() == b""  # it is gone, and its end of the pipe with it
    assert has_ended(pid)
    ours.close()


@pytest.mark.parametrize(
    ("limit", "most", "why"),
    [
        ("RLIMIT_NOFILE", 6, errno.EMFILE),
        ("RLIMIT_AS", 1 << 20, errno.ENOMEM),
        ("RLIMIT_NPROC", 0, errno.EAGAIN),
    ],
)
def test_when_it_is_short_of_something_that_one_start_fails(
    alone: None, limit: str, most: int, why: int
) -> None:
    """It goes on, and so does what it has started."""
    if limit == "RLIMIT_NPROC" and os.geteuid() == 0:
        pytest.skip("root may have as many processes as it likes")
    first = ready()
    before = start(Order(["sleep", "1000"], os.environ, "/"))
    which = getattr(resource, limit)
    was = resource.prlimit(first.pid, which)
    resource.prlimit(first.pid, which, (most, was[1]))
    reading, writing = os.pipe()
    more = {"X": "x" * (1 << 22)} if limit == "RLIMIT_AS" else {}
    with pytest.raises(OSError, match=re.escape(os.strerror(why))):
        start(Order(["true", writing, writing, writing], {**os.environ, **more}, "/"))
    resource.prlimit(first.pid, which, was)
    for descriptor in (reading, writing):
        os.close(descriptor)
    after = start(Order(["true"], os.environ, "/"))
    assert after.wait(LONG) == 0
    assert ready() is first and before.ended() is None
    for process in (before, after):
        process.send(signal.SIGKILL)
        process.wait(LONG)
        process.close()
    first.kill()


def test_it_stands_still_while_many_are_started_and_ended(alone: None) -> None:
    """Its socket is full meanwhile: everybody waits, and then gets what they asked for."""
    first = ready()
    codes: dict[int, int | None] = {}

    def one(number: int) -> None:
        for turn in range(3):
            process = start(Order(["/bin/sh", "-c", f"exit {number}"], os.environ, "/"))
            codes[3 * number + turn] = process.wait(LONG)
            process.close()

    threads = [threading.Thread(target=one, args=[number]) for number in range(30)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        os.kill(first.pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(first.pid, signal.SIGCONT)
        time.sleep(0.05)
    for thread in threads:
        thread.join(LONG)
    assert codes == {number: number // 3 for number in range(90)}
    assert ready() is first
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    until = time.monotonic() + LONG
    while children.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert not children.read_text(), "no zombie is left"
    first.kill()


def test_when_no_other_one_can_be_made_nobody_waits_for_all_who_try(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready()
    first.kill()
    tried: list[float] = []

    def begin(*_: object) -> None:
        tried.append(time.monotonic())
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module, "_child", begin)
    monkeypatch.setattr(module, "_AGAIN_S", float("inf"))
    for _ in range(5):
        with pytest.raises(BlockingIOError):
            start(Order(["true"], os.environ, "/"))
    assert len(tried) == 1
    monkeypatch.undo()
    monkeypatch.setattr(module._STARTER, "found", first)
    monkeypatch.setattr(module._STARTER, "not_before", 0.0)
    assert start(Order(["true"], os.environ, "/")).wait(LONG) == 0
    ready().kill()


def test_one_that_came_too_late_is_ended(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread had just begun to listen when nobody waited for it any more."""
    made: list[subprocess.Popen[bytes]] = []
    listens = threading.Event()
    listen, child = Starter._listen, module._child

    class Late(module.SimpleQueue):  # type: ignore[misc,name-defined]
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            assert listens.wait(LONG)
            raise module.Empty

    def listening(self: Starter) -> None:
        listens.set()
        listen(self)

    def noted(theirs: socket.socket) -> subprocess.Popen[bytes]:
        made.append(child(theirs))  # type: ignore[arg-type]
        return made[0]

    monkeypatch.setattr(module, "SimpleQueue", Late)
    monkeypatch.setattr(Starter, "_listen", listening)
    with pytest.raises(OSError, match="cannot be started"):
        Starter(noted)
    assert made[0].wait(LONG) == 0


@pytest.mark.parametrize("has_begun", [True, False], ids=["in its thread", "before that"])
def test_one_that_cannot_be_made_for_whatever_reason_says_so_at_once(
    alone: None, monkeypatch: pytest.MonkeyPatch, has_begun: bool
) -> None:
    """As where there can be no more threads.  All who start something wait for the answer."""

    def fail(*_: object) -> Any:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "_ANSWER_S", 1)
    if not has_begun:
        monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(OSError) as refused:
        Starter(fail)
    assert refused.value.errno == errno.EAGAIN
