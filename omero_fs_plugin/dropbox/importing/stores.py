"""The import of a store: it is one row in the journal, and all of its files in OMERO.

The journal has one digest of a store.  It is made from the names and SHA1s of the files.  The SHA1s
are made during the upload.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from omero_fs_plugin.dropbox.confine import open_directory
from omero_fs_plugin.dropbox.confine.trees import tree_files, tree_stat
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import FsError, ImportRefused
from omero_fs_plugin.names import is_utf8, printable
from omero_fs_plugin.stores import (
    MARKERS,
    digest,
    digest_of_many,
    directory_of,
    is_store,
    registered_as,
)
from omero_fs_plugin.system_names import is_beside

from .importers import DiskAway, FileChanged, FileGone, Stopped, client_path
from .importers.disk import disk_errors
from .importers.sources import remove, sha1_of
from .unfolding import StoreFiles

log = logging.getLogger(__name__)


def unfolded(fileset: Fileset, path_rules: str = "") -> Fileset:
    """The fileset with each file of its store; as it is if it is no store.

    Raises FileChanged if the store is not as it was at rest, FileGone, DiskAway, and ImportRefused
    if its files cannot be imported as they are.  `path_rules` as in `client_path`.
    """
    if not is_store(fileset.path):
        return fileset
    (met,) = fileset.files
    with disk_errors(met.path):
        files = StoreFiles(met.path, tree_files(fileset.root, met.path))
    check_rests(fileset)
    for name in files.names:
        _check_name(met.path, name, path_rules)
    if not files or files.names[0] not in MARKERS:
        raise FileChanged(f"{met.path}: has no metadata at its top any more")
    return replace(fileset, files=files)


def check_rests(fileset: Fileset) -> None:
    """Raises FileChanged if a store is not as it was at rest, FileGone, and DiskAway.

    Each file is looked at when it is read, so a file that was added is seen only here.
    """
    if not is_store(fileset.path):
        return
    (met,) = fileset.files
    with disk_errors(met.path):
        now = tree_stat(fileset.root, met.path)
    if now is None:
        raise FileGone(f"{met.path}: gone before it was imported")
    if now != met.stat:
        raise FileChanged(f"{met.path}: changed after it had come to rest")


def _check_name(store: str, name: str, path_rules: str) -> None:
    """A store names its files, so none may have another name in OMERO.  Raises ImportRefused."""
    if not is_utf8(name):
        raise ImportRefused(
            f"{store}: has a name that is not valid UTF-8: {printable(name)}", final=True
        )
    made = client_path(f"/{name}", path_rules)
    if made != name:
        raise ImportRefused(
            f"{store}{name}: OMERO would call it {made}, and the store would not find it: "
            "write the store with other names",
            final=True,
        )


def folded(fileset: Fileset, whole: Fileset, sha1s: Sequence[str]) -> list[str]:
    """The SHA1s as the journal has them: of a store its digest alone.

    `whole` is the unfolded fileset, `sha1s` are those of its files in their order.
    """
    if not is_store(fileset.path):
        return list(sha1s)
    files = whole.files
    if isinstance(files, StoreFiles):
        return [digest_of_many(files.names, sha1s)]
    names = (met.path.removeprefix(fileset.path) for met in files)
    return [digest(dict(zip(names, sha1s, strict=True)))]


def first_paths(fileset: Fileset, path_rules: str = "") -> list[str]:
    """Each client path that the first file of the fileset may have in OMERO.

    `path_rules` as in `client_path`.
    """
    own = client_path(fileset.path, path_rules)
    if not is_store(fileset.path):
        return [own]
    return [registered_as(own), *(f"{own}/{name}" for name in MARKERS)]


def content(fileset: Fileset, path_rules: str, stopping: Callable[[], bool]) -> str:
    """The digest of a store.  Raises what `unfolded` and `sha1_of` raise."""
    whole = unfolded(fileset, path_rules)
    each = [sha1_of(fileset.root, met, stopping) for met in whole.files]
    (found,) = folded(fileset, whole, each)
    return found


def remove_whole(
    fileset: Fileset, sha1s: Sequence[str], *, linked: bool, stopping: Callable[[], bool]
) -> str:
    """Removes a store that was imported.  One that is not what was imported stays, and is logged.

    Returns and raises what `sources.remove` does.
    """
    try:
        whole, each = _each_sha1(fileset, sha1s, stopping)
    except (DiskAway, Stopped):
        raise
    except FsError as error:
        log.warning("fileset %d: imported, and not removed: %s", fileset.id, error)
        return ""
    kept = remove(whole, each, linked=linked, stopping=stopping)
    _remove_directories(fileset)
    return kept


def _each_sha1(
    fileset: Fileset, sha1s: Sequence[str], stopping: Callable[[], bool]
) -> tuple[Fileset, list[str]]:
    """The unfolded fileset and the SHA1 of each file, which are those that were imported.

    Raises FileChanged if a store is not what was imported, and what `unfolded` and `sha1_of` raise.
    """
    whole = unfolded(fileset)
    each = [sha1_of(fileset.root, met, stopping) for met in whole.files]
    if folded(fileset, whole, each) != list(sha1s):
        raise FileChanged(f"{fileset.path}: changed after it was imported")
    return whole, each


def _remove_directories(fileset: Fileset) -> None:
    """Removes the directories of a store from which all files were removed.

    One that is not empty stays.  Raises DiskAway.
    """
    top = directory_of(fileset.path)
    with disk_errors(top), CALLS.at(fileset.root):
        above = open_directory(fileset.root, top)
        try:
            _remove_empty(top.rpartition("/")[2], above)
        except OSError as error:
            log.info("fileset %d: %s stays: %s", fileset.id, top, error.strerror)
        finally:
            os.close(above)


def _remove_empty(name: str, above: int, *, all_of_it: bool = False) -> None:
    """Removes the directory `name` of the directory `above` if no file of a store is below it.

    `all_of_it`: nothing in it is one.  Raises OSError, and then leaves the rest: what lies beside a
    file that stays, such as its resource fork, stays too.
    """
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        with os.scandir(inner) as entries:
            directories, beside = [], []
            for entry in entries:
                is_directory = entry.is_dir(follow_symlinks=False)
                if all_of_it or is_beside(entry.name, directory=is_directory):
                    beside.append((entry.name, is_directory))
                elif is_directory:
                    directories.append(entry.name)
                else:
                    raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        for one in directories:
            _remove_empty(one, inner)
        for one, is_directory in beside:
            if is_directory:
                _remove_empty(one, inner, all_of_it=True)
            else:
                os.unlink(one, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=above)
