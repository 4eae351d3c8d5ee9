"""Who we are, and which user OMERO.server runs as: each user may read other files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from . import Line, Subject, ok, warning

if sys.platform != "win32":  # Windows has no accounts of this kind
    import pwd


def who(subject: Subject) -> Iterator[Line]:
    """Whether we are the user that OMERO.server runs as: the owner of its files."""
    there = subject.omerodir / "var"
    there = there if there.exists() else subject.omerodir / "etc"
    owner, me = there.stat().st_uid, os.geteuid()
    if owner == me:
        yield ok("user", f"run as {_name(me)}, to whom {there} belongs")
    else:
        yield warning(
            "user",
            f"run as {_name(me)}, but OMERO.server's files belong to {_name(owner)}: "
            f"these lines say what {_name(me)} may read and write",
            f"run this as {_name(owner)}",
        )


def name_of(path: Path) -> str:
    """The owner of `path`: the name, or the number if it has no name."""
    return _name(path.stat().st_uid)


def _name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
