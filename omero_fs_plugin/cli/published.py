"""What `omero fs status` and `explain` show where no journal is within reach: OMERO's document."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from omero_fs_plugin.dropbox.situation import lasting
from omero_fs_plugin.errors import ConfigurationError, ServerAwayError, UserError
from omero_fs_plugin.names import printable

from .columns import Line
from .terminal import at

_LOGIN = ("server", "user", "key")  # who names one of these asks OMERO, and no journal here
_SHOWN = 20  # filesets
OTHERS = "those of others only they may ask for: `omero -u NAME fs explain`"
_QUIET_S = 3600.0  # after so long it is said that nothing was heard


def is_asked(args: Any) -> bool:
    """Whether OMERO is to be asked, because the command says where, or as whom, to log in."""
    return any(getattr(args, name, None) for name in _LOGIN)


def fetch(ctx: Any, args: Any, user: str | None) -> dict[str, Any]:
    """The document of `user`, or of who is logged in.

    Raises UserError if OMERO shows none, and ServerAwayError.
    """
    from omero_fs_plugin.blitz.publications import read
    from omero_fs_plugin.blitz.users import id_of
    from omero_fs_plugin.blitz.verdicts import server_errors
    from omero_fs_plugin.dropbox.publishing.document import is_newer, parsed

    client = ctx.conn(args)
    if client is None:
        raise ServerAwayError("no session on OMERO: see `omero login`")
    with server_errors("reading the document of OMERO.fs"):
        services = client.getSession()
        context = services.getAdminService().getEventContext()
        name = user or context.userName
        identifier = context.userId if name == context.userName else id_of(services, name)
        text = read(services, identifier)
    found = parsed(text)
    if found is None and is_newer(text):
        raise UserError("DropBox there is newer than this OMERO.fs: update omero-fs-plugin here")
    if found is None:
        raise UserError(
            f"OMERO shows you no document of OMERO.fs for {printable(name)}: nothing was dropped, "
            "omero.fs.publishInterval is off there, or you may not see it. After the first one, "
            "log in again: a session keeps the groups that it began with"
        )
    return found


def fileset(document: dict[str, Any], wanted: str) -> dict[str, Any]:
    """The fileset with this id, or the latest with this file.  Raises ConfigurationError."""
    for one in document["filesets"]:
        if wanted == str(one["id"]) or wanted in one["files"]:
            found: dict[str, Any] = one
            return found
    raise ConfigurationError(
        f"{printable(wanted)}: your latest {len(document['filesets'])} filesets have no such id or "
        f"file; files are named from your directory on, and {OTHERS}"
    )


def lines(document: dict[str, Any], now: float, limit: int | None) -> Iterator[Line]:
    """The document for people.  `now` is in s since the epoch."""
    counts = document["counts"]
    needing = counts["failed"] + document["held_up"]
    under_way = counts["waiting"] + counts["queued"] + counts["importing"] - document["held_up"]
    yield (
        f"{needing} need attention, {under_way} under way, {counts['imported']} imported, "
        f"{counts['skipped']} skipped"
    )
    age = max(0.0, now - document["written"])
    told = f"told {lasting(age)} ago, by OMERO"
    yield f"{told}; nothing has changed since, or DropBox is down" if age > _QUIET_S else told
    for root in document["roots"]:
        if root["trouble"]:
            yield (at(root["directory"]), f": {printable(root['trouble'])}")
    for one in document["filesets"][:limit]:
        yield ""
        yield from lines_of(one)


def lines_of(one: dict[str, Any]) -> Iterator[Line]:
    """One fileset for people."""
    first = at(one["files"][0] if one["files"] else "")
    more = len(one["files"]) - 1 + one["more_files"]
    and_more = f" and {more} more" if more > 0 else ""
    yield (f"{one['id']}  {printable(one['stand'])}  ", first, and_more)
    since = datetime.fromtimestamp(one["since"]).astimezone().isoformat(" ", "minutes")
    yield f"    since {since}"
    for name in ("reason", "progress"):
        if one[name]:
            yield f"    {printable(one[name])}"
    if one["images"]:
        yield f"    Image:{','.join(map(str, one['images']))}"
    if one["remedy"]:
        yield f"    to do: {printable(one['remedy'])}"


def number_of(limit: int | None) -> int | None:
    """How many filesets: `limit` if given (0: all)."""
    return _SHOWN if limit is None else limit or None
