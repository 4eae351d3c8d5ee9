"""docs/status-80x24.txt: what `omero fs status --user amy` shows on a terminal of 80 columns.

It is drawn by the command's own code, from filesets that are made up here: `make pictures`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from omero_fs_plugin.cli.status_text import picture

SCREEN = Path(__file__).parent.parent / "docs" / "status-80x24.txt"
WIDTH = 80  # columns
_ROOT = "/OMERO/DropBox/amy"


def _fileset(number: int, stand: str, file: str, **more: Any) -> dict[str, Any]:
    """As status_facts has one."""
    known: dict[str, Any] = {
        "id": number,
        "user": "amy",
        "root": _ROOT,
        "files": [f"{_ROOT}/{file}"],
        "state": stand,
        "stand": stand,
        "reason": "",
        "age": 12.0,
        "deadline": None,
        "remedy": "",
        "images": [],
        "plate": False,
        "progress": None,
    }
    return known | more


FILESETS = (
    _fileset(
        41, "failed", "2026-11-28 mice/stack 7.tif", age=7300.0,
        reason=f"{_ROOT}/2026-11-28 mice/stack 7.tif: it is cut short: it has 1048576 bytes",
        remedy="copy it again, or `omero fs forget 41`",
    ),
    _fileset(
        44, "held up", "plate 3/plate.companion.ome", age=600.0,
        reason=f"waits for {_ROOT}/plate 3/B07.ome.tif", deadline=85_800.0,
        remedy="copy the missing files there",
    ),
    _fileset(
        46, "importing", "overnight.lif",
        progress={"done": 2_500_000_000, "total": 10_000_000_000, "rate": 5e7, "left": 150.0},
    ),
    _fileset(47, "settling", "live.nd2", reason="until it has been quiet for 60 s", age=5.0),
    _fileset(45, "imported", "cells/cell 12.czi", images=[3012], age=95.0),
    _fileset(43, "imported", "cells/cell 11.czi", images=[3008, 3009], age=230.0),
)  # fmt: skip


def screen() -> str:
    """The screen."""
    from rich.console import Console

    status: dict[str, Any] = {
        "user": "amy",
        "chosen": False,
        "servers": {"FSServer": "active", "DropBox": "active"},
        "monitors": [],
        "dropbox": {},
        "watched": [],
        "grouping": "",
        "letters": {"waiting": 0, "age": None, "reason": ""},
        "nodes": [],
        "summary": {
            "attention": 2,
            "failed": 1,
            "held_up": 1,
            "under_way": 2,
            "imported": 2,
            "skipped": 0,
            "last_import_age": 95.0,
        },
        "total": len(FILESETS),
        "trouble": [],
        "filesets": list(FILESETS),
        "attention": [one for one in FILESETS if one["stand"] in ("failed", "held up")],
        "under_way": [one for one in FILESETS if one["stand"] in ("importing", "settling")],
    }
    console = Console(file=io.StringIO(), width=WIDTH, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(picture(status, width=WIDTH))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def main() -> None:
    """Writes it."""
    SCREEN.write_text(screen(), encoding="utf-8")


if __name__ == "__main__":
    main()
