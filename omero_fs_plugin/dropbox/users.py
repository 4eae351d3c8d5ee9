"""Knows which directories have the name of an OMERO user, and remembers this for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.layout import OF_OWNER
from omero_fs_plugin.errors import ImportRefused, ServerAwayError, UserError

log = logging.getLogger(__name__)

_AWAY_S, _AWAY_MOST_S = 5.0, 300.0  # so long an OMERO that is away is not asked again


class Users:
    """Knows which names are those of OMERO users.  Thread-safe."""

    def __init__(self, omero: Omero) -> None:
        self._omero = omero
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._unknown: dict[str, str] = {}  # name -> why no user has it
        self._asked: set[str] = set()  # since the last rescan
        self._away_until = 0.0  # s, monotonic
        self._away_s = _AWAY_S

    def is_user(self, name: str) -> bool:
        """Whether files of this directory belong into the journal.

        While OMERO is away nobody knows.  Then it is True, and the import finds out.
        """
        if name == OF_OWNER:
            return True
        with self._lock:
            self._asked.add(name)
            if name in self._known:
                return True
            if name in self._unknown:
                return False
            if time.monotonic() < self._away_until:
                return True
        return self.look_up(name)

    def look_up(self, name: str) -> bool:
        """As `is_user`, but asks OMERO anew."""
        if name == OF_OWNER:
            return True
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
                # Each time it takes long to notice that a server hangs.
                self._away_s = min(_AWAY_MOST_S, 2 * self._away_s)
                self._away_until = time.monotonic() + self._away_s
            return True
        with self._lock:
            self._away_s = _AWAY_S
            self._known.add(name)
            self._unknown.pop(name, None)
        return True

    def keep(self, names: Collection[str]) -> None:
        """Forgets the unknown directories that are no longer among `names`.

        Where OF_OWNER is among them, owners of files count too that somebody asked for since.
        """
        with self._lock:
            kept = set(names) | (self._asked if OF_OWNER in names else set())
            self._asked.clear()
            for name in self._unknown.keys() - kept:
                del self._unknown[name]

    def unknown(self) -> dict[str, str]:
        """The directories of no user -> why."""
        with self._lock:
            return dict(self._unknown)
