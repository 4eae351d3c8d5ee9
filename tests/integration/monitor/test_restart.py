"""FSServer is killed, or restarted, and its clients' pictures are the disk all the same.

FSServer is a process here, as in the grid; this test does what IceGrid does
about one that has ended.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import Ice
import pytest
from omero.grid import monitors as slice_

import omero

from .fsserver import (
    HOST,
    PATIENCE,
    Client,
    create,
    free_endpoint,
    initialize,
    serve,
    start,
    state,
    until,
)

PROGRAM = ("-m", "omero_fs_plugin.monitor.server")
# At its end it waits for its clients' answers, however long they take on a busy machine.
PATIENT = (
    "-c",
    "import sys\n"
    "from omero_fs_plugin.monitor import monitors, server, watcher\n"
    f"watcher.LAST_ANSWER = monitors.CLOSE_TIMEOUT = {PATIENCE / 2}\n"
    "sys.exit(server.main())\n",
)


class Process:
    """FSServer as a process at one place, started again and again."""

    def __init__(self, directory: Path, program: Sequence[str] = PROGRAM) -> None:
        self._program = program
        self.endpoint = free_endpoint()
        self._address = HOST, int(self.endpoint.rpartition(" ")[2])
        self._log = directory / "FSServer.out"
        self._config = directory / "config"
        self._config.write_text(
            f"omerofs.FSServer.Endpoints={self.endpoint}\nomero.data.dir={directory}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Returns when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._program, f"--Ice.Config={self._config}"],
                stdout=log,
                stderr=log,
            )
        until(self._answers, "FSServer does not start")

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self._log.read_text()
        with socket.socket() as one:
            return one.connect_ex(self._address) == 0

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE)

    def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.end(number)
        self.start()


class Reader(Client):
    """A client that reads each file when its event comes.  It keeps a picture of the tree.

    That it is told twice of what it was told of when FSServer was killed is
    part of the contract, and makes no difference to a picture.
    """

    def __init__(self) -> None:
        super().__init__()
        self.picture: dict[str, bytes | None] = {}
        self.creates: Counter[str] = Counter()

    def fsEventHappened(self, id: str, el: list[Any], current: Any = None) -> None:
        super().fsEventHappened(id, el, current)
        for event in el:
            if event.type == slice_.EventType.Delete:
                self.picture.pop(event.fileId, None)
            elif event.type != slice_.EventType.System:
                self.creates[event.fileId] += event.type == slice_.EventType.Create
                self.picture[event.fileId] = _content(Path(event.fileId))


def _content(path: Path) -> bytes | None:
    try:
        return os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    except FileNotFoundError:
        return None  # its Delete follows


def disk(root: Path) -> dict[str, bytes | None]:
    return {
        str(path): _content(path)
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


@pytest.fixture
def program() -> Sequence[str]:
    return PROGRAM


@pytest.fixture
def process(tmp_path: Path, program: Sequence[str]) -> Iterator[Process]:
    directory = tmp_path / "data"
    directory.mkdir()
    process = Process(directory, program)
    yield process
    process.end()


@pytest.fixture
def server(process: Process, clients: Any) -> Any:
    proxy = clients.stringToProxy(f"MonitorServer:{process.endpoint}")
    return slice_.MonitorServerPrx.uncheckedCast(proxy)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def reader(clients: Any) -> Reader:
    return serve(clients, "reader", Reader())


def rescanned(reader: Reader) -> bool:
    """Whether nothing was disturbed, or it was said that the rescan has ended."""
    notices = [one for one in reader.notices() if one != "name"]
    return notices[-1:] in ([], ["rescanned"])


def agree(reader: Reader, root: Path) -> None:
    """The client's picture is the disk, and stays it.  When it was disturbed, it is told so."""
    until(lambda: rescanned(reader), "no rescan has ended")
    until(lambda: reader.picture == disk(root), "client and disk do not agree")
    heard = len(reader.heard)
    time.sleep(0.7)  # longer than anything that is due waits
    assert reader.picture == disk(root), reader.heard[heard:]


