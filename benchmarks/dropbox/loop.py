"""A plain loop over OMERO's repository API: the least that an import by a client can cost.

It asks nothing before and nothing after, and remembers nothing.  Arguments: the OMERODIR, the
number of clients, and the files.  The last line on stdout: `{"seconds": of all imports}`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import omero.model
from omero.grid import ImportSettings
from omero.rtypes import rstring

import omero
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.importing.importers import client_path
from omero_fs_plugin.dropbox.importing.importers.checksums import CHECKSUM
from omero_fs_plugin.dropbox.importing.importers.sources import BLOCK
from omero_fs_plugin.site import Site

USERS = ("amy", "zak")
POLL_S = 0.02


def import_one(repository: Any, algorithm: Any, path: Path) -> None:
    """Imports one file.  Raises RuntimeError if OMERO says no."""
    fileset = omero.model.FilesetI()
    entry = omero.model.FilesetEntryI()
    entry.clientPath = rstring(client_path(str(path)))
    fileset.addFilesetEntry(entry)
    fileset.linkJob(omero.model.UploadJobI())
    settings = ImportSettings()
    settings.checksumAlgorithm = algorithm
    process = repository.importFileset(fileset, settings)
    store, digest, offset = process.getUploader(0), hashlib.sha1(usedforsecurity=False), 0
    with path.open("rb", buffering=0) as source:
        while block := source.read(BLOCK):
            store.write(block, offset, len(block))
            digest.update(block)
            offset += len(block)
    store.close()
    handle = process.verifyUpload([digest.hexdigest()])
    while (response := handle.getResponse()) is None:
        time.sleep(POLL_S)
    handle.close()
    process.close()
    if isinstance(response, omero.cmd.ERR):
        raise RuntimeError(f"{path}: {response.parameters}")


def run(server: Omero, clients: int, paths: Sequence[Path]) -> float:
    """Imports all files, each once, by so many clients.  Returns how long (s) it took.

    Raises RuntimeError if one was not imported.
    """
    sessions = [server.session_for(server.user(USERS[n % len(USERS)])) for n in range(clients)]
    left, lock = iter(paths), threading.Lock()
    failures: list[BaseException] = []

    def client(session: Any) -> None:
        try:
            repository = session.managed_repository()
            wanted = omero.model.ChecksumAlgorithmI()
            wanted.value = rstring(CHECKSUM)
            algorithm = repository.suggestChecksumAlgorithm([wanted])
            ready.wait()
            while True:
                with lock:
                    path = next(left, None)
                if path is None:
                    return
                import_one(repository, algorithm, path)
        except BaseException as error:
            failures.append(error)
            ready.abort()

    ready = threading.Barrier(clients + 1)
    threads = [threading.Thread(target=client, args=[session]) for session in sessions]
    for thread in threads:
        thread.start()
    with suppress(threading.BrokenBarrierError):  # `failures` says why
        ready.wait()
    begun = time.monotonic()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun
    for session in sessions:
        session.close()
    if failures:
        raise RuntimeError(str(failures[0])) from failures[0]
    return seconds


def main(omerodir: str, clients: str, *paths: str) -> float:
    """The seconds."""
    with Site(Path(omerodir)).grid() as grid:
        server = Omero.of(grid.communicator, Site(Path(omerodir)).settings())
        try:
            return run(server, int(clients), [Path(path) for path in paths])
        finally:
            server.close()


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"seconds": main(*sys.argv[1:])}) + "\n")
