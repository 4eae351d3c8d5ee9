"""Reads what OMERO.fs wrote into OMERO as JSON.  Others may write there too.  Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from omero_fs_plugin.names import encodable

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a character, if it stands alone
_LATEST_S = 2.0**35  # the year 3058: a time after that is none of ours


def content_of(text: str, form: int) -> dict[str, Any] | None:
    """The object in `text`, if its `format` is `form`; None: it is none that we wrote.

    All texts in it can be encoded.  Whoever reads it still checks each value.
    """
    found = _object(text)
    told = None if found is None else found.get("format")
    return found if type(told) is int and told == form else None


def is_newer(text: str, form: int) -> bool:
    """Whether `text` is of an OMERO.fs that is newer than this one, whose format is `form`."""
    found = _object(text)
    told = None if found is None else found.get("format")
    return type(told) is int and told > form


def is_time(value: Any) -> bool:
    """Whether `value` is a time that we could have written, in s since the epoch."""
    return type(value) in (int, float) and 0 <= value <= _LATEST_S  # not so for NaN


def loaded(text: str) -> Any:
    """As json.loads; each text in it is one that can be sent on, as `names.encodable` writes it."""
    found = json.loads(text)
    return _encodable(found) if _SURROGATE.search(text) else found


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = loaded(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(one) for one in value]
    if isinstance(value, dict):
        return {encodable(name): _encodable(one) for name, one in value.items()}
    return value
