"""Moments as people name them on the command line.  Pure."""

from __future__ import annotations

import re
from datetime import datetime

from omero_fs_plugin.errors import ConfigurationError

_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|min|h|d)")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def past(text: str, now: float, option: str) -> float:
    """As `moment`.  Raises ConfigurationError for what is still to come, too."""
    at = moment(text, now, option)
    if at > now:
        raise ConfigurationError(
            f"{option} {text}: lies in the future, and nothing is known of that"
        )
    return at


def moment(text: str, now: float, option: str) -> float:
    """The time that `text` names, such as 2h ago, in s since the epoch.

    Raises ConfigurationError, which names the `option`.
    """
    span = _SPAN.fullmatch(text)
    if span is not None:
        # Nothing is older than 1970, and a calendar does not reach back for ever.
        return max(0.0, now - float(span[1]) * _UNITS[span[2]])
    try:
        zoned = re.sub("Z$", "+00:00", text)  # Python 3.10 does not read Z
        return datetime.fromisoformat(zoned).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(
            f"{option} {text}: must be like 30min, 2h, 7d, 2026-11-28 or 2026-11-28T14:00"
        ) from None
