"""Pure: what a client knows of its tree, as values that can be kept.

The tracker knows what was told.  The client knows what it has heard.  The
difference is what waits in the outbox, and what the client did not ask for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.kernel.entries import Identity
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.requests import PathMode

from .tree import MAYBE, NEVER, Directory

# The state of one path.  Of a file: what it was when the client was told of it.
# Of a directory: a word, which begins with ENTERED or PASSED.  None: as far as the
# client knows, nothing is there.
State = Identity | str | None
ENTERED = "D"
PASSED = "d"  # there, but not entered
MOUNTED = "m"  # in the word too if something is mounted on it
DOUBTED = "?"  # in the word too if it is as tree.MAYBE
# By `key_of`.  One name may be a file and a directory at once, if the client has not
# heard yet, or not for certain, that one has replaced the other.
Changes = dict[bytes, State]
# A directory, with "/" at its end, and the state of each name in it: of a directory with "/" too.
Known = tuple[bytes, Mapping[bytes, State]]


def key_of(path: bytes, directory: bool) -> bytes:
    """The key of a path's state.  In the order of the keys, a directory is before its content."""
    return path + b"/" if directory else path


def split(key: bytes) -> tuple[bytes, bytes]:
    """The directory that a path is in, with "/" at its end, and its name, as Known has them."""
    end = key.rfind(b"/", 0, -1) + 1
    return key[:end], key[end:]


class Ledger:
    """The changes that the record is to get.

    Rule: a change is due when the client has heard of it and of everything before it.
    If the client did not ask for it, it is due when the client has heard of everything
    before it.
    """

    def __init__(self, mode: PathMode) -> None:
        self._mode = mode
        self._arrived = 0  # events heard
        # (number of events that the client hears before this, a change it did not ask for)
        self._silent: deque[tuple[int, Tell]] = deque()
        self.due: Changes = {}  # what `take` will return

    def silent(self, tell: Tell, waiting: int) -> None:
        """A change that is not told, while `waiting` events wait to be told."""
        if waiting:
            self._silent.append((self._arrived + waiting, tell))
        else:
            self._apply(tell)

    def arrived(self, batch: Iterable[Tell]) -> None:
        """The client has heard these; they were the first of those that waited."""
        silent = self._silent
        for tell in batch:
            self._apply(tell)
            self._arrived += 1
            while silent and silent[0][0] <= self._arrived:
                self._apply(silent.popleft()[1])

    def known(self, paths: Iterable[tuple[bytes, bool]], root: Directory) -> None:
        """What `root` knows of these paths is due, and of the directories that they are in.

        Perhaps such a directory is in `root` only because of them.  It must be kept too:
        if nobody is told of it, no scan meets it as new.
        """
        due: set[bytes] = set()
        for path, directory in paths:
            while (key := key_of(path, directory)) not in due and len(path) > len(root.path):
                due.add(key)
                path, directory = path.rpartition(b"/")[0], True
        for key in due:
            self.due[key] = state_of(root, key)

    def dropped(self, waiting: Iterable[Tell], root: Directory) -> None:
        """Everything that was waiting will not be told, and `root` has taken it back."""
        affected = [*waiting, *(tell for _, tell in self._silent)]
        self._silent.clear()
        told = (one for one in affected if one.type is not EventType.SYSTEM)
        self.known(((one.path, one.directory) for one in told), root)

    def take(self) -> Changes:
        """What has become due since the last call; the latest state of each path."""
        due, self.due = self.due, {}
        return due

    def _apply(self, tell: Tell) -> None:
        if tell.type is EventType.SYSTEM:
            return
        key = key_of(tell.path, tell.directory)
        if tell.type is EventType.DELETE:
            self.due[key] = None
        elif tell.directory:
            self.due[key] = _new_directory(self._mode)
        else:
            self.due[key] = tell.identity or NEVER


def state_of(root: Directory, key: bytes) -> State:
    """What `root` knows of a path below it; `key` is that of `key_of`."""
    above, _, name = key.removesuffix(b"/").rpartition(b"/")
    directory: Directory | None = root
    for part in above[len(root.path) :].strip(b"/").split(b"/"):
        if part and directory is not None:
            directory = directory.subdirs.get(part)
    if directory is None:
        return None
    if not key.endswith(b"/"):
        return directory.files.get(name)
    return word_of(directory, name) if name in directory.subdirs else None


def snapshot(root: Directory, waiting: Iterable[Tell], mode: PathMode) -> Iterator[Known]:
    """Everything that is known, without what the client has not heard yet: each directory once."""
    unheard: dict[bytes, dict[bytes, State]] = {}  # directory -> name -> what the client knows
    for tell in waiting:
        if tell.type is not EventType.SYSTEM:
            above, name = split(key_of(tell.path, tell.directory))
            before = _new_directory(mode) if tell.directory else NEVER
            known = None if tell.type is EventType.CREATE else before
            unheard.setdefault(above, {}).setdefault(name, known)
    for directory in root.tree():
        above = directory.join(b"")
        if not (directory.arrivals or directory.subdirs or unheard):
            yield above, directory.files  # as in most: nothing is to be changed
            continue
        states: dict[bytes, State] = dict(directory.files)
        for name in directory.arrivals:
            # If it is being written, it will be told again, whatever it looks like now.
            if name in states and states[name] != MAYBE:
                states[name] = NEVER
        for name in directory.subdirs:
            states[name + b"/"] = word_of(directory, name)
        states.update(unheard.pop(above, ()))
        yield above, states
    yield from unheard.items()


def restore(root: Directory, known: Iterable[tuple[bytes, State]]) -> None:
    """Puts what was kept into an empty tree.  `known` has each path once, in any order."""
    directory, inside = root, root.path
    for key, state in known:
        path = key.removesuffix(b"/")
        above, _, name = path.rpartition(b"/")
        above = above or b"/"
        if above != inside:
            directory, inside = root.below(above), above
        if isinstance(state, tuple):
            directory.files[name] = state
        elif state is not None:
            enter = state.startswith(ENTERED)
            if enter:
                root.below(path).mounted = MOUNTED in state
            if DOUBTED in state:
                directory.doubt(name, directory=True, enter=enter)
            directory.subdirs.setdefault(name)


def word_of(parent: Directory, name: bytes) -> str:
    """The state of a subdirectory."""
    child = parent.subdirs[name]
    mounted = MOUNTED if child is not None and child.mounted else ""
    doubted = DOUBTED if parent.doubts is not None and name in parent.doubts else ""
    return (PASSED if child is None else ENTERED) + mounted + doubted


def _new_directory(mode: PathMode) -> str:
    return ENTERED if mode is PathMode.FOLLOW else PASSED
