"""Plots in a page: bars over time, drawn without a program.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omero_fs_plugin.names import printable

from .page import E

_WIDE, _HIGH, _LEFT, _BELOW, _ABOVE = 720, 160, 52, 24, 12  # px; it is scaled to the page
_LABELS = 6  # below the bars


def bars(
    title: str,
    values: Sequence[float | None],
    labels: Sequence[str],
    shown: Callable[[float], str],
) -> Any:
    """A bar for each value, None for a gap; `labels` stand below some, and `shown` writes one."""
    known = [value for value in values if value is not None]
    top = max(known, default=0.0) or 1.0
    step = (_WIDE - _LEFT) / max(1, len(values))
    parts = [E.title(printable(title)), _text(0, _ABOVE, shown(top), "start")]
    parts.append(_text(0, _ABOVE + _HIGH, shown(0.0), "start"))
    for number, value in enumerate(values):
        if not value:
            continue
        height = _HIGH * value / top
        parts.append(
            E.rect(
                E.title(f"{labels[number]}: {shown(value)}"),
                x=f"{_LEFT + number * step:.1f}",
                y=f"{_ABOVE + _HIGH - height:.1f}",
                width=f"{max(1.0, step - 1):.1f}",
                height=f"{height:.1f}",
            )
        )
    axis = f"M{_LEFT} {_ABOVE + _HIGH}H{_WIDE}"
    parts.append(E.path(d=axis, **{"class": "axis"}))
    every = max(1, -(-len(labels) // _LABELS))
    for number in range(0, len(labels), every):
        at = _LEFT + number * step
        parts.append(_text(at, _ABOVE + _HIGH + _BELOW - 6, labels[number], "start"))
    picture = E.svg(
        *parts,
        viewBox=f"0 0 {_WIDE} {_ABOVE + _HIGH + _BELOW}",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )
    return E.figure(E.figcaption(printable(title)), picture)


def _text(x: float, y: float, text: str, anchor: str) -> Any:
    return E.text(text, x=f"{x:.1f}", y=f"{y:.1f}", **{"text-anchor": anchor})
