"""Figures as text: tables in reStructuredText, ratios of one run, the goals."""

from __future__ import annotations

import math
import os
import platform
import re
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .contenders import BEFORE
from .measure import Outcome
from .options import sizes
from .runs import Cycled, Standing

OURS = "FSServer"
RIVAL = "omero-dropbox"
# So soon (ms) after its close a file is told: while nothing else happens, and among many, where it
# waits for the next look.
SOON_MS = {"one-by-one": 5.0, "seldom": 5.0, "rewrite": 5.0, "rewrites": 20.0}

AT_MOST = 1.1  # times as much CPU for a file as before
# With five times as many files in ten times as many directories, the start may take so many
# times what os.walk takes, if it takes 1 time on the smaller tree: "linear".
AS_THE_WALK = 1.25

Repetitions = dict[str, list[Outcome]]  # contender -> one Outcome for each repetition


@dataclass
class Results:
    """All measurements, in the order in which they came."""

    workloads: dict[str, Repetitions] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # workload -> what it is
    standing: dict[str, list[Standing]] = field(default_factory=dict)
    million: list[Standing] = field(default_factory=list)  # FSServer's, on a larger tree
    cycles: dict[str, Cycled] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)  # what was not run, and why

    def measured(self) -> bool:
        """Whether there is any figure."""
        workloads = any(one for some in self.workloads.values() for one in some.values())
        return bool(workloads or self.standing or self.million or self.cycles)

    def faults(self) -> list[str]:
        """The workloads in which FSServer missed or doubled a file, or told of one too early."""
        return [
            f"{name}, run {number}: {one.missing} missing, {one.early} early, {one.twice} twice"
            for name, repetitions in self.workloads.items()
            for number, one in enumerate(repetitions.get(OURS, []), 1)
            if one.missing or one.early or one.twice
        ]


# Values ----------------------------------------------------------------------


