"""The document of each user in OMERO: a comment in a private group, which no object has.

A member of a private group sees only what is the member's own, and administrators see all of it.
No other kind of group keeps a user's rows from other members.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import omero.cmd
import omero.sys
from omero.model import CommentAnnotationI, ExperimenterGroupI, ExperimenterI, PermissionsI
from omero.rtypes import rlong, rstring, unwrap

import omero
from omero_fs_plugin.errors import (
    NotDeletedError,
    ServerAwayError,
    ServerMisconfiguredError,
    UserError,
)

from .users import ALL_GROUPS

GROUP = "omero-fs"  # its members are the users who have a document
NAMESPACE = "omero.fs/drops"
SIGN = "omero.fs/alive"  # the sign of life, which every user may read
CHECK = "omero.fs/check"  # what `omero fs check` found last, which only admins may read
REQUEST = "omero.fs/request"  # what a user asks for, which only the user and admins may read
MOST_REQUESTS = 100  # of one user that are read at a time
_MOST_ASKING = 100  # users whose requests are read at a time
_MOST_REQUEST = 100  # characters: a longer one is not ours
MOST_READ = 512 * 1024  # characters: a longer text is not ours, and is left where it is
# Users may write there whatever OMERO takes.  So long texts are not even asked for: many of them
# would not fit into one message.
_OF_OURS = f"length(a.textValue) <= {MOST_READ}"
_PRIVATE = "rw----"
# An owner of a group reads and changes all that is in it, as administrators do.  So while
# somebody else owns this one, nothing is written there, and no request counts.
_OWNERS = (
    f"from GroupExperimenterMap m where m.parent.name = '{GROUP}' and m.owner = true "
    "and m.child.id not in (select s.child.id from GroupExperimenterMap s "
    "where s.parent.name = 'system')"
)
_UNOWNED = f"not exists (select m.id {_OWNERS})"
_SOME = 500  # annotations that are deleted together
_DELETE_S, _POLL_S = 60.0, 0.2


def let_in(services: Any, user: int) -> None:
    """Makes the user with this id a member of the private group, which is made if need be.

    The user's default group stays.  Raises ServerMisconfiguredError if somebody has made a group
    of that name in which members see each other's data, or has given it an owner.
    """
    admin = services.getAdminService()
    try:
        group = admin.lookupGroup(GROUP)
    except omero.ApiUsageException:
        new = ExperimenterGroupI()
        new.name, new.ldap = rstring(GROUP), omero.rtypes.rbool(False)
        new.description = rstring("What OMERO.fs tells each user.  Private: it must stay so.")
        new.details.permissions = PermissionsI(_PRIVATE)
        group = admin.getGroup(admin.createGroup(new))
    _need_private(group.details.permissions)
    _need_no_owner(services)
    if user not in [one.id.val for one in admin.containedExperimenters(group.id.val)]:
        admin.addGroups(ExperimenterI(user, False), [ExperimenterGroupI(group.id.val, False)])


def _need_private(allowed: Any) -> None:
    """Raises ServerMisconfiguredError if members of a group with these permissions see others'."""
    if allowed.isGroupRead() or allowed.isWorldRead():
        raise ServerMisconfiguredError(
            f"the group {GROUP} is not private, so nothing is published: make it private with "
            f"`omero group perms --name {GROUP} --type private`"
        )


def _need_no_owner(services: Any) -> None:
    """Raises ServerMisconfiguredError if the group has an owner who is no administrator."""
    owners = services.getQueryService().projection(
        f"select m.child.omeName {_OWNERS}", omero.sys.ParametersI(), ALL_GROUPS
    )
    names = ", ".join(sorted(str(unwrap(name)) for (name,) in owners))
    if names:
        raise ServerMisconfiguredError(
            f"the group {GROUP} is owned by {names}, who could read and change what is in it, so "
            "nothing is published: make each of them a plain member with "
            f"`omero group removeuser {GROUP} --as-owner --user-name NAME`"
        )


def rewrite(services: Any, name: str, change: Callable[[str], str | None]) -> bool:
    """Changes the document of the user called `name`, in the session of an administrator.

    False if there is none yet, if the group has an owner, or if OMERO does not let this
    administrator.  It stays the user's:
    an administrator may edit what belongs to others (the privilege WriteOwned).  Two calls are a
    fraction of what a session of the user costs.  `change` and errors: as in `replace`; and
    UserError if the user writes it just now.
    """
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(NAMESPACE))
    parameters.add("name", rstring(name))
    found = services.getQueryService().findAllByQuery(
        "select a from CommentAnnotation a where a.ns = :ns and a.details.owner.omeName = :name "
        f"and a.details.group.name = '{GROUP}' and {_OF_OURS} and {_UNOWNED} order by a.id",
        parameters.page(0, 1),
        ALL_GROUPS,
    )
    if not found:
        return False
    row = found[0]
    _need_private(row.details.permissions)
    text = change(_text(row))
    if text is not None:
        row.textValue = rstring(text)
        where = {"omero.group": str(row.details.group.id.val)}
        try:
            services.getUpdateService().saveObject(row, where)
        except omero.OptimisticLockException as error:
            raise UserError(f"{name} writes into the own document just now") from error
        except omero.SecurityViolation:  # not this administrator, or not in a private group
            return False
    return True


