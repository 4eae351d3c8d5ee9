"""How a journal of an older release becomes one of this release.

`MIGRATIONS` has the statements for every database, `MIGRATIONS_OF` those for one of them; each is
under the version that it begins with.
"""

from __future__ import annotations

from .rules import CLAIM_ENDS, FENCE_HOLDS, GUARDS, TOLD_IN_POSTGRESQL, TOLD_IN_SQLITE
from .states import HELD, ON_ITS_WAY
from .statistics import KNOWING

# The first release had journals only in SQLite.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE fileset ADD COLUMN revision_of INTEGER REFERENCES fileset (id)",
        "ALTER TABLE fileset ADD COLUMN duplicate_of INTEGER REFERENCES fileset (id)",
        "ALTER TABLE fileset ADD COLUMN moved_by TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE event ADD COLUMN who TEXT NOT NULL DEFAULT ''",
        "DROP TRIGGER fileset_insert_told",
        "DROP TRIGGER fileset_update_told",
        *TOLD_IN_SQLITE,
    ),
    2: (
        "ALTER TABLE fileset ADD COLUMN reader TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE fileset ADD COLUMN plate INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE fileset ADD COLUMN to_annotate INTEGER NOT NULL DEFAULT 0",
    ),
    3: (
        "ALTER TABLE lease ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0",
        "CREATE TABLE claim (fileset INTEGER NOT NULL PRIMARY KEY "
        "REFERENCES fileset (id) ON DELETE CASCADE, holder TEXT NOT NULL, "
        "epoch BIGINT NOT NULL, until FLOAT NOT NULL)",
        "ALTER TABLE fileset ADD COLUMN waited FLOAT NOT NULL DEFAULT 0",
    ),
    4: (),
    5: ("DROP VIEW fence",),
    6: (),
    7: tuple(
        f"CREATE INDEX fileset_{name} ON fileset ({name}) WHERE {name} IS NOT NULL"
        for name in ("revision_of", "duplicate_of")
    ),
    8: ('CREATE TABLE turn ("user" TEXT NOT NULL PRIMARY KEY, number BIGINT NOT NULL)',),
    9: (),
}
_LETTER = (
    "CREATE TABLE letter (id {id}, person TEXT NOT NULL, "
    "kind TEXT NOT NULL CHECK (kind IN ('digest', 'fault')), "
    "state TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'dropped')), "
    "content TEXT NOT NULL, tries INTEGER DEFAULT '0' NOT NULL, "
    "doubt INTEGER DEFAULT '0' NOT NULL, reason TEXT DEFAULT '' NOT NULL, "
    "created FLOAT NOT NULL, changed FLOAT NOT NULL)"
)
_NODE = (
    "CREATE TABLE node (id {id}, holder TEXT NOT NULL, count BIGINT NOT NULL, "
    "told TEXT DEFAULT '' NOT NULL)"
)
_LETTER_INDEX = "CREATE INDEX letter_by_state ON letter (state, id)"
_FOR_PEOPLE = (
    "CREATE INDEX fileset_newest ON fileset (state, changed, id)",
    "CREATE INDEX fileset_newest_of_user ON fileset ({user}, state, changed, id)",
    f"CREATE INDEX fileset_held ON fileset ({{user}}, changed, id) WHERE {HELD}",
    f"CREATE INDEX fileset_on_its_way ON fileset (state, id) WHERE {ON_ITS_WAY}",
    "CREATE INDEX file_by_path ON file (path)",
)
MIGRATIONS_OF: dict[tuple[int, str], tuple[str, ...]] = {
    **{
        (3, dialect): (*GUARDS[dialect], *CLAIM_ENDS[dialect])
        for dialect in ("sqlite", "postgresql")
    },
    (4, "sqlite"): ("DROP TRIGGER fileset_update_told", TOLD_IN_SQLITE[1]),
    (4, "postgresql"): ("DROP TRIGGER fileset_update_told ON fileset", TOLD_IN_POSTGRESQL[3]),
    (5, "sqlite"): FENCE_HOLDS["sqlite"],
    (5, "postgresql"): ("DROP FUNCTION fence_holds()", *FENCE_HOLDS["postgresql"]),
    (6, "sqlite"): (
        _LETTER.format(id="INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"),
        _LETTER_INDEX,
    ),
    (6, "postgresql"): (_LETTER.format(id="SERIAL PRIMARY KEY"), _LETTER_INDEX),
    (7, "sqlite"): KNOWING,
    (8, "sqlite"): (
        _NODE.format(id="INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"),
        "DROP TRIGGER fence_holds",
        FENCE_HOLDS["sqlite"][1],
    ),
    (8, "postgresql"): (
        _NODE.format(id="SERIAL PRIMARY KEY"),
        FENCE_HOLDS["postgresql"][1].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
    ),
    (9, "sqlite"): (*(one.format(user="user") for one in _FOR_PEOPLE), *KNOWING),
    (9, "postgresql"): tuple(one.format(user='"user"') for one in _FOR_PEOPLE),
}
