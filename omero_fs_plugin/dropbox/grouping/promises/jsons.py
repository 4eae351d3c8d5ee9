"""Indexes in JSON: Micro-Manager's ``metadata.txt`` and ``*_metadata.txt``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from omero_fs_plugin.errors import ImportRefused

from .said import LONGEST, Index, Said, at_most, fewer, promising

# As many characters as a path may have bytes, for `re` remembers each of them.
_FILE_NAME = re.compile(rb'"FileName"\s*:\s*"((?:[^"\\]|\\.){0,%d})("|)' % LONGEST, re.DOTALL)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_FRAME = re.compile(rb'"(?:FrameKey|Metadata)-[^"]{1,4096}"\s*:\s*\{')
_SUMMARY = re.compile(rb'"Summary"\s*:\s*')
_SUMMARY_BYTES = 1 << 20  # a summary has some kilobytes, and more with a list of positions
_NO_END = "its JSON has no end yet"
_LARGEST = 1 << 31  # of a count; a larger one is none


def micromanager(index: Index) -> Said:
    """Micro-Manager appends to the file while it acquires, and closes the braces at the end.

    The summary, which is written first, says how many frames are to come.
    """
    data = index.data()
    if not data.lstrip().startswith(b"{") or b'"Summary"' not in data[:4096]:
        return Said()
    names, unfinished = _names(data)
    frames = sum(1 for _ in _FRAME.finditer(data))
    if not unfinished and (frames or not names):
        unfinished = fewer(_frames(data), frames, "frames")
    return promising(names, unfinished)


def _names(data: bytes) -> tuple[list[str], str]:
    """The names in it, and what shows that it does not go on to its end."""
    # As bytes: text of all of it may take four times as much memory.
    told: dict[bytes, str] = {}
    for found in _FILE_NAME.finditer(data):
        quoted, end = found.groups()
        if not end:
            if found.end() == len(data):
                return list(told.values()), _NO_END
            raise ImportRefused("it names a file by more bytes than a path may have", final=True)
        if quoted not in told:
            try:
                name = json.loads(b'"%s"' % quoted.decode(errors="replace").encode())
            except ValueError as error:
                return list(told.values()), f"its JSON cannot be read: {error}"
            told[quoted] = str(name)
            at_most(len(told))
    return list(told.values()), "" if _closed(data) else _NO_END


def _closed(data: bytes) -> bool:
    """Whether each brace that opens is closed, and each string."""
    bare = _STRING.sub(b"", data)
    return b'"' not in bare and bare.count(b"{") == bare.count(b"}")


def _frames(data: bytes) -> int:
    """How many frames its summary promises; 0 if it does not say."""
    found = _SUMMARY.search(data, 0, 4096)
    text = data[found.end() : found.end() + _SUMMARY_BYTES] if found else b""
    try:
        summary, _ = json.JSONDecoder().raw_decode(text.decode(errors="replace"))
    except (ValueError, RecursionError):
        return 0
    if not isinstance(summary, Mapping):
        return 0
    intended = summary.get("IntendedDimensions")
    if isinstance(intended, Mapping):  # Micro-Manager 2; one file for each position
        return _product(intended, ("time", "z", "channel"))
    return _product(summary, ("Frames", "Slices", "Channels"))


def _product(counts: Mapping[str, Any], keys: tuple[str, ...]) -> int:
    """The product of the counts; 0 if it has none of them."""
    product, known = 1, False
    for key in keys:
        count = counts.get(key)
        if isinstance(count, int) and not isinstance(count, bool) and 0 < count < _LARGEST:
            product, known = product * count, True
    return product if known else 0
