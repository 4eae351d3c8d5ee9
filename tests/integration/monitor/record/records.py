"""A record of monitors in a file, and what is written to it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.record.picture import Picture
from omero_fs_plugin.monitor.record.record import Record
from omero_fs_plugin.monitor.requests import MonitorType, PathMode, Request
from omero_fs_plugin.monitor.tracking.picture import State
from tests.known import grouped

CLIENT = 'name/category -t:tcp -h 127.0.0.1 -p 4061 -t 60000 "odd"'


def request(path: bytes = b"/data/odd\xff\n", **changed: object) -> Request:
    given: dict[str, object] = {
        "path": path,
        "type": MonitorType.PERSISTENT,
        "events": frozenset({EventType.CREATE, EventType.DELETE}),
        "mode": PathMode.RECURSE,
        "whitelist": (".tif", "ä"),
        "blacklist": ("scratch/",),
        "timeout": 1.5,
        "block_size": 7,
        "ignore_sys_files": True,
        "ignore_dir_events": False,
    }
    return Request(**{**given, **changed})  # type: ignore[arg-type]


def begun(record: Record, identifier: str, known: dict[bytes, State]) -> Picture:
    """A monitor that was created and started."""
    record.create(identifier, request(), CLIENT)
    picture = record.picture(identifier)
    assert picture is not None
    written = threading.Event()
    picture.begin(grouped(known), b"/data", between=lambda: None, done=written.set)
    assert written.wait(10)
    return picture


def loaded(record: Record, identifier: str) -> dict[bytes, State]:
    picture = record.picture(identifier)
    assert picture is not None
    return dict(picture.load())


def _execute(file: Path, statement: str) -> None:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute(statement)
    db.close()
