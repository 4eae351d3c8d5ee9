"""A session, and one call in it: who calls, in which group, and what the caller may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

import omero

from . import accounts
from .accounts import Member
from .store import TABLES, Store

_GROUPS = TABLES["ExperimenterGroup"]


@dataclass(eq=False)
class Session:
    """One live session.  It keeps the groups that its user had when it began."""

    uuid: str
    id: int
    user: int
    user_name: str
    group: int  # the group it works in; setSecurityContext changes it
    members: tuple[Member, ...]
    privileges: frozenset[str]
    time_to_live: int  # ms; 0: no end
    time_to_idle: int  # ms; 0: no end
    started: int  # ms since the epoch
    born: float  # s, monotonic
    used: float  # s, monotonic: the last activity
    sudoer: int | None = None
    sudoer_name: str | None = None
    agent: str = ""
    by_password: bool = False  # the user gave a password; False: somebody else opened it
    clients: int = 0
    identities: set[Any] = field(default_factory=set)  # of its servants
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def is_admin(self) -> bool:
        """Member of the group `system`, restricted or not."""
        return any(m.group == accounts.SYSTEM_GROUP for m in self.members)

    def expired(self, now: float) -> bool:
        """Whether its time to live or to idle has ended at `now` (s, monotonic)."""
        live, idle = self.time_to_live / 1000, self.time_to_idle / 1000
        return bool((live and now >= self.born + live) or (idle and now >= self.used + idle))


@dataclass(frozen=True)
class Call:
    """One call: its session, and the group it is about (-1: all that the user may see)."""

    session: Session
    group: int
    store: Store
    client: str = ""  # omero.client.uuid of the call's context

    def require_client(self) -> None:
        """Raises InternalException if the context does not say which client calls.

        omero.client puts its uuid into the implicit context.  An explicit context replaces
        the implicit one, and without the uuid OMERO does not find the holder of the client's
        objects.
        """
        if not self.client:
            raise omero.InternalException("", "", "No ServantHolder for proxy")

    @property
    def user(self) -> int:
        """The caller's experimenter id."""
        return self.session.user

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an administrator, restricted or not."""
        return self.session.is_admin

    @property
    def write_group(self) -> int:
        """The group of new objects: that of the call, or that of the session if it is -1."""
        return self.session.group if self.group == -1 else self.group

    def owns_group(self, group: int) -> bool:
        """Whether the caller is one of the owners of `group`."""
        return any(m.group == group and m.owner for m in self.session.members)

    def require(self, privilege: str) -> None:
        """Raises SecurityViolation unless the caller is an administrator with `privilege`."""
        if privilege not in self.session.privileges:
            raise security(f"{self.session.user_name} needs the privilege {privilege}")

    def require_role(self) -> None:
        """Raises SecurityViolation for an inactive user, that is one outside the group `user`."""
        names = [m.name for m in self.session.members]
        if "user" not in names and not self.is_admin:
            raise security(f"No matching roles found in [{', '.join(names)}]")

    def visible(self, table: sa.FromClause) -> sa.ColumnElement[bool]:
        """The condition for the rows this call may see, in a table with owner_id and group_id.

        In a private group members see their own rows; in other groups they see all.
        Owners of a group and administrators see everything in it.
        """
        group, owner = table.c.group_id, table.c.owner_id
        inside = sa.true() if self.group == -1 else group == self.group
        if self.is_admin:
            return inside
        shared = sa.select(_GROUPS.c.id).where(sa.func.substr(_GROUPS.c._permissions, 3, 1) == "r")
        led = [m.group for m in self.session.members if m.owner]
        readable = [accounts.USER_GROUP, *(m.group for m in self.session.members)]
        within = sa.or_(owner == self.user, group.in_(shared), group.in_(led))
        everyones = group == accounts.USER_GROUP  # OMERO's own files, seen in every context
        return sa.or_(sa.and_(inside, group.in_(readable), within), everyones)

    def may_see(self, row: Mapping[str, Any]) -> bool:
        """Whether the caller may see this row; as `visible`, but in any group."""
        group = row["group_id"]
        if self.is_admin or self.owns_group(group) or group == accounts.USER_GROUP:
            return True
        mine = any(m.group == group for m in self.session.members)
        return mine and (row["owner_id"] == self.user or self._allows(row, 2, "r"))

    def may_annotate(self, row: Mapping[str, Any]) -> bool:
        """Whether the caller may annotate this row; read-annotate groups allow it too."""
        may = self.may_change(row) or self._allows(row, 3, "aw")
        return may and not self._private_to_another(row)

    def may_link(self, row: Mapping[str, Any]) -> bool:
        """Whether the caller may put this row into a container, or others into this one.

        The rule is that of `may_change`, except that in a private group only the owner of
        the row may: neither the owners of the group nor administrators.
        """
        return self.may_change(row) and not self._private_to_another(row)

    def restrictions(self, row: Mapping[str, Any]) -> list[bool]:
        """True for each thing the caller may not do: link, edit, delete, annotate.

        This is the order of omero.constants.permissions.
        """
        may = self.may_change(row)
        return [not self.may_link(row), not may, not may, not self.may_annotate(row)]

    def may_change(self, row: Mapping[str, Any]) -> bool:
        """Whether the caller may change or delete this row.

        The owner, administrators and the group's owners may; in a read-write group all members.
        """
        group = row["group_id"]
        if row["owner_id"] == self.user or self.owns_group(group):
            return True
        if "WriteOwned" in self.session.privileges:
            return True
        return self._allows(row, 3, "w")

    def _private_to_another(self, row: Mapping[str, Any]) -> bool:
        mine = row["owner_id"] == self.user
        return not mine and self._permissions(row["group_id"]) == accounts.PRIVATE

    def _allows(self, row: Mapping[str, Any], place: int, letters: str) -> bool:
        mine = any(m.group == row["group_id"] for m in self.session.members)
        return mine and self._permissions(row["group_id"])[place] in letters

    def _permissions(self, group: int) -> str:
        with self.store.read() as db:
            row = self.store.row(db, "ExperimenterGroup", group)
        return row["_permissions"] if row else accounts.PRIVATE


def security(text: str) -> omero.SecurityViolation:
    """The exception with which OMERO refuses."""
    return omero.SecurityViolation("", "", text)


def removed(text: str) -> omero.RemovedSessionException:
    """The exception for a session that does not exist, or has ended."""
    return omero.RemovedSessionException("", "", text)
