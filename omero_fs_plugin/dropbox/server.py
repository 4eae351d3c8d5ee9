"""DropBox under IceGrid: imports what users copy into their directories."""

from __future__ import annotations

import logging
import sys
from typing import Any

from .. import __version__, icegrid
from ..settings import read
from .service import DropBox

# Under IceGrid this module is __main__.
log = logging.getLogger("omero_fs_plugin.dropbox.server")


def start(communicator: Any) -> DropBox:
    """Starts DropBox in `communicator`, with the properties it was given."""
    settings = read(communicator.getProperties().getPropertiesForPrefix("omero."))
    log.info("DropBox %s watches %s", __version__, settings.watch_dir)
    dropbox = DropBox(communicator, settings)
    dropbox.start()
    return dropbox


def main() -> int:
    """What IceGrid runs; the exit code."""
    return icegrid.run(start)


if __name__ == "__main__":
    sys.exit(main())
