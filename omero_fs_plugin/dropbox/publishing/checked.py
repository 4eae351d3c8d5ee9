"""What `omero fs check` found last, for administrators who are far from the server.  Pure.

The command writes it into OMERO itself, if it is asked to: DropBox may be what does not run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from omero_fs_plugin.dropbox.situation import shortened

from .written import content_of, is_time

_FORMAT = 1  # readers refuse another one
LEVELS = ("error", "warning", "ok")  # the worst first
MOST_LINES = 500  # the others are counted
MOST_BYTES = 200_000  # of the whole text
_ABOUT, _WHAT = 200, 600  # characters
_MOST_HOST = 200


@dataclass(frozen=True)
class Found:
    """One line of the check."""

    level: str  # of LEVELS
    about: str
    what: str
    remedy: str  # empty: nothing is to be done


@dataclass(frozen=True)
class Checked:
    """The output of one `omero fs check`."""

    at: float  # s since the epoch, by the clock of that machine
    host: str
    version: str  # of OMERO.fs
    lines: Sequence[Found]  # the worst first
    left_out: int  # lines that found no room

    def number(self, level: str) -> int:
        """Lines of this level."""
        return sum(one.level == level for one in self.lines)


def text_of(lines: Sequence[Found], *, at: float, host: str, version: str) -> str:
    """As it is written: at most MOST_LINES, the worst first, and about MOST_BYTES of ASCII."""
    told: list[str] = []
    left = MOST_BYTES
    for one in sorted(lines, key=lambda one: LEVELS.index(one.level)):  # equals keep their order
        cut = Found(
            one.level,
            shortened(one.about, _ABOUT),
            shortened(one.what, _WHAT),
            shortened(one.remedy, _WHAT),
        )
        line = _json(asdict(cut))
        left -= len(line) + 1
        if left < 0 or len(told) == MOST_LINES:
            break
        told.append(line)
    about = {"format": _FORMAT, "at": round(at, 1), "host": host, "version": version}
    head = _json({**about, "left_out": len(lines) - len(told)})
    return f'{head[:-1]},"lines":[{",".join(told)}]}}'


def parsed(text: str) -> Checked | None:
    """The output in `text`; None if it is none that we wrote."""
    found = content_of(text, _FORMAT)
    if found is None or not is_time(found.get("at")):
        return None
    left_out, lines = found.get("left_out"), found.get("lines")
    if type(left_out) is not int or left_out < 0 or not isinstance(lines, list):
        return None
    read = [_line(one) for one in lines[:MOST_LINES]]
    if None in read:
        return None
    host, version = _text(found.get("host")), _text(found.get("version"))
    at = float(found["at"])
    return Checked(at, host, version, [one for one in read if one is not None], left_out)


def _json(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def _line(one: Any) -> Found | None:
    if not isinstance(one, Mapping) or one.get("level") not in LEVELS:
        return None
    names = ("level", "about", "what", "remedy")
    return Found(*(_text(one.get(name), _WHAT) for name in names))


def _text(value: object, most: int = _MOST_HOST) -> str:
    return value[:most] if isinstance(value, str) else ""
