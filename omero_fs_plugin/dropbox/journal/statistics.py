"""What SQLite is told of the journal's indexes, so that it chooses well among them."""

from __future__ import annotations

from sqlalchemy import DDL, event

from .schema import metadata

# SQLite chooses between indexes by what it knows of them, and without statistics it takes a state
# for rare.  Asked for some files that wait, it then goes through all filesets that wait, each time.
# So it is told, for every journal alike (https://sqlite.org/fileformat.html, "sqlite_stat1"): rows,
# and rows on average with the same first column, first two columns, and so on.
_STATISTICS = {
    ("fileset", "fileset_by_state"): "1000000 20000 4000 1",
    ("fileset", "fileset_by_path"): "1000000 2",
    ("fileset", "fileset_in_omero"): "1000000 1",
    ("fileset", "fileset_newest"): "1000000 20000 2 1",
    ("fileset", "fileset_newest_of_user"): "1000000 20000 4000 2 1",
    ("fileset", "fileset_held"): "1000 100 2 1",
    ("fileset", "fileset_on_its_way"): "1000 500 1",
    ("file", "file_by_path"): "1000000 2",
    ("file", "file_by_inode"): "1000000 2 1",
    ("file", "file_by_sha1"): "1000000 2",
    ("file", "file_by_size"): "1000000 100",
    ("event", "ix_event_fileset"): "3000000 3",
}
KNOWING = (
    "ANALYZE lease",  # a small table: it is only to make sqlite_stat1
    *(
        "INSERT INTO sqlite_stat1 (tbl, idx, stat) "
        f"SELECT '{table}', '{index}', '{figures}' WHERE NOT EXISTS "
        f"(SELECT 1 FROM sqlite_stat1 WHERE idx = '{index}')"
        for (table, index), figures in _STATISTICS.items()
    ),
    "ANALYZE sqlite_master",  # this connection is to know it too
)
for _statement in KNOWING:
    event.listen(
        metadata,
        "after_create",
        DDL(_statement).execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call]
    )
