"""One import of one file into a running sandbox, in a process of its own to measure its memory.

Arguments: the way (bare, upload, ln_s), the OMERODIR and the file, or a store with a slash at its
end.  The last line on stdout:
`{"seconds": until OMERO has the file, "whole": until it has images, "peak": bytes of memory,
"images": how many}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import omero.model
from omero.grid import ImportSettings
from omero.rtypes import rstring

from benchmarks.measure import memory
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.importing.importers import client_path
from omero_fs_plugin.dropbox.importing.importers.checksums import CHECKSUM
from omero_fs_plugin.dropbox.importing.importers.native import (
    NativeImporter,
    NativeOptions,
)
from omero_fs_plugin.dropbox.importing.importers.protocol import Imported, Task
from omero_fs_plugin.dropbox.importing.importers.sources import BLOCK
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.dropbox.importing.stores import unfolded
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.site import Site
from omero_fs_plugin.stores import is_store

USER = "amy"


def bare(session: UserSession, path: str) -> float:
    """How long (s) it takes to write file after file, block by block, and nothing else."""
    files = _fileset(path).files
    repository = session.managed_repository()
    fileset = omero.model.FilesetI()
    for met in files:
        entry = omero.model.FilesetEntryI()
        entry.clientPath = rstring(client_path(met.path))
        fileset.addFilesetEntry(entry)
    fileset.linkJob(omero.model.UploadJobI())
    algorithm = omero.model.ChecksumAlgorithmI()
    algorithm.value = rstring(CHECKSUM)
    settings = ImportSettings()
    settings.checksumAlgorithm = repository.suggestChecksumAlgorithm([algorithm])
    begun = time.monotonic()
    process = repository.importFileset(fileset, settings)
    try:
        for position, met in enumerate(files):
            store = process.getUploader(position)
            offset = 0
            with Path(met.path).open("rb", buffering=0) as source:
                while block := source.read(BLOCK):
                    store.write(block, offset, len(block))
                    offset += len(block)
            store.close()
        return time.monotonic() - begun
    finally:
        process.close()


def _fileset(path: str) -> Fileset:
    """As the journal has it, with each file of a store."""
    root = str(Path(path).parent)
    stat = tree_stat(root, path) if is_store(path) else FileStat.of(Path(path).lstat())
    if stat is None:
        raise FileNotFoundError(path)
    return unfolded(
        Fileset(
            1, USER, root, path, State.IMPORTING, "", "", 1, 0,
            False, None, (), 0, 0, (Found(path, stat),), (None,),
        )
    )  # fmt: skip


def native(session: UserSession, path: str, transfer: Transfer) -> tuple[float, float, int]:
    """s from the begin until OMERO has the file, and until it has images; how many images."""
    told: list[float] = []

    def verified(_: Sequence[str]) -> None:
        told.append(time.monotonic())

    fileset = _fileset(path)
    importer = NativeImporter(session, NativeOptions(transfer, thumbnails=False, stats=False))
    begun = time.monotonic()
    ((_, outcome),) = importer.run([Task(fileset, verified)], lambda: False)
    ended = time.monotonic()
    if not isinstance(outcome, Imported):
        raise outcome
    return told[0] - begun, ended - begun, len(outcome.images)


def main(way: str, omerodir: str, file: str) -> dict[str, Any]:
    """What is to be told."""
    with Site(Path(omerodir)).grid() as grid:
        settings = Site(Path(omerodir)).settings()
        server = Omero.of(grid.communicator, settings)
        try:
            session = server.session_for(server.user(USER))
            try:
                if way == "bare":
                    seconds = whole = bare(session, file)
                    images = 0
                else:
                    seconds, whole, images = native(session, file, Transfer(way))
            finally:
                session.close()
        finally:
            server.close()
    peak = memory(os.getpid(), "VmHWM")
    return {"seconds": seconds, "whole": whole, "peak": peak, "images": images}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
