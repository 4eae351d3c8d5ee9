"""DropBox under IceGrid: imports what users copy into their directories."""

from __future__ import annotations

import logging
import sys
from typing import Any

from omero_fs_plugin import __version__, icegrid, niceness
from omero_fs_plugin.config.parsing import read

from .processes import starter
from .service.awaiting import AwaitingJournal, take_up
from .service.service import DropBox

# Under IceGrid this module is __main__.
# Threads that may be held by somebody who does not answer.
_HELD = (
    *("dispatch", "importer", "upload", "grouper", "disk", "rescan", "begin", "subscription"),
    *("letters", "metrics"),
)
log = logging.getLogger("omero_fs_plugin.dropbox.server")


def start(communicator: Any) -> DropBox | AwaitingJournal:
    """Starts DropBox in `communicator`, with its properties."""
    log.info("DropBox %s", __version__)
    starter.ready()  # before a file of a user is open
    service = take_up(communicator, icegrid.omero_properties(communicator))
    icegrid.when_changed(
        communicator, lambda: service.reconfigure(icegrid.omero_properties(communicator))
    )
    return service


def _below_omero(communicator: Any) -> DropBox | AwaitingJournal:
    niceness.lower(read(icegrid.omero_properties(communicator)).nice)
    return start(communicator)


def main() -> int:
    """IceGrid runs this.  Returns the exit code."""
    return icegrid.ended(icegrid.run(_below_omero), _HELD)


if __name__ == "__main__":
    sys.exit(main())
