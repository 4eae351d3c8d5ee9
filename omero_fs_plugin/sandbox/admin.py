"""IAdmin: users, groups, and who the caller is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from omero.model import AdminPrivilegeI
from omero.rtypes import rlong, rstring, unwrap

import omero

from . import accounts
from .objects import Builder
from .servants import Servant
from .sessions import Call, Session, security
from .store import ENUMERATIONS, Store


def event_context(store: Store, session: Session, group: int | None = None) -> Any:
    """The user and the groups of a session, as they were when it began."""
    number = session.group if group in (None, -1) else group
    with store.read() as db:
        row = store.row(db, "ExperimenterGroup", number or 0)
    context = omero.sys.EventContext()
    context.shareId = -1
    context.sessionId, context.sessionUuid = session.id, session.uuid
    context.userId, context.userName = session.user, session.user_name
    if session.sudoer is not None:
        context.sudoerId, context.sudoerName = rlong(session.sudoer), rstring(session.sudoer_name)
    context.groupId, context.groupName = number or 0, row["name"] if row else ""
    context.isAdmin = session.is_admin
    context.adminPrivileges = sorted(session.privileges)
    context.eventId, context.eventType = -1, "User"
    context.memberOfGroups = [m.group for m in session.members]
    context.leaderOfGroups = [m.group for m in session.members if m.owner]
    context.groupPermissions = omero.model.PermissionsI(row["_permissions"] if row else "rw----")
    return context


class Admin(Servant, omero.api.IAdmin):  # type: ignore[misc]
    """Everyone may read; administrators with the privilege may change, as in OMERO."""

    def do_getEventContext(self, call: Call) -> Any:
        return event_context(self.sandbox.store, self.session, call.group)

    def do_getSecurityRoles(self, call: Call) -> Any:
        roles = omero.sys.Roles()
        roles.rootId, roles.rootName = accounts.ROOT, "root"
        roles.guestId, roles.guestName = accounts.GUEST, "guest"
        roles.systemGroupId, roles.systemGroupName = accounts.SYSTEM_GROUP, "system"
        roles.userGroupId, roles.userGroupName = accounts.USER_GROUP, "user"
        roles.guestGroupId, roles.guestGroupName = accounts.GUEST_GROUP, "guest"
        return roles

    # Reading

    def _people(self, entity: str, **equal: Any) -> list[Any]:
        """Users with their groups, or groups with their members."""
        store = self.sandbox.store
        with store.read() as db:
            build = Builder(store, db)
            found = [build.build(entity, row) for row in store.rows(db, entity, **equal)]
            for one in found:
                for link in build.attach(entity, one.id.val, "groupExperimenterMap"):
                    other = "parent" if entity == "Experimenter" else "child"
                    build.attach("GroupExperimenterMap", link.id.val, other)
        return found

    def _one(self, entity: str, **equal: Any) -> Any:
        found = self._people(entity, **equal)
        if not found:
            asked = ", ".join(f"{k}={v}" for k, v in equal.items())
            raise omero.ApiUsageException("", "", f"No such {entity.lower()}: {asked}")
        return found[0]

    def do_getExperimenter(self, call: Call, user: int) -> Any:
        return self._one("Experimenter", id=user)

    def do_lookupExperimenter(self, call: Call, name: str) -> Any:
        return self._one("Experimenter", omeName=name)

    def do_lookupExperimenters(self, call: Call) -> Any:
        return self._people("Experimenter")

    def do_getGroup(self, call: Call, group: int) -> Any:
        return self._one("ExperimenterGroup", id=group)

    def do_lookupGroup(self, call: Call, name: str) -> Any:
        return self._one("ExperimenterGroup", name=name)

    def do_lookupGroups(self, call: Call) -> Any:
        return self._people("ExperimenterGroup")

    def do_containedExperimenters(self, call: Call, group: int) -> Any:
        return [
            m.child for m in self._one("ExperimenterGroup", id=group).copyGroupExperimenterMap()
        ]

    def do_containedGroups(self, call: Call, user: int) -> Any:
        return [m.parent for m in self._one("Experimenter", id=user).copyGroupExperimenterMap()]

    def do_getDefaultGroup(self, call: Call, user: int) -> Any:
        with self.sandbox.store.read() as db:
            default = accounts.default_group(accounts.memberships(db, user))
        if default is None:
            raise omero.ApiUsageException("", "", f"The user {user} has no default group.")
        return self._one("ExperimenterGroup", id=default.group)

    def do_getMemberOfGroupIds(self, call: Call, user: Any) -> Any:
        with self.sandbox.store.read() as db:
            return [m.group for m in accounts.memberships(db, user.id.val)]

    def do_getLeaderOfGroupIds(self, call: Call, user: Any) -> Any:
        with self.sandbox.store.read() as db:
            return [m.group for m in accounts.memberships(db, user.id.val) if m.owner]

    def do_lookupLdapAuthExperimenters(self, call: Call) -> Any:
        return []  # no LDAP here

    def do_lookupLdapAuthExperimenter(self, call: Call, user: int) -> Any:
        return None

    def do_canUpdate(self, call: Call, value: Any) -> bool:
        owner, group = value.details.owner, value.details.group
        if owner is None or group is None:
            return call.is_admin
        return call.may_change({"owner_id": owner.id.val, "group_id": group.id.val})

    def do_getCurrentAdminPrivileges(self, call: Call) -> Any:
        return _privileges(self.session.privileges)

    def do_getAdminPrivileges(self, call: Call, user: Any) -> Any:
        with self.sandbox.store.read() as db:
            members = accounts.memberships(db, user.id.val)
            return _privileges(accounts.privileges(db, user.id.val, members))

    # Changing

    def _groups(self, groups: Iterable[Any]) -> list[int]:
        return [self._one("ExperimenterGroup", id=g.id.val).id.val for g in groups if g]

    def _create_user(self, new: Any, password: str, groups: list[int]) -> int:
        given = {n: unwrap(getattr(new, n)) for n in _FIELDS if unwrap(getattr(new, n)) is not None}
        store = self.sandbox.store
        try:
            with store.begin() as db:
                name = unwrap(new.omeName) or ""
                return accounts.create_user(store, db, name, password, groups, **given)
        except accounts.Taken as error:
            raise omero.ValidationException("", "", str(error)) from error

    def do_createExperimenterWithPassword(
        self, call: Call, new: Any, password: Any, default: Any, groups: Any
    ) -> int:
        call.require("ModifyUser")
        return self._create_user(new, unwrap(password) or "", self._groups([default, *groups]))

    def do_createExperimenter(self, call: Call, new: Any, default: Any, groups: Any) -> int:
        return self.do_createExperimenterWithPassword(call, new, None, default, groups)

    def do_createUser(self, call: Call, new: Any, group: str) -> int:
        call.require("ModifyUser")
        own = self._one("ExperimenterGroup", name=group).id.val
        return self._create_user(new, "", [own, accounts.USER_GROUP])

    def do_createRestrictedSystemUserWithPassword(
        self, call: Call, new: Any, privileges: Any, password: Any
    ) -> int:
        call.require("ModifyUser")
        groups = [accounts.SYSTEM_GROUP, accounts.USER_GROUP]
        user = self._create_user(new, unwrap(password) or "", groups)
        with self.sandbox.store.begin() as db:
            accounts.restrict(db, user, [unwrap(p.value) for p in privileges])
        return user

    def do_setAdminPrivileges(self, call: Call, user: Any, privileges: Any) -> None:
        call.require("ModifyUser")
        with self.sandbox.store.begin() as db:
            accounts.restrict(db, user.id.val, [unwrap(p.value) for p in privileges])

    def do_createGroup(self, call: Call, new: Any) -> int:
        call.require("ModifyGroup")
        permissions = new.details.permissions if new.details else None
        store = self.sandbox.store
        try:
            with store.begin() as db:
                return accounts.create_group(
                    store,
                    db,
                    unwrap(new.name) or "",
                    str(permissions) if permissions else accounts.PRIVATE,
                    unwrap(new.description) or "",
                )
        except accounts.Taken as error:
            raise omero.ValidationException("", "", str(error)) from error

    def _membership(self, call: Call, groups: Iterable[int]) -> sa.Connection | Any:
        if not all(call.owns_group(group) for group in groups):
            call.require("ModifyGroupMembership")
        return self.sandbox.store.begin()

    def do_addGroups(self, call: Call, user: Any, groups: Any) -> None:
        numbers = self._groups(groups)
        with self._membership(call, numbers) as db:
            for group in numbers:
                accounts.join(self.sandbox.store, db, user.id.val, group)

    def do_removeGroups(self, call: Call, user: Any, groups: Any) -> None:
        numbers = self._groups(groups)
        with self._membership(call, numbers) as db:
            for group in numbers:
                accounts.leave(db, user.id.val, group)

    def do_addGroupOwners(self, call: Call, group: Any, owners: Any) -> None:
        with self._membership(call, [group.id.val]) as db:
            for owner in owners:
                accounts.leave(db, owner.id.val, group.id.val)
                accounts.join(self.sandbox.store, db, owner.id.val, group.id.val, owner=True)

    def do_setGroupOwner(self, call: Call, group: Any, owner: Any) -> None:
        self.do_addGroupOwners(call, group, [owner])

    def do_setDefaultGroup(self, call: Call, user: Any, group: Any) -> None:
        if user.id.val != call.user:
            call.require("ModifyUser")
        with self.sandbox.store.begin() as db:
            if all(m.group != group.id.val for m in accounts.memberships(db, user.id.val)):
                raise omero.ApiUsageException("", "", "Group membership required")
            accounts.set_default_group(db, user.id.val, group.id.val)

    def _set_password(self, user: int, password: str) -> None:
        with self.sandbox.store.begin() as db:
            accounts.set_password(self.sandbox.store, db, user, password)

    def do_changePassword(self, call: Call, password: Any) -> None:
        if not self.session.by_password:  # somebody else opened the session for the user
            raise security("Bad authentication credentials for this action.")
        self._set_password(call.user, unwrap(password) or "")

    def do_changePasswordWithOldPassword(self, call: Call, old: Any, new: Any) -> None:
        store = self.sandbox.store
        with store.read() as db:
            row = store.row(db, "Experimenter", call.user)
        if row is None or not accounts.password_fits(row["_password"], unwrap(old) or ""):
            raise security("Old password is invalid")
        self._set_password(call.user, unwrap(new) or "")

    def do_changeUserPassword(self, call: Call, name: str, password: Any) -> None:
        call.require("ModifyUser")
        user = self._one("Experimenter", omeName=name)
        self._set_password(user.id.val, unwrap(password) or "")


_FIELDS = ("firstName", "middleName", "lastName", "email", "institution")


def _privileges(values: Iterable[str]) -> list[Any]:
    privileges = []
    for value in sorted(values):
        privileges.append(AdminPrivilegeI())
        privileges[-1].id = rlong(ENUMERATIONS["AdminPrivilege"].index(value))
        privileges[-1].value = rstring(value)
    return privileges
