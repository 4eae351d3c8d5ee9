"""The journal's tables, and the rules that the database itself keeps.

`fileset` is a unit of import with its present state.  `file` has its files, with what
identifies their content.  `event` says who moved what, when and why.  `letter` is what people
are told of it.  Constraints and
triggers enforce legal transitions and uniqueness, so that no code and no second
process can get round them.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    event,
    text,
)

from .states import HELD, ON_ITS_WAY, OPEN, TRANSITIONS, State

VERSION = 10

metadata = MetaData()

_STATES = ", ".join(f"'{state}'" for state in State)
_OPEN = "state IN ({})".format(", ".join(f"'{state}'" for state in OPEN))

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    # At most one row: who works on this journal.
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("holder", Text, nullable=False),  # empty: nobody
    Column("count", BigInteger, nullable=False),
    # How often the lease has passed to another holder.
    Column("epoch", BigInteger, nullable=False, server_default="0"),
)

fileset = Table(
    "fileset",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("user", Text, nullable=False),  # OMERO user name
    Column("root", Text, nullable=False),  # directory that its files must not leave
    Column("path", Text, nullable=False),  # of its first file, absolute
    Column("state", Text, CheckConstraint(f"state IN ({_STATES})"), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("origin", Text, nullable=False),  # dropbox, or handed over by `omero fs import`
    Column("attempts", Integer, nullable=False, default=0),
    Column("refusals", Integer, nullable=False, default=0),  # in a row, by OMERO
    Column("verified", Integer, nullable=False, default=0),  # 1: OMERO was once told to import
    Column("server_fileset", BigInteger),  # Fileset id in OMERO
    Column("images", Text, nullable=False, default=""),  # ids, with commas between
    Column("reader", Text, nullable=False, server_default=""),  # class of Bio-Formats, if known
    Column("plate", Integer, nullable=False, server_default="0"),  # 1: a plate, not images
    # 1: imported, but what its sidecar says is not in OMERO yet
    Column("to_annotate", Integer, nullable=False, server_default="0"),
    # The fileset imported from this path before; the fileset that a skipped one is a copy of.
    Column("revision_of", ForeignKey("fileset.id")),
    Column("duplicate_of", ForeignKey("fileset.id")),
    Column("moved_by", Text, nullable=False, server_default=""),  # who gave it its state
    # For how long (s) a DropBox saw it wait for what its reason says, by a monotonic clock.
    Column("waited", Float, nullable=False, server_default="0"),
    Column("created", Float, nullable=False),  # s since the epoch
    Column("changed", Float, nullable=False),  # s since the epoch
    sqlite_autoincrement=True,
)
Index("fileset_by_state", fileset.c.state, fileset.c.user, fileset.c.id)
Index("fileset_by_path", fileset.c.path)
# At most one open fileset for a path, and at most one record of a Fileset of OMERO.
Index(
    "fileset_open",
    fileset.c.path,
    unique=True,
    sqlite_where=text(_OPEN),
    postgresql_where=text(_OPEN),
)
Index("fileset_in_omero", fileset.c.server_fileset, unique=True)
# For people, who ask for the newest: of each state, of a user, and of what is held up; and for
# the next that is on its way (glance.py).
Index("fileset_newest", fileset.c.state, fileset.c.changed, fileset.c.id)
Index("fileset_newest_of_user", fileset.c.user, fileset.c.state, fileset.c.changed, fileset.c.id)
Index(
    "fileset_held",
    fileset.c.user,
    fileset.c.changed,
    fileset.c.id,
    sqlite_where=text(HELD),
    postgresql_where=text(HELD),
)
Index(
    "fileset_on_its_way",
    fileset.c.state,
    fileset.c.id,
    sqlite_where=text(ON_ITS_WAY),
    postgresql_where=text(ON_ITS_WAY),
)
# For each row that goes, the database looks for rows that refer to it: through all filesets, if
# there is no index.  Few filesets refer to another one.
for _name in ("revision_of", "duplicate_of"):
    Index(
        f"fileset_{_name}",
        fileset.c[_name],
        sqlite_where=fileset.c[_name].is_not(None),
        postgresql_where=fileset.c[_name].is_not(None),
    )

file = Table(
    "file",
    metadata,
    Column("fileset", ForeignKey("fileset.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("path", Text, nullable=False),  # absolute
    Column("device", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    Column("sha1", Text),  # lower-case hex, once known
)
Index("file_by_path", file.c.path)
Index("file_by_inode", file.c.inode, file.c.device)
Index("file_by_size", file.c.size)
Index("file_by_sha1", file.c.sha1)

# The importers on other machines: each process has a row, and renews it.  Whoever sees one stand
# still for long removes it, and gives its claims back.
node = Table(
    "node",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),  # the epoch of its claims
    Column("holder", Text, nullable=False),  # as in `lease`
    Column("count", BigInteger, nullable=False),
    Column("told", Text, nullable=False, server_default=""),  # JSON: what it says of itself
    sqlite_autoincrement=True,  # so that no epoch is used again
)

# Whose turn it was last.  All importers of all machines share these turns.
turn = Table(
    "turn",
    metadata,
    Column("user", Text, primary_key=True),  # OMERO user name
    Column("number", BigInteger, nullable=False),  # of the user's last turn; it grows
)

# Who is importing a fileset, or finishes one that was imported.  A claim exists as long as an
# attempt lasts, or until nothing is left to be done.
claim = Table(
    "claim",
    metadata,
    Column("fileset", ForeignKey("fileset.id", ondelete="CASCADE"), primary_key=True),
    Column("holder", Text, nullable=False),  # as in `lease`
    # Of the lease when the claim was made; the id of the node if another machine made it.
    Column("epoch", BigInteger, nullable=False),
    Column("until", Float, nullable=False),  # s since the epoch; renewed with the lease
)

event_log = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("fileset", ForeignKey("fileset.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Float, nullable=False),  # s since the epoch
    Column("before", Text, nullable=False),  # state; empty for a new fileset
    Column("after", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("who", Text, nullable=False, server_default=""),  # a server's process, or a person
    sqlite_autoincrement=True,
)

# What people are to be told: from when it is written until it is sent, and for a while after.
letter = Table(
    "letter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("person", Text, nullable=False),  # OMERO user name; empty: the admins
    Column("kind", Text, CheckConstraint("kind IN ('digest', 'fault')"), nullable=False),
    Column(
        "state",
        Text,
        CheckConstraint("state IN ('waiting', 'sending', 'sent', 'dropped')"),
        nullable=False,
    ),
    Column("content", Text, nullable=False),  # JSON
    Column("tries", Integer, nullable=False, server_default="0"),
    # 1: it may have arrived, and nobody knows; so it is sent once more at most
    Column("doubt", Integer, nullable=False, server_default="0"),
    Column("reason", Text, nullable=False, server_default=""),  # why it is not sent yet, or never
    Column("created", Float, nullable=False),  # s since the epoch
    Column("changed", Float, nullable=False),  # s since the epoch
    sqlite_autoincrement=True,
)
Index("letter_by_state", letter.c.state, letter.c.id)

ILLEGAL = "illegal transition of a fileset"
_ALLOWED = " OR ".join(
    f"(OLD.state = '{old}' AND NEW.state IN ({', '.join(repr(str(n)) for n in new)}))"
    for old, new in TRANSITIONS.items()
    if new
)
event.listen(
    fileset,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "CREATE TRIGGER fileset_transition BEFORE UPDATE OF state ON fileset "
        f"WHEN NEW.state <> OLD.state AND NOT ({_ALLOWED}) "
        f"BEGIN SELECT RAISE(ABORT, '{ILLEGAL}'); END"
    ).execute_if(dialect="sqlite"),
)
for _statement in (
    "CREATE FUNCTION fileset_transition() RETURNS trigger LANGUAGE plpgsql AS $$ "
    f"BEGIN RAISE EXCEPTION '{ILLEGAL}'; END $$",
    "CREATE TRIGGER fileset_transition BEFORE UPDATE OF state ON fileset FOR EACH ROW "
    f"WHEN (NEW.state <> OLD.state AND NOT ({_ALLOWED})) "
    "EXECUTE FUNCTION fileset_transition()",
):
    event.listen(
        fileset,
        "after_create",
        DDL(_statement).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]
    )
# The database writes the event log, so that no transition is left out.  When a part of a
# set comes, all its parts wait for other files.  This does not count as an event: otherwise
# the log of a set would grow with the square of its parts.
WAITS_FOR = "waits for "
_ONLY_WAITS = " AND ".join(
    f"substr({row}.reason, 1, {len(WAITS_FOR)}) = '{WAITS_FOR}'" for row in ("OLD", "NEW")
)
_UPDATE_TOLD = f"NEW.state <> OLD.state OR NOT ({_ONLY_WAITS})"
_TOLD = (
    ("insert", "INSERT", "''", ""),
    ("update", "UPDATE OF state, reason", "OLD.state", _UPDATE_TOLD),
)


def _tell(before: str) -> str:
    return (
        "INSERT INTO event (fileset, at, before, after, reason, who) "
        f"VALUES (NEW.id, NEW.changed, {before}, NEW.state, NEW.reason, NEW.moved_by);"
    )


def _told_in_sqlite(name: str, when: str, before: str, only: str) -> str:
    only = f"WHEN {only} " if only else ""
    return (
        f"CREATE TRIGGER fileset_{name}_told AFTER {when} ON fileset "
        f"{only}BEGIN {_tell(before)} END"
    )


def _told_in_postgresql(name: str, when: str, only: str) -> str:
    only = f"WHEN ({only}) " if only else ""
    return (
        f"CREATE TRIGGER fileset_{name}_told AFTER {when} ON fileset "
        f"FOR EACH ROW {only}EXECUTE FUNCTION fileset_{name}_told()"
    )


_TOLD_IN_SQLITE = tuple(_told_in_sqlite(*one) for one in _TOLD)
_TOLD_IN_POSTGRESQL = tuple(
    statement
    for name, when, before, only in _TOLD
    for statement in (
        f"CREATE FUNCTION fileset_{name}_told() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN {_tell(before)} RETURN NULL; END $$",
        _told_in_postgresql(name, when, only),
    )
)
for _dialect, _statements in (("sqlite", _TOLD_IN_SQLITE), ("postgresql", _TOLD_IN_POSTGRESQL)):
    for _statement in _statements:
        event.listen(
            event_log,
            "after_create",
            DDL(_statement).execute_if(dialect=_dialect),  # type: ignore[no-untyped-call]
        )

# A DropBox may have lost the lease and not know it: its process was stopped, its machine
# suspended or its network cut.  So each transaction of a holder begins with an insert of
# its epoch into this view, and the database refuses an older epoch.
FENCE = "the lease has passed to another DropBox"
# The holder counts too: a journal that was made anew, or an older one that was put back, begins
# with smaller epochs than somebody has who still writes.
_HELD = (
    "(EXISTS (SELECT 1 FROM lease WHERE epoch = NEW.epoch AND holder = NEW.holder) OR "
    "EXISTS (SELECT 1 FROM node WHERE id = NEW.epoch AND holder = NEW.holder))"
)
_FENCE_HOLDS = {
    "sqlite": (
        "CREATE VIEW fence AS SELECT epoch, holder FROM lease",
        f"CREATE TRIGGER fence_holds INSTEAD OF INSERT ON fence WHEN NOT {_HELD} "
        f"BEGIN SELECT RAISE(ABORT, '{FENCE}'); END",
    ),
    "postgresql": (
        "CREATE VIEW fence AS SELECT epoch, holder FROM lease",
        "CREATE FUNCTION fence_holds() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN IF NOT {_HELD} THEN "
        f"RAISE EXCEPTION '{FENCE}'; END IF; RETURN NULL; END $$",
        "CREATE TRIGGER fence_holds INSTEAD OF INSERT ON fence "
        "FOR EACH ROW EXECUTE FUNCTION fence_holds()",
    ),
}
_FENCE = {
    "sqlite": (
        *_FENCE_HOLDS["sqlite"],
        "CREATE TRIGGER lease_epoch_grows BEFORE UPDATE OF epoch ON lease "
        "WHEN NEW.epoch < OLD.epoch "
        "BEGIN SELECT RAISE(ABORT, 'the epoch of a lease never goes back'); END",
    ),
    "postgresql": (
        *_FENCE_HOLDS["postgresql"],
        "CREATE FUNCTION lease_epoch_grows() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'the epoch of a lease never goes back'; END $$",
        "CREATE TRIGGER lease_epoch_grows BEFORE UPDATE OF epoch ON lease FOR EACH ROW "
        "WHEN (NEW.epoch < OLD.epoch) EXECUTE FUNCTION lease_epoch_grows()",
    ),
}
# A claim ends with its attempt, whoever ends the attempt.
_END_OF_ATTEMPT = "OLD.state = 'importing' AND NEW.state <> 'importing'"
_CLAIM = {
    "sqlite": (
        "CREATE TRIGGER claim_ends AFTER UPDATE OF state ON fileset "
        f"WHEN {_END_OF_ATTEMPT} BEGIN DELETE FROM claim WHERE fileset = OLD.id; END",
    ),
    "postgresql": (
        "CREATE FUNCTION claim_ends() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN DELETE FROM claim WHERE fileset = OLD.id; RETURN NULL; END $$",
        "CREATE TRIGGER claim_ends AFTER UPDATE OF state ON fileset FOR EACH ROW "
        f"WHEN ({_END_OF_ATTEMPT}) EXECUTE FUNCTION claim_ends()",
    ),
}
for _table, _by_dialect in ((lease, _FENCE), (claim, _CLAIM)):
    for _dialect, _statements in _by_dialect.items():
        for _statement in _statements:
            event.listen(
                _table,
                "after_create",
                DDL(_statement).execute_if(dialect=_dialect),  # type: ignore[no-untyped-call]
            )


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
_KNOWING = (
    "ANALYZE lease",  # a small table: it is only to make sqlite_stat1
    *(
        "INSERT INTO sqlite_stat1 (tbl, idx, stat) "
        f"SELECT '{table}', '{index}', '{figures}' WHERE NOT EXISTS "
        f"(SELECT 1 FROM sqlite_stat1 WHERE idx = '{index}')"
        for (table, index), figures in _STATISTICS.items()
    ),
    "ANALYZE sqlite_master",  # this connection is to know it too
)
for _statement in _KNOWING:
    event.listen(
        metadata,
        "after_create",
        DDL(_statement).execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call]
    )

# The statements that bring a journal of a version to the next one: for every database, and
# below for one of them.  The first release had journals only in SQLite.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "ALTER TABLE fileset ADD COLUMN revision_of INTEGER REFERENCES fileset (id)",
        "ALTER TABLE fileset ADD COLUMN duplicate_of INTEGER REFERENCES fileset (id)",
        "ALTER TABLE fileset ADD COLUMN moved_by TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE event ADD COLUMN who TEXT NOT NULL DEFAULT ''",
        "DROP TRIGGER fileset_insert_told",
        "DROP TRIGGER fileset_update_told",
        *_TOLD_IN_SQLITE,
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
    **{(3, dialect): (*_FENCE[dialect], *_CLAIM[dialect]) for dialect in ("sqlite", "postgresql")},
    (4, "sqlite"): ("DROP TRIGGER fileset_update_told", _TOLD_IN_SQLITE[1]),
    (4, "postgresql"): ("DROP TRIGGER fileset_update_told ON fileset", _TOLD_IN_POSTGRESQL[3]),
    (5, "sqlite"): _FENCE_HOLDS["sqlite"],
    (5, "postgresql"): ("DROP FUNCTION fence_holds()", *_FENCE_HOLDS["postgresql"]),
    (6, "sqlite"): (
        _LETTER.format(id="INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"),
        _LETTER_INDEX,
    ),
    (6, "postgresql"): (_LETTER.format(id="SERIAL PRIMARY KEY"), _LETTER_INDEX),
    (7, "sqlite"): _KNOWING,
    (8, "sqlite"): (
        _NODE.format(id="INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT"),
        "DROP TRIGGER fence_holds",
        _FENCE_HOLDS["sqlite"][1],
    ),
    (8, "postgresql"): (
        _NODE.format(id="SERIAL PRIMARY KEY"),
        _FENCE_HOLDS["postgresql"][1].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
    ),
    (9, "sqlite"): (*(one.format(user="user") for one in _FOR_PEOPLE), *_KNOWING),
    (9, "postgresql"): tuple(one.format(user='"user"') for one in _FOR_PEOPLE),
}