class Acts:
    """What people and programs do in a tree, at random."""

    def __init__(self, root: Path, seed: int) -> None:
        self._root = root
        self._chance = random.Random(seed)
        self._number = 0
        self.outside = root.parent / "outside"
        self.outside.mkdir(exist_ok=True)

    def act(self) -> None:
        chance = self._chance
        self._number += 1
        directories = [self._root, *(path for path in self._root.rglob("d*") if path.is_dir())]
        files = list(self._root.rglob("f*"))
        new = chance.choice(directories) / f"f{self._number}"
        kind = chance.choices(
            ["write", "rewrite", "delete", "rename", "link", "mkdir", "rmtree", "move"],
            [40, 15, 15, 10, 5, 6, 2, 3],
        )[0]
        if kind == "write" or not files:
            new.write_text(str(self._number))
        elif kind == "rewrite":
            old = chance.choice(files)
            if not old.is_symlink():
                with old.open("a") as file:
                    file.write(f"+{self._number}")
        elif kind == "delete":
            chance.choice(files).unlink()
        elif kind == "rename":
            chance.choice(files).rename(new)
        elif kind == "link":
            new.symlink_to("anywhere")
        elif kind == "mkdir":
            (new.parent / f"d{self._number}" / "d").mkdir(parents=True)
        elif len(directories) > 1:
            tree = chance.choice(directories[1:])
            if kind == "rmtree":
                shutil.rmtree(tree)
            else:
                tree.rename(self.outside / f"d{self._number}")
                if chance.random() < 0.7:
                    (self.outside / f"d{self._number}").rename(self._root / f"d{self._number}")


@pytest.mark.parametrize("pause", [0.0, 0.03], ids=["at once", "later"])
def test_killed_while_a_start_is_under_way(
    process: Process, server: Any, reader: Reader, root: Path, pause: float
) -> None:
    for number in range(3000):
        (root / f"d{number % 100}").mkdir(exist_ok=True)
        (root / f"d{number % 100}" / f"f{number}").write_text("x")
    reader.picture.update(disk(root))
    identifier = create(server, root, reader)
    call = server.begin_startMonitor(identifier)
    time.sleep(pause)
    process.end()
    call.waitForCompleted()
    try:
        server.end_startMonitor(call)
        acknowledged = True
    except Ice.Exception:
        acknowledged = False
    process.start()
    if acknowledged:
        assert state(server, identifier) == "Started"
    # A client that was not answered asks again; it may be started already.
    server.startMonitor(identifier)
    (root / "d1" / "new").write_text("new")
    (root / "d2" / "f2").unlink()
    agree(reader, root)


def test_killed_again_and_again_in_a_burst(
    process: Process, server: Any, reader: Reader, root: Path
) -> None:
    seed = int(os.environ.get("OMERO_FS_SEED", random.randrange(10**6)))
    print(f"OMERO_FS_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    acts = Acts(root, seed)
    for _ in range(100):
        acts.act()
    reader.picture.update(disk(root))
    identifier = start(server, root, reader)
    done = threading.Event()
    failed: list[BaseException] = []

    def acting() -> None:
        try:
            while not done.is_set():
                for _ in range(20):
                    acts.act()
                time.sleep(0.01)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=acting)
    thread.start()
    chance = random.Random(seed)
    try:
        for _ in range(3):
            heard = len(reader.heard)
            until(lambda heard=heard: len(reader.heard) > heard)
            time.sleep(chance.random() * 0.4)
            process.restart()
    finally:
        done.set()
        thread.join()
    assert failed == []
    agree(reader, root)
    assert reader.identifiers == {identifier}
    assert state(server, identifier) == "Started"
    assert reader.notices().count("restarted") >= 1


