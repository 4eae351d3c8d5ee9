"""FSServer, DropBox and a sandbox server in the test's process, without the grid around them.

Each is the real one over real Ice, on real files; only the router is left out:
DropBox enters OMERO by the door behind it.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest
import tifffile

from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.config.settings import JOURNAL_FILE
from omero_fs_plugin.dropbox import users
from omero_fs_plugin.dropbox.afterwards import caretaker
from omero_fs_plugin.dropbox.importing import (
    activity,
    finishing,
    leftovers,
    load,
    outage,
    pool,
    runs,
    taking,
    tidying,
    workers,
)
from omero_fs_plugin.dropbox.importing.importers import native
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.server import start as start_dropbox
from omero_fs_plugin.dropbox.service import dispatch, figures, parts, service
from omero_fs_plugin.dropbox.settling import groupers, looks
from omero_fs_plugin.dropbox.watching import owners, rescanner
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.monitor.monitors import Monitor
from omero_fs_plugin.monitor.server import FSServer
from omero_fs_plugin.sandbox.store import FILE
from tests import left_open
from tests.stores import Store

from .blitz import USERS, Serving, behind_the_router, client_communicator, communicator, enter
from .monitor.fsserver import address_of

PATIENCE_S = 30.0  # how long anything that must happen may take
QUIET_S = 0.3
_ICE = {"Ice.Override.Timeout": "10000"}


# Where our code opened a journal's file.  Whoever closes it again drops all of SQLite's locks that
# the process has on it, and another process takes the journal for unused.
_opened: list[str] = []
_OURS = f"{os.sep}omero_fs_plugin{os.sep}"


def _watch_journals(event: str, arguments: Any) -> None:
    """An audit hook (PEP 578).  To make the file before SQLite has it is right."""
    if event != "open" or not str(arguments[0]).endswith(JOURNAL_FILE):
        return
    if arguments[2] & os.O_EXCL:
        return
    frame = sys._getframe(1)
    for _ in range(4):  # pathlib's, and ours
        if _OURS in frame.f_code.co_filename:
            _opened.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        if frame.f_back is None:
            return
        frame = frame.f_back


def journals_opened() -> list[str]:
    """Where our code did, since this was asked last."""
    found = list(_opened)
    _opened.clear()
    return found


sys.addaudithook(_watch_journals)


class Clock:
    """Time as DropBox sees it: it passes as ever, leaps when told to, and stands still if need be.

    Rule: `monotonic` never goes back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead = 0.0  # s
        self._wall_ahead = 0.0  # s
        self._halts = 0  # who wants it to stand still
        self._halted_at = 0.0  # s, by this machine's clock
        self.sleep = time.sleep

    def pass_by(self, seconds: float) -> None:
        """So much later, also while it stands still."""
        with self._lock:
            self._ahead += seconds
            self._wall_ahead += seconds

    @contextmanager
    def halted(self) -> Iterator[None]:
        """No quiet period ends meanwhile, however long the machine takes for what is done here.

        The clock on the wall goes on.
        """
        with self._lock:
            if not self._halts:
                self._halted_at = time.monotonic()
            self._halts += 1
        try:
            yield
        finally:
            with self._lock:
                self._halts -= 1
                if not self._halts:
                    self._ahead -= time.monotonic() - self._halted_at

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the machine's clock, forward or back."""
        self._wall_ahead += seconds

    def monotonic(self) -> float:
        with self._lock:
            now = self._halted_at if self._halts else time.monotonic()
            return now + self._ahead

    def time(self) -> float:
        return time.time() + self._wall_ahead


