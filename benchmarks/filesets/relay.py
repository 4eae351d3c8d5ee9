"""A network with a delay: a machine for a client, behind a router that keeps each packet a while.

The kernel's own way is netem, which many kernels do not have.  So the router is a process that
passes on each packet after a time.  Who uses it is in a network namespace of its own, made like
this, so that it needs no rights::

    unshare --user --map-current-user --keep-caps --net COMMAND

``python -m benchmarks.filesets.relay MS`` is the router.  It passes packets between its devices
`DEVICES`, each of them MS ms later, until its standard input ends.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from benchmarks.contenders import BenchmarkError
from benchmarks.ending import in_one_go

# So a command runs in a network of its own, as the same user, and may change that network.
ALONE = ("unshare", "--user", "--map-current-user", "--keep-caps", "--net")
HERE, THERE = "10.77.0.2", "10.77.0.1"  # addresses in the namespaces alone
DEVICES = ("to-here", "to-there")
_LIMIT = 10.0  # s for a command or a device
_PACKET = 1 << 17  # bytes; the kernel gives up to 64 KiB at once
_MOST = 256  # packets that are read before those that are due are sent
# From Linux' if_packet.h.  With the header the kernel leaves checksums and segments to the reader.
_SOL_PACKET, _PACKET_VNET_HDR, _OUTGOING = 263, 15, 4


def possible() -> str:
    """Why this machine cannot do it; empty: it can."""
    try:
        done = subprocess.run(
            [*ALONE, "ip", "link", "add", "name", "a0", "type", "veth", "peer", "name", "a1"],
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return done.stderr.strip() if done.returncode else ""


class Behind:
    """A context manager: a machine THERE, which reaches us, at HERE, over the router alone.

    We are in a network of our own already.  Raises BenchmarkError.
    """

    def __init__(self, delay: float) -> None:
        """`delay`: ms for each packet, there and back."""
        self._delay = delay
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Behind:
        try:
            return self._made()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the router and the machine behind it."""
        for process in self._processes:
            process.kill()
            process.wait(_LIMIT)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        for device in {name for _, name in socket.if_nameindex()} & {"here", *DEVICES}:
            subprocess.run(["ip", "link", "delete", device], timeout=_LIMIT, check=False)

    def command(self, *words: str) -> list[str]:
        """The same command, on the machine behind the router."""
        return ["nsenter", "--target", str(self._there), "--net", *words]

    def round_trip(self) -> float:
        """ms of a TCP connection from there to here, at best."""
        with socket.create_server((HERE, 0)) as server:
            code = (
                "import socket, sys, time\n"
                "for _ in range(20):\n"
                "    begun = time.monotonic()\n"
                "    socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()\n"
                "    print(1000 * (time.monotonic() - begun))\n"
            )
            port = str(server.getsockname()[1])
            told = _run(*self.command(sys.executable, "-c", code, HERE, port))
        return min(map(float, told.split()))

    # ------------------------------------------------------------------------

    def _made(self) -> Behind:
        self._there = self._start("cat")
        module = f"{__package__}.relay"
        router = self._start(sys.executable, "-m", module, str(self._delay))
        for ours, theirs in (("here", DEVICES[0]), ("there", DEVICES[1])):
            _run("ip", "link", "add", "name", ours, "type", "veth", "peer", "name", theirs)
            _run("ip", "link", "set", theirs, "netns", str(router))
        _run("ip", "link", "set", "there", "netns", str(self._there))
        _up("here", HERE, ())
        _up("there", THERE, self.command())
        told = self._processes[-1].stdout
        assert told is not None
        if told.readline() != b"ready\n":
            raise BenchmarkError("the router does not run")
        return self

    def _start(self, *command: str) -> int:
        """Starts it in a network of its own.  Gives the process id."""
        with in_one_go():
            process = subprocess.Popen(
                ["unshare", "--net", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            self._processes.append(process)
        network = Path("/proc/self/ns/net").readlink()
        until = time.monotonic() + _LIMIT
        while Path(f"/proc/{process.pid}/ns/net").readlink() == network:
            if process.poll() is not None or time.monotonic() > until:
                raise BenchmarkError(f"no network of its own for {command[0]}")
            time.sleep(0.01)
        return process.pid


def _up(device: str, address: str, there: Sequence[str]) -> None:
    _run(*there, "ip", "link", "set", "lo", "up")
    _run(*there, "ip", "address", "add", f"{address}/24", "dev", device)
    _run(*there, "ip", "link", "set", device, "up")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    if done.returncode:
        raise BenchmarkError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _opened(device: str) -> socket.socket:
    """The device, as soon as it is there: each packet that comes to it or goes out of it."""
    until = time.monotonic() + _LIMIT
    while device not in {name for _, name in socket.if_nameindex()}:
        if time.monotonic() > until:
            raise BenchmarkError(f"there is no device {device}")
        time.sleep(0.01)
    _run("ip", "link", "set", device, "promisc", "on", "up")
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    opened.bind((device, 0x0003))  # ETH_P_ALL
    opened.setblocking(False)
    return opened


def relay(delay: float) -> None:
    """The router; `delay` in ms."""
    one, other = map(_opened, DEVICES)
    across = {one: other, other: one}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    waiting: deque[tuple[float, socket.socket, bytes]] = deque()  # as they are due
    while True:
        left = None if not waiting else max(0.0, waiting[0][0] - time.monotonic())
        readable, _, _ = select.select([0, one, other], [], [], left)
        for device in readable:
            if isinstance(device, int):
                if not os.read(device, 1):
                    return
                continue
            for _ in range(_MOST):
                try:
                    packet, address = device.recvfrom(_PACKET)
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno != errno.ENETDOWN:  # the other end is not up yet
                        raise
                    break
                if address[2] != _OUTGOING:
                    due = time.monotonic() + delay / 1000
                    waiting.append((due, across[device], packet))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, device, packet = waiting.popleft()
            try:
                device.send(packet)
            except OSError:
                continue  # as a router does that has no room: TCP sends it again


if __name__ == "__main__":
    relay(float(sys.argv[1]))
