"""Who may import: asks OMERO's services for users and their groups."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import omero.clients
from omero.rtypes import unwrap

import omero
from omero_fs_plugin.errors import UserError
from omero_fs_plugin.names import is_utf8, printable

ALL_GROUPS = {"omero.group": "-1"}  # the context of a call that looks into all of them
_NO_DATA = ("user", "guest")  # groups that say who may log in


@dataclass(frozen=True)
class User:
    """An OMERO user who may import."""

    id: int
    name: str
    group: str  # imports of this user go here; the default group unless another is set


_GROUPS = (
    "select e.omeName, g.name from Experimenter e "
    "left outer join e.groupExperimenterMap m left outer join m.parent g"
)


def look_up(services: Any, name: str, group: str) -> User:
    """The user called `name`, who imports into `group` or into the user's default group.

    Raises UserError if no user of that name may import, if there is no such group, or if the
    user is not a member of it.
    """
    admin = services.getAdminService()
    experimenter = _called(admin, name)
    identifier = experimenter.id.val
    groups = [unwrap(g.name) for g in admin.containedGroups(identifier)]
    if "user" not in groups:
        # OMERO gives such a user a session, and only the import fails.
        raise UserError(f"the OMERO user {name} is not active")
    if group:
        _check_group(admin, name, group, groups)
    default = group or unwrap(admin.getDefaultGroup(identifier).name)
    return User(identifier, name, default)


def _check_group(admin: Any, name: str, group: str, groups: Sequence[str]) -> None:
    """Raises UserError unless `name`, a member of `groups`, may put data into `group`."""
    into = [g for g in groups if g not in _NO_DATA]
    theirs = f"{name} is a member of {', '.join(into) or 'none that holds data'}"
    if group in into:
        return
    if group in _NO_DATA:
        raise UserError(f"the group {group} holds no data; {theirs}")
    try:
        admin.lookupGroup(group)
    except omero.ApiUsageException:
        near = difflib.get_close_matches(group, into, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        raise UserError(f"there is no OMERO group named {group}{hint}; {theirs}") from None
    raise UserError(f"{name} is not a member of the group {group}; {theirs}")


def address_of(services: Any, name: str) -> str:
    """The e-mail address of the user called `name`; empty if OMERO has none.

    Raises UserError if there is no user of that name.
    """
    experimenter = _called(services.getAdminService(), name)
    return (unwrap(experimenter.email) or "").strip()


def addresses_of_admins(services: Any) -> list[str]:
    """The e-mail addresses of OMERO's administrators who are active, without empty ones."""
    rows = services.getQueryService().projection(
        "select e.omeName, e.email, g.name from Experimenter e "
        "left outer join e.groupExperimenterMap m left outer join m.parent g",
        None,
        ALL_GROUPS,
    )
    groups: dict[tuple[str, str], set[str]] = {}
    for name, email, group in rows:
        groups.setdefault((unwrap(name), (unwrap(email) or "").strip()), set()).add(unwrap(group))
    return sorted(
        {email for (_, email), theirs in groups.items() if email and {"system", "user"} <= theirs}
    )


def active(services: Any) -> dict[str, bool]:
    """Every user's name -> whether the user is active, that is a member of the group `user`."""
    found: dict[str, bool] = {}
    for name, group in services.getQueryService().projection(_GROUPS, None, ALL_GROUPS):
        found[unwrap(name)] = found.get(unwrap(name), False) or unwrap(group) == "user"
    return found


def memberships(services: Any) -> dict[str, frozenset[str]]:
    """Every user's name -> the groups of the user that may hold data."""
    found: dict[str, set[str]] = {}
    for name, group in services.getQueryService().projection(_GROUPS, None, ALL_GROUPS):
        found.setdefault(unwrap(name), set()).add(unwrap(group))
    return {name: frozenset(groups - {None, *_NO_DATA}) for name, groups in found.items()}


def id_of(services: Any, name: str) -> int:
    """The id of the user called `name`.  Raises UserError if there is none."""
    return int(_called(services.getAdminService(), name).id.val)


def _called(admin: Any, name: str) -> Any:
    """The experimenter called `name`.  Raises UserError if there is none."""
    if not is_utf8(name):  # a directory may have any name; Ice must never be given it
        raise UserError(
            f"there is no OMERO user named {printable(name)}, for this is not valid UTF-8"
        )
    try:
        return admin.lookupExperimenter(name)
    except omero.ApiUsageException:
        raise UserError(f"there is no OMERO user named {name}") from None