def _number(value: float, digits: int = 0) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _three(value: float) -> str:
    """About three digits."""
    if math.isnan(value) or not value:
        return _number(value)
    return _number(value, max(0, 2 - math.floor(math.log10(abs(value)))))


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def median(values: Iterable[float]) -> float:
    """nan when there is none."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def _ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Each ratio is of one repetition."""
    return [a / b if b else math.nan for a, b in zip(over, under, strict=False)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A simple table; the first column is text, the others are numbers."""
    widths = [max(len(row[n]) for row in (header, *rows)) for n in range(len(header))]
    rule = "  ".join("=" * width for width in widths)

    def line(row: Sequence[str]) -> str:
        first, *rest = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return "  ".join(cells).rstrip()

    return [rule, line(header), rule, *map(line, rows), rule]


# Parts -----------------------------------------------------------------------


def outcome_row(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    """One contender: counts as the least and the most, everything else as the median."""
    return [
        name,
        _range([one.missing for one in outcomes]),
        _range([one.early for one in outcomes]),
        _range([one.twice for one in outcomes]),
        _range([one.extra for one in outcomes]),
        _three(median(one.p50 for one in outcomes)),
        _three(median(one.p99 for one in outcomes)),
        _number(median(one.cpu for one in outcomes), 2),
        _three(median(one.per_cpu for one in outcomes)),
        _number(median(one.peak / 2**20 for one in outcomes)),
    ]


OUTCOME_HEADER = (
    "contender", "missing", "early", "twice", "extra",
    "p50 ms", "p99 ms", "CPU s", "files/CPU s", "peak MiB",
)  # fmt: skip


def _workloads(results: Results) -> list[str]:
    lines: list[str] = []
    for name, repetitions in results.workloads.items():
        title = results.texts[name]
        rows = [outcome_row(who, outcomes) for who, outcomes in repetitions.items()]
        lines += ["", title, "~" * len(title), "", *table(OUTCOME_HEADER, rows)]
    return lines


def _ratio_table(results: Results) -> list[str]:
    rows = []
    for name, repetitions in results.workloads.items():
        ours = repetitions.get(OURS)
        if ours is None:
            continue
        row = [results.texts[name]]
        for other in (RIVAL, "watchdog", "inotify"):
            theirs = repetitions.get(other, [])
            speeds = _ratios([o.per_cpu for o in ours], [o.per_cpu for o in theirs])
            row.append(_number(median(speeds), 2))
        theirs = repetitions.get(RIVAL, [])
        delays = _ratios([o.p99 for o in ours], [o.p99 for o in theirs])
        rows.append([*row, _number(median(delays), 2)])
    if not rows:
        return []
    header = (
        "FSServer to", f"{RIVAL}, files/CPU s", "watchdog", "inotify", f"{RIVAL}, p99"
    )  # fmt: skip
    return table(header, rows)


def _standing(results: Results) -> list[str]:
    large = dict(results.standing.items())
    larger = {OURS: results.million} if results.million else {}
    return [line for ones in (large, larger) if ones for line in _standing_table(ones)]


def _standing_table(standing: dict[str, list[Standing]]) -> list[str]:
    rows = []
    for name, ones in standing.items():
        rows.append(
            [
                name,
                _number(median(one.start for one in ones), 2),
                _number(median(one.walk for one in ones), 2),
                _number(median(one.start / one.walk for one in ones), 2),
                _number(median(one.memory for one in ones)),
                _number(median(100 * one.idle for one in ones), 3),
            ]
        )
    one = next(iter(standing.values()))[0]
    title = f"Watching {one.files:,} files in {one.directories:,} directories"
    header = ("contender", "start s", "walk s", "start/walk", "bytes/file", "idle CPU %")
    return ["", title, "~" * len(title), "", *table(header, rows)]


def _cycles(results: Results) -> list[str]:
    if not results.cycles:
        return []
    rows = [
        [name, f"{one.cycles}", _number(one.seconds, 1)]
        + [f"{count}" for count in (one.left.threads, one.left.descriptors, one.left.watches)]
        for name, one in results.cycles.items()
    ]
    title = "Left after create, start, stop, destroy"
    header = ("contender", "cycles", "seconds", "threads", "descriptors", "watches")
    return ["", title, "~" * len(title), "", *table(header, rows)]


# Goals -----------------------------------------------------------------------


def _goal(text: str, measured: float, met: bool, digits: int = 2) -> list[str]:
    word = "-" if math.isnan(measured) else "yes" if met else "NO"
    return [text, _number(measured, digits), word]


def goals(results: Results) -> list[list[str]]:
    """FSServer's goals, what was measured, and whether it meets them."""
    rows: list[list[str]] = []
    if results.workloads:
        bad = sum(
            one.missing + one.early + one.twice
            for r in results.workloads.values()
            for one in r.get(OURS, [])
        )
        rows.append(_goal("missing, early and twice, all runs: 0", bad, not bad, 0))
    for name, repetitions in results.workloads.items():
        ours, theirs = repetitions.get(OURS, []), repetitions.get(RIVAL, [])
        speed = median(_ratios([o.per_cpu for o in ours], [o.per_cpu for o in theirs]))
        text = f"{name}: 2 times the files/CPU s of {RIVAL}, or more"
        rows.append(_goal(text, speed, speed >= 2))
        if name == "burst":
            delay = median(_ratios([o.p99 for o in ours], [o.p99 for o in theirs]))
            rows.append(_goal(f"burst: p99 0.25 of {RIVAL}'s, or less", delay, delay <= 0.25))
        for other in (RIVAL, "watchdog") if ours else ():
            theirs = repetitions.get(other, [])
            delay = median(_ratios([o.p99 for o in ours], [o.p99 for o in theirs]))
            if theirs and not (name == "burst" and other == RIVAL):
                rows.append(_goal(f"{name}: p99 no more than {other}'s", delay, delay <= 1))
        earlier = repetitions.get(BEFORE, [])
        if ours and earlier:
            share = median(_ratios([o.cpu for o in ours], [o.cpu for o in earlier]))
            text = f"{name}: {AT_MOST} times the CPU s of {BEFORE}, or less"
            rows.append(_goal(text, share, share <= AT_MOST))
        soon = SOON_MS.get(name)
        if soon is not None:
            late = median(one.p50 for one in ours)
            rows.append(_goal(f"{name}: p50 under {soon:g} ms", late, late < soon))
    starts: list[float] = []  # times os.walk; of few directories, and of many
    for prefix, standing in (("", results.standing.get(OURS)), ("million: ", results.million)):
        if not standing:
            continue
        start = median(one.start / one.walk for one in standing)
        memory = median(one.memory for one in standing)
        idle = median(100 * one.idle for one in standing)
        rows.append(_goal(f"{prefix}start: within 2 times os.walk with stat", start, start <= 2))
        text = f"{prefix}memory: 500 bytes a known file, or less"
        rows.append(_goal(text, memory, memory <= 500, 0))
        rows.append(_goal(f"{prefix}idle: under 0.3 % of a core", idle, idle < 0.3, 3))
        starts.append(start)
    if len(starts) == 2:
        grown = starts[1] / starts[0]
        text = f"million: the start has grown as os.walk has, within {AS_THE_WALK} times"
        rows.append(_goal(text, grown, grown <= AS_THE_WALK))
    if OURS in results.cycles:
        left = results.cycles[OURS].left
        count = max(left.threads, 0) + max(left.descriptors, 0) + max(left.watches, 0)
        rows.append(_goal("threads, descriptors, watches left: 0", count, not count, 0))
    return rows


# The whole -------------------------------------------------------------------


def machine() -> str:
    """The machine in one sentence, without names and paths."""
    release = re.match(r"[0-9.]+", platform.release())
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.M)
        model = found.group(1) if found else model
    return (
        f"{os.cpu_count()} cores ({model}), {total:.0f} GiB of memory, "
        f"{platform.system()} {release.group(0) if release else ''}, "
        f"Python {platform.python_version()}"
    )


def whole(
    results: Results,
    *,
    quick: bool,
    repeat: int,
    load: tuple[float, float],
    changed: Sequence[str] = (),
) -> str:
    """The report; `load`: the load average when the run began and when it ended."""
    size = sizes(quick=quick, changed=changed)
    lines = [
        "Benchmark results",
        "=================",
        "",
        'Written by ``make bench``; what is measured and how: "Benchmarks" in CONTRIBUTING.rst.',
        "",
        f":Date: {time.strftime('%Y-%m-%d')}",
        f":Machine: {machine()}",
        f":Load: {load[0]:.1f} when the run began, {load[1]:.1f} when it ended",
        f":Runs: {repeat} of each, contenders in turn; on the large tree the others once.",
        f"    {size} Counts from least to most, all else the median.",
    ]
    aims = goals(results)
    if aims:
        lines += ["", "", "Goals", "-----", "", *table(("goal", "measured", "met"), aims)]
    ratios = _ratio_table(results)
    if ratios:
        lines += ["", "", "Ratios of the same run", "----------------------", "", *ratios]
    lines += ["", "", "Figures", "-------"]
    lines += [*_workloads(results), *_standing(results), *_cycles(results)]
    if results.skipped:
        lines += ["", "", "Not run", "-------", "", *(f"- {reason}" for reason in results.skipped)]
    return "\n".join(lines) + "\n"
