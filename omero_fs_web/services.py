"""What the views ask of OMERO in one request: each service of the session, asked for once.

OMERO makes a stateless service anew for each request for one, which is a call like any other.
"""

from __future__ import annotations

import time
from typing import Any

from omero.rtypes import unwrap

from omero_fs_plugin.blitz import publications
from omero_fs_plugin.dropbox.publishing.heartbeat import Heard

_roles: dict[Any, Any] = {}  # server -> its roles, which stay while OMERO.web runs
_MOST = 20  # servers; OMERO.web has a list of them


class Services:
    """The session of who is logged in, as long as one view runs."""

    def __init__(self, conn: Any) -> None:
        """`conn` is the gateway that OMERO.web gives to a view."""
        self._session = conn.c.sf
        self._server = getattr(conn, "server_id", None)
        self._made: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """A method of the session.  What it gives is kept if it gives a stateless service."""
        found = getattr(self._session, name)
        if name not in ("getQueryService", "getAdminService", "getConfigService"):
            return found

        def once() -> Any:
            if name not in self._made:
                self._made[name] = found()
            return self._made[name]

        return once

    def last_sign(self) -> str:
        """The sign of life of DropBox."""
        if self._server not in _roles:
            if len(_roles) >= _MOST:
                _roles.clear()
            _roles[self._server] = self.getAdminService().getSecurityRoles()
        return publications.last_sign(self, _roles[self._server])

    def now(self, sign: Heard | None) -> float:
        """The time, in s since the epoch, as DropBox and OMERO have it.

        The clock of this host may be another one.  A last `sign` of life that fits to it shows that
        it is not, or hardly.  Else OMERO's own is asked for.
        """
        now = time.time()
        if sign is None or sign.fits(now):
            return now
        return float(unwrap(self.getConfigService().getServerTime())) / 1000
