"""Compares users' directories with OMERO's users: missing, with a wrong owner, or not usable.

Permissions are those of the user who runs this; it must be the user that OMERO.server runs
as.  It follows no link, except one that a property names itself.
"""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omero_fs_plugin.accounts import NoAnswer, account, group_name, groups, user_name
from omero_fs_plugin.config.kinds import nearest
from omero_fs_plugin.config.layout import OWNER, USER
from omero_fs_plugin.config.settings import EVERYONE, Rule
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.links import reach
from omero_fs_plugin.names import is_utf8

if TYPE_CHECKING and sys.platform != "win32":  # Windows has no accounts of this kind
    import pwd

# The user writes.  The server reads, and moves files that failed to omero.fs.quarantine.  Nobody
# else may do anything.  New files belong to the same group.
MODE = 0o2770
ABOVE_MODE = 0o755  # of the directory that they are in: everybody must be able to enter it

NOT_EXPECTED = ("root", "guest")  # OMERO's own users, who import nothing
_LONGEST = 255  # bytes in a name
_ACL = "system.posix_acl_access"


class State(str, Enum):
    """What can be wrong with a directory."""

    WELL = "ok"
    MADE = "made"
    MISSING = "missing"
    UNKNOWN = "unknown"  # of no user
    INACTIVE = "inactive"  # of a user who may not log in
    UNSAFE = "unsafe name"  # a user's name that no directory can have
    NO_DIRECTORY = "no directory"
    UNREADABLE = "unreadable"
    OWNER = "wrong owner"
    MODE = "wrong mode"


@dataclass(frozen=True)
class Finding:
    """One directory, and what is wrong with it."""

    user: str  # an OMERO user, or the name that a directory has; empty: all of them
    directory: Path
    state: State
    what: str = ""

    @property
    def well(self) -> bool:
        return self.state in (State.WELL, State.MADE)


_Ask = Callable[[str, Callable[[Any], Any]], Any]  # as compare has it


def unsafe(name: str) -> str:
    """Why there can be no directory of that name for a user; empty if there can be one."""
    if not name or "/" in name or name in (".", ".."):
        return "it is not the name of one directory"
    if name.startswith("."):
        return "names that begin with a dot are passed over"
    if not all(character.isprintable() for character in name):
        return "it has characters that cannot be shown"
    if len(name.encode()) > _LONGEST:
        return f"it has more than {_LONGEST} bytes"
    return ""


def _at_once(path: str, question: Callable[[Any], Any]) -> Any:
    return question(None)


def compare(
    rules: Sequence[Rule],
    users: Mapping[str, bool],
    ask: _Ask = _at_once,
) -> list[Finding]:
    """Every directory that is there or should be; `users`: OMERO name -> whether active.

    Those of a layout with groups are left to `groups`.

    `ask` gives or raises what a question about a path does.  It raises OSError if the disk of that
    path does not answer.
    """
    # Recurse would list the directories that are there now, which takes long and is not needed.
    places = Places([replace(rule, path_mode="Follow") for rule in rules])
    own = {rule.user for rule in rules if rule.user != EVERYONE}
    found: list[Finding] = []
    for rule in rules:
        if rule.user == EVERYONE:
            if rule.layout == USER:
                found += _everyones(rule.watch_dir, users, own, places, ask)
        else:
            found += _named(rule, users, ask)
    return found


def missing(rule: Rule, rules: Sequence[Rule], users: Mapping[str, bool]) -> list[Finding]:
    """What `compare` calls missing in `rule`, which is for everyone, among `rules`.

    Those that are there are not looked at: so this takes one listing, however many there are.
    Nothing is missing in a directory that is not there itself, nor where the owners of the files
    say whose they are.
    """
    if rule.layout == OWNER:
        return []
    places = Places([replace(one, path_mode="Follow") for one in rules])
    own = {one.user for one in rules if one.user != EVERYONE}
    found = list(_everyones(rule.watch_dir, users, own, places, _at_once, inspect=False))
    if any(not one.user for one in found):
        return []
    return [one for one in found if one.state is State.MISSING]


def _named(rule: Rule, users: Mapping[str, bool], ask: _Ask) -> Iterator[Finding]:
    """The findings for an entry of omero.fs.importUsers."""
    if rule.user not in users or not users[rule.user]:
        yield nobodys(rule.user, rule.watch_dir, users)
    yield from inspected(rule.user, rule.watch_dir, users, _reached, ask)


