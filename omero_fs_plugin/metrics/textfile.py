"""Metrics in a file, for the textfile collector of node_exporter."""

from __future__ import annotations

import glob
import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_MODE = 0o644  # node_exporter runs as another user
_LEFT_S = 60.0  # a part that is so old was left behind by a server that was killed


class TextFile:
    """Writes the newest text, in a thread of its own: a disk that hangs holds up nobody.

    Rule: whoever reads the file finds the whole of one text.  node_exporter reads `*.prom`, so the
    part that is being written has another name.
    """

    def __init__(self, path: Path) -> None:
        self.trouble = ""  # why it is not written; empty if it is
        self._path = path
        self._text: bytes | None = None  # to be written; None: nothing new
        self._news = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="metrics-file", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def show(self, text: bytes) -> None:
        """`text` is written soon, unless a newer one comes first."""
        with self._news:
            self._text = text
            self._news.notify()

    def stop(self, limit: float) -> bool:
        """Ends within `limit` (s), if the disk answers.  The file goes: it is not true any more."""
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread.ident is not None:
            self._thread.join(limit)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._stopping or self._text is not None)
                if self._stopping:
                    break
                text, self._text = self._text, None
            assert text is not None
            try:
                self._write(text)
            except OSError as error:
                why = f"metrics: {self._path}: {error.strerror}"
                if why != self.trouble:
                    log.warning("%s", why)
                self.trouble = why
            else:
                self.trouble = ""
        with suppress(OSError):
            self._path.unlink()

    def _write(self, text: bytes) -> None:
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _MODE)
            with os.fdopen(handle, "wb") as file:
                file.write(text)
            part.chmod(_MODE)
            part.replace(self._path)
            self._remove_left()
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise

    def _remove_left(self) -> None:
        """Parts of servers that were killed while they wrote: nobody else would remove them."""
        for one in self._path.parent.glob(f".{glob.escape(self._path.name)}.*"):
            if one.suffix[1:].isdecimal() and time.time() - one.lstat().st_mtime > _LEFT_S:
                log.info("metrics: removed %s, left behind by a server that was killed", one)
                one.unlink()
