"""DropBoxImporter in a process of its own, beside a Whole, and a line to the database to cut.

It is the real one but for the router and the grid.  `Elsewhere` starts it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from omero_fs_plugin.dropbox.importing import activity, leftovers
from omero_fs_plugin.dropbox.journal.clocks import DropBoxClock
from omero_fs_plugin.dropbox.processes import starter
from omero_fs_plugin.dropbox.service import elsewhere
from tests.integration.blitz import behind_the_router, communicator

EXPIRES_S, RENEW_S = 8.0, 0.5  # so that one on a busy machine is not given up
_SOCKET = ".s.PGSQL.5432"


class Line:
    """Between a node and PostgreSQL.  While it is cut, what is sent gets no answer."""

    def __init__(self, url: str) -> None:
        """`url` is that of a journal, over a socket in a directory."""
        there = parse_qs(urlsplit(url).query)["host"][0]
        self._there = f"{there}/{_SOCKET}"
        self._directory = Path(tempfile.mkdtemp(prefix="omero-fs-line-"))
        self.url = url.replace(there, str(self._directory))
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(f"{self._directory}/{_SOCKET}")
        self._listening.listen()
        self._open = threading.Event()
        self._open.set()
        self._stopping = False
        self._pairs: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, name="line", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """From now on nothing goes through."""
        self._open.clear()

    def heal(self) -> None:
        """What was sent meanwhile goes through."""
        self._open.set()

    def close(self) -> None:
        """Ends it."""
        self._stopping = True
        self._open.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        shutil.rmtree(self._directory)

    def _accept(self) -> None:
        while not self._stopping:
            try:
                here, _ = self._listening.accept()
            except OSError:
                return
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(self._there)
            except OSError:  # PostgreSQL is down
                here.close()
                there.close()
                continue
            self._pairs += [here, there]
            threading.Thread(
                target=self._carry, args=[here, there], name="line", daemon=True
            ).start()

    def _carry(self, here: socket.socket, there: socket.socket) -> None:
        with here, there, selectors.DefaultSelector() as both, contextlib.suppress(OSError):
            both.register(here, selectors.EVENT_READ, there)
            both.register(there, selectors.EVENT_READ, here)
            while not self._stopping:
                for key, _ in both.select():
                    some = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    self._open.wait()
                    if not some:
                        return
                    key.data.sendall(some)


class Elsewhere:
    """The process, as a test has it."""

    def __init__(
        self,
        whole: Any,
        url: str,
        log: Path,
        *,
        importers: int = 2,
        ahead: float = 0.0,
        zone: str = "",
    ) -> None:
        """Of the journal at `url`; what it logs goes into `log`.

        `ahead`: s that its machine's clock is ahead.  `zone`: its time zone, as TZ has it; empty:
        that of this process.
        """
        self.line, self.log = Line(url), log
        told = {
            "blitz": whole.blitz.address,
            "ahead": ahead,
            "properties": whole.properties
            | {"omero.fs.journal": self.line.url, "omero.fs.importers": str(importers)}
            | {"omerofs.DropBoxImporter.Endpoints": "tcp -h 127.0.0.1"},
        }
        with log.open("ab") as into:
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, json.dumps(told)],
                stdout=into,
                stderr=into,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **({"TZ": zone} if zone else {})},
            )

    def stand_still(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(60)

    def stop(self) -> int:
        """SIGTERM.  Returns its exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def close(self) -> None:
        """Ends all of it, however it stands."""
        if self.process.poll() is None:
            self.kill()
        self.line.close()


def main() -> int:
    """The process itself."""
    told = json.loads(sys.argv[1])
    import logging

    logging.basicConfig(
        force=True, level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(message)s"
    )
    now, ahead = time.time, told["ahead"]
    time.time = lambda: now() + ahead
    DropBoxClock.__init__.__defaults__ = (time.time,)  # type: ignore[attr-defined]
    # The sandbox carries a call out soon, or never.
    for name in ("START_S", "FILE_S", "LATE_S", "WATCH_S"):
        setattr(activity, name, 3.0)
    leftovers.LATE_S = 3.0
    elsewhere.Omero = behind_the_router(  # type: ignore[misc]
        SimpleNamespace(address=told["blitz"])
    )
    ice = communicator({"Ice.Override.Timeout": "10000", **told["properties"]})
    starter.ready()
    service = elsewhere.DropBoxImporter(ice, told["properties"], expires=EXPIRES_S, renew=RENEW_S)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    service.start()
    threading.Thread(target=lambda: (ice.waitForShutdown(), ended.set()), daemon=True).start()
    ended.wait()
    service.stop()
    ice.destroy()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
