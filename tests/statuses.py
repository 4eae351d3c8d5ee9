"""What `omero fs status` knows, made up: as ``cli/status_facts.py`` collects it, for its text."""

from __future__ import annotations

import io
from typing import Any

from omero_fs_plugin.cli.columns import columns
from omero_fs_plugin.cli.status_text import picture

EVERYONES = {
    "user": "default",
    "directory": "/OMERO/DropBox",
    "node": "",
    "layout": "{user}",
    "problem": "",
    "importer": "native: nothing in omero.fs.importArgs needs Java",
    "ignored": "",
}
AMYS = {
    "user": "amy",
    "directory": "/home/amy",
    "node": "",
    "layout": "{user}",
    "problem": "is not there",
    "importer": "java: omero.fs.importer says so",
    "ignored": "--report: omero fs status tells of failures",
}


def a_fileset(**other: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "user": "amy",
        "root": "/OMERO/DropBox/amy",
        "files": ["/OMERO/DropBox/amy/a.tif"],
        "state": "importing",
        "stand": "importing",
        "reason": "",
        "age": 12.0,
        "deadline": None,
        "remedy": "",
        "images": [],
        "plate": False,
        "progress": None,
    } | other


def a_status(*filesets: dict[str, Any], **other: Any) -> dict[str, Any]:
    stands = [fileset["stand"] for fileset in filesets]
    held, failed = stands.count("held up"), stands.count("failed")
    imported = stands.count("imported")
    return {
        "user": None,
        "chosen": False,
        "servers": {"DropBox": "active"},
        "starting": [],
        "monitors": [{"id": "m1", "node": "", "state": "started", "path": "/OMERO", "events": 3}],
        "dropbox": {
            "left./OMERO/DropBox/zak/link.tif": "a symbolic link",
            "left./OMERO/DropBox/amy/fifo.tif": "not a file",
            "left.nobody": "no OMERO user",
        },
        "watched": [AMYS, EVERYONES],
        "grouping": "Bio-Formats: found in lib/client",
        "letters": {"waiting": 0, "age": None, "reason": ""},
        "nodes": [],
        "summary": {
            "attention": held + failed,
            "failed": failed,
            "held_up": held,
            "under_way": len(filesets) - held - failed - imported,
            "imported": imported,
            "skipped": 0,
            "last_import_age": 12.0 if imported else None,
        },
        "total": len(filesets),
        "trouble": [],
        "filesets": list(filesets),
        "attention": [f for f in filesets if f["stand"] in ("failed", "held up")],
        "under_way": [f for f in filesets if f["stand"] in ("importing", "queued", "settling")],
    } | other


def on_a_terminal(status: dict[str, Any], width: int = 80, **options: bool) -> list[str]:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(picture(status, width=width, **options))
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert all(columns(line) <= width for line in lines), lines
    return lines
