"""Files are verified by their SHA1, and by no other checksum.

Nothing is imported twice because of it: the journal has the SHA1 of every file, and is compared
with what OMERO has.
"""

from __future__ import annotations

from typing import Any

import omero.model
from omero.rtypes import rstring

import omero
from omero_fs_plugin.blitz.verdicts import server_errors
from omero_fs_plugin.errors import ServerMisconfiguredError

CHECKSUM = "SHA1-160"
SUPPORTED = "omero.checksum.supported"  # OMERO's property


def agreed(repository: Any) -> Any:
    """Our checksum algorithm, as the server's omero.model.ChecksumAlgorithm.

    Raises ServerMisconfiguredError if the server does not offer it.
    """
    with server_errors("choosing a checksum algorithm"):
        wanted = omero.model.ChecksumAlgorithmI()
        wanted.value = rstring(CHECKSUM)
        algorithm = repository.suggestChecksumAlgorithm([wanted])
    if algorithm is None:
        raise ServerMisconfiguredError(lacking())
    return algorithm


def lacking(supported: str = "") -> str:
    """What to tell people about a server without our algorithm; `supported` are those it has."""
    has = f", but {supported}" if supported else ""
    return (
        f"OMERO does not offer the checksum algorithm {CHECKSUM}{has}: nothing can be imported; "
        f"add {CHECKSUM} to {SUPPORTED} and restart OMERO"
    )
