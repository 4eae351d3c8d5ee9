"""Looks at the whole tree: events are hints, the disk is the truth."""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import PurePosixPath

from omero_fs_plugin.dropbox.confine import DEEPEST, MOST_NAMES, TOO_DEEP, listing
from omero_fs_plugin.dropbox.confine.roots import RootChanged
from omero_fs_plugin.dropbox.confine.trees import has_marker, store_around, tree_stat
from omero_fs_plugin.dropbox.disks.calls import Call, RootAway
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import MARKERS, is_store_name, store_at

# What a share says of all that lies on it, when it cannot reach its server: see errno(3).
_OF_THE_SHARE = frozenset(
    {
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
    }
)


# A file as os.lstat gives it.  Nearly all are known, and need nothing that takes longer to make.
Look = tuple[str, os.stat_result]
AT_ONCE = 1_000  # files in one list
_Entries = Iterator[os.DirEntry[str]]
_FIRST = frozenset(first for name in MARKERS for first in (name[0], name[0].upper()))


def of_the_share(error: OSError) -> bool:
    """Whether the error says that nothing else in this root can be reached either."""
    return isinstance(error, RootChanged) or error.errno in _OF_THE_SHARE


def tops(
    watch_dir: str,
    levels: int,
    answered: Callable[[], None] = lambda: None,
    refused: Callable[[str, str], None] = lambda path, why: None,
) -> tuple[list[str], list[Found]]:
    """The directories `levels` deep below `watch_dir`, by their paths from it, and stray files.

    As `top`.  `refused` hears of directories between that may not be read, and why.
    """
    names, strays = top(watch_dir, answered)
    for _ in range(levels - 1):
        above, names = names, []
        for name in above:
            path = f"{watch_dir.rstrip('/')}/{name}"
            try:
                some, more = top(watch_dir, answered, path)
            except (FileNotFoundError, NotADirectoryError):  # since it was listed
                continue
            except PermissionError as error:
                refused(path, f"cannot be listed: {error.strerror}")
                continue
            names += [f"{name}/{one}" for one in some]
            strays += more
    return names, strays


def top(
    watch_dir: str, answered: Callable[[], None] = lambda: None, within: str = ""
) -> tuple[list[str], list[Found]]:
    """The names in `watch_dir` itself, or in `within` below it: directories, and stray files.

    Leaves out links, and names that begin with a dot.  `answered` is called each time that the
    disk has answered.  Raises OSError if it cannot be listed: it is then unavailable, not empty.
    """
    directories: list[str] = []
    strays: list[Found] = []
    above = (within or watch_dir).rstrip("/")
    with listing(watch_dir, within or watch_dir) as directory, os.scandir(directory) as entries:
        for entry in islice(entries, MOST_NAMES):
            answered()
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # removed while we were looking
                    stat = entry.stat(follow_symlinks=False)
                    strays.append(Found(f"{above}/{entry.name}", FileStat.of(stat)))
    return sorted(directories), strays


def oddity(mode: int) -> str:
    """Why something of this mode (st_mode) is not imported; empty for files and directories."""
    if stat_module.S_ISREG(mode) or stat_module.S_ISDIR(mode):
        return ""
    if stat_module.S_ISLNK(mode):
        return "a symbolic link, which is not followed: put the file itself here"
    return "not a file, but a FIFO, a socket or a device"


def oddity_at(path: str) -> str:
    """As `oddity`, for what is at `path`; empty if nothing is there."""
    try:
        return oddity(os.lstat(path).st_mode)
    except OSError:
        return ""


def store_over(root: str, path: str) -> Found | None:
    """The store that `path`, below `root`, is or lies in, as a rescan meets it; None: in none.

    Raises OSError.
    """
    store = store_around(root, f"{path.rstrip('/')}/any")
    stat = tree_stat(str(PurePosixPath(store).parent), store) if store else None
    return Found(store, stat) if stat is not None else None


def walk(
    root: str,
    left: Callable[[str, str], None] = lambda path, why: None,
    enters: Callable[[str], bool] = lambda directory: True,
    call: Call | None = None,
    failed: Callable[[OSError], None] = lambda error: None,
    unseen: Callable[[str, str], None] | None = None,
) -> Iterator[Found]:
    """Each of `looks`, as what was found.  Raises RootAway."""
    for some in looks(root, left, enters, call, failed, unseen):
        if isinstance(some, Found):
            yield some
        else:
            yield from (Found(path, FileStat.of(stat)) for path, stat in some)


