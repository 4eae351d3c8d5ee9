"""Draws the dashboard of deploy/grafana with the numbers of a run, as an SVG.

The titles, the places, the units and the questions are those of the dashboard's own JSON; a real
Prometheus answers the questions.  `tools/dashboard_picture.py` makes the run.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .drawing import Drawing
from .prometheus import Series

BOARD = Path(__file__).resolve().parents[1] / "deploy/grafana/omero-fs.json"

_CELL, _ROW, _GAP, _MARGIN = 50.0, 26.0, 8.0, 16.0  # px; Grafana's grid has 24 columns
_COLOURS = ("way", "good", "bad", "edge", "text", "soft")
_WIDE = 500.0  # px, from which on a legend has three columns
_MOST = 6  # series of one panel that have a colour and a legend

Ask = Callable[[str], list[Series]]


@dataclass(frozen=True)
class Line:
    """One series of a panel, with its name in the legend."""

    name: str
    series: Series


@dataclass(frozen=True)
class Panel:
    """One panel of the dashboard."""

    title: str
    kind: str  # stat, timeseries
    unit: str
    place: tuple[int, int, int, int]  # x, y, width, height in Grafana's grid
    questions: tuple[tuple[str, str], ...]  # expression, legend
    alarm: float | None  # from which value on it is red

    def lines(self, ask: Ask) -> list[Line]:
        """What `ask` answers, question by question."""
        return [
            Line(_legend(legend, one.labels) or self.title, one)
            for expression, legend in self.questions
            for one in ask(expression)
        ]


def panels(board: Path = BOARD) -> list[Panel]:
    """The panels of the dashboard, in its order."""
    return [_panel(one) for one in json.loads(board.read_text(encoding="utf-8"))["panels"]]


def _panel(told: dict[str, Any]) -> Panel:
    place, defaults = told["gridPos"], told["fieldConfig"]["defaults"]
    steps = defaults.get("thresholds", {}).get("steps", [])
    red = [step["value"] for step in steps if step["color"] == "red"]
    return Panel(
        told["title"],
        told["type"],
        defaults.get("unit", "short"),
        (place["x"], place["y"], place["w"], place["h"]),
        tuple((one["expr"], one["legendFormat"]) for one in told["targets"]),
        red[0] if red else None,
    )


def _legend(text: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), text)


def shown(value: float, unit: str) -> str:
    """A value as people read it."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"
    prefix = ""
    for larger in ("k", "M", "G"):
        if abs(value) < 10_000:
            break
        value, prefix = value / 1000, larger
    number = f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"
    return f"{number} {prefix}B/s" if unit == "Bps" else f"{number}{' ' if prefix else ''}{prefix}"


def drawn(found: Sequence[tuple[Panel, Sequence[Line]]], start: float, end: float) -> str:
    """The picture.  `start` and `end` (s since the epoch) are those of the time axis."""
    rows = max(panel.place[1] + panel.place[3] for panel, _ in found)
    drawing = Drawing(
        int(24 * _CELL + 2 * _MARGIN),
        int(rows * _ROW + 2 * _MARGIN),
        "OMERO.fs in Grafana",
        "The panels of the dashboard with the numbers of a run: "
        + ", ".join(panel.title for panel, _ in found),
        made="Written by tools/dashboard_picture.py, from the numbers of a run.",
    )
    for panel, lines in found:
        _draw(drawing, panel, _worth_it(lines), start, end)
    return drawing.svg([])


def _worth_it(lines: Sequence[Line]) -> list[Line]:
    """Those that have room, in their order: the ones that are always 0 give way."""
    kept = sorted(lines, key=lambda line: not any(v for _, v in line.series.points if v == v))
    return [line for line in lines if line in kept[:_MOST]]


def _draw(drawing: Drawing, panel: Panel, lines: Sequence[Line], start: float, end: float) -> None:
    x, y, width, height = panel.place
    left, top = _MARGIN + x * _CELL + _GAP / 2, _MARGIN + y * _ROW + _GAP / 2
    wide, high = width * _CELL - _GAP, height * _ROW - _GAP
    drawing.rect((left, top), (wide, high), "f-hall", 6)
    drawing.text((left + 10, top + 18), panel.title, size=13, where="start", bold=True)
    if panel.kind == "stat":
        value = lines[0].series.points[-1][1] if lines else None
        red = value is not None and panel.alarm is not None and value >= panel.alarm
        drawing.text(
            (left + wide / 2, top + high / 2 + 22),
            "no data" if value is None else shown(value, panel.unit),
            size=30,
            colour="bad" if red else "good" if panel.alarm is not None else "text",
            bold=True,
        )
        return
    columns = 3 if wide > _WIDE else 2
    legend = 16 * (1 + (len(lines) - 1) // columns)
    box = (left + 62, top + 30, wide - 76, high - 54 - legend)
    _graph(drawing, panel, lines, box, (start, end))
    for number, line in enumerate(lines):
        at = (
            left + 14 + number % columns * (wide - 20) / columns,
            top + high - legend + 16 * (number // columns),
        )
        drawing.line([(at[0], at[1] - 4), (at[0] + 14, at[1] - 4)], _COLOURS[number], width=3)
        last = shown(line.series.points[-1][1], panel.unit)
        drawing.text((at[0] + 20, at[1]), f"{line.name}: {last}", size=11, where="start")


def _graph(
    drawing: Drawing,
    panel: Panel,
    lines: Sequence[Line],
    box: tuple[float, float, float, float],
    span: tuple[float, float],
) -> None:
    left, top, wide, high = box
    values = [value for line in lines for _, value in line.series.points if value == value]
    most = _round_up(max(values, default=1.0))
    for part in (0.0, 0.5, 1.0):
        y = top + high * (1 - part)
        drawing.line([(left, y), (left + wide, y)], "edge", width=0.4)
        drawing.text(
            (left - 6, y + 4), shown(most * part, panel.unit), size=11, colour="soft", where="end"
        )
    for part, where in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at = time.strftime("%H:%M", time.gmtime(span[0] + (span[1] - span[0]) * part))
        drawing.text((left + wide * part, top + high + 14), at, size=11, colour="soft", where=where)
    for number, line in enumerate(lines):
        points = [
            (
                round(left + wide * (at - span[0]) / (span[1] - span[0]), 1),
                round(top + high * (1 - value / most), 1),
            )
            for at, value in line.series.points
            if value == value  # Prometheus has NaN where nothing was counted
        ]
        if len(points) > 1:
            drawing.line(points, _COLOURS[number], radius=0)


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 with zeros, for the end of an axis."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)
