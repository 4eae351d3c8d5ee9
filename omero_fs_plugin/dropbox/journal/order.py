"""Which of a user's queued filesets comes first, if small ones come before large ones."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, case, func, select

from . import schema

SMALL_FIRST_S = 3600.0  # none is passed over for smaller ones for longer
COMPARED = 500  # so many of the oldest are compared: a queue may be very long


def smallest(oldest: Select[Any], late: float) -> Select[Any]:
    """The id of the smallest fileset among `oldest`, ids of filesets that are queued.

    Before all of them come those that are queued since before `late` (s since the epoch), the
    oldest first.
    """
    fileset, file = schema.fileset.c, schema.file.c
    size = (
        # Not as integers: of files with holes there may be more than SQLite can add up.
        select(func.coalesce(func.sum(file.size * 1.0), 0))
        .where(file.fileset == fileset.id)
        .scalar_subquery()
    )
    order = case((fileset.changed < late, -1), else_=size)
    among = oldest.subquery()
    return (
        select(fileset.id)
        .join(among, among.c.id == fileset.id)
        .order_by(order, fileset.id)
        .limit(1)
    )
