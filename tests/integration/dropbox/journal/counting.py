"""How much a journal writes: what costs an fsync, and what costs a round trip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from omero_fs_plugin.dropbox.journal.journal import Journal


@dataclass
class Cost:
    """Since counting began."""

    transactions: int = 0  # that wrote
    statements: int = 0


@contextmanager
def counting(journal: Journal) -> Iterator[Cost]:
    cost = Cost()
    engine = journal._database._engine

    def executed(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        cost.statements += 1
        if statement.startswith("BEGIN IMMEDIATE") or "pg_advisory_xact_lock" in statement:
            cost.transactions += 1

    event.listen(engine, "before_cursor_execute", executed)
    try:
        yield cost
    finally:
        event.remove(engine, "before_cursor_execute", executed)