def looks(
    root: str,
    left: Callable[[str, str], None] = lambda path, why: None,
    enters: Callable[[str], bool] = lambda directory: True,
    call: Call | None = None,
    failed: Callable[[OSError], None] = lambda error: None,
    unseen: Callable[[str, str], None] | None = None,
) -> Iterator[list[Look] | Found]:
    """Every regular file below `root`, in the directories that it `enters`.  It follows no link.

    Gives them in lists, none longer than AT_ONCE.  A store counts as one file, and comes by
    itself; what it contains does not count.  `root` itself is never a store.

    `call` is the call to the disk of `root`; it is told each time that the disk answers.
    `left` is called with each entry that is neither file nor directory, and the reason; the
    next rescan looks again.  `unseen`, else `left`, is called with each that cannot be looked at
    or listed now.  `failed` is called with the error if a directory cannot be listed.  Dot files
    and directories do not count, as for OMERO's own importer.

    Raises RootAway.  If the root is not there any more, or the error is of the whole share,
    the walk ends: it would find the same in each directory, perhaps slowly.
    """
    answered = call.pulse if call is not None else _nobody_waits
    unseen = unseen or left
    waiting = [root]
    deepest = root.rstrip("/").count("/") + DEEPEST

    def entered(directory: str) -> bool:
        if directory.count("/") <= deepest:
            return enters(directory)
        left(directory, TOO_DEEP)
        return False

    while waiting:
        directory = waiting.pop()
        answered()
        try:
            if directory != root and is_store_name(directory.rpartition("/")[2]):
                yield from _store(root, directory, unseen)
                continue
            with listing(root, directory) as descriptor, os.scandir(descriptor) as entries:
                first, rest = _begun(iter(entries), answered)
                may_be_store = directory != root and (rest is not None or _may_have_marker(first))
                if may_be_store and has_marker(descriptor):
                    yield from _store(root, directory, unseen)
                    continue
                every = iter(first) if rest is None else chain(first, rest)
                yield from _entries(
                    directory.rstrip("/"),
                    every,
                    waiting,
                    left,
                    unseen,
                    entered,
                    answered,
                    partial(_may_be_entered, descriptor),
                )
        except FileNotFoundError:
            continue
        except RootAway:
            raise
        except OSError as error:  # even in the middle: what was listed so far counts
            unseen(directory, f"cannot be listed: {error.strerror}")
            failed(error)
            if of_the_share(error):
                return


def look_into(directory: str) -> None:
    """Raises OSError if it may not be listed, or may be listed and not be entered."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.lstat(".", dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _may_be_entered(directory: int) -> bool:
    """Whether what is in a directory may be looked at.  It may be listed all the same.

    `directory`: a descriptor.
    """
    try:
        os.lstat(".", dir_fd=directory)
    except PermissionError:
        return False
    return True


def _begun(
    entries: _Entries, answered: Callable[[], None]
) -> tuple[list[os.DirEntry[str]], _Entries | None]:
    """The first entries of a directory, AT_ONCE of them if there are so many, and the others.

    None if there are no others.  An error in the middle is raised in the place of the next entry.
    `answered` is called for each: a slow share may list a few of them at a time.  Raises RootAway.
    """
    first: list[os.DirEntry[str]] = []
    try:
        for entry in islice(entries, AT_ONCE):
            first.append(entry)  # an error loses none that came before it
            answered()
    except RootAway:
        raise
    except OSError as error:
        return first, _raising(error)
    return first, entries if len(first) == AT_ONCE else None


def _raising(error: OSError) -> _Entries:
    raise error
    yield


def _may_have_marker(names: list[os.DirEntry[str]]) -> bool:
    """Whether one of them may be that of a marker, also where large and small letters are alike.

    To look for each marker would take as long as four files.
    """
    return any(one.name[0] in _FIRST and one.name.lower() in MARKERS for one in names)


def _store(root: str, directory: str, unseen: Callable[[str, str], None]) -> Iterator[Found]:
    store = store_at(directory)
    try:
        stat = tree_stat(root, store)
    except OSError as error:
        if of_the_share(error):  # RootAway too
            raise
        unseen(store, f"cannot be looked at: {error.strerror}")
        return
    if stat is not None:
        yield Found(store, stat)


def _entries(
    directory: str,
    entries: _Entries,
    waiting: list[str],
    left: Callable[[str, str], None],
    unseen: Callable[[str, str], None],
    enters: Callable[[str], bool],
    answered: Callable[[], None],
    may_enter: Callable[[], bool],
) -> Iterator[list[Look]]:
    seen: list[Look] = []
    before = len(waiting)
    try:
        for number, entry in enumerate(entries):
            answered()
            if number >= MOST_NAMES:
                left(
                    directory,
                    f"more than {MOST_NAMES:,} names in one directory: the rest is not met",
                )
                break
            name = entry.name
            if name[0] == ".":
                continue
            try:
                if entry.is_file(follow_symlinks=False):
                    seen.append((f"{directory}/{name}", entry.stat(follow_symlinks=False)))
                    if len(seen) == AT_ONCE:
                        yield seen
                        seen = []
                        answered()  # another may have taken over the root meanwhile
                elif entry.is_dir(follow_symlinks=False):
                    if enters(f"{directory}/{name}"):
                        waiting.append(f"{directory}/{name}")
                else:
                    why = oddity(entry.stat(follow_symlinks=False).st_mode)
                    left(f"{directory}/{name}", why)
            except FileNotFoundError:
                continue  # removed while we were looking
            except OSError as error:
                if of_the_share(error):  # RootAway too
                    raise
                if isinstance(error, PermissionError) and not may_enter():
                    del waiting[before:]
                    raise  # so it is with all that is in it
                unseen(f"{directory}/{name}", f"cannot be looked at: {error.strerror}")
    except RootAway:
        raise
    except OSError:
        if seen:
            yield seen
        raise
    if seen:
        yield seen
        answered()


def _nobody_waits() -> None:
    """For a walk of which nobody watches the progress."""
