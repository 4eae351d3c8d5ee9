"""Uploads one file to OMERO over the network, and hashes it on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from omero_fs_plugin.blitz.copies import patience_ms
from omero_fs_plugin.blitz.verdicts import Step, server_errors
from omero_fs_plugin.dropbox.journal.records import Fileset

from .sources import blocks, check_read, opened, touched_at


def upload(
    process: Any,
    position: int,
    fileset: Fileset,
    stopping: Callable[[], bool],
    more: Callable[[int], None],
) -> str:
    """Uploads one file, and returns its SHA1 in lower-case hex.

    A block is read and hashed while the one before it is on its way.  So at most three
    are in memory: these two, and Ice's copy of the one being sent.  Raises what
    `sources.opened`, `blocks`, `check_read` and `server_errors` raise.
    """
    met = fileset.files[position]
    digest = hashlib.sha1(usedforsecurity=False)
    what = f"uploading {met.path}"
    with opened(fileset.root, met) as source, server_errors(what, Step.UPLOAD):
        store = process.getUploader(position)
        since = touched_at(fileset.root, source, met)
        try:
            offset, sending = 0, None
            for block in blocks(fileset.root, source, met, stopping):
                if sending is not None:
                    store.end_write(sending)
                sending = store.begin_write(block, offset, len(block))
                digest.update(block)
                offset += len(block)
                more(len(block))
            if sending is not None:
                store.end_write(sending)
        finally:
            # To close is to save, and OMERO may read the whole file again for that.
            store.ice_invocationTimeout(patience_ms(met.stat.size)).close()
        check_read(fileset.root, source, met, since, digest.hexdigest(), stopping)
    return digest.hexdigest()
