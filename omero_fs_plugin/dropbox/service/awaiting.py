"""What runs while the journal cannot be opened: it waits, and ends when the journal is back.

IceGrid disables a server that ends while it starts, and nobody enables it again.  So DropBox
does not end because its journal is away: the disk is full or read-only, another process holds
it, or PostgreSQL is down.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from omero_fs_plugin import __version__, icegrid
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.journal.database import JournalAway
from omero_fs_plugin.errors import FsError

from .parts import open_journal
from .service import DropBox

log = logging.getLogger(__name__)

_AGAIN_S = 5.0  # between two tries to open it
_STOP_S = 2.0  # that a stop waits for a try


def take_up(communicator: Any, properties: Mapping[str, str]) -> DropBox | AwaitingJournal:
    """Starts DropBox; if its journal is away, what waits for the journal.

    Raises what `DropBox` raises, but not JournalAway.
    """
    try:
        dropbox = DropBox(communicator, properties)
    except JournalAway as error:
        return AwaitingJournal(communicator, properties, error)
    dropbox.start()
    return dropbox


class AwaitingJournal:
    """Asks for the journal, and tells `omero fs status` why it is away.

    When it is back this process ends.  IceGrid then starts DropBox anew.
    """

    def __init__(
        self, communicator: Any, properties: Mapping[str, str], error: JournalAway
    ) -> None:
        settings = read(properties)
        self._url = settings.journal_url
        self._reason = str(error)
        self._give_up = partial(icegrid.shut_down, communicator)
        self._stopping = threading.Event()
        log.error("waiting for the journal: %s", error)
        # The adapter tells IceGrid that this server is active.
        adapter = communicator.createObjectAdapter(settings.client_adapter)
        communicator.addAdminFacet(icegrid.StatusFacet(self.figures), icegrid.STATUS_FACET)
        adapter.activate()
        # A daemon: the journal may hold it.
        self._thread = threading.Thread(target=self._wait, name="begin-journal", daemon=True)
        self._thread.start()

    def figures(self) -> dict[str, str]:
        """What `omero fs status` shows."""
        return {
            "state": "waiting for the journal",
            "reason": self._reason,
            "version": __version__,
            "grouping": "",
            "pending": "0",
        }

    def reconfigure(self, properties: Mapping[str, str]) -> None:
        """Another configuration may name another journal: the next start reads it."""
        log.info("the configuration has changed; starting anew")
        self._give_up()

    def stop(self) -> None:
        """Ends the thread, or leaves it to the end of the process."""
        self._stopping.set()
        self._thread.join(_STOP_S)

    def _wait(self) -> None:
        while not self._stopping.wait(_AGAIN_S):
            try:
                open_journal(self._url, "").close()
            except JournalAway as error:
                self._reason = str(error)
                continue
            except FsError as error:  # the next start tells of it
                log.error("%s", error)
            else:
                log.info("the journal is back; starting anew")
            self._give_up()
            return
