"""Figures as text: what was measured, the target, and what the existing DropBox does."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from benchmarks.options import sizes
from benchmarks.report import machine, table

from .scenarios import Figure, Outcome

HEADER = ("figure", "measured", "unit", "target", "ratio", "existing", "met")

HEADING = (
    "Benchmark results: DropBox",
    "==========================",
    "",
    'Written by ``make bench-dropbox``; what is measured and how: "Benchmarks" in',
    "CONTRIBUTING.rst. The server is the sandbox, which answers faster than any OMERO.server.",
)


def _three(value: float) -> str:
    """About three digits."""
    if not value:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def row(figure: Figure) -> list[str]:
    """One line of a table; `ratio` is measured to target; several runs have their spread, too."""
    target, ratio, met = "-", "-", ""
    if figure.target is not None:
        target = ("<= " if figure.most else ">= ") + _three(figure.target)
        ratio = f"{figure.value / figure.target:.2f}" if figure.target else "-"
        met = "yes" if figure.met else "NO"
    return [
        figure.text,
        _three(figure.value),
        *([" to ".join(map(_three, figure.spread))] if figure.spread else []),
        figure.unit or "-",
        target,
        ratio,
        figure.existing or "-",
        met or "-",
    ]


def lines(outcome: Outcome) -> list[str]:
    """The table of one scenario, and its faults."""
    several = any(figure.spread for figure in outcome.figures)
    header = (*HEADER[:2], "least to most", *HEADER[2:]) if several else HEADER
    found = table(header, [row(figure) for figure in outcome.figures])
    return [*found, *(f"\n**{fault}**" for fault in outcome.faults)]


def whole(
    outcomes: Sequence[Outcome],
    *,
    quick: bool,
    loads: Sequence[float],
    heading: Sequence[str],
    runs: Sequence[int] = (),
    changed: Sequence[str] = (),
) -> str:
    """The report.

    `loads`: the load average at the begin and after each run of a scenario.  `runs`: the number of
    runs of each scenario, if there are several.  `changed`: the options that made sizes other ones.
    """
    text = [
        *heading,
        "",
        f":Date: {time.strftime('%Y-%m-%d')}",
        f":Machine: {machine()}",
        f":Load: {loads[0]:.1f} at the begin; after each part, which makes load itself: "
        + ", ".join(f"{load:.1f}" for load in loads[1:]),
        f":Sizes: {sizes(quick=quick, changed=changed)}",
    ]
    if max(runs, default=1) > 1:
        numbers = f"{runs[0]} of each" if len(set(runs)) == 1 else ", ".join(map(str, runs))
        text.append(f":Runs: {numbers}, in turn. Each figure is the median.")
    for outcome in outcomes:
        title = outcome.title[0].upper() + outcome.title[1:]
        text += ["", "", title, "-" * len(title), "", *lines(outcome)]
    return "\n".join(text) + "\n"
