"""What a client of FSServer knows, as tests write it: path -> state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from omero_fs_plugin.monitor.tracking.picture import Known, State, split


def grouped(known: Mapping[bytes, State]) -> Iterator[Known]:
    """The same by directory, as tracking.picture.snapshot gives it."""
    found: dict[bytes, dict[bytes, State]] = {}
    for path, state in known.items():
        above, name = split(path)
        found.setdefault(above, {})[name] = state
    return iter(found.items())
