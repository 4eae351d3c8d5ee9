"""How a fileset stands, in words for people: what it is at, for how long, and what to do.  Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from omero_fs_plugin.config.settings import EVERYONE, Settings
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


class Stand(str, enum.Enum):
    """How a fileset stands.  The first two need somebody's attention."""

    FAILED = "failed"  # it could not be imported
    HELD = "held up"  # it waits for something, or is tried again
    IMPORTING = "importing"
    QUEUED = "queued"  # it is imported as soon as an importer is free
    SETTLING = "settling"  # its quiet period, or the grouping after it
    IMPORTED = "imported"
    SKIPPED = "skipped"

    def __str__(self) -> str:
        return self.value


ATTENTION = (Stand.FAILED, Stand.HELD)
UNDER_WAY = (Stand.IMPORTING, Stand.QUEUED, Stand.SETTLING)

# The reasons of a file that is not whole, as ``grouping`` gives them.
_NOT_WHOLE = (
    r"cut short|: it is empty$|not written (yet|to its end)|has no end( yet)?$|is not whole"
    r"|, and the file has \d+ bytes$|promises \d+ bytes of it|, and (\d+|none) are there$"
    r"|(names no image|does not (say|name) (yet )?.*|has none of its series)( yet)?$"
    r"|its (XML|JSON) cannot be read"
)
# The reasons of a file that others are to come for.
_NOT_THERE = r"^waits for |are not there( yet)?$"

# Who mends the files need do nothing else: DropBox meets them anew.
_BY_ITSELF = rf"{_NOT_THERE}|{_NOT_WHOLE}|and it is tried again$"

_STAYS = ": may not be removed: "  # of an original that was imported

# What a reason begins with or has in it -> what to do about it.
_REMEDIES: tuple[tuple[str, str], ...] = (
    (_STAYS, "OMERO has it: remove it, or let the server write in its directory"),
    (
        r"^cannot be (listed|looked at): (Permission denied|Operation not permitted)",
        "let the server enter and list it: chmod, or `setfacl -m u:USER:rx` there and above",
    ),
    (
        r"^cannot be moved to .*: (Permission denied|Operation not permitted)$",
        "let the server write there and in the file's directory: `ls -ld`, `lsattr`",
    ),
    (r"[Qq]uota exceeded", "a quota is used up: make room, or have it raised"),
    (r"Read-only file system", "it is mounted read-only: is that meant? `mount` tells"),
    (r"^waits for .*, which is (in its quiet period|not there)|^waits for the end of an", ""),
    (_NOT_THERE, "copy the missing files there"),
    (
        r"^held: .*OMEZarrReader",
        "an admin adds one that can read it, and restarts OMERO: docs/sets.rst",
    ),
    (
        r"omero\.fs\.ignoreSysFiles.* under way",
        "who copies it renames it at the end; if nobody copies any more, rename it",
    ),
    (r"no metadata of OME-NGFF", "if no program writes it any more, export it as OME-Zarr"),
    (_NOT_WHOLE, "copy it again if no program is writing it any more"),
    (r"omero-fs\.toml", "mend the sidecar"),
    (r"^lies in no user's directory", "move it into the directory of its user"),
    (r"does not see .* as this machine", "mount it there under the same path: docs/operations.rst"),
    (r"^waits: its files belong to", "chown them to one user"),
    (r"no account here has that number", "`getent passwd UID` tells which accounts there are"),
    (r"who is no user of OMERO", "see `omero fs users`"),
    (r"is not there$|does not answer", "is the share away? `mount` and `df` tell"),
    (r"cannot be read by the server|Permission denied", "let the server read it"),
    (r"no OMERO user|may not import|not a member|inactive", "see `omero fs users`"),
    (r"OMERO is (away|down)|cannot be reached", "is OMERO up? `omero admin diagnostics` tells"),
    (r"no space|disk is full|No space left", "make room: `omero fs check` says where"),
)


