"""What happened to filesets, as the event log has it."""

from __future__ import annotations

from sqlalchemy import func, select

from . import schema
from .records import Event
from .rows import Rows


class History(Rows):
    """The changes of state, oldest first.  The database itself writes them down."""

    def events(self, fileset: int) -> list[tuple[float, str, str, str, str]]:
        """(s since the epoch, state before, state after, reason, who), oldest first."""
        log = schema.event_log.c
        with self._database.reading() as connection:
            return [
                tuple(row)
                for row in connection.execute(
                    select(log.at, log.before, log.after, log.reason, log.who)
                    .where(log.fileset == fileset)
                    .order_by(log.id)
                )
            ]

    def last_event(self) -> int:
        """The id of the newest event; 0 if there is none."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.max(schema.event_log.c.id))) or 0

    def events_after(self, event: int, limit: int) -> list[Event]:
        """The next events of any fileset after this one, oldest first."""
        log, fileset = schema.event_log.c, schema.fileset.c
        files = (
            select(func.count())
            .select_from(schema.file)
            .where(schema.file.c.fileset == log.fileset)
            .scalar_subquery()
        )
        wanted = (
            select(
                *(log.id, log.fileset, fileset.user, fileset.root, fileset.path),
                *(log.before, log.after, log.reason, log.who),
                *(fileset.reader, files, fileset.attempts),
                *(fileset.server_fileset, fileset.images),
            )
            .select_from(schema.event_log.join(schema.fileset))
            .where(log.id > event)
            .order_by(log.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [Event(*tuple(row)) for row in connection.execute(wanted)]
