"""`omero fs status --watch`: the same, refreshed in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .status_text import fitting, picture


def watch(
    collect: Callable[[int | None], dict[str, Any]], limit: int | None, refresh: float
) -> None:
    """Shows what `collect` gives for a number of filesets, every `refresh` s, until interrupted."""
    from rich.console import Console
    from rich.live import Live

    console = Console()

    def look() -> Any:
        width, height = console.size
        status = collect((limit if limit is not None else height) or None)
        if limit is None:
            status = fitting(status, width=width, height=height)
        return picture(status, width=width, bars=True)

    with Live(look(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(refresh)
            live.update(look(), refresh=True)
