"""Documents as DropBox writes them, for tests of the page."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from omero_fs_plugin.dropbox.publishing.document import parsed

NOW = datetime(2026, 11, 29, 15, 0).timestamp()  # local time: `today` is of the web host
STATES = ("waiting", "queued", "importing", "imported", "skipped", "failed")


def fileset(number: int, stand: str = "imported", **more: Any) -> dict[str, Any]:
    state = {"held up": "waiting", "settling": "waiting"}.get(stand, stand)
    return {
        "id": number,
        "files": [f"day/{number}.tif"],
        "more_files": 0,
        "size": 10,
        "state": state,
        "stand": stand,
        "reason": "",
        "remedy": "",
        "since": NOW - 60,
        "until": None,
        "progress": "",
        "images": [number] if stand == "imported" else [],
        "more_images": 0,
        "fileset": number if stand == "imported" else None,
        **more,
    }


def document(*filesets: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One that passes the check for what DropBox wrote."""
    counts = {state: sum(one["state"] == state for one in filesets) for state in STATES}
    content = {
        "format": 1,
        "user": "amy",
        "counts": counts,
        "held_up": sum(one["stand"] == "held up" for one in filesets),
        "filesets": list(filesets),
        "roots": [],
        "revision": 3,
        "written": NOW - 30,
        **more,
    }
    found = parsed(json.dumps(content))
    assert found is not None
    return found
