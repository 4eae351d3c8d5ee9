"""The quarantine's directory: where the files of a fileset lie there, and what each move needs."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from omero_fs_plugin.dropbox.confine import parts_beneath
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.stores import is_store

from .alone import alone
from .copying import make_directory
from .crossing import aside_of, clear_away

log = logging.getLogger(__name__)

_SURE_S = 1.0  # between two questions whether we may go on


class Vault:
    """What the moves there and the moves back have in common.

    A file's place follows from its fileset.  So a move that was cut short can be completed, and
    no two files get the same place.
    """

    def __init__(self, directory: Path | None, journal: Journal) -> None:
        self.directory = directory  # absolute; None: they stay
        self._journal = journal
        self._asked = 0.0  # when we last made sure that we may go on, s, monotonic

    def _alone(self, identifier: int, root: Path, vault: str) -> AbstractContextManager[None]:
        """As `alone`.  `root`: where the fileset lies there.

        A file too: two processes that copy it at once would each take the other's half copy for
        its own.
        """
        self._need_disk(root.parent, vault)
        with CALLS.at(vault):
            make_directory(root.parent)
        return alone(root.with_name(f".{identifier}.lock"), vault)

    def _need_disk(self, above: Path, vault: str) -> None:
        """Raises OSError if nothing is in the quarantine although filesets lie there.

        Its disk is not mounted, most likely: what is moved there now would lie hidden below it.
        `above`: the directory of a user there.
        """
        top = above.parent
        with CALLS.at(vault):
            if above.is_dir():
                return
            with suppress(FileNotFoundError), os.scandir(top) as entries:
                if next(entries, None) is not None:
                    return
        goes = self._journal.notes(GOES)
        for key, home in self._journal.notes(HOME).items():
            identifier = int(key.removeprefix(HOME))
            fileset = self._journal.get(identifier)
            away = fileset is not None and fileset.state is State.FAILED and fileset.root != home
            lies = fileset is not None and away and Path(fileset.root).parent.parent == top
            if lies or goes.get(f"{GOES}{identifier}") == str(top):
                raise FileNotFoundError(
                    errno.ENOENT,
                    f"nothing is in {top}, and files of fileset {identifier} lie there: mount its "
                    f"disk, or make {above} if all of it was removed",
                )

    def _sure(self) -> None:
        """Raises LeaseLost if another DropBox has taken over."""
        now = time.monotonic()
        if now - self._asked >= _SURE_S:
            with CALLS.resting():
                self._journal.make_sure()
            self._asked = now

    def _ways_home(self, fileset: Fileset, root: str) -> Sequence[tuple[Path, str]]:
        """(where it lies, where it was) of each file.

        The journal may still have some where they were, if a process ended while it recorded them.
        """
        below = fileset.root.rstrip("/") + "/"
        return [
            (
                Path(met.path),
                str(Path(root, *parts_beneath(fileset.root, met.path)))
                + ("/" if is_store(met.path) else ""),
            )
            if met.path.startswith(below)
            else (Path(fileset.root, *parts_beneath(root, met.path)), met.path)
            for met in fileset.files
        ]

    def _clear_away(
        self, fileset: Fileset, home: str, ways: Sequence[tuple[Path, str]], vault: str
    ) -> None:
        """Removes what is left of stores that went to another disk.  The log says what stays."""
        for at, path in ways:
            if not is_store(path):
                continue
            try:
                if left := clear_away(home, path, at, vault, self._sure):
                    log.warning(
                        "fileset %d: what came or changed while %s was moved is in %s",
                        fileset.id,
                        path,
                        left,
                    )
            except (OSError, FsError) as error:
                log.warning(
                    "fileset %d: %s is moved, but is not removed yet from %s: %s",
                    fileset.id,
                    path,
                    aside_of(path),
                    error,
                )


def told_at(root: Path) -> Path:
    return root.with_name(f"{root.name}.txt")
