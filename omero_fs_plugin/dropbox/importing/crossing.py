"""Moves a store to another file system and back, so that a kill at any point loses nothing.

Out: it is copied into a hidden half in the quarantine, which gets its name when all of it is on the
disk.  Then the original gets a hidden name, and is removed piece by piece.  Back: the same the
other way.  So a store that has its own name is whole, and a hidden one is finished or undone later.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omero_fs_plugin.dropbox.confine import open_directory
from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.errors import FsError, ImportRefused, JournalError
from omero_fs_plugin.stores import directory_of, store_at
from omero_fs_plugin.system_names import coming_of, leaving_of

from .carrying import copy_store
from .comparing import End, Sure, in_the_way, lies_at, same_store
from .copying import DIRECTORY, sync
from .removing import remove_store


def carry_out(source: End, met: Found, to: Path, vault: End, sure: Sure) -> bool:
    """Moves the store `met` below `source.root` to `to`, in `vault`, but for its pieces.

    The pieces are then at its hidden name: see `clear_away`.  Returns False if it has changed.
    Raises OSError, ImportRefused, and what `sure` raises; it lies where it was then.
    """
    name, half = _name(met.path), coming_of(to.name)
    aside = leaving_of(name)
    _free(source, aside, f"{directory_of(met.path).rpartition('/')[0]}/{aside}")
    with CALLS.at(vault.root):
        whole = lies_at(to.name, vault.above)
    if whole:  # a kill came before the original was renamed, or it is not ours
        if not same_store(vault, to.name, source, name):
            raise in_the_way(to)  # it may be the only copy of another one
        remove_store(vault, half, sure)
        with CALLS.at(vault.root):
            os.rename(to.name, half, src_dir_fd=vault.above, dst_dir_fd=vault.above)
    with _undone(vault, half, sure):
        copy_store(source, name, vault, half, sure, _owner(source.root))
        if tree_stat(source.root, met.path) != met.stat:
            raise FileNotFoundError(errno.ENOENT, "it changed while it was copied", met.path)
        sure()
        _rename(vault, half, to.name)
    with CALLS.at(source.root):
        os.rename(name, aside, src_dir_fd=source.above, dst_dir_fd=source.above)
    if tree_stat(source.root, aside_of(met.path)) == met.stat:
        with CALLS.at(source.root):
            sync(".", source.above)
        return True
    restore(source, met.path)  # it was replaced, or changed, at this very moment
    drop(vault, to.name, sure)
    return False


def carry_back(source: Path, vault: str, to: str, home: End, sure: Sure) -> None:
    """Copies the store at `source`, in the quarantine, to `to`, whose directory is `home`.

    The store lies in both then.  Raises FileExistsError if something is there, and what
    `copy_store` raises.
    """
    goal, at = _name(to), store_at(str(source))
    half = coming_of(goal)
    before = tree_stat(vault, at)
    with _undone(home, half, sure):
        with _above(source, vault) as kept:
            made = copy_store(kept, source.name, home, half, sure)
        if tree_stat(vault, at) != before:
            raise OSError(errno.EBUSY, "it changed while it was copied", at)
        sure()
        _free(home, goal, to)
        _rename(home, half, goal)
    with CALLS.at(home.root):
        found = os.lstat(goal, dir_fd=home.above)
    if (found.st_dev, found.st_ino) != made:
        raise OSError(errno.EBUSY, "something else was put into its place", to)


def clear_away(root: str, path: str, to: Path, vault: str, sure: Sure) -> str:
    """Removes what is left at the hidden name of a store that was moved to `to`.

    What came or changed since the store was copied stays, at the store's own name if that is
    free.  Returns where; empty: all of it is gone.  Raises OSError, ImportRefused, and what
    `sure` raises.
    """
    if not is_aside(root, path):
        return ""
    with _opened(root, path) as home, _above(to, vault) as kept:
        if remove_store(home, leaving_of(_name(path)), sure, kept, to.name):
            return ""
        return directory_of(path) if restore(home, path) else directory_of(aside_of(path))


def is_aside(root: str, path: str) -> bool:
    """Whether something lies at the hidden name of the store `path`.  Raises OSError."""
    try:
        with _opened(root, path) as home, CALLS.at(root):
            return lies_at(leaving_of(_name(path)), home.above)
    except (FileNotFoundError, ImportRefused):
        return False


def undo(root: str, path: str, to: Path, vault: str, sure: Sure) -> None:
    """Undoes a move out that cannot go on: nothing of the original has been removed yet.

    If another store has its name by now, the copy stays where it is.  Raises OSError,
    ImportRefused, and what `sure` raises.
    """
    aside = is_aside(root, path)
    restored = False
    if aside:  # first, because the other disk may be away
        with _opened(root, path) as home:
            restored = restore(home, path)
    with suppress(FileNotFoundError), _above(to, vault) as kept:
        for name in (coming_of(to.name), leaving_of(to.name)):
            remove_store(kept, name, sure)
        if restored:
            drop(kept, to.name, sure)
        elif aside:
            with _opened(root, path) as home:
                remove_store(home, leaving_of(_name(path)), sure, kept, to.name)


def restore(home: End, path: str) -> bool:
    """Gives what lies at the hidden name of a store its own name back, unless that is taken."""
    name = _name(path)
    with CALLS.at(home.root):
        if lies_at(name, home.above):
            return False
        os.rename(leaving_of(name), name, src_dir_fd=home.above, dst_dir_fd=home.above)
        sync(".", home.above)
    return True


def drop(at: End, name: str, sure: Sure) -> None:
    """Removes a copy: first its name, so that a part of it never looks like a whole."""
    aside = leaving_of(name)
    with suppress(FileNotFoundError), CALLS.at(at.root):
        if lies_at(name, at.above):
            if lies_at(aside, at.above):  # of a removal that was cut short
                remove_store(at, aside, sure)
            os.rename(name, aside, src_dir_fd=at.above, dst_dir_fd=at.above)
            sync(".", at.above)
    remove_store(at, aside, sure)


def drop_at(path: Path, vault: str, sure: Sure) -> None:
    """As `drop`, of the copy at `path` on the disk of `vault`."""
    with suppress(FileNotFoundError), _above(path, vault) as at:
        drop(at, path.name, sure)


def are_same(at: Path, vault: str, root: str, path: str, *, trust_times: bool = False) -> bool:
    """Whether the store `path` below `root` has the bytes of the one at `at`.  Raises OSError.

    `trust_times`: as for `same_file`.
    """
    with _above(at, vault) as kept, _opened(root, path) as home:
        return same_store(kept, at.name, home, _name(path), trust_times)


def aside_of(path: str) -> str:
    """The path of the store `path` at its hidden name."""
    above, _, name = directory_of(path).rpartition("/")
    return store_at(f"{above}/{leaving_of(name)}")


def _name(path: str) -> str:
    return directory_of(path).rpartition("/")[2]


@contextmanager
def _opened(root: str, path: str) -> Iterator[End]:
    """The directory of a store, reached over no link."""
    directory = open_directory(root, directory_of(path))
    try:
        yield End(root, directory)
    finally:
        os.close(directory)


@contextmanager
def _above(path: Path, vault: str) -> Iterator[End]:
    with CALLS.at(vault):
        directory = os.open(path.parent, DIRECTORY)
    try:
        yield End(vault, directory)
    finally:
        os.close(directory)


@contextmanager
def _undone(at: End, half: str, sure: Sure) -> Iterator[None]:
    """Removes the half if the copy fails.  If its disk is away, or we may not, it stays a while."""
    try:
        yield
    except (RootAway, JournalError):
        raise
    except (OSError, FsError):
        with suppress(OSError):
            remove_store(at, half, sure)
        raise


def _rename(at: End, half: str, name: str) -> None:
    with CALLS.at(at.root):
        os.rename(half, name, src_dir_fd=at.above, dst_dir_fd=at.above)
        sync(".", at.above)


def _free(at: End, name: str, path: str) -> None:
    """Raises FileExistsError if something lies there."""
    with CALLS.at(at.root):
        if lies_at(name, at.above):
            raise FileExistsError(errno.EEXIST, "something lies there already", path)


def _owner(root: str) -> int:
    with CALLS.at(root):
        top = ROOTS.open(root)
        try:
            return os.fstat(top).st_uid
        finally:
            os.close(top)
