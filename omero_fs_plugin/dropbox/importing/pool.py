"""Sessions of users, shared by the imports that run at the same time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.errors import ImportRefused, ServerAwayError

log = logging.getLogger(__name__)

_IDLE_S = 20.0  # a user's session is closed when unused for so long
_OLDEST_S = 600.0  # ... or when this old: it keeps the group memberships that it began with


_Key = tuple[str, str]  # user, group; an empty group is the user's default


@dataclass
class _Lent:
    session: UserSession
    opened: float  # s, monotonic
    used: float  # s, monotonic
    users: int = 0  # attempts under way in it


class SessionPool:
    """One session a user and group, shared by the imports under way in it.

    Thread-safe.  Rule: while OMERO is called, no lock is held but that of this user
    and group.  So a user for whom OMERO does not answer holds up nobody else.
    """

    def __init__(self, omero: Omero) -> None:
        self._omero = omero
        self._lent: dict[_Key, _Lent] = {}
        self._opening: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    @contextmanager
    def session(self, name: str, group: str = "") -> Iterator[UserSession]:
        """A session of the user called `name`, in `group` or the user's default one.

        Raises UserError, ServerAwayError or ImportRefused if there is none.  A session
        in which OMERO went away is not used again.
        """
        key = name, group
        lent = self._borrow(key)
        try:
            yield lent.session
        except (ServerAwayError, ImportRefused):
            lent.session.forget()
            if not lent.session.alive():
                with self._lock:
                    if self._lent.get(key) is lent:
                        del self._lent[key]
            raise
        finally:
            with self._lock:
                lent.users -= 1
                lent.used = time.monotonic()
                last = lent.users == 0 and self._lent.get(key) is not lent
            if last:
                lent.session.close()

    def tidy(self, *, everything: bool = False) -> None:
        """Closes the sessions that nobody used for a while, or all of them."""
        unused: list[_Lent] = []
        with self._lock:
            for key, lent in list(self._lent.items()):
                idle = time.monotonic() - lent.used > _IDLE_S
                if everything or (lent.users == 0 and idle):
                    # It is not lent any more, and its last user closes it.
                    del self._lent[key]
                    if lent.users == 0:
                        unused.append(lent)
        for lent in unused:
            lent.session.close()

    def _borrow(self, key: _Key) -> _Lent:
        with self._lock:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:
            with self._lock:
                former = self._lent.get(key)
                if former is not None:
                    if time.monotonic() - former.opened <= _OLDEST_S:
                        former.users += 1
                        return former
                    del self._lent[key]
                    if former.users:
                        former = None  # its last user closes it
            if former is not None:
                former.session.close()
            session = self._omero.session_for(self._omero.user(*key))
            now = time.monotonic()
            lent = _Lent(session, now, now, users=1)
            with self._lock:
                self._lent[key] = lent
            return lent
