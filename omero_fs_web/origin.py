"""Where an image came from: the files that DropBox met, and what OMERO has of them.

All of it is in OMERO, so who may see the image sees it, also years later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import omero.sys
from omero.rtypes import rlong, unwrap

from omero_fs_plugin.blitz.copies import IN_PLACE, transfers_of
from omero_fs_plugin.blitz.sessions import DROPPED
from omero_fs_plugin.blitz.user_session import AGENT
from omero_fs_plugin.blitz.users import ALL_GROUPS

from .receipt import Line, lines_of


@dataclass(frozen=True)
class Origin:
    """What OMERO knows of the drop that became an image."""

    fileset: int  # in OMERO
    imported: datetime
    dropped: datetime | None  # when DropBox met the files; None: it is not noted
    ours: bool  # DropBox or `omero fs import` began it
    in_place: bool  # what was imported is what OMERO reads: there is no copy
    lines: Sequence[Line]  # the first files
    files: int  # all of them
    images: int


def origin_of(services: Any, image: int) -> Origin | None:
    """The origin of the image with this id; None if the caller sees no fileset of it."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"image": rlong(image)}
    query = services.getQueryService()

    def ask(hql: str) -> Any:
        return query.projection(hql, parameters, ALL_GROUPS)

    rows = ask(
        "select f.id, f.details.creationEvent.time from Fileset f join f.images i "
        "where i.id = :image"
    )
    if not rows:
        return None
    fileset, made = (unwrap(value) for value in rows[0])
    parameters.map["fileset"] = rlong(fileset)
    told = {
        unwrap(name): unwrap(value) or ""
        for name, value in ask(
            "select v.name, v.value from FilesetJobLink l, UploadJob u join u.versionInfo v "
            "where l.child.id = u.id and l.parent.id = :fileset"
        )
    }
    ((files,),) = ask("select count(e.id) from FilesetEntry e where e.fileset.id = :fileset")
    ((images,),) = ask("select count(i.id) from Image i where i.fileset.id = :fileset")
    return Origin(
        fileset=fileset,
        imported=datetime.fromtimestamp(made / 1000).astimezone(),
        dropped=_moment(told.get(DROPPED, "")),
        ours=told.get("client", "").split(" ")[0] == AGENT,
        in_place=transfers_of(services, [fileset]).get(fileset) in IN_PLACE,
        lines=lines_of(services, fileset, made / 1000),
        files=unwrap(files),
        images=unwrap(images),
    )


def _moment(text: str) -> datetime | None:
    """Of a time as the importer notes it.  Whoever may write to OMERO may write another text."""
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).astimezone()
    except (ValueError, OverflowError):
        return None
