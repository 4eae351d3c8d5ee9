"""What happened to filesets, as the event log has it."""

from __future__ import annotations

from sqlalchemy import func, select

from . import schema, statements
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
        with self._database.reading() as connection:
            rows = connection.execute(statements.EVENTS, {"event": event, "most": limit})
            return [Event(*tuple(row)) for row in rows]
