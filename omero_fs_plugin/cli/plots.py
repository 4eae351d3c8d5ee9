"""Plots in a page: bars over time, drawn without a program.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from omero_fs_plugin.names import printable

from .page import E

_WIDE, _HIGH = 10, 100  # of a bar and its gap, in the picture's own units
_LABELS = 5  # below the bars; every second one goes where there is little room


def bars(
    title: str,
    values: Sequence[float | None],
    labels: Sequence[str],
    shown: Callable[[float], str],
) -> Any:
    """A bar for each value, None for a gap; `labels` stand below some, and `shown` writes one.

    Only the bars are a picture, which is stretched to the page.  Words beside it are not part of
    it, so that they can be read at any width.
    """
    known = [value for value in values if value is not None]
    top = max(known, default=0.0)
    if not top:
        words = f"{shown(top)} in the whole period." if known else "Nothing in this period."
        return E.figure(E.figcaption(printable(title)), E.p(words))
    picture = E.svg(
        E.title(printable(title)),
        *(
            _bar(number, value / top, f"{labels[number]}: {shown(value)}")
            for number, value in enumerate(values)
            if value
        ),
        viewBox=f"0 0 {_WIDE * len(values)} {_HIGH}",
        preserveAspectRatio="none",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )
    scale = E.div(E.span(shown(top)), E.span(shown(0.0)), **{"class": "scale"})
    times = E.div(*_times(labels), **{"class": "times"})
    plot = E.div(scale, picture, times, **{"class": "plot"})
    return E.figure(E.figcaption(printable(title)), plot)


def _bar(number: int, part: float, words: str) -> Any:
    return E.rect(
        E.title(words),
        x=f"{number * _WIDE}",
        y=f"{_HIGH * (1 - part):.1f}",
        width=f"{_WIDE - 1}",
        height=f"{_HIGH * part:.1f}",
    )


def _times(labels: Sequence[str]) -> Iterator[Any]:
    """Some of the labels: the first at the left edge, the last at the right, others below a bar."""
    last = len(labels) - 1
    some = sorted({round(last * step / (_LABELS - 1)) for step in range(_LABELS)})
    for number in some:
        at = 0.0 if number == 0 else 1.0 if number == last else (number + 0.5) / len(labels)
        yield E.span(labels[number], style=f"left: {at:.1%}")
