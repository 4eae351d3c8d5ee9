"""Sessions on OMERO: the grid's own, and those for users.

Whoever reads a session key can open the user's data.  So it stays in memory, and is in
no argument, log, journal or error text.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import Ice
import omero.clients
import omero.sys
from omero.rtypes import unwrap

import omero
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.errors import (
    FsError,
    ServerAwayError,
    ServerBusyError,
    ServerMisconfiguredError,
)
from omero_fs_plugin.unanswered import why_unanswered

from . import copies, filesets, publications, users
from .copies import Copy
from .filesets import ServerFileset
from .users import ALL_GROUPS, User
from .verdicts import Step, server_errors

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

AGENT = "OMERO.fs"
DROPPED = "omero.fs.dropped"  # beside it in an upload's versionInfo: when DropBox met the files
_CALL_TIMEOUT_MS = "60000"  # if the server is dead, the call ends after this time
_KEEP_ALIVE_S = 60  # OMERO refuses 5 and less
_LONGEST_MS = 2**53  # "no end"; it fits into a Slice long and a double


def register_factories(communicator: Any) -> None:
    """Lets `communicator` receive objects of omero.model.  A second call does nothing."""
    from omero import ObjectFactoryRegistrar, rtypes

    if communicator.findObjectFactory("::omero::model::Experimenter") is None:
        ObjectFactoryRegistrar.registerObjectFactory(communicator, None)
        for factory in rtypes.ObjectFactories.values():
            factory.register(communicator)


class UserSession:
    """A session for one user, through the router as for any client.

    A session keeps the group memberships that it began with.  So it serves one run of
    imports and is then closed.
    """

    def __init__(self, client: Any, user: User, end: Callable[[], None]) -> None:
        self.user = user
        self._client = client
        self._end = end
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = {}

    @property
    def services(self) -> Any:
        """The user's omero.api.ServiceFactoryPrx."""
        return self._client.getSession()

    @property
    def query(self) -> Any:
        """The user's IQueryPrx.  Raises what the call raises with which it is asked for."""
        return self.keep("query", lambda: self.services.getQueryService())

    @property
    def group_id(self) -> int:
        """The id of the group it works in, which never changes.  Raises what the call raises."""
        return int(
            self.keep("group", lambda: self.services.getAdminService().getEventContext().groupId)
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


class Omero:
    """The grid's own access to OMERO, as root behind the router.

    Thread-safe.  Every method raises ServerAwayError while OMERO is down, and
    finds it again by itself.
    """

    def __init__(
        self, communicator: Any, *, host: str, port: int, time_to_live: float, time_to_idle: float
    ) -> None:
        """`time_to_live` and `time_to_idle` (s) are those of the users' sessions; 0: no end."""
        register_factories(communicator)
        # It logs several lines for every try to reach a server that is away; we say it once.
        logging.getLogger("omero.utils").setLevel(logging.ERROR)
        self._communicator = communicator
        self._host, self._port = host, port
        self.sessions_last(time_to_live, time_to_idle)
        self._services: Any = None
        self._configured: tuple[Any, dict[str, str]] = (None, {})  # the connection, what it said
        self._kept_query: tuple[Any, Any] = (None, None)  # the connection, its IQueryPrx
        self._lock = threading.Lock()

    @classmethod
    def of(cls, communicator: Any, settings: Settings) -> Omero:
        """The OMERO that `settings` name."""
        return cls(
            communicator,
            host=settings.host,
            port=settings.port,
            time_to_live=settings.time_to_live,
            time_to_idle=settings.time_to_idle,
        )

    def sessions_last(self, time_to_live: float, time_to_idle: float) -> None:
        """Sets how long (s) users' sessions last that are made from now on; 0: no end."""
        self._live_ms = int(time_to_live * 1000)
        self._idle_ms = int(time_to_idle * 1000)

    def ping(self) -> None:
        """Raises ServerAwayError unless OMERO answers, and its database too.

        Blitz keeps sessions alive in memory long after its database has gone.
        """
        one = "select e.id from Experimenter e where e.id = 0"
        self._ask(
            "asking OMERO for a sign of life",
            lambda sf: sf.getQueryService().projection(one, None, ALL_GROUPS),
        )

    @property
    def path_rules(self) -> str:
        """Which names its repository takes: its omero.fs.repo.path_rules; empty if not known."""
        return self.configured("omero.fs.repo.path_rules")

    def configured(self, key: str) -> str:
        """The value of a property in OMERO, which may be its default; empty if not known.

        It is asked for once with each connection, because a server reads it when it starts.
        """
        with self._lock:
            services, told = self._configured
            if services is not None and services is self._services and key in told:
                return told[key]

        def ask(services: Any) -> tuple[Any, str]:
            return services, services.getConfigService().getConfigValue(key) or ""

        services, value = self._ask(f"asking for {key}", ask)
        with self._lock:
            known = self._configured[1] if self._configured[0] is services else {}
            self._configured = services, {**known, key: value}
        return value

    def user(self, name: str, group: str = "") -> User:
        """The user called `name`, who imports into `group` or into the user's default group.

        Raises UserError if no user of that name may import, if there is no such group, or if
        the user is not a member of it.
        """
        return self._ask(
            f"looking up the user {name}", lambda services: users.look_up(services, name, group)
        )

    def experimenters(self) -> dict[str, bool]:
        """Every OMERO user's name, and whether the user is active and so may import.

        An active user is a member of the group `user`.
        """
        return self._ask("asking for the users", users.active)

    def address_of(self, name: str) -> str:
        """The e-mail address of the user called `name`; empty if OMERO has none.

        Raises UserError if there is no user of that name.
        """
        return self._ask(
            f"asking for the address of {name}", lambda services: users.address_of(services, name)
        )

    def addresses_of_admins(self) -> list[str]:
        """The e-mail addresses of OMERO's administrators, without empty ones."""
        return self._ask("asking for the admins' addresses", users.addresses_of_admins)

    def session_for(self, user: User) -> UserSession:
        """A new session of `user` in `user.group`."""

        def create(services: Any) -> Any:
            principal = omero.sys.Principal()
            principal.name, principal.group, principal.eventType = user.name, user.group, "User"
            return services.getSessionService().createSessionWithTimeouts(
                principal, self._live_ms or 0, self._idle_ms or _LONGEST_MS
            )

        session = self._ask(f"opening a session for {user.name}", create)

        def end() -> None:
            try:
                self._ask(
                    "closing a session", lambda sf: sf.getSessionService().closeSession(session)
                )
            except FsError as error:
                log.debug("closing the session of %s: %s", user.name, error)

        try:
            with server_errors(f"joining the session of {user.name}", Step.LOGIN):
                client = omero.client(
                    pmap={
                        "omero.host": self._host,
                        "omero.port": str(self._port),
                        "Ice.Default.InvocationTimeout": _CALL_TIMEOUT_MS,
                        "Ice.Warn.Connections": "0",
                    }
                )
                client.setAgent(AGENT)
                try:
                    client.joinSession(unwrap(session.uuid))
                    idle = self._idle_ms // 3000 or _KEEP_ALIVE_S
                    client.enableKeepAlive(max(6, min(_KEEP_ALIVE_S, idle)))
                except BaseException:
                    client.__del__()
                    raise
        except BaseException:
            end()
            raise
        return UserSession(client, user, end)

    def filesets(self, user: User, client_path: str) -> list[ServerFileset]:
        """The user's filesets with a file of that client path, with and without images.

        Each fileset has all of its files.
        """
        return self._ask(
            f"asking for filesets of {user.name}",
            lambda services: filesets.with_file(self._query(services), user, client_path),
        )

    def filesets_after(self, user: User, after: int) -> list[ServerFileset]:
        """The user's next filesets with ids above `after`, by id, with and without images.

        A user may have very many.  It returns as many as fit well into one message; empty if
        there are no more.
        """
        return self._ask(
            f"asking for filesets of {user.name}",
            lambda services: filesets.some_after(self._query(services), user, after),
        )

    def filesets_of_images(self, images: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """Fileset id -> image ids, for those of `images` that OMERO really has."""
        images = list(images)
        return self._ask(
            "asking for the images of an import",
            lambda services: filesets.of_images(self._query(services), images),
        )

    def containers_of(self, images: Iterable[int]) -> dict[int, tuple[str, ...]]:
        """Image -> its dataset and project in words, for those of `images` that OMERO has."""
        images = list(images)
        return self._ask(
            "asking where images are",
            lambda services: filesets.containers_of(self._query(services), images),
        )

    def copies_of(self, of: Collection[int]) -> list[Copy]:
        """The files of those of these OMERO filesets that are there."""
        return self._ask(
            "asking for the files of filesets", lambda services: copies.copies_of(services, of)
        )

    def asked(self, what: str, question: Callable[[Any], _Result]) -> _Result:
        """What `question` gives, which is asked the IQueryPrx of root."""
        return self._ask(what, lambda services: question(self._query(services)))

    def time(self) -> float:
        """OMERO's clock, in s since the epoch."""
        return self._ask(
            "asking for OMERO's time",
            lambda sf: float(unwrap(sf.getConfigService().getServerTime())) / 1000,
        )

    def publish(self, name: str, change: Callable[[str], str | None]) -> None:
        """Replaces the document that the user called `name` reads in OMERO.

        `change` gets the text that is there, or an empty one, and gives the new text; None: it
        stays.  Raises UserError if no user of that name may log in, and ServerMisconfiguredError
        if others could read the document.
        """
        user = self.user(name)
        kept = self._ask(
            f"reading the document of {name}", lambda sf: publications.read(sf, user.id)
        )
        if change(kept) is None:
            return  # so most writes need no session of the user
        what = f"writing the document of {name}"
        self._ask(what, lambda services: publications.let_in(services, user.id))
        session = self.session_for(User(user.id, name, publications.GROUP))
        try:
            with server_errors(what):
                publications.replace(session.services, user.id, change)
        finally:
            session.close()

    def published(self) -> list[int]:
        """The ids of the documents of all users."""
        return self._ask("asking for users' documents", publications.identifiers)

    def show_sign(self, text: str) -> None:
        """Replaces the sign of life, which every user reads in OMERO."""
        self._ask("leaving a sign of life", lambda sf: publications.show_sign(sf, text))

    def requests(self) -> dict[str, list[tuple[int, str]]]:
        """What users ask for: the user's name -> the id and text of each request, oldest first.

        Of each user and of all together only so many are read at a time.
        """

        def look(services: Any) -> dict[str, list[tuple[int, str]]]:
            return {
                name: publications.requests_of(services, user)
                for user, name in publications.asking(services)
            }

        return self._ask("asking for users' requests", look)

    def unpublish(self, documents: Sequence[int]) -> None:
        """Deletes documents or requests, by their ids.  Raises ServerAwayError if OMERO did not."""
        self._ask("deleting users' documents", lambda sf: publications.delete(sf, documents))

    def close(self) -> None:
        """Ends the grid's session."""
        with self._lock:
            services, self._services = self._services, None
        if services is not None:
            try:
                services.closeOnDestroy()
                services.destroy()
            except (Ice.Exception, omero.ServerError) as error:
                log.debug("closing the grid's session: %s", type(error).__name__)

    def _query(self, services: Any) -> Any:
        """The IQueryPrx of a connection, which is asked for once."""
        with self._lock:
            of, query = self._kept_query
        if of is not services or query is None:
            query = services.getQueryService()
            with self._lock:
                self._kept_query = services, query
        return query

    def _ask(self, what: str, call: Callable[[Any], _Result]) -> _Result:
        """Calls with the present session, and once more with a new one if that has ended."""
        with self._lock:
            services = self._services
        if services is not None:
            try:
                with server_errors(what):
                    return call(services)
            except (ServerBusyError, ServerMisconfiguredError):
                raise  # the session is not at fault, and to ask again makes it worse
            except ServerAwayError as error:
                log.info("%s; connecting again", error)
                with self._lock:
                    if self._services is services:
                        self._services = None
        services = self._connect()
        with server_errors(what):
            return call(services)

    def _connect(self) -> Any:
        from omero.util import internal_service_factory

        with self._lock:
            if self._services is None:
                try:
                    self._services = internal_service_factory(
                        self._communicator, retries=1, interval=0, stop_event=threading.Event()
                    )
                except (Ice.Exception, omero.ServerError, IndexError) as error:
                    raise ServerAwayError(
                        f"OMERO is not there yet ({why_unanswered(error)})"
                    ) from error
                if self._services is None:
                    raise ServerAwayError("OMERO is not there yet")
            return self._services