def _reached(directory: Path) -> os.stat_result:
    """The stat of a directory, reached as DropBox does: only over an admin's links.

    Raises OSError.
    """
    if os.open not in os.supports_dir_fd:
        return directory.stat()
    try:
        descriptor, _ = reach(str(directory))
    except NotADirectoryError:
        return directory.stat()
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _everyones(
    above: Path,
    users: Mapping[str, bool],
    own: set[str],
    places: Places,
    ask: _Ask,
    *,
    inspect: bool = True,
) -> Iterator[Finding]:
    """The findings for the subdirectories of `above`, and for those that should be there."""
    try:
        there: dict[str, bool] = ask(str(above), lambda call: listed(above))
    except FileNotFoundError:
        yield Finding("", above, State.MISSING, "all users' directories are to be in it")
        there = {}
    except NotADirectoryError:
        yield Finding("", above, State.NO_DIRECTORY, "something else is there")
        return
    except OSError as error:
        yield Finding("", above, State.UNREADABLE, f"cannot be listed: {error.strerror}")
        return
    others = {rule.watch_dir for rule in places.rules if rule.user != EVERYONE}
    for name, active in sorted(users.items()):
        why, directory = unsafe(name), above / name
        if not why and directory in others:
            continue  # it is reported with its entry of omero.fs.importUsers
        if not why and not places.enters(str(directory)):
            why = "omero.fs.blacklist or omero.fs.ignoreSysFiles has it passed over"
        expected = active and name not in own and name not in NOT_EXPECTED
        if why and expected:
            what = f"no directory can be this user's: {why}; omero.fs.importUsers may name one"
            yield Finding(name, above, State.UNSAFE, what)
        elif not why and name in there:
            if not active:
                yield nobodys(name, directory, users)
            if inspect:
                yield from inspected(name, directory, users, os.lstat, ask)
        elif not why and expected:
            yield Finding(name, directory, State.MISSING)
    for name, is_directory in sorted(there.items()):
        directory = above / name
        if name in users or name.startswith(".") or not is_directory:
            continue
        if places.enters(str(directory)) and not any(
            rule.watch_dir.is_relative_to(directory) for rule in places.rules
        ):
            yield nobodys(name, directory, users)


def listed(directory: Path) -> dict[str, bool]:
    """Name -> whether it is a directory, and no link."""
    with os.scandir(directory) as entries:
        return {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}


def nobodys(name: str, directory: Path, users: Mapping[str, bool]) -> Finding:
    if name in users:
        what = f"the OMERO user {name} is not active: nothing in it is imported"
        return Finding(name, directory, State.INACTIVE, what)
    if not is_utf8(name):
        what = "its name is not valid UTF-8, so no OMERO user has it: rename it"
        return Finding(name, directory, State.UNKNOWN, what)
    hint = meant(name, [user for user in users if user not in NOT_EXPECTED])
    what = f"there is no OMERO user named {name}{hint}: nothing in it is imported"
    return Finding(name, directory, State.UNKNOWN, what)


def meant(name: str, known: Iterable[str]) -> str:
    """Which of the `known` names somebody probably meant, for people; empty if none is like it.

    Two names may look the same: macOS writes an accent as a character of its own.
    """
    known = list(known)
    composed = unicodedata.normalize("NFC", name)
    for one in known:
        if unicodedata.normalize("NFC", one) == composed:
            return f"; {one} has the same letters, with an accent that is written in another way"
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def inspected(
    user: str,
    directory: Path,
    users: Mapping[str, bool],
    look: Callable[[Path], os.stat_result],
    ask: _Ask,
) -> list[Finding]:
    """What is wrong with a directory.  If nothing is, one finding says that it is well."""
    try:
        status, found = ask(str(directory), lambda call: _seen(user, directory, users, look))
    except FileNotFoundError:
        return [Finding(user, directory, State.MISSING)]
    except OSError as error:
        why = f"cannot be looked at: {error.strerror}"
        return [Finding(user, directory, State.UNREADABLE, why)]
    if not stat.S_ISDIR(status.st_mode):
        is_link = stat.S_ISLNK(status.st_mode)
        why = "a symbolic link, which is not followed" if is_link else "something else is there"
        return [Finding(user, directory, State.NO_DIRECTORY, why)]
    return found or [Finding(user, directory, State.WELL)]


def _seen(
    user: str,
    directory: Path,
    users: Mapping[str, bool],
    look: Callable[[Path], os.stat_result],
) -> tuple[os.stat_result, list[Finding]]:
    """All that is asked of the disk."""
    status = look(directory)
    if not stat.S_ISDIR(status.st_mode):
        return status, []
    return status, list(_permissions(user, directory, status, users))


