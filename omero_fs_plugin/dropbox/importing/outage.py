"""How long OMERO is waited for when it is away, or when no import gets through."""

from __future__ import annotations

import logging
import threading
import time

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.errors import FsError, ServerMisconfiguredError

log = logging.getLogger(__name__)

PING_S = 5.0  # between signs of life asked of an OMERO that is away for longer
IN_VAIN_S = 300.0  # the longest pause while OMERO answers, and no import gets through


class Outage:
    """Whether OMERO is away.  Any thread that finds it so waits here.

    If OMERO has answered all the time and still no import succeeds, the pauses double.
    """

    def __init__(self, omero: Omero, stopping: threading.Event) -> None:
        self._omero = omero
        self._stopping = stopping
        self.in_vain = 0  # imports in a row that failed because OMERO was away
        self.away = ""  # why OMERO cannot be reached; empty while it can
        self.wrong = ""  # what must be changed before anything is imported; empty: nothing
        self.retry(5, 1.0)

    def retry(self, tries: int, interval: float) -> None:
        """How often an OMERO that is away is asked whether it is back.

        It is asked `tries` times with `interval` s before each, and then less often.
        """
        self._tries, self._interval = tries, interval

    def over(self) -> None:
        """An import has come to its end, so OMERO is there."""
        self.away, self.wrong, self.in_vain = "", "", 0

    def wait(self, error: FsError) -> None:
        """Returns when OMERO answers again, or when we are stopped."""
        if not self.away:
            log.warning("waiting for OMERO: %s", error)
        self.away = str(error)
        if isinstance(error, ServerMisconfiguredError):
            self.wrong = self.away
        self.in_vain += 1
        again = time.monotonic() + min(IN_VAIN_S, 2.0 ** min(self.in_vain - 1, 30))
        tries, answered = 0, True
        while not self._stopping.wait(self._interval if tries < self._tries else PING_S):
            tries += 1
            try:
                self._omero.ping()
            except FsError as still:
                self.away, answered = str(still), False
                continue
            if not answered or time.monotonic() >= again:
                if not answered:
                    log.info("OMERO is back")
                    self.in_vain = 0
                self.away = ""
                return
