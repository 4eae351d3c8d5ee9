"""DropBoxImporter under IceGrid: importers on another machine than DropBox's."""

from __future__ import annotations

import logging
import sys
from typing import Any

from omero_fs_plugin import __version__, icegrid, niceness
from omero_fs_plugin.config.parsing import read

from .processes import starter
from .service.elsewhere import DropBoxImporter

# Threads that may be held by somebody who does not answer.
_HELD = ("dispatch", "importer", "upload", "disk", "begin", "nodes")
# Under IceGrid this module is __main__.
log = logging.getLogger("omero_fs_plugin.dropbox.importer")


def start(communicator: Any) -> DropBoxImporter:
    """Starts it in `communicator`, with its properties.  Raises ConfigurationError."""
    log.info("DropBoxImporter %s", __version__)
    starter.ready()  # before a file of a user is open
    service = DropBoxImporter(communicator, icegrid.omero_properties(communicator))
    service.start()
    icegrid.when_changed(
        communicator, lambda: service.reconfigure(icegrid.omero_properties(communicator))
    )
    return service


def _below_omero(communicator: Any) -> DropBoxImporter:
    niceness.lower(read(icegrid.omero_properties(communicator)).nice)
    return start(communicator)


def main() -> int:
    """IceGrid runs this.  Returns the exit code."""
    return icegrid.ended(icegrid.run(_below_omero), _HELD)


if __name__ == "__main__":
    sys.exit(main())
