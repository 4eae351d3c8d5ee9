"""Who is told by DropBox, and how."""

from __future__ import annotations

from collections.abc import Iterator

from . import Line, Subject, ok, warning

_PREFIX = "omero.mail."


def mail(subject: Subject) -> Iterator[Line]:
    """Says who is told what became of files, and what is wrong in omero.mail.*.

    It sends nothing, and asks no mail server.
    """
    settings = subject.settings
    if settings.notify != "none":
        doubtful = [one for one in settings.warnings if one.key.startswith(_PREFIX)]
        for problem in doubtful:
            yield warning("mail", str(problem), f"`omero config set -- {problem.key} VALUE`")
        by = settings.notify_by[0]
        if by == "mail":
            by = f"mail, by {settings.mail.host}:{settings.mail.port} ({_PREFIX}host and port)"
        told = {"user": "users are", "admin": "admins are", "both": "users and admins are"}
        yield ok("mail", f"{told[settings.notify]} told by {by}")
        return
    is_set = any(key.startswith(_PREFIX) for key in subject.sources.properties)
    yield ok(
        "mail",
        "nobody is told of files (omero.fs.notify): `omero fs status` shows what failed"
        + (f"; {_PREFIX}* is for OMERO.server" if is_set else ""),
    )
