"""The files of one user, looked at without following a link."""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import BinaryIO

from omero_fs_plugin.dropbox.confine import listing, open_beneath, parts_beneath
from omero_fs_plugin.errors import ImportRefused

from .opening import Opener, open_file

_LONGEST, _LONGEST_PART = 4096, 255  # bytes of a path and of one name in it; Linux
_TOLD = 100  # characters of a name in a message
# Errors for a name that no file can have: such a file is not there and will not come.
_NO_NAME = (errno.ENAMETOOLONG, errno.EINVAL)


def no_name(name: str) -> str:
    """Why no file with this name or path can be imported; empty if one can.

    DropBox does not import a file whose name is not UTF-8: OMERO and the journal cannot hold it.
    """
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "which is not UTF-8: such files are not imported"
    parts = encoded.split(b"/")
    if not encoded or b"\0" in encoded or len(encoded) >= _LONGEST:
        return "which no file can be called"
    return "which no file can be called" if max(map(len, parts)) > _LONGEST_PART else ""


def is_hidden(path: str) -> bool:
    """Whether the name begins with a dot; OMERO's importer passes over such files."""
    return PurePath(path).name.startswith(".")


class UserFiles:
    """The files below one user's directory, for the length of one call.

    Rule: it lists a directory once, so that all files of one call are judged by
    the same list.
    """

    def __init__(self, root: str, opener: Opener = open_file) -> None:
        self._opener = opener
        self.root = os.path.normpath(root)
        self._names: dict[str, tuple[str, ...]] = {}
        self._spelled: dict[str, dict[str, str]] = {}  # directory -> name in any case -> name

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Opens a file.  Raises what `open_beneath` does: ImportRefused, or an OSError."""
        return self._opener(self.root, path)

    def names(self, directory: str) -> tuple[str, ...]:
        """The names of the regular files in `directory` that may be imported, sorted.

        Hidden files do not count.  Empty if the directory cannot be read.
        """
        found = self._names.get(directory)
        if found is None:
            try:
                with listing(self.root, directory) as opened, os.scandir(opened) as entries:
                    files = (e.name for e in entries if e.is_file(follow_symlinks=False))
                    files = (name for name in files if not is_hidden(name) and not no_name(name))
                    found = tuple(sorted(files))
            except (OSError, ImportRefused):
                found = ()
            self._names[directory] = found
        return found

    def beside(self, path: str, name: str) -> str:
        """The path of the file beside `path` that is called `name`, in any case of letters.

        A file with exactly this name comes first.  If there is no such file, the path ends
        with `name` as it is.
        """
        directory = str(PurePath(path).parent)
        spelled = self._spelled.get(directory)
        if spelled is None:
            names = self.names(directory)
            spelled = {other.lower(): other for other in names} | {other: other for other in names}
            self._spelled[directory] = spelled
        found = spelled.get(name) or spelled.get(name.lower(), name)
        return str(PurePath(directory, found))

    def above(self, path: str, levels: int) -> list[str]:
        """The directory of `path`, and up to `levels` above it, but none above the root."""
        directories = [str(PurePath(path).parent)]
        while len(directories) <= levels and directories[-1] != self.root:
            directories.append(str(PurePath(directories[-1]).parent))
        return directories

    def named(self, path: str, name: str) -> str:
        """The absolute path of the file that the file at `path` calls `name`.

        It joins the two as Java does, so `/name` is below the directory too.  Raises
        ImportRefused if the result is not below the root.
        """
        if why := no_name(name):
            raise ImportRefused(f"{path}: names a file {name[:_TOLD]!r}, {why}", final=True)
        target = os.path.normpath(f"{PurePath(path).parent}/{name}")
        try:
            parts_beneath(self.root, target)
        except ImportRefused:
            raise ImportRefused(
                f"{path}: names {name}, which is not below {self.root}", final=True
            ) from None
        return target

    def has(self, path: str) -> bool:
        """Whether a file is there that may be imported.

        Raises ImportRefused if something else is there, such as a link, and OSError
        if nobody knows now.
        """
        try:
            os.close(open_beneath(self.root, path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno in _NO_NAME:
                return False
            raise
        return True