def _permissions(
    user: str, directory: Path, status: os.stat_result, users: Mapping[str, bool]
) -> Iterator[Finding]:
    as_now = os.access in os.supports_effective_ids
    if not os.access(directory, os.R_OK | os.X_OK, effective_ids=as_now):
        why = (
            f"{user_name(os.geteuid())} cannot read it; it is watched as soon as that can be: "
            f"chgrp {group_name(os.getegid())}, chmod g+rwxs, or setfacl"
        )
        yield Finding(user, directory, State.UNREADABLE, why)
    owner = user_name(status.st_uid)
    if owner != user and owner in users and owner not in (*NOT_EXPECTED, user_name(os.geteuid())):
        why = f"it belongs to {owner}: what {owner} puts there is imported as {user}'s"
        yield Finding(user, directory, State.OWNER, why)
    elif not _writes(user, directory, status):
        if owner == user:
            yield Finding(user, directory, State.MODE, f"{user} cannot write there: chmod u+rwx")
        else:
            why = f"it belongs to {owner}, and {user} cannot write there"
            yield Finding(user, directory, State.OWNER, why)
    if status.st_mode & stat.S_IWOTH:
        why = f"everybody can write there, and import as {user}: chmod o-w"
        yield Finding(user, directory, State.MODE, why)


def _writes(user: str, directory: Path, status: os.stat_result) -> bool:
    """Whether the user's system account may write there.  True if there is none, or none is told.

    While the name service does not answer, nobody knows, and nothing is said of it.
    """
    try:
        with CALLS.resting():  # it waits for no disk
            theirs = account(user)
            if theirs is not None and theirs.pw_uid != status.st_uid:
                groups(theirs.pw_name, theirs.pw_gid)  # kept for below
        return theirs is None or _may_write(theirs, directory, status)
    except NoAnswer:
        return True


def _may_write(who: pwd.struct_passwd, directory: Path, status: os.stat_result) -> bool:
    """Whether the mode lets this account write.  True if there is an ACL; it is not read here."""
    if who.pw_uid == 0:
        return True
    with suppress(OSError, AttributeError):  # this file system or platform has no ACLs
        if _ACL in os.listxattr(directory):
            return True
    if status.st_uid == who.pw_uid:
        wanted = stat.S_IWUSR | stat.S_IXUSR
    elif status.st_gid in groups(who.pw_name, who.pw_gid):
        wanted = stat.S_IWGRP | stat.S_IXGRP
    else:
        wanted = stat.S_IWOTH | stat.S_IXOTH
    return status.st_mode & wanted == wanted


def create(findings: Sequence[Finding], users: Mapping[str, bool]) -> list[Finding]:
    """Makes the missing directories of `findings`, and returns the findings after that.

    A directory that is there already stays as it is.
    """
    after: list[Finding] = []
    for finding in findings:
        if finding.state is not State.MISSING or not users.get(finding.user, not finding.user):
            after.append(finding)
            continue
        try:
            _make(finding)
        except FileNotFoundError:
            why = f"{finding.directory.parent} is not there: make that first"
            after.append(replace(finding, what=why))
        except OSError as error:
            after.append(replace(finding, what=f"cannot be made: {error.strerror}"))
        else:
            after += _made(finding, users)
    return after


def _make(finding: Finding) -> None:
    """Makes one directory.  Raises OSError, and then leaves no directory behind.

    Root gives the directory to its user.  So no link that a user may have made may lead
    there.
    """
    name = finding.directory.name
    above, _ = reach(str(finding.directory.parent))
    try:
        os.mkdir(name, 0o700, dir_fd=above)
        try:
            made = os.open(
                name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above
            )
            try:
                os.fchmod(made, MODE if finding.user else ABOVE_MODE)
                with CALLS.resting():  # it waits for no disk
                    theirs = account(finding.user)
                if theirs is not None:
                    with suppress(PermissionError):  # then the group must be enough
                        os.fchown(made, theirs.pw_uid, -1)
            finally:
                os.close(made)
        except BaseException:
            os.rmdir(name, dir_fd=above)
            raise
    finally:
        os.close(above)


def _made(finding: Finding, users: Mapping[str, bool]) -> list[Finding]:
    """Says that the directory was made, and what may still be wrong with it."""
    status = finding.directory.lstat()
    what = (
        f"mode {stat.S_IMODE(status.st_mode):o}, "
        f"owner {user_name(status.st_uid)}, group {group_name(status.st_gid)}"
    )
    found = [Finding(finding.user, finding.directory, State.MADE, what)]
    if finding.user:
        found += _permissions(finding.user, finding.directory, status, users)
    return found
