"""What OMERO answers to an import and to a deletion, in our words."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import Ice
import omero.cmd
import omero.model
from omero.grid import ImportResponse
from omero.rtypes import unwrap

import omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.verdicts import Step, server_errors, told
from omero_fs_plugin.errors import FsError, ImportRefused, ServerAwayError

log = logging.getLogger(__name__)

_POLL_FIRST_S, _POLL_LAST_S = 0.02, 1.0
_DELETE_S = 600.0  # how long a deletion may take; if the session ends, its answer never comes


def images_of(response: Any) -> tuple[int, ...]:
    """The ids of the images in an answer.

    Raises ImportRefused if the answer is no, and what `server_errors` raises if
    OMERO could not import for another reason.
    """
    if isinstance(response, omero.cmd.ERR):
        raise told(response, response.name or response.category, Step.IMPORT)
    if not isinstance(response, ImportResponse):
        raise ImportRefused(f"OMERO answered the import with a {type(response).__name__}")
    # For a plate `objects` holds the plate; its images stand behind the pixels.
    found = {unwrap(p.image.id) for p in response.pixels if p is not None and p.image is not None}
    found.update(
        unwrap(o.id) for o in response.objects if o is not None and isinstance(o, omero.model.Image)
    )
    return tuple(sorted(found))


def delete_filesets(session: UserSession, ids: Sequence[int]) -> None:
    """Deletes filesets, as their owner, with everything that belongs to them.

    Raises ImportRefused if OMERO will not delete them, and ServerAwayError.
    """
    what = f"deleting unfinished filesets {list(ids)}"
    request = omero.cmd.Delete2(targetObjects={"Fileset": list(ids)})
    with server_errors(what, Step.DELETE):
        handle = session.services.submit(request)
        try:
            pause, until = _POLL_FIRST_S, time.monotonic() + _DELETE_S
            while (response := handle.getResponse()) is None:
                if time.monotonic() > until:
                    raise ServerAwayError(f"{what}: no answer within {_DELETE_S:g} s")
                time.sleep(pause)
                pause = min(pause * 1.5, _POLL_LAST_S)
        finally:
            quietly(handle.close)
    if isinstance(response, omero.cmd.ERR):
        raise told(response, f"{what}: {response.name}", Step.DELETE)


def quietly(call: Callable[[], Any]) -> None:
    """Closes something.  If that fails, the server drops it by itself."""
    try:
        with server_errors("closing"):
            call()
    except FsError as error:
        log.debug("%s", error)


def without_waiting(proxy: Any) -> None:
    """Closes something, and does not wait for that.  As `quietly` if it fails."""
    try:
        proxy.begin_close()
    except Ice.Exception as error:
        log.debug("closing: %s", type(error).__name__)
