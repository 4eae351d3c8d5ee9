"""What the two servers cost while nothing happens, and which threads wake up."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders import BenchmarkError

from .grid import Grid
from .scenarios import Figure, Outcome, quiet_down, running_grid

OURS = ("DropBox", "FSServer")
DESCRIPTORS = 10_000  # of another process of the same account
MOST = 0.3  # % of a core, both together
_NAMED = 12  # threads in the report

_HOLDS = """
import os, sys
place = sys.argv[1]
held = [os.open(place, os.O_RDONLY) for _ in range(int(sys.argv[2]))]
print(len(held), flush=True)
sys.stdin.read()
"""

Threads = dict[str, tuple[float, int]]  # name -> s of CPU, times that it gave up the CPU to wait


def idle(scratch: Path, seconds: float) -> Outcome:
    """A grid on which nobody drops anything."""
    with running_grid(scratch) as grid:
        quiet_down(grid)
        time.sleep(seconds / 4)  # so that all work of the start is done
        return idle_in(grid, seconds)


def idle_in(grid: Grid, seconds: float) -> Outcome:
    """As `idle`, from now on."""
    outcome = Outcome(f"nothing happens for {seconds:g} s")
    _measure(outcome, grid, seconds, "")
    with _descriptors(grid.data) as count:
        beside = f", beside {count:,} open files of the same account"
        _measure(outcome, grid, seconds, beside)
    return outcome


def _measure(outcome: Outcome, grid: Grid, seconds: float, beside: str) -> None:
    before = {server: _threads(grid.pid(server)) for server in OURS}
    cpu = grid.cpu()
    begun = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begun
    after, of_all = grid.cpu(), 0.0
    for server in OURS:
        used = _since(before[server], _threads(grid.pid(server)))
        share = 100 * (after[server] - cpu[server]) / passed
        wakeups = sum(number for _, number in used.values()) / passed
        of_all += share
        outcome.figures += [
            Figure(f"{server}{beside}", share, "% of a core"),
            Figure(f"{server}, wakeups a second{beside}", wakeups, ""),
        ]
        most = sorted(used.items(), key=lambda one: -one[1][1])[:_NAMED]
        named = ", ".join(
            f"{name} {number / passed:.1f} ({100 * own / passed:.2f} %)"
            for name, (own, number) in most
        )
        sys.stdout.write(f"  {server}{beside}: wakeups a second (CPU) by thread: {named}\n")
    outcome.figures.append(Figure(f"both together{beside}", of_all, "% of a core", MOST))


def _threads(pid: int) -> Threads:
    """Of each thread, by its number and name; see proc(5)."""
    found: Threads = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            cpu = int((task / "schedstat").read_text("ascii").split()[0]) / 1e9
            status = (task / "status").read_text("ascii", errors="replace")
            name = (task / "comm").read_text("ascii", errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        waits = next(line for line in status.splitlines() if line.startswith("voluntary_"))
        found[f"{task.name} ({name})"] = cpu, int(waits.split()[1])
    if not found:
        raise BenchmarkError(f"process {pid} has ended")
    return found


def _since(before: Mapping[str, tuple[float, int]], now: Threads) -> Threads:
    nothing = (0.0, 0)
    return {
        name: (cpu - before.get(name, nothing)[0], waits - before.get(name, nothing)[1])
        for name, (cpu, waits) in now.items()
    }


@contextmanager
def _descriptors(place: Path) -> Iterator[int]:
    """Another process holds this many, or as many as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = DESCRIPTORS if most == resource.RLIM_INFINITY else min(DESCRIPTORS, most - 50)

    def allowed() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(place), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=allowed,
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.communicate()
