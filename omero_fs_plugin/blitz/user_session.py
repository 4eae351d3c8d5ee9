"""A session on OMERO for one user."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import Ice
import omero.clients

import omero
from omero_fs_plugin.errors import ServerAwayError

from . import copies
from .copies import Copy
from .users import User
from .verdicts import Step, server_errors

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

AGENT = "OMERO.fs"
KEEP_ALIVE_S = 60  # between two signs of life of a session without a limit
_SHORTEST_S = 6  # OMERO refuses 5 and less
_CALL_TIMEOUT_MS = "60000"  # if the server is dead, the call ends after this time


def join(host: str, port: int, key: str, user: User, idle: int = KEEP_ALIVE_S) -> Any:
    """A client in the session `key`, behind the router at `host` and `port`.

    It keeps the session alive, every `idle` s or more often.  To close it does not end the session.
    Raises what `server_errors` raises.
    """
    with server_errors(f"joining the session of {user.name}", Step.LOGIN):
        client = omero.client(
            pmap={
                "omero.host": host,
                "omero.port": str(port),
                "Ice.Default.InvocationTimeout": _CALL_TIMEOUT_MS,
                "Ice.Warn.Connections": "0",
            }
        )
        client.setAgent(AGENT)
        try:
            client.joinSession(key)
            client.enableKeepAlive(max(_SHORTEST_S, min(KEEP_ALIVE_S, idle)))
        except BaseException:
            client.__del__()
            raise
        return client


class UserSession:
    """A session for one user, through the router as for any client.

    A session keeps the group memberships that it began with.  So it serves one run of
    imports and is then closed.
    """

    def __init__(
        self,
        client: Any,
        user: User,
        end: Callable[[], None],
        *,
        router: tuple[str, int] = ("", 0),
    ) -> None:
        """`router`: host and port, where another process can `join` it."""
        self.user = user
        self.router = router
        self._client = client
        self._end = end
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """Whoever has it has the session: it may be in memory alone."""
        return str(self.services.ice_getIdentity().name)

    @property
    def services(self) -> Any:
        """The user's omero.api.ServiceFactoryPrx."""
        return self._client.getSession()

    @property
    def query(self) -> Any:
        """The user's IQueryPrx.  Raises what OMERO answers if it does not give it."""
        return self.keep("query", lambda: self.services.getQueryService())

    @property
    def group_id(self) -> int:
        """The id of the group it works in, which never changes.  Raises what the call raises."""
        return int(
            self.keep("group", lambda: self.services.getAdminService().getEventContext().groupId)
        )

    def beside(self, key: str) -> UserSession:
        """The session `key` of the same user.  To close it does not end it.

        The router lets nobody into what belongs to another session, also not the same user.  Raises
        what `join` raises.
        """
        host, port = self.router
        return UserSession(
            join(host, port, key, self.user), self.user, lambda: None, router=self.router
        )

    def keep(self, name: str, ask: Callable[[], _Result]) -> _Result:
        """The answer to `ask`, which is asked once in this session.

        Two threads may ask at the same time, and both get an answer.
        """
        with self._lock:
            if name in self._kept:
                kept: _Result = self._kept[name]
                return kept
        answer = ask()
        with self._lock:
            self._kept[name] = answer
        return answer

    def forget(self) -> None:
        """Asks for everything anew.  What was kept may be gone at the server."""
        with self._lock:
            self._kept.clear()

    def managed_repository(self) -> Any:
        """The ManagedRepositoryPrx.  Raises ServerAwayError if there is none yet."""
        return self.keep("repository", self._managed_repository)

    def _managed_repository(self) -> Any:
        with server_errors("looking for the managed repository"):
            repository = self._client.getManagedRepository()
        if repository is None:
            raise ServerAwayError("OMERO has no managed repository at the moment")
        return repository

    def everywhere(self) -> dict[str, str]:
        """The context of a call that looks into all groups of the user.

        A context that is given replaces the implicit one, so it has all of that too.
        """
        return dict(self._client.getContext(-1))

    def damaged(self, files: Sequence[Copy]) -> dict[int, str]:
        """Lets OMERO read its copies again: OriginalFile id -> what is wrong, where something is.

        The files are this user's.  Raises ServerAwayError.
        """
        return copies.damaged(self.managed_repository(), self.everywhere(), files)

    def alive(self) -> bool:
        """Whether OMERO still knows this session."""
        try:
            self.services.keepAlive(None)
        except (Ice.Exception, omero.ServerError, omero.ClientError):
            return False
        return True

    def close(self) -> None:
        """Ends the session, also on the server.  A server that is away has ended it itself."""
        try:
            self._client.closeSession()
        except (Ice.Exception, omero.ServerError, omero.ClientError) as error:
            log.debug("closing the client of %s: %s", self.user.name, type(error).__name__)
        self._end()