def test_what_happened_while_it_was_down(
    process: Process, server: Any, reader: Reader, clients: Any, root: Path
) -> None:
    (root / "d" / "deep").mkdir(parents=True)
    for name in ("same", "changed", "gone", "d/moved", "d/deep/gone"):
        (root / name).write_text(name)
    reader.picture.update(disk(root))
    identifier = start(server, root, reader)
    stopped = create(server, root, reader)
    other = serve(clients, "other", Client())
    passing = start(server, root, other, mType=slice_.MonitorType.Inactivity, timeout=1000.0)
    (root / "told before").write_text("x")
    agree(reader, root)
    process.end()
    (root / "changed").write_text("changed again")
    (root / "gone").unlink()
    shutil.rmtree(root / "d" / "deep")
    (root / "d" / "moved").rename(root / "here")
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "a").write_text("a")
    (root / os.fsdecode(b"odd\xff")).write_text("x")
    told_before = len(reader.heard)
    process.start()
    until(lambda: len(reader.heard) >= told_before + 8)
    reader.picture[str(root / os.fsdecode(b"odd\xff"))] = b"x"  # told as a System event
    agree(reader, root)
    first, *rest = reader.heard[told_before:]
    assert first == (
        "System",
        f"restarted: {root}: FSServer was restarted, what happened meanwhile follows",
    )
    assert sorted(rest) == [
        ("Create", f"{root}/here"),
        ("Create", f"{root}/new/deep/a"),
        ("Delete", f"{root}/d/deep/gone"),
        ("Delete", f"{root}/d/moved"),
        ("Delete", f"{root}/gone"),
        ("Modify", f"{root}/changed"),
        ("System", f"name: {root}/odd\\xff: Create of a name that is not UTF-8"),
        ("System", f"rescanned: {root}: client and disk agree again"),
    ]
    assert state(server, identifier) == "Started"
    assert state(server, stopped) == "Stopped"
    with pytest.raises(omero.OmeroFSError) as raised:
        state(server, passing)  # not a persistent one
    assert passing in raised.value.reason
    server.startMonitor(stopped)
    server.destroyMonitor(identifier)
    server.stopMonitor(stopped)
    process.restart()
    assert state(server, stopped) == "Stopped"
    with pytest.raises(omero.OmeroFSError):
        state(server, identifier)


@pytest.mark.parametrize("program", [PATIENT], ids=[""])
def test_an_orderly_restart_tells_nothing_twice(
    process: Process, server: Any, reader: Reader, root: Path
) -> None:
    start(server, root, reader)
    for turn in range(3):
        for number in range(300):
            (root / f"{turn}-{number}").write_text("x")
        heard = len(reader.heard)
        until(lambda heard=heard: len(reader.heard) > heard)
        process.restart(signal.SIGTERM)
    # The picture may be whole before the last start has told anything.
    until(lambda: reader.notices().count("restarted") == 3)
    agree(reader, root)
    assert len(reader.creates) == 900
    assert set(reader.creates.values()) == {1}
    assert reader.notices().count("restarted") == 3


def test_the_directory_is_gone_at_the_restart(
    process: Process, server: Any, reader: Reader, root: Path
) -> None:
    """As a share that is not mounted yet: nothing in it counts as deleted."""
    for name in ("a", "b"):
        (root / name).write_text(name)
    reader.picture.update(disk(root))
    identifier = start(server, root, reader)
    process.end()
    root.rename(root.parent / "elsewhere")
    process.start()
    until(lambda: reader.notices() == ["restarted", "unreachable"])
    assert state(server, identifier) == "Started"
    assert reader.changes() == []
    (root.parent / "elsewhere" / "a").unlink()
    (root.parent / "elsewhere").rename(root)
    agree(reader, root)
    assert reader.changes() == [("Delete", f"{root}/a")]
    assert reader.notices()[2:] == ["reachable", "rescanned"]


def test_both_are_killed(process: Process, server: Any, clients: Any, root: Path) -> None:
    """The client comes back under its identity and address, and misses nothing."""
    endpoint = free_endpoint()
    first = initialize()
    reader = serve(first, "fixed", Reader(), endpoint)
    identifier = start(server, root, reader)
    (root / "a").write_text("a")
    agree(reader, root)
    first.destroy()
    (root / "b").write_text("b")
    (root / "a").unlink()
    process.end()
    (root / "c").write_text("c")
    process.start()
    second = initialize()
    try:
        back = Reader()
        back.picture.update(reader.picture)
        serve(second, "fixed", back, endpoint)
        agree(back, root)
        assert back.identifiers == {identifier}
    finally:
        second.destroy()
