"""Tables for people: as wide as the terminal; without a terminal, lines are not cut."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from typing import Any


def new_table(headings: Sequence[str], *, whole: Collection[str]) -> Any:
    """A rich Table without lines; cells under the headings of `whole` are not folded."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading in whole)
    return table


def text_of(table: Any) -> str:
    """The text to print.  Without a terminal no line is cut, so that one can search it."""
    from rich.console import Console

    terminal = Console()
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal.is_terminal,
        no_color=not terminal.is_terminal,
        width=terminal.width if terminal.is_terminal else 100_000,
    )
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
