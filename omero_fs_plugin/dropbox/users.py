"""Which directories have the name of an OMERO user; it remembers that for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.errors import ImportRefused, ServerAwayError, UserError

log = logging.getLogger(__name__)

_AWAY_S, _AWAY_MOST_S = 5.0, 300.0  # how long an OMERO that is away is not asked again


class Users:
    """Which names are OMERO users; it remembers that for a while.  Thread-safe."""

    def __init__(self, omero: Omero) -> None:
        self._omero = omero
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._unknown: dict[str, str] = {}  # name -> why it is nobody's
        self._away_until = 0.0  # s, monotonic
        self._away_s = _AWAY_S

    def is_user(self, name: str) -> bool:
        """Whether files of this directory are to be journaled.

        While OMERO is away nobody can tell: True, and the import will.
        """
        with self._lock:
            if name in self._known:
                return True
            if name in self._unknown:
                return False
            if time.monotonic() < self._away_until:
                return True
        return self.look_up(name)

    def look_up(self, name: str) -> bool:
        """As `is_user`, asking OMERO anew."""
        try:
            self._omero.user(name)
        except (UserError, ImportRefused) as error:
            with self._lock:
                if name not in self._unknown:
                    log.warning("%s: its files are left alone", error)
                self._unknown[name] = str(error)
                self._known.discard(name)
            return False
        except ServerAwayError:
            with self._lock:
                # A server that hangs takes its time to be noticed each time.
                self._away_s = min(_AWAY_MOST_S, 2 * self._away_s)
                self._away_until = time.monotonic() + self._away_s
            return True
        with self._lock:
            self._away_s = _AWAY_S
            self._known.add(name)
            self._unknown.pop(name, None)
        return True

    def keep(self, names: Collection[str]) -> None:
        """Forgets the unknown directories that are not among `names` any more."""
        with self._lock:
            for name in self._unknown.keys() - set(names):
                del self._unknown[name]

    def unknown(self) -> dict[str, str]:
        """Directories that are nobody's, and why."""
        with self._lock:
            return dict(self._unknown)
