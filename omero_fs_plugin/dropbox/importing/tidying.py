"""Two threads beside the importers: one closes idle sessions, one deletes leftovers in OMERO."""

from __future__ import annotations

import logging
import threading
import time

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.errors import FsError, JournalError, ServerAwayError

from .beginning import Beginning
from .leftovers import Leftovers
from .pool import SessionPool

log = logging.getLogger(__name__)

_PING_S = 5.0  # between two signs of life asked of an OMERO that has not given one yet
_TIDY_S = 5.0  # how often sessions are looked at that nobody uses
SWEEP_S = 30.0  # how often OMERO is looked at for what was left there


class Tidying:
    """The threads.  They end when `stopping` is set, unless OMERO holds them."""

    def __init__(
        self,
        omero: Omero,
        pool: SessionPool,
        leftovers: Leftovers,
        beginning: Beginning,
        stopping: threading.Event,
    ) -> None:
        self._omero, self._pool, self._leftovers = omero, pool, leftovers
        self._beginning = beginning
        self._stopping = stopping
        self._threads = [
            # Daemons: one held by a call to OMERO must not keep us from ending.
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._tidy, "sessions"), (self._sweep, "leftovers"))
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, until: float) -> bool:
        """True if all have ended by `until` (s, monotonic)."""
        started = [thread for thread in self._threads if thread.ident is not None]
        for thread in started:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in started)

    def _tidy(self) -> None:
        while not self._stopping.wait(_TIDY_S):
            try:
                self._pool.tidy()
            except Exception:
                log.exception("closing idle sessions failed")

    def _greet(self) -> None:
        """Asks OMERO for a sign of life until it gives one, also if there is nothing to import."""
        while not self._stopping.is_set():
            try:
                self._omero.ping()
            except FsError as error:
                self._beginning.not_up = str(error)
            except Exception:
                log.exception("asking OMERO for a sign of life failed")
                return
            else:
                self._beginning.not_up = ""
                return
            self._stopping.wait(_PING_S)

    def _sweep(self) -> None:
        self._greet()
        while not self._stopping.wait(SWEEP_S):
            try:
                self._leftovers.sweep()
            except (ServerAwayError, JournalError) as error:
                log.debug("looking for what is left in OMERO: %s", error)
            except Exception:
                log.exception("looking for what is left in OMERO failed")