@dataclass(frozen=True)
class Standing:
    """How one fileset stands."""

    stand: Stand
    what: str  # why it is so; empty if there is nothing to say
    age: float  # s, since it came into this state, or since its reason changed
    deadline: float | None  # s from now: then it fails if nothing happens; None: never
    remedy: str  # what to do; empty: nothing, or nobody knows


def stand_of(seen: Seen) -> Stand:
    """How `seen` stands."""
    if seen.state in (State.WAITING, State.QUEUED) and seen.reason:
        return Stand.HELD
    return Stand.SETTLING if seen.state is State.WAITING else Stand(str(seen.state))


def standing(seen: Seen, settings: Settings, now: float) -> Standing:
    """How `seen` stands at `now` (s since the epoch)."""
    stand = stand_of(seen)
    what, remedy, deadline = seen.reason, "", None
    if stand is Stand.SETTLING:
        quiet = quiet_period(seen.path, settings)
        what = f"until it has been quiet for {quiet:g} s" if quiet is not None else "quiet period"
    elif stand is Stand.HELD:
        remedy = remedy_for(seen.reason)
        # `waited` is 0 until the next time that DropBox counts, which may be a minute.
        counted = seen.waited or re.search(f"{_NOT_THERE}|{_NOT_WHOLE}", seen.reason)
        if seen.state is State.WAITING and counted:
            deadline = max(0.0, settings.complete_timeout - seen.waited)
    elif stand is Stand.FAILED:
        remedy = remedy_for(seen.reason)
        if remedy and re.search(_BY_ITSELF, seen.reason):
            remedy += f", and it is tried again; or `omero fs forget {seen.id}`"
        else:
            again = f"`omero fs import --retry {seen.id}`, or `omero fs forget {seen.id}`"
            remedy = f"{remedy}, then {again}" if remedy else again
    elif _STAYS in what:
        remedy = remedy_for(what)
    elif not what and seen.revision_of is not None:
        what = f"a revision of {seen.revision_of}, whose file had other content"
    return Standing(stand, what, max(0.0, now - seen.changed), deadline, remedy)


def remedy_for(reason: str) -> str:
    """What to do about it; empty: nothing, or nobody knows."""
    return next((what for pattern, what in _REMEDIES if re.search(pattern, reason, re.DOTALL)), "")


def quiet_period(path: str, settings: Settings) -> float | None:
    """The quiet period (s) of the rule nearest to `path`; None if no rule covers it."""
    covering = [
        rule for rule in settings.rules if PurePosixPath(path).is_relative_to(str(rule.watch_dir))
    ]
    if not covering:
        return None
    return max(covering, key=lambda rule: len(str(rule.watch_dir))).quiet_period


def lasting(seconds: float) -> str:
    """A time span, as people say it."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} days"


def amount(size: float) -> str:
    """A number of bytes, as people say it."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def below(path: str, root: str) -> str:
    """`path` from the user's directory on; the whole path if it lies elsewhere."""
    top = f"{root.rstrip('/')}/"
    if path.rstrip("/") == top.rstrip("/"):
        return "."
    return path[len(top) :] if path.startswith(top) else path


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` characters, shortened in the middle: the end says most."""
    if len(text) <= width:
        return text
    if width < 8:
        return text[:width]
    ahead = (width - 3) // 3
    return f"{text[:ahead]}...{text[len(text) - (width - 3 - ahead) :]}"


def without_paths(reason: str, files: Sequence[str], root: str) -> str:
    """`reason` with names from the user's directory on, and not the fileset's own at its front."""
    for path in files[:1]:
        reason = reason.removeprefix(f"{path}: ")
    return reason.replace(f"{root.rstrip('/')}/", "")


def users_of(settings: Settings) -> set[str]:
    """The users that have a rule of their own."""
    return {rule.user for rule in settings.rules} - {EVERYONE}
