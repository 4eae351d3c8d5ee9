"""Which user a file belongs to, and its settings: omero.fs.importUsers applied to paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.config.settings import EVERYONE, Rule
from omero_fs_plugin.filters import Filter


@dataclass(frozen=True)
class Place:
    """What holds for the files of one directory."""

    rule: Rule
    user: str
    root: str  # the directory that no file of the user may leave
    passed_over: bool  # by omero.fs.pathMode or omero.fs.blacklist


@dataclass(frozen=True)
class _Watched:
    rule: Rule
    directory: str
    filter: Filter
    # pathMode Recurse: the directories there when the rule began
    at_start: frozenset[str] | None

    @classmethod
    def of(cls, rule: Rule) -> _Watched:
        directory = str(rule.watch_dir)
        return cls(
            rule,
            directory,
            Filter(
                os.fsencode(directory),
                whitelist=rule.whitelist,
                blacklist=rule.blacklist,
                ignore_sys_files=rule.ignore_sys_files,
            ),
            frozenset(_directories(directory)) if rule.path_mode == "Recurse" else None,
        )

    def place(self, directory: str) -> Place | None:
        """Of a directory that is this rule's; None where no user's files lie."""
        top = self.directory.rstrip("/")
        parts = [part for part in directory[len(top) :].split("/") if part]
        user, root, own = self.rule.user, self.directory, parts
        if user == EVERYONE:
            if not parts:
                return None
            user, own = parts[0], parts[1:]
            root = f"{top}/{user}"
        passed_over = bool(own) and self.rule.path_mode == "Flat"
        if self.at_start is not None and directory not in self.at_start:
            passed_over = True
        parent = top
        for part in parts:
            passed_over = passed_over or not self.filter.directory(
                os.fsencode(parent or "/"), os.fsencode(part)
            )
            parent = f"{parent}/{part}"
        return Place(self.rule, user, root, passed_over)


class Places:
    """The rules in force.  Rule: a file below two directories belongs to the nearer one.

    Thread-safe: `apply` exchanges all rules at once.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._watched: tuple[_Watched, ...] = ()
        # The last directory asked for: files are met directory by directory.
        self._last: _Asked = ((), "", None, None)
        self.apply(rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those in force, the most specific first."""
        return tuple(watched.rule for watched in self._watched)

    def apply(self, rules: Sequence[Rule]) -> None:
        """From now on these hold; one that was there already goes on as it was."""
        former = {watched.rule: watched for watched in self._watched}
        watched = [former.get(rule) or _Watched.of(rule) for rule in rules]
        self._watched = tuple(sorted(watched, key=lambda one: -len(one.directory)))

    def place(self, path: str) -> Place | None:
        """What holds for the file at `path`; None for what lies in no user's directory."""
        return self._of_directory(path.rpartition("/")[0])[1]

    def passes(self, path: str) -> bool:
        """Whether the file at `path` is one that its rule is for."""
        directory, _, name = path.rpartition("/")
        watched, place = self._of_directory(directory)
        if watched is None or place is None or place.passed_over:
            return False
        return watched.filter.file(os.fsencode(directory), os.fsencode(name))

    def enters(self, directory: str) -> bool:
        """Whether a rescan of the rule around `directory` has to look into it."""
        watched, place = self._of_directory(directory)
        if watched is not None and watched.directory == directory:
            return False  # another rule's, which is looked at for itself
        return place is None or not place.passed_over

    def roots(self, user: str) -> list[str]:
        """The directories that are this user's."""
        of_everyone = [
            f"{w.directory.rstrip('/')}/{user}" for w in self._watched if w.rule.user == EVERYONE
        ]
        return [w.directory for w in self._watched if w.rule.user == user] + of_everyone

    def watch_dir(self, path: str) -> str | None:
        """The watched directory that `path` lies below."""
        watched, _ = self._of_directory(path.rpartition("/")[0])
        return watched.directory if watched is not None else None

    def rule_of(self, path: str, user: str) -> Rule | None:
        """What holds for a fileset of `user` whose first file is at `path`, wherever that is."""
        place = self.place(path)
        return place.rule if place is not None and place.user == user else self.rule_for(user)

    def rule_for(self, user: str) -> Rule | None:
        """What holds for files that `user` hands over from elsewhere."""
        for name in (user, EVERYONE):
            for watched in self._watched:
                if watched.rule.user == name:
                    return watched.rule
        return None

    def _of_directory(self, directory: str) -> tuple[_Watched | None, Place | None]:
        in_force, last = self._watched, self._last
        if last[0] is not in_force or last[1] != directory:
            last = self._last = (in_force, directory, *_look_up(in_force, directory))
        return last[2], last[3]


_Asked = tuple[tuple[_Watched, ...], str, _Watched | None, Place | None]


def _look_up(
    in_force: tuple[_Watched, ...], directory: str
) -> tuple[_Watched | None, Place | None]:
    for watched in in_force:
        prefix = watched.directory.rstrip("/")
        if directory == watched.directory or directory.startswith(prefix + "/"):
            return watched, watched.place(directory)
    return None, None


def _directories(top: str) -> list[str]:
    """`top` and every directory below it, links not followed."""
    return [directory for directory, _, _ in os.walk(Path(top))]
