"""Which user a file belongs to, and its settings: omero.fs.importUsers applied to paths."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from omero_fs_plugin.accounts import owner_name
from omero_fs_plugin.config.layout import OF_OWNER, OWNER, USER, depth, owner
from omero_fs_plugin.config.settings import EVERYONE, Rule
from omero_fs_plugin.events import SEVERAL, UNKNOWN, FileStat
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.stores import HIDDEN, directory_of, is_store
from omero_fs_plugin.system_names import NOTE, is_on_its_way

from .confine import DEEPEST, stat_beneath
from .confine.trees import store_around, store_stat
from .disks.calls import CALLS, HUNG_S


@dataclass(frozen=True)
class Place:
    """The rule, the user and the root for the files of one directory."""

    rule: Rule
    user: str  # OF_OWNER: whoever owns the file, see Places.of
    root: str  # the directory that files of the user must not leave
    passed_over: bool  # because of omero.fs.pathMode or omero.fs.blacklist
    group: str = ""  # that images go into, if omero.fs.layout says so


_AGAIN_S = 1.0  # before a directory that could not be listed at the start is looked at again


class _AtStart:
    """The directories that exist below a directory at the start.

    A thread looks for them, because the disk may not answer.  Until it does, there are none.
    """

    def __init__(self, top: str) -> None:
        self._found: frozenset[str] = frozenset()
        self._done = threading.Event()
        self._late: Callable[[], None] | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._look, args=[top], name="disk", daemon=True).start()

    def has(self, directory: str) -> bool:
        """Whether `directory` existed."""
        return directory in self._found

    def wait(self, until: float, late: Callable[[], None]) -> None:
        """Waits until they are known, or until `until` (s, monotonic).

        If the time is up first, `late` is called when they are known.
        """
        if not self._done.wait(max(0.0, until - time.monotonic())):
            with self._lock:
                self._late = late
            if self._done.is_set():
                late()

    def _look(self, top: str) -> None:
        while True:
            found = []
            try:
                with CALLS.at(top) as call:
                    os.listdir(top)  # noqa: PTH208 - which os.walk would pass over when it cannot be listed
                    for directory, _, _ in os.walk(Path(top)):
                        found.append(directory)
                        call.pulse()
                break
            except FileNotFoundError:
                break  # so nothing existed below it
            # Nobody knows what existed there until its disk, or its mode, lets us list it.
            except OSError:
                time.sleep(_AGAIN_S)
        self._found = frozenset(found)
        self._done.set()
        with self._lock:
            if self._late is not None:
                self._late()


@dataclass(frozen=True)
class _Watched:
    rule: Rule
    directory: str
    filter: Filter
    # pathMode Recurse: the directories there when the rule began
    at_start: _AtStart | None
    # The last directory above one that was asked for -> whether it is passed over, by its names
    above: dict[str, bool] = field(default_factory=dict, compare=False)

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
            _AtStart(directory) if rule.path_mode == "Recurse" else None,
        )

    def place(self, directory: str) -> Place | None:
        """The Place of a directory that this rule covers; None if it has no user's files."""
        top = self.directory.rstrip("/")
        parts = [part for part in directory[len(top) :].split("/") if part]
        user, root, own, group = self.rule.user, self.directory, parts, ""
        if user == EVERYONE:
            whose = owner(self.rule.layout, parts)
            if whose is None:
                return None
            levels = depth(self.rule.layout)
            user, group, own = whose.user, whose.group, parts[levels:]
            root = "/".join((top, *parts[:levels]))
        if len(own) > DEEPEST:
            return Place(self.rule, user, root, passed_over=True, group=group)
        passed_over = bool(own) and self.rule.path_mode == "Flat"
        if self.at_start is not None and not self.at_start.has(directory):
            passed_over = True
        if parts and not passed_over:
            passed_over = self._leaves_out(top, parts[:-1], parts[-1])
        return Place(self.rule, user, root, passed_over, group)

    def _leaves_out(self, top: str, above: list[str], name: str) -> bool:
        """Whether the names of a directory, or of one above it, say that it is passed over.

        A rescan asks for all directories in one, one after the other: so the answer for the one
        above them is kept.
        """
        parent = "/".join((top, *above))
        left_out = self.above.get(parent)
        if left_out is None:
            left_out = bool(above) and self._leaves_out(top, above[:-1], above[-1])
            self.above.clear()
            self.above[parent] = left_out
        return (
            left_out
            or is_on_its_way(name)
            or not self.filter.directory(os.fsencode(parent or "/"), os.fsencode(name))
        )


