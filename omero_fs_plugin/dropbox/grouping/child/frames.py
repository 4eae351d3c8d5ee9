"""What a child and its parent send each other: frames, over a socket pair.

A frame is four bytes of length, big-endian, and so many bytes of JSON.  JSON is written in ASCII,
so a name that is not UTF-8, or no Unicode at all, arrives as it was sent.
"""

from __future__ import annotations

import json
import struct
from typing import Any

_HEAD = struct.Struct(">I")
LONGEST = 24 << 20  # bytes of a frame: a hundred thousand files of a plate take 15 MiB

Frame = dict[str, Any]


def encode(frame: Frame) -> bytes:
    """A frame as it is sent.  Raises ValueError for one that is too long."""
    data = json.dumps(frame).encode()
    if len(data) > LONGEST:
        raise ValueError(f"a frame of {len(data)} bytes")
    return _HEAD.pack(len(data)) + data


def decode(received: bytearray) -> Frame | None:
    """Takes the first whole frame off `received`; None as long as there is none.

    Raises ValueError for what is no frame.
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
        frame = json.loads(received[_HEAD.size : end])
    except RecursionError as error:
        raise ValueError("a frame that is too deep") from error
    del received[:end]
    if not isinstance(frame, dict):
        raise ValueError("a frame that is no object")
    return frame
