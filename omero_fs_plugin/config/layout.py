"""omero.fs.layout: how the directories below a watched one say whose the files are.  Pure.

Rule: a file lies so deep that each name of the layout has its directory, or it is nobody's.
No user and no group is ever guessed.

With the layout OWNER no directory says it, but the file itself: the system's account that owns it
has the name of the OMERO user.  Its directories are of the user OF_OWNER until a file is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

USER = "{user}"
GROUP_USER = "{group}/{user}"
USER_GROUP = "{user}/{group}"
OWNER = "{owner}"
WITH_GROUPS = (GROUP_USER, USER_GROUP)
LAYOUTS = (USER, *WITH_GROUPS, OWNER)

# In place of a user's name: whoever owns the file.  No directory and no user can be called so.
OF_OWNER = "{owner}/"


@dataclass(frozen=True)
class Owner:
    """Whose the files of a directory are."""

    user: str
    group: str = ""  # that images go into; empty: the layout names none


def depth(layout: str) -> int:
    """How many directories lie between the watched one and a user's files."""
    return 0 if layout == OWNER else layout.count("/") + 1


def owner(layout: str, names: Sequence[str]) -> Owner | None:
    """Whose the directory is that has these names above it, its own last; None: nobody's."""
    if layout == OWNER:
        return Owner(OF_OWNER)
    if len(names) < depth(layout):
        return None
    if layout == GROUP_USER:
        return Owner(names[1], names[0])
    return Owner(names[0], names[1]) if layout == USER_GROUP else Owner(names[0])


def path_of(layout: str, user: str, group: str) -> str:
    """The path of a user's files from the watched directory; empty: they lie in it."""
    if layout == OWNER:
        return ""
    return "/".join({"{user}": user, "{group}": group}[part] for part in layout.split("/"))


def is_of(layout: str, user: str, names: Sequence[str]) -> bool:
    """Whether what has these names from the watched directory lies in a directory of `user`."""
    if layout == OWNER:
        return False  # the names do not say
    place = layout.split("/").index("{user}")
    return names[place : place + 1] == [user]


def of_user(layout: str, user: str) -> str:
    """The path of a user's directories from the watched one, for people: `*` for each group."""
    return user if layout == USER_GROUP else path_of(layout, user, "*")
