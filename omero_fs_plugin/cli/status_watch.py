"""`omero fs status --watch`: the same, refreshed in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .status_text import picture

_LEAST = 3  # filesets of each part that are shown, on however small a terminal


def watch(
    collect: Callable[[int | None], dict[str, Any]], limit: int | None, refresh: float
) -> None:
    """Shows what `collect` gives for a number of filesets, every `refresh` s, until interrupted."""
    from rich.console import Console
    from rich.live import Live

    console = Console()

    def look() -> Any:
        fits = limit if limit is not None else max(_LEAST, console.height // 2 - 3)
        return picture(collect(fits or None), width=console.width, bars=True)

    with Live(look(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(refresh)
            live.update(look(), refresh=True)