class Places:
    """The rules in force.  Rule: a file below two directories belongs to the nearer one.

    Thread-safe: `apply` exchanges all rules at once.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._watched: tuple[_Watched, ...] = ()
        # The last directory that was asked for, because files are met directory by directory.
        self._last: _Asked = ({}, "", None, None)
        self._nearest: _Nearest = {}
        self._of_user: dict[str, Rule] = {}
        # Called if the look at a directory of a rule ends only after the rule began.
        self.late: Callable[[], None] = lambda: None
        self.apply(rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force, the most specific first."""
        return tuple(watched.rule for watched in self._watched)

    def apply(self, rules: Sequence[Rule]) -> None:
        """Puts these rules into force.  A rule that was in force already goes on as it was."""
        former = {watched.rule: watched for watched in self._watched}
        watched = [former.get(rule) or _Watched.of(rule) for rule in rules]
        until = time.monotonic() + HUNG_S
        for one in watched:
            if one.at_start is not None:
                one.at_start.wait(until, self._known_late)
        self._watched = tuple(sorted(watched, key=lambda one: -len(one.directory)))
        # Of two rules for one directory, or one user, the first counts.
        self._of_user = {one.rule.user: one.rule for one in reversed(self._watched)}
        self._nearest = {one.directory.rstrip("/"): one for one in reversed(self._watched)}

    def _known_late(self) -> None:
        self._last = ({}, "", None, None)
        self.late()

    def place(self, path: str) -> Place | None:
        """The Place of the file at `path`; None if it lies in no user's directory."""
        return self._of_directory(directory_of(path).rpartition("/")[0])[1]

    def of(self, path: str, stat: FileStat) -> Place | None:
        """As `place`, of a file that was looked at: also where its owner says whose it is.

        None if it is nobody's.  Raises NoAnswer.
        """
        place = self.place(path)
        if place is None or place.user != OF_OWNER:
            return place
        user, _ = whose(stat)
        return replace(place, user=user) if user else None

    def user_of(self, path: str) -> str | None:
        """The user in whose directory `path` lies; None if no directory says whose it is."""
        place = self.place(path)
        return place.user if place is not None and place.user != OF_OWNER else None

    def stat(self, path: str) -> FileStat | None:
        """What is there now; None if that is no regular file and no store (any more).

        What `stat_beneath` or `store_stat` gives below the root of its place; without a place, a
        plain stat.
        """
        place = self.place(path)
        root = place.root if place is not None else directory_of(path).rpartition("/")[0]
        if is_store(path):
            return store_stat(root, path)
        return stat_beneath(root, path) if place is not None else CALLS.stat(root, path)

    def store_on_disk(self, path: str) -> str:
        """The store that a file lies in whose name is that of a store's metadata.  Asks the disk.

        Empty: in none.  Raises OSError.
        """
        place = self.place(path)
        return store_around(place.root, path) if place is not None else ""

    def passes(self, path: str) -> bool:
        """Whether the file at `path` passes its rule."""
        directory, _, name = directory_of(path).rpartition("/")
        watched, place = self._of_directory(directory)
        if watched is None or place is None or place.passed_over or name.endswith(NOTE):
            return False
        if is_on_its_way(name):
            return False
        raw = os.fsencode(directory), os.fsencode(name)
        if is_store(path) and not watched.filter.directory(*raw):
            return False
        if name in HIDDEN and not is_store(path):
            return False  # the metadata of no store
        return watched.filter.file(*raw)

    def enters(self, directory: str) -> bool:
        """Whether a rescan of the rule around `directory` has to look into it."""
        watched, place = self._of_directory(directory)
        if watched is not None and watched.directory == directory:
            return False  # it belongs to another rule, which looks at it itself
        return place is None or not place.passed_over

    def roots(self, user: str) -> list[str]:
        """The directories of this user, without those of a layout that has groups."""
        of_everyone = [w for w in self._watched if w.rule.user == EVERYONE]
        own = [f"{w.directory.rstrip('/')}/{user}" for w in of_everyone if w.rule.layout == USER]
        shared = [w.directory for w in of_everyone if w.rule.layout == OWNER]
        return [w.directory for w in self._watched if w.rule.user == user] + own + shared

    def group_of(self, path: str, user: str) -> str:
        """The group that images of `user` from `path` go into by the layout; empty: it has none."""
        place = self.place(path)
        return place.group if place is not None and place.user == user else ""

    def nobodys(self, path: str, stat: FileStat | None = None) -> str:
        """Why a file for which `place`, or `of`, gives None is nobody's, for people."""
        watched, place = self._of_directory(directory_of(path).rpartition("/")[0])
        if stat is not None and place is not None and place.user == OF_OWNER:
            return whose(stat)[1]
        return nobodys(watched.rule if watched is not None else None)

    def watch_dir(self, path: str) -> str | None:
        """The watched directory that `path` lies below."""
        watched, _ = self._of_directory(directory_of(path).rpartition("/")[0])
        return watched.directory if watched is not None else None

    def rule_of(self, path: str, user: str) -> Rule | None:
        """The rule for a fileset of `user` whose first file is at `path`, wherever that is."""
        place = self.place(path)
        if place is not None and place.user in (user, OF_OWNER):
            return place.rule
        return self.rule_for(user)

    def rule_for(self, user: str) -> Rule | None:
        """The rule for files that `user` hands over from elsewhere."""
        of_user = self._of_user
        return of_user.get(user) or of_user.get(EVERYONE)

    def _of_directory(self, directory: str) -> tuple[_Watched | None, Place | None]:
        nearest, last = self._nearest, self._last
        if last[0] is not nearest or last[1] != directory:
            last = self._last = (nearest, directory, *_look_up(nearest, directory))
        return last[2], last[3]


