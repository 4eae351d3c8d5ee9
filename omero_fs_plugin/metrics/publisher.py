"""Collects a server's metrics again and again, and gives the text to a file and to HTTP."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from omero_fs_plugin.config.outlets import Outlets

from .page import Page
from .textfile import TextFile

log = logging.getLogger(__name__)

INTERVAL_S = 15.0  # between two collections; Prometheus usually asks once in 15 s or a minute
_REST = 20.0  # ... and at least so many times as long as the last one took


class Publisher:
    """Publishes what `collect` returns, in Prometheus' text format.

    Rule: a collection that fails, or takes long, is told in `trouble`, and the last text stays.
    What is read never waits for a collection.
    """

    def __init__(self, outlets: Outlets, collect: Callable[[], bytes]) -> None:
        self._collect = collect
        self._failed = ""
        self._stopping = threading.Event()
        self._file = TextFile(outlets.file) if outlets.file is not None else None
        self._page = Page(outlets.address) if outlets.address is not None else None
        # A daemon: the journal may hold it.
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    @property
    def wanted(self) -> bool:
        """Whether there is anywhere to publish to."""
        return self._file is not None or self._page is not None

    @property
    def trouble(self) -> str:
        """What is wrong, for people; empty if nothing is."""
        told = [self._failed]
        told += [outlet.trouble for outlet in (self._file, self._page) if outlet is not None]
        return "; ".join(filter(None, told))

    def start(self) -> None:
        """Starts the threads, if anything is to be published."""
        if self.wanted:
            for outlet in (self._file, self._page):
                if outlet is not None:
                    outlet.start()
            self._thread.start()

    def stop(self, limit: float) -> bool:
        """Ends the threads, within `limit` (s).  Returns whether all of them have ended."""
        self._stopping.set()
        until = time.monotonic() + limit
        ended = True
        for outlet in (self._file, self._page):
            if outlet is not None:
                ended &= outlet.stop(max(0.0, until - time.monotonic()))
        if self._thread.ident is not None:
            self._thread.join(max(0.0, until - time.monotonic()))
            ended &= not self._thread.is_alive()
        return ended

    def _run(self) -> None:
        took = 0.0
        while True:
            begun = time.monotonic()
            try:
                text = self._collect()
            except Exception as error:
                # Whatever it is: metrics are no reason to disturb an import.
                why = f"metrics: not collected: {type(error).__name__}: {error}"
                if not self._failed:
                    log.warning("%s", why)
                self._failed = " ".join(why.split())
            else:
                self._failed = ""
                for outlet in (self._file, self._page):
                    if outlet is not None:
                        outlet.show(text)
            took = time.monotonic() - begun
            if self._stopping.wait(max(INTERVAL_S, _REST * took)):
                return