class Blitz:
    """The sandbox server: away and back again on the same port, as often as wanted."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self.data = data
        self._clock = clock
        self._port = 0
        self.start()

    def start(self) -> None:
        self._serving = Serving(self.data, now=self._clock.monotonic, port=self._port, ice=_ICE)
        self.sandbox, self.address = self._serving.sandbox, self._serving.address
        self._port = self._serving.port

    def stop(self) -> None:
        self._serving.stop()


class Whole:
    """All of it, running, with a DropBox for amy and zak below `place`."""

    def __init__(
        self, place: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch, **properties: str
    ) -> None:
        """`properties`: of omero.fs.*, by their names without that."""
        self.clock = Clock()
        self._leapt = 0.0  # s, by this machine's clock
        timed = (
            dispatch,
            figures,
            finishing,
            groupers,
            leftovers,
            load,
            native,
            owners,
            parts,
            pool,
            rescanner,
            runs,
            service,
            taking,
            tidying,
            users,
        )
        for module in (activity, caretaker, outage, workers, *timed):
            monkeypatch.setattr(module, "time", self.clock)
        monkeypatch.setitem(Journal.__init__.__kwdefaults__, "clock", self.clock.time)
        monkeypatch.setattr(looks.Looks.__init__, "__defaults__", (self.clock.monotonic, time.time))
        monkeypatch.setattr(Store, "write", self._at_once(Store.write))
        data = place / "OMERO"
        for user in USERS:
            (data / "DropBox" / user).mkdir(parents=True, exist_ok=True)
        if not (data / FILE).exists():
            shutil.copy(seeded, data / FILE)
        self.watch_dir = data / "DropBox"
        self.blitz = Blitz(data, self.clock)
        entrance = behind_the_router(self.blitz)
        monkeypatch.setattr(parts, "Omero", entrance)
        self.properties = {
            "omero.data.dir": str(data),
            "omerofs.DropBox.Endpoints": "tcp -h 127.0.0.1",
            "omero.fs.dirImportWait": str(QUIET_S),
            "omero.fs.bioformatsJars": "none",  # a Java takes a second to start
            "omero.fs.publishInterval": "off",  # most tests count what OMERO is asked
            **{f"omero.fs.{name}": value for name, value in properties.items()},
        }
        self._fs_ice = communicator({**_ICE, **self.properties})
        self._fsserver = FSServer(self._fs_ice)
        self.start_dropbox()
        self.journal = Journal(properties.get("journal") or f"sqlite:///{data / JOURNAL_FILE}")
        self._ice = client_communicator(_ICE)
        self._omero = enter(self.blitz, self._ice)

    def start_dropbox(self, **properties: str) -> None:
        """`properties`: of omero.fs.*, from now on."""
        self.properties |= {f"omero.fs.{name}": value for name, value in properties.items()}
        monitors = {
            "omero.fs.serverIdString": address_of(self._fsserver, "MonitorServer"),
            "omero.fs.fileServerIdString": address_of(self._fsserver, "FileServer"),
        }
        self.properties |= monitors
        self._dropbox_process = left_open.Process()
        self._dropbox_ice, self.dropbox = self._another()

    def _another(self) -> tuple[Any, Any]:
        ice = communicator({**_ICE, **self.properties})
        return ice, start_dropbox(ice)

    @contextmanager
    def another(self) -> Iterator[Any]:
        """A second DropBox on the same journal, which does not take over."""
        ice, second = self._another()
        try:
            yield second
        finally:
            second.stop()
            ice.destroy()

    @contextmanager
    def standby(self) -> Iterator[Callable[[], bool]]:
        """A second DropBox on the same journal.  Yields whether it has taken over.

        If it has, it is `dropbox` from the end on, and the first has stopped.
        """
        epoch = self.journal.lease().epoch
        ice, second = self._another()
        try:
            self.until("it waits", lambda: "held by" in second.figures()["reason"])
            yield lambda: self.journal.lease().epoch > epoch
        finally:
            if self._dropbox_ice.isShutdown():
                (ice, second), first = (self._dropbox_ice, self.dropbox), (ice, second)
                self._dropbox_ice, self.dropbox = first
            second.stop()
            ice.destroy()

    def stop_dropbox(self) -> None:
        self.dropbox.stop()
        self._dropbox_ice.destroy()
        self._dropbox_process.ended()

    def close(self) -> None:
        self.stop_dropbox()
        self.journal.close()
        self._fsserver.stop()
        for ice in (self._fs_ice, self._ice):
            ice.destroy()
        self.blitz.stop()

    def leap(self, seconds: float) -> None:
        """Lets time pass, at most once a second and in no import.

        OMERO ends sessions by this clock: on a busy machine nothing would come to its end.
        """
        now = time.monotonic()
        if now - self._leapt >= 1.0 and not self.journal.counts()[State.IMPORTING]:
            self._leapt = now
            self.clock.pass_by(seconds)

    # -- what users do ------------------------------------------------------

    def _at_once(self, write: Callable[..., Path]) -> Callable[..., Path]:
        """The same, and no file of it comes to rest before the last one is there."""

        def written(*given: Any) -> Path:
            with self.clock.halted():
                return write(*given)

        return written

    def drop(self, name: str, user: str = "amy") -> Path:
        """A small image like no other."""
        path = self.watch_dir / user / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, numpy.frombuffer(numpy.random.bytes(256), "uint8").reshape(16, 16))
        return path

    # -- what is to come of it ----------------------------------------------

    def until(self, what: str, look: Callable[[], object], *, patience: float = PATIENCE_S) -> None:
        """Returns when `look` gives something true; fails after `patience` seconds."""
        end = time.monotonic() + patience
        while not look():
            if time.monotonic() > end:
                pytest.fail(
                    f"after {patience:g} s still not: {what}\n{self._in_the_journal()}\n"
                    f"{self.dropbox.figures()}",
                    pytrace=False,
                )
            time.sleep(0.05)

    def _in_the_journal(self) -> str:
        try:
            rows = [(f.path, str(f.state), f.reason) for f in self.journal.select(limit=20)]
            return f"{self.journal.counts()}\n{rows}"
        except FsError as error:  # some tests take it away
            return str(error)

    def until_state(self, state: str) -> None:
        """What `omero fs status` tells of DropBox."""
        self.until(f"DropBox is {state}", lambda: self.dropbox.figures()["state"] == state)

    def until_settled(self) -> None:
        """Everything in the journal has come to an end."""
        open_states = (State.WAITING, State.QUEUED, State.IMPORTING)
        self.until(
            "nothing is under way",
            lambda: not any(self.journal.counts()[state] for state in open_states),
        )

    def until_known(self, *paths: Path, states: tuple[State, ...] = (State.IMPORTED,)) -> None:
        """Every one of `paths` is in the journal, in one of `states`."""
        wanted = set(map(str, paths))
        self.until(
            f"{len(wanted)} files are {' or '.join(states)}",
            lambda: wanted <= {f.path for f in self.journal.select(*states)},
            patience=PATIENCE_S + len(wanted),
        )

    def row(self, path: Path) -> Fileset:
        """The latest fileset of `path`."""
        return max((f for f in self.journal.select() if f.path == str(path)), key=lambda f: f.id)

    def monitors(self) -> list[Monitor]:
        """Those of FSServer."""
        return list(self._fsserver.monitors.all().values())

    def row_of(self, identifier: int) -> Fileset:
        """The fileset with this id."""
        found = self.journal.get(identifier)
        assert found is not None
        return found

    def services(self, user: str) -> Any:
        """A session of this user."""
        return self._omero._login(user)

    def in_omero(self, path: Path) -> list[tuple[int, ...]]:
        """The images of each fileset that OMERO has for `path`."""
        return [fileset.images for fileset in self.filesets(path)]

    def filesets(self, path: Path) -> list[ServerFileset]:
        """Those that OMERO has with `path` among their files."""
        user = path.relative_to(self.watch_dir).parts[0]
        return self._omero.filesets(self._omero.user(user), str(path)[1:])

    def assert_once(self, *paths: Path) -> None:
        """OMERO has one fileset of each, with images, and none without."""
        found = {path.name: self.in_omero(path) for path in paths}
        wrong = {name: ids for name, ids in found.items() if len(ids) != 1 or not ids[0]}
        assert not wrong, f"of {len(paths)} files these are not there once: {wrong}"

    def until_once(self, *paths: Path, leap: float = 0.0) -> None:
        """As `assert_once`, after what is half there was taken away; time may `leap`, in s.

        DropBox takes it away later if it could not be sure at the time that it is still the one.
        """

        def no_half() -> bool:
            if leap:
                self.leap(leap)
            return all(all(self.in_omero(path)) for path in paths)

        self.until("no half is left", no_half)
        self.assert_once(*paths)
