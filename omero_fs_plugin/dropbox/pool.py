"""Sessions of users, shared by the imports that run at the same time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import ImportRefused, ServerAwayError
from ..sessions import Omero, User, UserSession

log = logging.getLogger(__name__)

_IDLE_S = 20.0  # a user's session is closed when unused for so long
_OLDEST_S = 600.0  # ... or when this old: a session keeps the memberships it began with


@dataclass
class _Lent:
    session: UserSession
    opened: float  # s, monotonic
    used: float  # s, monotonic
    users: int = 0  # attempts under way in it


class SessionPool:
    """One session a user and group, shared by the imports under way in it.  Thread-safe."""

    def __init__(self, omero: Omero) -> None:
        self._omero = omero
        self._lent: dict[tuple[str, str], _Lent] = {}
        self._lock = threading.Lock()

    @contextmanager
    def session(self, name: str, group: str = "") -> Iterator[UserSession]:
        """A session of the user called `name`, in `group` or the user's default one.

        Raises UserError, ServerAwayError or ImportRefused when there is none
        to be had.  One in which OMERO went away is not used again.
        """
        with self._lock:
            key = name, group
            lent = self._lent.get(key)
            if lent is None or time.monotonic() - lent.opened > _OLDEST_S:
                self._retire(key)
                user: User = self._omero.user(name, group)
                now = time.monotonic()
                lent = self._lent[key] = _Lent(self._omero.session_for(user), now, now)
            lent.users += 1
        try:
            yield lent.session
        except (ServerAwayError, ImportRefused):
            with self._lock:
                if self._lent.get(key) is lent and not lent.session.alive():
                    self._retire(key)
            raise
        finally:
            with self._lock:
                lent.users -= 1
                lent.used = time.monotonic()
                if lent.users == 0 and self._lent.get(key) is not lent:
                    lent.session.close()

    def tidy(self, *, everything: bool = False) -> None:
        """Closes the sessions that nobody used for a while, or all of them."""
        with self._lock:
            for key, lent in list(self._lent.items()):
                idle = time.monotonic() - lent.used > _IDLE_S
                if everything or (lent.users == 0 and idle):
                    self._retire(key)

    def _retire(self, key: tuple[str, str]) -> None:
        """Under the lock: lends this session no more; its last user closes it."""
        lent = self._lent.pop(key, None)
        if lent is not None and lent.users == 0:
            lent.session.close()
