"""Registers a store where it lies: OMERO gets its images, and no file of it.

For an OMERO.server that has no reader for OME-Zarr, but omero-zarr-pixel-buffer, which reads the
pixels of an image from the path in its ExternalInfo.

Rule: there are two steps, each of which is one transaction in OMERO.  The first makes a Fileset
without images, the mark.  The second makes all images, which belong to the mark and have their
ExternalInfo from the beginning.  So after a kill there is no mark, or a mark without images, or all
of it, and `Earlier` knows which.  OMERO may carry out the second call late: then it fails if
the mark was deleted meanwhile, for no image can belong to a Fileset that is not there.

Sources: OMERO.server's OmeroInterceptor, which lets users give a new object its ExternalInfo, and
OMERO's integration tests of IUpdate and of filesets, which save such objects.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import omero.sys
from omero.rtypes import rlong, unwrap

import omero
from omero_fs_plugin.blitz.copies import patience_ms
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.verdicts import Step, server_errors, told
from omero_fs_plugin.config.readers import PIXEL_BUFFER
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import FsError, ImportRefused
from omero_fs_plugin.packed import Texts
from omero_fs_plugin.stores import MARKERS, digest_of_many, registered_as

from . import Stopped, client_path
from .answers import delete_filesets
from .one import OneImport
from .proof import PROOFS
from .protocol import Progress, Task
from .registered import CHANNEL_ROWS, ROWS, Enumerations, Registered, mark
from .sources import blocks, opened, sha1_of
from .store_images import Layout, layout

log = logging.getLogger(__name__)

# Of one file of metadata: bytes, and characters that stand between values.  It is read in DropBox's
# own process, and each value takes some 100 bytes there.  Consolidated metadata of a large plate
# has 10 MiB and 900,000 of these characters.
_MOST_BYTES, _MOST_VALUES = 16 << 20, 1_000_000
_BETWEEN = (b",", b":", b"[", b"{")


def registers(fileset: Fileset) -> bool:
    """Whether it is a store that is to be registered, as was found out when it came to rest."""
    return fileset.reader == PIXEL_BUFFER


class Registration(OneImport):
    """One attempt to register one store in one session.

    The fileset of its task has each file of the store.
    """

    def __init__(
        self,
        session: UserSession,
        task: Task,
        *,
        stopping: Callable[[], bool],
        path_rules: str = "",
        progress: Progress | None = None,
    ) -> None:
        super().__init__(session, task, stopping=stopping, progress=progress)
        self._path_rules = path_rules
        # The positions of the files of metadata, by their names; a store has many more chunks.
        self._metadata = {
            name: position
            for position, name in enumerate(self._names())
            if name.rpartition("/")[2] in MARKERS
        }

    def run(self) -> tuple[int, ...]:
        """Registers it, and returns the ids of the images.  Raises as NativeImport does.

        If OMERO refuses the images, the mark is deleted.  If nobody knows what OMERO did, it stays.
        """
        self._begin_progress()
        self._check_place()
        found = layout(self._fileset.path, self._json)
        of = Enumerations(self._session)
        self.sha1s.extend(self._streams.run(self._sha1))
        if self._stopping():
            raise Stopped("stopped before the registration began")
        self._verified(self.sha1s)
        return self._images(self._mark(of), found, of)

    def _names(self) -> Iterator[str]:
        """Of all files, relative to the store, in their order."""
        return (met.path.removeprefix(self._fileset.path) for met in self._fileset.files)

    def _check_place(self) -> None:
        """OMERO will read the store by its path, so this must be OMERO's machine."""
        repository = self._session.managed_repository()
        with server_errors("asking where the managed repository is"):
            described = repository.root()
        root = Path(unwrap(described.path) or "") / (unwrap(described.name) or "")
        try:
            there = root.is_absolute() and root.is_dir()
        except OSError as error:  # its disk is ill
            raise told(error, f"looking for OMERO's {root}", Step.IN_PLACE) from error
        if not there:
            raise ImportRefused(
                f"{self._fileset.path}: is registered only on OMERO's machine, where the server "
                f"has the same path for it, and OMERO's {root} is not on this one: run DropBox "
                "beside OMERO, or add OMEZarrReader to the server"
            )
        if os.access(root, os.W_OK | os.X_OK):  # else a missing file is found out by its readers
            PROOFS.check(self._fileset, repository, root)

    def _json(self, name: str) -> Mapping[str, Any] | None:
        position = self._metadata.get(name)
        if position is None:
            return None
        met = self._fileset.files[position]
        too_much = ImportRefused(
            f"{met.path}: too much metadata to be registered: add OMEZarrReader to the server, or "
            "write the store without consolidated metadata",
            final=True,
        )
        if met.stat.size > _MOST_BYTES:
            raise too_much
        with opened(self._fileset.root, met) as file:
            text = b"".join(blocks(self._fileset.root, file, met, self._stopping))
        if sum(map(text.count, _BETWEEN)) > _MOST_VALUES:
            raise too_much
        try:
            said = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ImportRefused(f"{met.path}: is no JSON: {error}", final=True) from error
        if not isinstance(said, dict):
            raise ImportRefused(f"{met.path}: has no JSON object", final=True)
        return said

    def _sha1(self, position: int) -> str:
        met = self._fileset.files[position]
        found = sha1_of(self._fileset.root, met, self._halting)
        self._progress.more(met.stat.size)
        return found

    def _mark(self, of: Enumerations) -> int:
        """Makes the mark, and returns the id of its Fileset."""
        content = digest_of_many(Texts(self._names()), self.sha1s)
        path = registered_as(client_path(self._fileset.path, self._path_rules))
        user = self._session.user
        made = mark(self._fileset, path, content, user.name, user.group, of)
        with server_errors("making the mark of a registration", Step.BEGIN):
            (identifier,) = self._update(10).saveAndReturnIds([made])
        return int(identifier)

    def _images(self, made: int, found: Layout, of: Enumerations) -> tuple[int, ...]:
        """Makes all images in one transaction, and returns their ids."""
        objects = Registered(self._fileset.path, made, self._wishes, of).objects(found)
        rows = sum(ROWS + CHANNEL_ROWS * one.sizes["C"] for one in found.images)
        try:
            with server_errors("registering the images", Step.IMPORT):
                self._update(rows).saveAndReturnIds(objects)
        except FsError as error:
            if isinstance(error.__cause__, omero.ServerError):  # OMERO itself says that it does not
                self._take_back(made)
            raise
        with server_errors("asking for the images"):
            return self._of_mark("select i.id from Image i where i.fileset.id = :id", made)

    def _of_mark(self, text: str, made: int) -> tuple[int, ...]:
        parameters = omero.sys.ParametersI()
        parameters.map = {"id": rlong(made)}
        return tuple(unwrap(row[0]) for row in self._session.query.projection(text, parameters))

    def _update(self, rows: int) -> Any:
        """An IUpdatePrx whose calls may take as long as it takes to store so many rows."""
        service = self._session.services.getUpdateService()
        return service.ice_invocationTimeout(patience_ms(0, rows))

    def _take_back(self, made: int) -> None:
        """Deletes the mark, to which no image belongs.  It does not matter if this fails."""
        if not self._ours():
            return
        try:
            with server_errors("looking for what is left of the registration"):
                if self._of_mark("select i.id from Image i where i.fileset.id = :id", made):
                    return
                files = self._of_mark(
                    "select o.id from FilesetEntry e join e.originalFile o "
                    "where e.fileset.id = :id",
                    made,
                )
            for file in files:
                self._over(file)
            delete_filesets(self._session, [made])
        except FsError as error:
            log.warning("fileset %d: %s", self._fileset.id, error)
