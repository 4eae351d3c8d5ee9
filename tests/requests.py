"""Requests for monitors, for tests."""

from __future__ import annotations

from typing import Any

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.requests import MonitorType, PathMode, Request


def request_of(path: bytes = b"/data", **changed: Any) -> Request:
    """A persistent monitor that follows new directories, but for what is `changed`."""
    values: dict[str, Any] = {
        "type": MonitorType.PERSISTENT,
        "events": frozenset({EventType.CREATE, EventType.MODIFY, EventType.DELETE}),
        "mode": PathMode.FOLLOW,
        "whitelist": (),
        "blacklist": (),
        "timeout": 0.0,
        "block_size": 0,
        "ignore_sys_files": True,
        "ignore_dir_events": True,
    }
    return Request(path=path, **{**values, **changed})