def replace(services: Any, user: int, change: Callable[[str], str | None]) -> None:
    """Writes the document in the session of the user with this id, in the private group.

    `change` gets the text that is there, or an empty one, and gives the new text; None: it stays.
    """
    where = services.getAdminService().getEventContext().groupName
    if where != GROUP:  # others might read it there
        raise ServerMisconfiguredError(f"OMERO gave a session in {where} instead of {GROUP}")
    found = _rows(services.getQueryService(), user)
    text = change(_text(found[0]) if found else "")
    if text is None:
        return
    row = found[0] if found else CommentAnnotationI()
    row.ns, row.textValue = rstring(NAMESPACE), rstring(text)
    services.getUpdateService().saveObject(row)


def read(services: Any, user: int) -> str:
    """The document of the user with this id; empty if the caller may see none."""
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(NAMESPACE))
    parameters.add("user", rlong(user))
    return _first(
        services,
        f"a.ns = :ns and a.details.owner.id = :user and a.details.group.name = '{GROUP}'",
        parameters,
    )


def _first(services: Any, where: str, parameters: Any) -> str:
    """The oldest text of those comments that the caller may see; empty if there is none.

    It is asked for alone: a whole row costs OMERO several times as much.
    """
    rows = services.getQueryService().projection(
        f"select a.textValue, a.id from CommentAnnotation a where {where} and {_OF_OURS} "
        "order by a.id",
        parameters.page(0, 1),
        ALL_GROUPS,
    )
    return unwrap(rows[0][0]) or "" if rows else ""


def identifiers(services: Any) -> list[int]:
    """The ids of all that is ours in OMERO, also of requests, as an administrator sees them."""
    own = _ids(services, NAMESPACE, GROUP) + _ids(services, REQUEST, GROUP)
    roles = services.getAdminService().getSecurityRoles()
    signs = _ids(services, SIGN, roles.userGroupName)
    return sorted(own + signs + _ids(services, CHECK, roles.systemGroupName))


def _ids(services: Any, namespace: str, group: str) -> list[int]:
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(namespace))
    parameters.add("group", rstring(group))
    rows = services.getQueryService().projection(
        "select a.id from CommentAnnotation a where a.ns = :ns "
        "and a.details.group.name = :group order by a.id",
        parameters,
        ALL_GROUPS,
    )
    return [int(unwrap(identifier)) for (identifier,) in rows]


def everyones(services: Any, some: int = 20) -> Iterator[tuple[int, str]]:
    """The user id and the document of everybody, as an administrator sees them.

    They are asked for `some` at a time, because together they are too large for one message.
    """
    found = _ids(services, NAMESPACE, GROUP)
    query = services.getQueryService()
    for start in range(0, len(found), some):
        parameters = omero.sys.ParametersI()
        parameters.addIds(found[start : start + some])
        texts = {
            unwrap(document): unwrap(text) or ""
            for document, text in query.projection(
                "select a.id, a.textValue from CommentAnnotation a "
                f"where a.id in (:ids) and {_OF_OURS}",
                parameters,
                ALL_GROUPS,
            )
        }
        for document, owner in query.projection(
            "select a.id, a.details.owner.id from CommentAnnotation a where a.id in (:ids) "
            "order by a.id",
            parameters,
            ALL_GROUPS,
        ):
            yield int(unwrap(owner)), texts.get(unwrap(document), "")


def show_sign(services: Any, text: str) -> str:
    """Replaces the sign of life.  It lies in the group of all users, and is an administrator's.

    Returns the one that was there; empty if there was none.
    """
    roles = services.getAdminService().getSecurityRoles()
    return _show(services, SIGN, text, roles, roles.userGroupId, roles.userGroupName)


def last_sign(services: Any, roles: Any = None) -> str:
    """The sign of life; empty if there is none.  What other users wrote there does not count.

    `roles` are those of this OMERO, where the caller has them already.
    """
    roles = roles or services.getAdminService().getSecurityRoles()
    return _first(services, *_roots(SIGN, roles, roles.userGroupName))


def show_check(services: Any, text: str) -> None:
    """Replaces what `omero fs check` found.  It lies in the administrators' group, and is root's.

    Raises ServerMisconfiguredError if that group shows its data to everybody.
    """
    admin = services.getAdminService()
    roles = admin.getSecurityRoles()
    if admin.getGroup(roles.systemGroupId).details.permissions.isWorldRead():
        raise ServerMisconfiguredError(
            f"everybody may read what is in the group {roles.systemGroupName}"
        )
    _show(services, CHECK, text, roles, roles.systemGroupId, roles.systemGroupName)


def last_check(services: Any) -> str:
    """What `omero fs check` found last; empty if there is nothing that the caller may see."""
    roles = services.getAdminService().getSecurityRoles()
    return _first(services, *_roots(CHECK, roles, roles.systemGroupName))


