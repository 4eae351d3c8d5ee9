"""E-mail: OMERO.fs sends none."""

from __future__ import annotations

from collections.abc import Iterator

from . import Line, Subject, ok

_PREFIX = "omero.mail."


def mail(subject: Subject) -> Iterator[Line]:
    """Says that OMERO.fs sends no e-mail, whatever the settings of OMERO.server are."""
    is_set = any(key.startswith(_PREFIX) for key in subject.sources.properties)
    yield ok(
        "mail",
        "OMERO.fs sends none: `omero fs status` shows what failed"
        + (f"; {_PREFIX}* is for OMERO.server" if is_set else ""),
    )
