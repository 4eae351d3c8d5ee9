"""A database in a network of its own, which each machine reaches over a link that can be cut.

We are in a network of our own ourselves, see `benchmarks.filesets.relay.ALONE`: this needs no
rights.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks.contenders import BenchmarkError

_LIMIT = 10.0  # s for a command


class Network:
    """The links between the machines and the database.  Close it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
        here, end = Path("/proc/self/ns/net").readlink(), time.monotonic() + _LIMIT
        while Path(f"/proc/{self._holder.pid}/ns/net").readlink() == here:
            if self._holder.poll() is not None or time.monotonic() > end:
                raise BenchmarkError("there is no network for the database")
            time.sleep(0.01)
        # What goes before a command that runs beside the database.
        self.inside = ("nsenter", "--target", str(self._holder.pid), "--net")
        _run("ip", "link", "set", "lo", "up")
        _run(*self.inside, "ip", "link", "set", "lo", "up")

    def link(self, machine: str) -> str:
        """Makes the link of a machine.  Gives the address that the database has there."""
        number = self._numbers[machine] = len(self._numbers) + 1
        ours, theirs = f"db{number}", f"to{number}"
        _run("ip", "link", "add", "name", ours, "type", "veth", "peer", "name", theirs)
        _run("ip", "link", "set", theirs, "netns", str(self._holder.pid))
        for before, device, host in (((), ours, 1), (self.inside, theirs, 2)):
            _run(*before, "ip", "address", "add", f"10.15.{number}.{host}/30", "dev", device)
            _run(*before, "ip", "link", "set", device, "up")
        return f"10.15.{number}.2"

    def cut(self, machine: str) -> None:
        """From now on no packet goes either way, and nobody is told."""
        self._set(machine, "down")

    def heal(self, machine: str) -> None:
        """Packets go again."""
        self._set(machine, "up")

    def close(self) -> None:
        """All links are gone."""
        self._holder.kill()
        self._holder.wait(_LIMIT)

    def _set(self, machine: str, to: str) -> None:
        # At the end of the database: the machine keeps its route, and gets no answer.
        _run(*self.inside, "ip", "link", "set", f"to{self._numbers[machine]}", to)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    if done.returncode:
        raise BenchmarkError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr}")
