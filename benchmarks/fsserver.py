"""`make bench-fsserver`: where FSServer's CPU time goes, in workloads with a target for it.

Each workload runs with FSServer as it is, once as always and once with each of its calls noted, and
with `--before DIR` the same for FSServer of an earlier commit, in turn.

Exit code 0; or 1 if something was missed, doubled, told too early or could not be measured; or 130
if it was interrupted.  Calls are noted with Python 3.11; with a later one the rest is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import measure, noted, report, runs, workloads
from .contenders import AS_BEFORE, FSSERVER, BenchmarkError, Contender
from .ending import on_sigterm
from .options import add_repeat, parser_of, read, sizes

RESULTS = Path(__file__).parent / "RESULTS-fsserver.rst"
CHECKOUT = str(Path(__file__).parents[1])
NOW, BEFORE = "now", "before"
_MOST = 25  # functions in a table
_WAIT_S = 20.0

Sums = dict[str, dict[str, list[float]]]  # as Notes.told gives them


@dataclass
class Side:
    """What was measured of one FSServer in one workload, one value a run."""

    cpu: list[float] = field(default_factory=list)  # us a file, as always
    user: list[float] = field(default_factory=list)  # the share of it that is not the kernel's
    noted: list[float] = field(default_factory=list)  # us a file, with each call noted
    shares: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    calls: dict[str, list[float]] = field(default_factory=dict)  # function -> calls a file

    def all_calls(self) -> float:
        """Calls a file, of all functions."""
        return sum(map(report.median, self.calls.values()))


class Marks:
    """Takes the place of `measure.cpu_seconds` in a run: keeps what was noted until then."""

    def __init__(self, file: Path | None) -> None:
        self._file = file  # None: nothing is noted
        self.told: list[Sums] = []
        self.times: list[tuple[float, float]] = []  # user, system (s)

    def __call__(self, pid: int) -> float:
        first = not self.told
        cpu = measure.cpu_seconds(pid)
        self.times.append(measure.user_and_system(pid))
        if self._file is not None:
            self.told.append(_told(pid, self._file))
            if first:  # what the telling costs is nothing of the run
                cpu = measure.cpu_seconds(pid)
        return cpu

    def noted(self) -> Sums:
        """What came between the first call and the last."""
        before, after = self.told[0], self.told[-1]
        return {
            kind: {
                name: [a - b for a, b in zip(sums, before[kind].get(name, (0, 0, 0)), strict=True)]
                for name, sums in after[kind].items()
            }
            for kind in after
        }


def _told(pid: int, file: Path) -> Sums:
    """Raises BenchmarkError."""
    file.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    end = time.monotonic() + _WAIT_S
    while not file.exists():
        if time.monotonic() > end:
            raise BenchmarkError("FSServer does not tell what it has called")
        time.sleep(0.02)
    found: Sums = json.loads(file.read_text(encoding="utf-8"))
    return found


def contender(tree: str, file: Path | None) -> Contender:
    """FSServer of the checkout in `tree`; with each call noted in `file`, unless that is None."""
    start = ("-m", "omero_fs_plugin.monitor.server")
    if file is not None:
        start = (noted.__file__, str(file))
    command = ("env", "-C", tree, f"OMERO_FS_CHECKOUT={tree}", sys.executable, *start)
    return replace(FSSERVER, server=command)


def measured(side: Side, workload: workloads.Workload, tree: str, scratch: Path, count: int) -> str:
    """One run as always and one noted.  Returns what was missed or doubled; empty: nothing.

    Where calls cannot be noted (`noted.cannot`) there is the first run alone.
    """
    faults = []
    for file in (None, scratch / "noted.json") if noted.cannot() is None else (None,):
        marks = Marks(file)
        outcome = runs.run(workload, contender(tree, file), scratch, count, cpu=marks)
        if outcome.missing or outcome.early or outcome.twice:
            faults.append(
                f"{workload.name}: {outcome.missing} missing, {outcome.early} early, "
                f"{outcome.twice} twice"
            )
        each = 1e6 * outcome.cpu / count
        if file is None:
            side.cpu.append(each)
            user, system = (a - b for a, b in zip(marks.times[-1], marks.times[0], strict=True))
            side.user.append(user / (user + system) if user + system else 0.0)
            continue
        side.noted.append(each)
        for kind, sums in marks.noted().items():
            shares = side.shares.setdefault(kind, defaultdict(list))
            total = sum(alone for _, alone, _ in sums.values()) or 1.0
            for name, (calls, alone, _) in sums.items():
                shares[name].append(alone / total)
                if kind == "functions":
                    side.calls.setdefault(name, []).append(calls / count)
    return "; ".join(faults)


def lines(sides: dict[str, Side]) -> list[str]:
    """The tables of one workload: CPU a file, by thread, and by function."""
    names = list(sides)
    each = sides.values()
    rows = [
        ["CPU, as always (us a file)", *(f"{report.median(one.cpu):.1f}" for one in each)],
        ["not in the kernel", *(f"{100 * report.median(one.user):.0f} %" for one in each)],
    ]
    if all(one.noted for one in each):
        rows += [
            [
                "CPU, each call noted (us a file)",
                *(f"{report.median(one.noted):.1f}" for one in each),
            ],
            ["calls noted, a file", *(f"{one.all_calls():.1f}" for one in each)],
        ]
    found = report.table(("", *names), rows)
    for kind in ("threads", "functions"):
        one = sides[names[0]].shares.get(kind)
        if one is None:
            continue  # nothing is noted
        found += ["", *report.table(_header(kind, names), _rows(kind, sides, sorted_by(one)))]
    return found


def sorted_by(shares: dict[str, list[float]]) -> list[str]:
    """The names, the largest share first."""
    return sorted(shares, key=lambda name: -report.median(shares[name]))[:_MOST]


def _header(kind: str, names: Sequence[str]) -> list[str]:
    cells = [kind, *(f"{name}: share" for name in names)]
    return cells + [f"{name}: calls a file" for name in names if kind == "functions"]


def _rows(kind: str, sides: dict[str, Side], wanted: list[str]) -> list[list[str]]:
    rows = []
    for name in wanted:
        cells = [name]
        for side in sides.values():
            shares = side.shares[kind].get(name)
            cells.append(f"{100 * report.median(shares):.1f} %" if shares else "-")
        for side in sides.values() if kind == "functions" else ():
            calls = side.calls.get(name)
            cells.append(f"{report.median(calls):.2f}" if calls else "-")
        rows.append(cells)
    return rows


def _arguments(given: Sequence[str]) -> Any:
    parser = parser_of("bench-fsserver", __doc__, RESULTS, AS_BEFORE)
    add_repeat(parser)
    parser.add_argument(
        "--before", metavar="DIR", help="the tree of an earlier commit, to measure beside"
    )
    return read(parser, given)


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = _arguments(given)
    on_sigterm()
    trees = {NOW: CHECKOUT, **({BEFORE: options.before} if options.before else {})}
    wanted = [w for w in workloads.WORKLOADS if w.name in (options.only or AS_BEFORE)]
    load = os.getloadavg()[0]
    faults = [f"not noted: {why}"] if (why := noted.cannot()) else []
    text = [*_heading(options), *(line for fault in faults for line in ("", fault))]
    scratch = Path(tempfile.mkdtemp(prefix="omero-fs-bench-")).resolve()
    try:
        for workload in wanted:
            count = workloads.size(workload, quick=options.quick)
            sides = {name: Side() for name in trees}
            for number in range(options.repeat):
                for name in list(trees)[:: -1 if number % 2 else 1]:
                    faults.append(measured(sides[name], workload, trees[name], scratch, count))
            title = workload.text.format(count=count)
            some = ["", "", title, "-" * len(title), "", *lines(sides)]
            sys.stdout.write("\n".join([*some, ""]))
            sys.stdout.flush()
            text += some
    except BenchmarkError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    text[text.index(":Load:")] = (
        f":Load: {load:.1f} at the begin, {os.getloadavg()[0]:.1f} at the end"
    )
    whole = not (options.quick or options.only or options.changed or noted.cannot())
    output = options.output or (RESULTS if whole else None)
    if output is not None:
        output.write_text("\n".join([*text, ""]), encoding="utf-8")
    told = [fault for fault in faults if fault]
    sys.stderr.writelines(f"bench: {fault}\n" for fault in told)
    return 1 if told else 0


def _heading(options: Any) -> list[str]:
    title = "Benchmark results: where FSServer's CPU time goes"
    return [
        title,
        "=" * len(title),
        "",
        'Written by ``make bench-fsserver``; what is measured and how: "Benchmarks" in',
        "CONTRIBUTING.rst. A share is of the CPU time of the threads that are noted, in the",
        "function alone. To note a call costs more than a short call takes: only shares say",
        "something.",
        "",
        f":Date: {time.strftime('%Y-%m-%d')}",
        f":Machine: {report.machine()}",
        ":Load:",
        f":Runs: {options.repeat} of each, in turn. Each figure is the median.",
        f":Sizes: {sizes(quick=options.quick, changed=options.changed)}",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
