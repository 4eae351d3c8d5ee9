"""Pure: what a client knows of its tree, as values that can be kept.

The tracker knows what was told.  The client knows what it has heard.  The
difference is what waits in the outbox, and what the client did not ask for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.kernel.entries import Identity
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.requests import PathMode

from .tree import MAYBE, NEVER, Directory

# Of one path.  A file: what it was when the client was told of it.  A
# directory: a word, which begins with ENTERED or PASSED.  None: the client
# knows of nothing there.
State = Identity | str | None
ENTERED = "D"
PASSED = "d"  # there, but not entered
MOUNTED = "m"  # and something is mounted on it
DOUBTED = "?"  # and as tree.MAYBE
Changes = dict[bytes, State]


class Ledger:
    """Rule: a change is due when the client has heard of it, and of all before it.

    What the client did not ask for is due when it has heard of all before it.
    """

    def __init__(self, mode: PathMode) -> None:
        self._mode = mode
        self._arrived = 0  # events heard
        # (events that the client hears before, what it did not ask for)
        self._silent: deque[tuple[int, Tell]] = deque()
        self._due: Changes = {}

    def silent(self, tell: Tell, waiting: int) -> None:
        """A change that is not told, while so many events wait to be."""
        if waiting:
            self._silent.append((self._arrived + waiting, tell))
        else:
            self._apply(tell)

    def arrived(self, batch: Iterable[Tell]) -> None:
        """The client has heard these, the first of what was waiting."""
        silent = self._silent
        for tell in batch:
            self._apply(tell)
            self._arrived += 1
            while silent and silent[0][0] <= self._arrived:
                self._apply(silent.popleft()[1])

    def known(self, paths: Iterable[bytes], root: Directory) -> None:
        """What `root` knows of these is due, and of the directories they are in.

        Those may be in `root` for no other reason than that: a directory that
        nobody is told of is then not met as new by any scan.
        """
        due: set[bytes] = set()
        for path in paths:
            while path not in due and len(path) > len(root.path):
                due.add(path)
                path = path.rpartition(b"/")[0]
        for path in due:
            self._due[path] = state_of(root, path)

    def dropped(self, waiting: Iterable[Tell], root: Directory) -> None:
        """All that was waiting will not be told, and `root` has taken it back."""
        affected = [*waiting, *(tell for _, tell in self._silent)]
        self._silent.clear()
        self.known((tell.path for tell in affected if tell.type is not EventType.SYSTEM), root)

    def take(self) -> Changes:
        """What is due since the last call; the latest of each path."""
        due, self._due = self._due, {}
        return due

    def _apply(self, tell: Tell) -> None:
        if tell.type is EventType.SYSTEM:
            return
        if tell.type is EventType.DELETE:
            self._due[tell.path] = None
        elif tell.directory:
            self._due[tell.path] = _new_directory(self._mode)
        else:
            self._due[tell.path] = tell.identity or NEVER


def state_of(root: Directory, path: bytes) -> State:
    """What `root` knows of a path below it."""
    above, _, name = path.rpartition(b"/")
    directory: Directory | None = root
    for part in above[len(root.path) :].strip(b"/").split(b"/"):
        if part and directory is not None:
            directory = directory.subdirs.get(part)
    if directory is None:
        return None
    if name in directory.subdirs:
        return word_of(directory, name)
    return directory.files.get(name)


def snapshot(
    root: Directory, waiting: Iterable[Tell], mode: PathMode
) -> Iterator[tuple[bytes, State]]:
    """All that is known, but for what the client has not heard of yet."""
    unheard: dict[bytes, Tell] = {}
    for tell in waiting:
        if tell.type is not EventType.SYSTEM:
            unheard.setdefault(tell.path, tell)
    for directory in root.tree():
        for name, identity in directory.files.items():
            path = directory.join(name)
            if path not in unheard:
                # Being written: whatever it looks like now, it will be told again.
                written = name in directory.arrivals and identity != MAYBE
                yield path, NEVER if written else identity
        for name in directory.subdirs:
            path = directory.join(name)
            if path not in unheard:
                yield path, word_of(directory, name)
    for path, tell in unheard.items():
        if tell.type is not EventType.CREATE:
            yield path, (_new_directory(mode) if tell.directory else NEVER)


def restore(root: Directory, known: Iterable[tuple[bytes, State]]) -> None:
    """Puts what was kept into an empty tree; directories before what is in them."""
    directory, inside = root, root.path
    for path, state in known:
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