NOBODY = ("root", "guest")  # accounts that are those of no person, whatever OMERO calls so


def whose(stat: FileStat) -> tuple[str, str]:
    """The account that owns a file, and why none counts, for people; one of both is empty.

    Raises NoAnswer.
    """
    if stat.owner == SEVERAL:
        return "", "waits: its files belong to several accounts: chown them to one"
    name = owner_name(stat.owner) if stat.owner != UNKNOWN else ""
    if not name:
        return "", f"waits: it belongs to uid {stat.owner}, and no account here has that number"
    if name in NOBODY:
        return "", f"waits: it belongs to the account {name}: chown it to its user"
    return name, ""


def no_user(name: str) -> str:
    """Why a file waits whose owner is an account of the system and none of OMERO, for people."""
    return f"waits: it belongs to {name}, who is no user of OMERO"


def nobodys(rule: Rule | None) -> str:
    """Why a file is nobody's that `rule` covers, and that lies not deep enough, for people."""
    what = "lies in no user's directory"
    if rule is None or rule.layout == USER:
        return what
    return f"{what}: omero.fs.layout is {rule.layout}"


_Nearest = dict[str, _Watched]  # by its directory, without a slash at the end
_Asked = tuple[_Nearest, str, _Watched | None, Place | None]


def _look_up(nearest: _Nearest, directory: str) -> tuple[_Watched | None, Place | None]:
    """From the directory upwards: so this takes as long for 500 rules as for one."""
    above = directory.rstrip("/")
    while True:
        watched = nearest.get(above)
        if watched is not None:
            return watched, watched.place(directory)
        if not above:
            return None, None
        above = above.rpartition("/")[0]
