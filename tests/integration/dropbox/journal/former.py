"""Makes a journal what it was in a former version, so that a test can bring it up again."""

from __future__ import annotations

from sqlalchemy import Connection, text

# Version -> the indexes that it made
INDEXES = {
    8: ("fileset_revision_of", "fileset_duplicate_of"),
    10: (
        *("fileset_newest", "fileset_newest_of_user", "fileset_held", "fileset_on_its_way"),
        "file_by_path",
    ),
}


def drop_indexes(connection: Connection, version: int) -> None:
    """Drops the indexes that later versions than `version` made."""
    for made_by, names in INDEXES.items():
        for name in names if made_by > version else ():
            connection.execute(text(f"DROP INDEX {name}"))
