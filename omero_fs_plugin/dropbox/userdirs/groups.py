"""As `directories`, for a layout with groups: a directory for each user in each group of the user.

Rule: a directory is expected only for a user who is a member of its group.  One that fits no
user or no group is told, and nothing in it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omero_fs_plugin.config.layout import GROUP_USER, WITH_GROUPS, depth, owner, path_of
from omero_fs_plugin.config.settings import EVERYONE, Rule
from omero_fs_plugin.dropbox.places import Places

from .directories import NOT_EXPECTED, Finding, State, inspected, listed, meant, nobodys, unsafe

_Ask = Callable[[str, Callable[[Any], Any]], Any]  # as directories.compare has it
_Groups = Mapping[str, frozenset[str]]  # OMERO user -> the groups of the user that may hold data


def has_groups(rules: Sequence[Rule]) -> bool:
    """Whether a rule for everyone has a layout with groups."""
    return any(rule.user == EVERYONE and rule.layout in WITH_GROUPS for rule in rules)


def with_groups(
    rules: Sequence[Rule], users: Mapping[str, bool], groups: _Groups, ask: _Ask
) -> list[Finding]:
    """As `directories.compare`, for the rules whose layout has groups, and for no others."""
    # Recurse would list the directories that are there now, which takes long and is not needed.
    places = Places([replace(rule, path_mode="Follow") for rule in rules])
    found: list[Finding] = []
    for rule in rules:
        if has_groups([rule]):
            found += _Compared(rule, places, users, groups, ask).findings()
    return found


def missing_with_groups(
    rule: Rule, rules: Sequence[Rule], users: Mapping[str, bool], groups: _Groups
) -> list[Finding]:
    """What is missing in `rule`, which is for everyone; those above come before those below.

    Nothing is missing in a directory that is not there itself.
    """
    places = Places([replace(one, path_mode="Follow") for one in rules])

    def at_once(path: str, question: Callable[[Any], Any]) -> Any:
        return question(None)

    compared = _Compared(rule, places, users, groups, at_once)
    found = compared.findings(inspect=False)
    if any(one.directory == rule.watch_dir for one in found):
        return []
    return [one for one in found if one.state is State.MISSING]


class _Compared:
    """One rule's directories, on the disk and as they should be."""

    def __init__(
        self,
        rule: Rule,
        places: Places,
        users: Mapping[str, bool],
        groups: _Groups,
        ask: _Ask,
    ) -> None:
        self._rule, self._places = rule, places
        self._users, self._groups, self._ask = users, groups, ask
        self._names = {name for of_user in groups.values() for name in of_user}

    def findings(self, *, inspect: bool = True) -> list[Finding]:
        """All of them; with `inspect` also whether those that are there can be used."""
        found: list[Finding] = []
        there = self._there(found)
        if there is None:
            return found
        found += self._missing(there)
        for path in sorted(there):
            if path.count("/") + 1 == depth(self._rule.layout):
                found += self._of(path, inspect=inspect)
            elif not self._fits(path):
                found.append(self._unfit(path))
        return found

    def _there(self, found: list[Finding]) -> set[str] | None:
        """The directories of both levels, by their paths below; None if none can be listed."""
        top = self._rule.watch_dir
        names = self._listed(top, found)
        if names is None:
            return None
        there = set(names)
        for name in names:
            there |= {f"{name}/{one}" for one in self._listed(top / name, found) or ()}
        return {path for path in there if self._places.enters(str(top / path))}

    def _listed(self, directory: Path, found: list[Finding]) -> list[str] | None:
        def look(call: Any) -> dict[str, bool]:
            return listed(directory)

        try:
            names: dict[str, bool] = self._ask(str(directory), look)
        except FileNotFoundError:
            what = "all users' directories are to be in it"
            found.append(Finding("", directory, State.MISSING, what))
        except NotADirectoryError:
            found.append(Finding("", directory, State.NO_DIRECTORY, "something else is there"))
        except OSError as error:
            why = f"cannot be listed: {error.strerror}"
            found.append(Finding("", directory, State.UNREADABLE, why))
        else:
            return [name for name, is_one in names.items() if is_one and not name.startswith(".")]
        return None

    def _missing(self, there: set[str]) -> Iterator[Finding]:
        own = {rule.user for rule in self._places.rules if rule.user != EVERYONE}
        layout, told = self._rule.layout, set(there)
        for user, active in sorted(self._users.items()):
            if not active or user in own or user in NOT_EXPECTED:
                continue
            for group in sorted(self._groups.get(user, ())):
                path = path_of(layout, user, group)
                if path in there:
                    continue
                if why := self._impossible(user, group, path):
                    yield Finding(user, self._rule.watch_dir, State.UNSAFE, why)
                    continue
                above = path.partition("/")[0]
                if above not in told:
                    told.add(above)
                    of = f"of the group {group}" if layout == GROUP_USER else ""
                    whose = "" if layout == GROUP_USER else user
                    yield Finding(whose, self._rule.watch_dir / above, State.MISSING, of)
                yield Finding(user, self._rule.watch_dir / path, State.MISSING)

    def _impossible(self, user: str, group: str, path: str) -> str:
        """Why there can be no such directory; empty if there can be one."""
        for what, name in (("user", user), ("group", group)):
            if why := unsafe(name):
                return f"no directory can be of the {what} {name}: {why}"
        if not self._places.enters(str(self._rule.watch_dir / path)):
            why = "omero.fs.blacklist or omero.fs.ignoreSysFiles has it passed over"
            return f"no directory can be {path}: {why}"
        return ""

    def _of(self, path: str, *, inspect: bool) -> Iterator[Finding]:
        whose = owner(self._rule.layout, path.split("/"))
        if whose is None:
            return
        user, group, directory = whose.user, whose.group, self._rule.watch_dir / path
        if not self._fits(path.partition("/")[0]):
            return  # the one above was told
        if not self._users.get(user):
            yield nobodys(user, directory, self._users)
        elif group not in self._groups.get(user, ()):
            what = (
                f"{user} is not a member of the group {group}"
                if group in self._names
                else _no_group(group, self._names)
            )
            yield Finding(user, directory, State.UNKNOWN, f"{what}: nothing in it is imported")
        if inspect and user in self._users:
            yield from inspected(user, directory, self._users, os.lstat, self._ask)

    def _fits(self, name: str) -> bool:
        """Whether a directory of the first level is of a user, or a group, of OMERO."""
        by_group = self._rule.layout == GROUP_USER
        return name in (self._names if by_group else self._users)

    def _unfit(self, name: str) -> Finding:
        directory = self._rule.watch_dir / name
        if self._rule.layout != GROUP_USER:
            return nobodys(name, directory, self._users)
        what = f"{_no_group(name, self._names)}: nothing in it is imported"
        return Finding(name, directory, State.UNKNOWN, what)


def _no_group(name: str, groups: set[str]) -> str:
    return f"no user of OMERO is a member of a group named {name}{meant(name, sorted(groups))}"
