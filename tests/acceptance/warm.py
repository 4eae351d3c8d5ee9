"""`omero` in a process that has imported omero-py already, for what a test only arranges or asks.

Each `omero` spends a second of a processor on omero-py's imports, and the tests run some hundreds.
What a test is about is run as people run it (`Server.run`).  What it has to ask again and again,
or to set before, is run in a fork of this process: it reads the same arguments and environment,
loads the plugins anew, writes to its own pipes and has an exit code.
"""

from __future__ import annotations

import functools
import gc
import gettext
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

_TOP = Path(__file__).parents[2]
_LONGEST = 1 << 20  # bytes of a request
# What `bin/omero` of a sandbox removes.
_FOREIGN = (
    *("ICE_CONFIG", "OMERO_CONFIG", "OMERO_HOME", "OMERO_MASTER", "OMERO_NODE"),
    "OMERO_SESSIONDIR",
)
_NUMBER = struct.Struct("=i")


def as_in(omerodir: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What the `bin/omero` of a sandbox makes of an environment."""
    programs = (str(omerodir / "bin"), str(Path(sys.executable).parent))
    return {
        **{key: value for key, value in environment.items() if key not in _FOREIGN},
        "OMERODIR": str(omerodir),
        "OMERO_USERDIR": str(omerodir / "var" / "omero"),
        "OMERO_TMPDIR": str(omerodir / "var" / "tmp"),
        "PATH": os.pathsep.join([*programs, environment.get("PATH", os.defpath)]),
    }


class Warm:
    """The process that forks, for one environment; it is started with the first command."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._place: tempfile.TemporaryDirectory[str] | None = None

    def run(
        self, arguments: Sequence[str], *, limit: float, zone: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs `omero ARGUMENTS`, in this time zone if one is given.

        Raises subprocess.TimeoutExpired after `limit`, s.
        """
        command = ["omero", *arguments]
        request = json.dumps([zone, *arguments]).encode()
        assert len(request) < _LONGEST
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX) as asked,
        ):
            asked.connect(self._address())
            socket.send_fds(asked, [request], [out.fileno(), err.fileno()])
            asked.shutdown(socket.SHUT_WR)
            (process,) = _NUMBER.unpack(asked.recv(_NUMBER.size, socket.MSG_WAITALL))
            late = not select.select([asked], [], [], limit)[0]
            if late:
                os.kill(process, signal.SIGKILL)
            (code,) = _NUMBER.unpack(asked.recv(_NUMBER.size, socket.MSG_WAITALL))
            if late:
                raise subprocess.TimeoutExpired(command, limit)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        return subprocess.CompletedProcess(command, code, *texts)

    def close(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        if self._place is not None:
            self._place.cleanup()

    def _address(self) -> str:
        with self._starting:
            if self._process is None or self._place is None:
                self._place = tempfile.TemporaryDirectory(prefix="omero-fs-warm-")
                # Nothing of the server is in its own environment or arguments: it is none of
                # the processes that `omero admin stop` must end.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    cwd=_TOP,
                    env={"PATH": os.environ.get("PATH", os.defpath)},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
                assert self._process.stdin is not None and self._process.stdout is not None
                address = f"{self._place.name}/socket"
                told = {"address": address, "environment": self._environment}
                self._process.stdin.write(json.dumps(told).encode() + b"\n")
                self._process.stdin.flush()
                assert self._process.stdout.readline() == b"ready\n"
            return f"{self._place.name}/socket"


def serve() -> None:
    """Takes requests until its standard input ends; returns in each fork, to be `omero`."""
    told = json.loads(sys.stdin.buffer.readline())
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.path.remove(str(_TOP))  # `omero` has not the checkout on its path
    import omero.cli  # it takes OMERODIR from the environment

    # Each CLI runs the source of every plugin, and looks for a translation of each help text.  Both
    # give the same each time, and cost more than what most commands do.
    compiled = functools.cache(lambda source: compile(source, "<string>", "exec"))
    omero.cli.exec = lambda source, names: exec(compiled(source), names)
    gettext.find = functools.cache(gettext.find)
    # What the plugin files import is there then.  Each fork makes a CLI of its own.
    omero.cli.CLI().loadplugins()
    # A fork's own collections leave the imported objects alone.  Else it would copy every page
    # of them, which costs more than the command.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(told["address"])
        listening.listen(16)
        os.write(1, b"ready\n")
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            asked, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _answer(asked)
                return
            asked.close()
    os._exit(0)  # the tests have ended


def _answer(asked: socket.socket) -> None:
    """Returns in the process that is to be `omero`; the other tells how that one ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, _, _ = socket.recv_fds(asked, _LONGEST, 2)
    while part := asked.recv(_LONGEST):
        request += part
    process = os.fork()
    if process:
        _tell(asked, process)
    asked.close()
    for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), *files)):
        os.dup2(file, number)
        os.close(file)
    zone, *arguments = json.loads(request)
    if zone:
        os.environ["TZ"] = zone
        time.tzset()
    # In place: omero.cli holds the list that was there when it was imported.
    sys.argv[:] = [str(Path(sys.executable).with_name("omero")), *arguments]


def _tell(asked: socket.socket, process: int) -> NoReturn:
    asked.sendall(_NUMBER.pack(process))
    _, status = os.waitpid(process, 0)
    asked.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


if __name__ == "__main__":
    serve()
    from omero.main import main

    main()
