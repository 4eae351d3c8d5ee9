"""The journal's tables.

`fileset` is a unit of import with its present state.  `file` has its files, with what
identifies their content.  `event` says who moved what, when and why.  `letter` is what people
are told of it.  What the database itself refuses is in rules.py.
"""

from __future__ import annotations

from sqlalchemy import (
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
    text,
)

from .states import HELD, ON_ITS_WAY, OPEN, State

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