def _show(services: Any, namespace: str, text: str, roles: Any, group: int, name: str) -> str:
    """Replaces the text of this namespace in the group with this id and name, and returns it."""
    where, parameters = _roots(namespace, roles, name)
    found = services.getQueryService().findAllByQuery(
        f"select a from CommentAnnotation a where {where} and {_OF_OURS} order by a.id",
        parameters.page(0, 1),
        ALL_GROUPS,
    )
    before = _text(found[0]) if found else ""
    row = found[0] if found else CommentAnnotationI()
    row.ns, row.textValue = rstring(namespace), rstring(text)
    services.getUpdateService().saveObject(row, {"omero.group": str(group)})
    return before


def _roots(namespace: str, roles: Any, group: str) -> tuple[str, Any]:
    """What counts as ours in a group where others may write: a condition, and its values."""
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(namespace))
    parameters.add("root", rlong(roles.rootId))
    parameters.add("group", rstring(group))
    where = "a.ns = :ns and a.details.owner.id = :root and a.details.group.name = :group"
    return where, parameters


def ask(services: Any, text: str) -> None:
    """Writes a request of the caller, in the private group.

    Raises UserError if the caller is not in it, or has asked for MOST_REQUESTS things already.
    """
    context = services.getAdminService().getEventContext()
    if len(requests_of(services, context.userId)) >= MOST_REQUESTS:
        raise UserError("you have asked for much already: wait until DropBox has answered")
    try:
        group = services.getAdminService().lookupGroup(GROUP)
    except omero.ApiUsageException as error:
        raise UserError("DropBox has told you nothing yet, so there is nothing to ask") from error
    if group.id.val not in context.memberOfGroups:
        raise UserError("log in again: your session began before DropBox told you of your files")
    row = CommentAnnotationI()
    row.ns, row.textValue = rstring(REQUEST), rstring(text)
    services.getUpdateService().saveObject(row, {"omero.group": str(group.id.val)})


def requests_of(services: Any, user: int) -> list[tuple[int, str]]:
    """The id and text of the first MOST_REQUESTS requests of the user with this id, oldest first.

    A text that is too long is told as an empty one.
    """
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(REQUEST))
    parameters.add("user", rlong(user))
    parameters.page(0, MOST_REQUESTS)
    query = services.getQueryService()
    rows = query.projection(
        "select a.id from CommentAnnotation a where a.ns = :ns "
        f"and a.details.owner.id = :user and a.details.group.name = '{GROUP}' order by a.id",
        parameters,
        ALL_GROUPS,
    )
    found = [int(unwrap(identifier)) for (identifier,) in rows]
    if not found:
        return []
    parameters = omero.sys.ParametersI()
    parameters.addIds(found)
    rows = query.projection(
        "select a.id, a.textValue from CommentAnnotation a where a.id in (:ids) "
        f"and length(a.textValue) <= {_MOST_REQUEST}",
        parameters,
        ALL_GROUPS,
    )
    texts = {unwrap(identifier): unwrap(text) or "" for identifier, text in rows}
    return [(identifier, texts.get(identifier, "")) for identifier in found]


def asking(services: Any) -> list[tuple[int, str]]:
    """The id and name of users who ask for something, as an administrator sees them.

    Nobody while the group has an owner, who could ask in another's name.
    """
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(REQUEST))
    parameters.page(0, _MOST_ASKING)
    rows = services.getQueryService().projection(
        "select distinct a.details.owner.id, a.details.owner.omeName from CommentAnnotation a "
        f"where a.ns = :ns and a.details.group.name = '{GROUP}' and {_UNOWNED}",
        parameters,
        ALL_GROUPS,
    )
    return [(int(unwrap(user)), unwrap(name)) for user, name in rows]


def _rows(query: Any, user: int) -> list[Any]:
    """The oldest one, which is replaced; empty if there is none."""
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(NAMESPACE))
    parameters.add("user", rlong(user))
    found: list[Any] = query.findAllByQuery(
        "select a from CommentAnnotation a where a.ns = :ns and a.details.owner.id = :user "
        f"and a.details.group.name = '{GROUP}' and {_OF_OURS} order by a.id",
        parameters.page(0, 1),
    )
    return found


def _text(row: Any) -> str:
    return unwrap(row.textValue) or ""


def delete(services: Any, documents: Sequence[int]) -> None:
    """Deletes documents by their ids.

    Raises NotDeletedError if OMERO refuses, and ServerAwayError if it does not answer in 60 s.
    """
    for start in range(0, len(documents), _SOME):
        some = list(documents[start : start + _SOME])
        handle = services.submit(omero.cmd.Delete2(targetObjects={"Annotation": some}), ALL_GROUPS)
        until = time.monotonic() + _DELETE_S
        try:
            while (response := handle.getResponse()) is None:
                if time.monotonic() > until:
                    raise ServerAwayError(f"no answer within {_DELETE_S:g} s")
                time.sleep(_POLL_S)
        finally:
            handle.close()
        if isinstance(response, omero.cmd.ERR):
            raise NotDeletedError(f"OMERO did not delete users' documents: {response.name}")
