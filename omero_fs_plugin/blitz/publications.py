"""The document of each user in OMERO: a comment in a private group, which no object has.

A member of a private group sees only what is the member's own, and administrators see all of it.
No other kind of group keeps a user's rows from other members.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import omero.cmd
import omero.sys
from omero.model import CommentAnnotationI, ExperimenterGroupI, ExperimenterI, PermissionsI
from omero.rtypes import rlong, rstring, unwrap

import omero
from omero_fs_plugin.errors import ServerAwayError, ServerMisconfiguredError

from .users import ALL_GROUPS

GROUP = "omero-fs"  # its members are the users who have a document
NAMESPACE = "omero.fs/drops"
MOST_READ = 512 * 1024  # characters: a longer text is none of ours
_PRIVATE = "rw----"
_SOME = 500  # annotations that are deleted together
_DELETE_S, _POLL_S = 60.0, 0.2


def let_in(services: Any, user: int) -> None:
    """Makes the user with this id a member of the private group, which is made if need be.

    The user's default group stays.  Raises ServerMisconfiguredError if somebody has made a group
    of that name in which members see each other's data.
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
    allowed = group.details.permissions
    if allowed.isGroupRead() or allowed.isWorldRead():
        raise ServerMisconfiguredError(
            f"the group {GROUP} is not private, so nothing is published: make it private with "
            f"`omero group perms --name {GROUP} --type private`"
        )
    if user not in [one.id.val for one in admin.containedExperimenters(group.id.val)]:
        admin.addGroups(ExperimenterI(user, False), [ExperimenterGroupI(group.id.val, False)])


def replace(services: Any, user: int, change: Callable[[str], str | None]) -> None:
    """Writes the document in the session of the user with this id, in the private group.

    `change` gets the text that is there, or an empty one, and gives the new text; None: it stays.
    """
    where = services.getAdminService().getEventContext().groupName
    if where != GROUP:  # others might read it there
        raise ServerMisconfiguredError(f"OMERO gave a session in {where} instead of {GROUP}")
    found = _rows(services.getQueryService(), user, None)
    text = change(_text(found[0]) if found else "")
    if text is None:
        return
    row = found[0] if found else CommentAnnotationI()
    row.ns, row.textValue = rstring(NAMESPACE), rstring(text)
    services.getUpdateService().saveObject(row)


def read(services: Any, user: int) -> str:
    """The document of the user with this id; empty if the caller may see none."""
    found = _rows(services.getQueryService(), user, ALL_GROUPS)
    return _text(found[0]) if found else ""


def identifiers(services: Any) -> list[int]:
    """The ids of all documents, as an administrator sees them."""
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(NAMESPACE))
    rows = services.getQueryService().projection(
        "select a.id from CommentAnnotation a where a.ns = :ns "
        f"and a.details.group.name = '{GROUP}' order by a.id",
        parameters,
        ALL_GROUPS,
    )
    return [int(unwrap(identifier)) for (identifier,) in rows]


def _rows(query: Any, user: int, context: dict[str, str] | None) -> list[Any]:
    """By id, the oldest first: that is the one which is replaced."""
    parameters = omero.sys.ParametersI()
    parameters.add("ns", rstring(NAMESPACE))
    parameters.add("user", rlong(user))
    found: list[Any] = query.findAllByQuery(
        "select a from CommentAnnotation a where a.ns = :ns and a.details.owner.id = :user "
        f"and a.details.group.name = '{GROUP}' order by a.id",
        parameters,
        context,
    )
    return found


def _text(row: Any) -> str:
    text = unwrap(row.textValue) or ""
    return text if len(text) <= MOST_READ else ""


def delete(services: Any, documents: Sequence[int]) -> None:
    """Deletes documents by their ids.  Raises ServerAwayError if OMERO did not within 60 s."""
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
            raise ServerAwayError(f"OMERO did not delete users' documents: {response.name}")
