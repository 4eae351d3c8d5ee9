"""The rules that the journal's database itself keeps.

Triggers enforce legal transitions and the fence of the lease, and write the log of events, so
that no code and no second process can get round them.
"""

from __future__ import annotations

from sqlalchemy import DDL, event

from .schema import claim, event_log, fileset, lease
from .states import TRANSITIONS

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


TOLD_IN_SQLITE = tuple(_told_in_sqlite(*one) for one in _TOLD)
TOLD_IN_POSTGRESQL = tuple(
    statement
    for name, when, before, only in _TOLD
    for statement in (
        f"CREATE FUNCTION fileset_{name}_told() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN {_tell(before)} RETURN NULL; END $$",
        _told_in_postgresql(name, when, only),
    )
)
for _dialect, _statements in (("sqlite", TOLD_IN_SQLITE), ("postgresql", TOLD_IN_POSTGRESQL)):
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
FENCE_HOLDS = {
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
GUARDS = {
    "sqlite": (
        *FENCE_HOLDS["sqlite"],
        "CREATE TRIGGER lease_epoch_grows BEFORE UPDATE OF epoch ON lease "
        "WHEN NEW.epoch < OLD.epoch "
        "BEGIN SELECT RAISE(ABORT, 'the epoch of a lease never goes back'); END",
    ),
    "postgresql": (
        *FENCE_HOLDS["postgresql"],
        "CREATE FUNCTION lease_epoch_grows() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'the epoch of a lease never goes back'; END $$",
        "CREATE TRIGGER lease_epoch_grows BEFORE UPDATE OF epoch ON lease FOR EACH ROW "
        "WHEN (NEW.epoch < OLD.epoch) EXECUTE FUNCTION lease_epoch_grows()",
    ),
}
# A claim ends with its attempt, whoever ends the attempt.
_END_OF_ATTEMPT = "OLD.state = 'importing' AND NEW.state <> 'importing'"
CLAIM_ENDS = {
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
for _table, _by_dialect in ((lease, GUARDS), (claim, CLAIM_ENDS)):
    for _dialect, _statements in _by_dialect.items():
        for _statement in _statements:
            event.listen(
                _table,
                "after_create",
                DDL(_statement).execute_if(dialect=_dialect),  # type: ignore[no-untyped-call]
            )
