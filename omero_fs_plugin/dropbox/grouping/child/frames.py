"""A child and its parent send each other frames, over a socket pair.

A frame is a length of four bytes, big-endian, and so many bytes of JSON.  The JSON is ASCII, so
a name that is not UTF-8 arrives as it was sent.
"""

from __future__ import annotations

import json
import struct
from typing import Any

_HEAD = struct.Struct(">I")
LONGEST = 24 << 20  # bytes of a frame: a hundred thousand files of a plate take 15 MiB

Frame = dict[str, Any]


def encode(frame: Frame) -> bytes:
    """The bytes of a frame.  Raises ValueError if it is too long."""
    data = json.dumps(frame).encode()
    if len(data) > LONGEST:
        raise ValueError(f"a frame of {len(data)} bytes")
    return _HEAD.pack(len(data)) + data


def decode(received: bytearray) -> Frame | None:
    """Takes the first whole frame off `received`.  None if there is none yet.

    Raises ValueError if it is not a frame.
    """
    if len(received) < _HEAD.size:
        return None
    (length,) = _HEAD.unpack_from(received)
    if length > LONGEST:
        raise ValueError(f"a frame of {length} bytes")
    end = _HEAD.size + length
    if len(received) < end:
        return None
    try:
        with memoryview(received) as view:
            frame = json.loads(str(view[_HEAD.size : end], "ascii"))
    except RecursionError as error:
        raise ValueError("a frame that is too deep") from error
    del received[:end]
    if not isinstance(frame, dict):
        raise ValueError("a frame that is no object")
    return frame
