"""Users, groups and passwords: who may do what in the sandbox."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from .store import ENUMERATIONS, PRIVILEGES, TABLES, Store

# Every OMERO has these ids and names.
ROOT, GUEST = 0, 1
SYSTEM_GROUP, USER_GROUP, GUEST_GROUP = 0, 1, 2
PRIVATE, READ_ONLY, READ_ANNOTATE, READ_WRITE = "rw----", "rwr---", "rwra--", "rwrw--"

_NAME = re.compile(r"[^\W_][\w.@+ -]{0,99}", re.UNICODE)

_USER, _GROUP, _MAP = (
    TABLES[name] for name in ("Experimenter", "ExperimenterGroup", "GroupExperimenterMap")
)


class Taken(ValueError):
    """The name is taken, or a user or group cannot have it."""


@dataclass(frozen=True)
class Member:
    """One group of a user.  A user's groups are ordered: the first other than `user` is default."""

    group: int
    name: str
    owner: bool


def check_name(kind: str, name: str) -> str:
    """Gives `name`.  Raises Taken if it may not become part of a path."""
    if not _NAME.fullmatch(name) or name != name.strip():
        raise Taken(
            f"{name!r} is no {kind} name here: letters, digits and . _ @ + - are, "
            "a letter or digit first"
        )
    return name


def hash_password(password: str) -> str:
    """The hash as `scrypt$salt$hash`."""
    salt = os.urandom(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def password_fits(stored: str | None, password: str) -> bool:
    """Whether the password is right; compares in constant time.

    A user without a password cannot log in.  That of the guest is stored empty, and any fits.
    """
    if stored is None or not password:
        return False
    if not stored:
        return True
    _, salt, digest = stored.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), digest)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)


def seed(store: Store, root_password: str) -> None:
    """Makes root, guest and OMERO's own groups, unless they exist."""
    with store.begin() as db:
        if store.row(db, "Experimenter", ROOT):
            return
        for number, name in enumerate(("system", "user", "guest")):
            permissions = READ_ONLY if name == "user" else PRIVATE
            store.insert(
                db, "ExperimenterGroup", id=number, name=name, _permissions=permissions, ldap=False
            )
        for number, name in ((ROOT, "root"), (GUEST, "guest")):
            store.insert(
                db,
                "Experimenter",
                id=number,
                omeName=name,
                firstName=name,
                lastName=name,
                ldap=False,
                _password=hash_password(root_password) if number == ROOT else "",
            )
        join(store, db, ROOT, SYSTEM_GROUP, owner=True)
        join(store, db, ROOT, USER_GROUP)
        join(store, db, GUEST, GUEST_GROUP)


def create_group(
    store: Store, db: sa.Connection, name: str, permissions: str = PRIVATE, description: str = ""
) -> int:
    """Makes a group and gives its id.  Raises Taken."""
    check_name("group", name)
    if store.first(db, "ExperimenterGroup", name=name):
        raise Taken(f"there is a group {name} already")
    return store.insert(
        db,
        "ExperimenterGroup",
        name=name,
        description=description,
        _permissions=permissions,
        ldap=False,
    )


def create_user(
    store: Store, db: sa.Connection, name: str, password: str, groups: Iterable[int], **fields: Any
) -> int:
    """Makes a user and gives the id.  The first of `groups` is the default.  Raises Taken."""
    check_name("user", name)
    if store.first(db, "Experimenter", omeName=name):
        raise Taken(f"there is a user {name} already")
    values = {"firstName": name, "lastName": name, **fields}
    hashed = hash_password(password) if password else None
    user = store.insert(db, "Experimenter", omeName=name, ldap=False, _password=hashed, **values)
    for group in groups:
        join(store, db, user, group)
    return user


def join(store: Store, db: sa.Connection, user: int, group: int, *, owner: bool = False) -> None:
    """Makes `user` a member of `group`, last in the order.  Does nothing for a member."""
    if store.first(db, "GroupExperimenterMap", parent=group, child=user):
        return
    last = db.execute(sa.select(sa.func.max(_MAP.c._position)).where(_MAP.c.child == user))
    position = (last.scalar() or 0) + 1
    store.insert(
        db, "GroupExperimenterMap", parent=group, child=user, owner=owner, _position=position
    )


def leave(db: sa.Connection, user: int, group: int) -> None:
    """Ends a membership."""
    db.execute(_MAP.delete().where(_MAP.c.child == user, _MAP.c.parent == group))


def set_default_group(db: sa.Connection, user: int, group: int) -> None:
    """Puts a group first in the order of a user."""
    first = db.execute(sa.select(sa.func.min(_MAP.c._position)).where(_MAP.c.child == user))
    where = (_MAP.c.child == user, _MAP.c.parent == group)
    db.execute(_MAP.update().where(*where).values(_position=(first.scalar() or 0) - 1))


def memberships(db: sa.Connection, user: int) -> tuple[Member, ...]:
    """The groups of a user, in order."""
    select = (
        sa.select(_MAP.c.parent, _GROUP.c.name, _MAP.c.owner)
        .join(_GROUP, _GROUP.c.id == _MAP.c.parent)
        .where(_MAP.c.child == user)
        .order_by(_MAP.c._position)
    )
    return tuple(Member(group, name, bool(owner)) for group, name, owner in db.execute(select))


def default_group(members: Iterable[Member]) -> Member | None:
    """The first group of a user other than `user`, which holds no data.  None if there is none."""
    ordered = sorted(members, key=lambda m: m.group == USER_GROUP)
    return ordered[0] if ordered else None


def privileges(db: sa.Connection, user: int, members: Iterable[Member]) -> frozenset[str]:
    """What a user may do as an administrator: all, or what `restrict` left.  Others: nothing."""
    if all(m.group != SYSTEM_GROUP for m in members):
        return frozenset()
    rows = db.execute(sa.select(PRIVILEGES.c.privilege).where(PRIVILEGES.c.experimenter == user))
    given = frozenset(value for (value,) in rows)
    return given - {""} if given else frozenset(ENUMERATIONS["AdminPrivilege"])


def restrict(db: sa.Connection, user: int, only: Iterable[str]) -> None:
    """Leaves an administrator only these privileges.  With all of them the restriction ends."""
    db.execute(PRIVILEGES.delete().where(PRIVILEGES.c.experimenter == user))
    wanted = set(only)
    if wanted != set(ENUMERATIONS["AdminPrivilege"]):
        for value in wanted | {""}:  # "" marks a user who is restricted to no privilege at all
            db.execute(PRIVILEGES.insert().values(experimenter=user, privilege=value))


def user_by_name(store: Store, db: sa.Connection, name: str) -> Mapping[str, Any] | None:
    """The row of the user of that name."""
    return store.first(db, "Experimenter", omeName=name)


def set_password(store: Store, db: sa.Connection, user: int, password: str) -> None:
    """Stores a new password's hash."""
    store.update(db, "Experimenter", user, _password=hash_password(password))
