"""Sessions on OMERO: the grid's own, and others on behalf of a user.

A session key opens a user's data to whoever reads it.  It stays in memory: in
no argument vector, log, journal or error text.
"""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import Ice
import omero.clients
import omero.sys
from omero.rtypes import rlist, rlong, rstring, unwrap

import omero
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.errors import (
    FsError,
    ServerAwayError,
    ServerBusyError,
    ServerMisconfiguredError,
    UserError,
)

from .verdicts import Step, server_errors

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

AGENT = "OMERO.fs"
ALL_GROUPS = {"omero.group": "-1"}
_CALL_TIMEOUT_MS = "60000"  # a dead server ends a call instead of holding it
_KEEP_ALIVE_S = 60  # OMERO refuses 5 and less
_NO_DATA = ("user", "guest")  # groups that say who may log in
_LONGEST_MS = 2**53  # "no end", within a Slice long and a double


@dataclass(frozen=True)
class User:
    """An OMERO user who may import."""

    id: int
    name: str
    group: str  # where what this user imports goes; the default group unless another is set


@dataclass(frozen=True)
class ServerFileset:
    """A fileset that OMERO has, and the files it was imported from, in their order."""

    id: int
    images: tuple[int, ...]  # ids; empty after a failed or unfinished import
    paths: tuple[str, ...]  # client paths: no leading slash
    hashes: tuple[str | None, ...]
    sizes: tuple[int, ...]  # bytes


def _check_group(admin: Any, name: str, group: str, groups: Sequence[str]) -> None:
    """Raises UserError unless data of `name`, a member of `groups`, may be put into `group`."""
    into = [g for g in groups if g not in _NO_DATA]
    theirs = f"{name} is a member of {', '.join(into) or 'none that holds data'}"
    if group in into:
        return
    if group in _NO_DATA:
        raise UserError(f"the group {group} holds no data; {theirs}")
    try:
        admin.lookupGroup(group)
    except omero.ApiUsageException:
        near = difflib.get_close_matches(group, into, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        raise UserError(f"there is no OMERO group named {group}{hint}; {theirs}") from None
    raise UserError(f"{name} is not a member of the group {group}; {theirs}")


def register_factories(communicator: Any) -> None:
    """Lets `communicator` receive objects of omero.model; harmless when done before."""
    from omero import ObjectFactoryRegistrar, rtypes

    if communicator.findObjectFactory("::omero::model::Experimenter") is None:
        ObjectFactoryRegistrar.registerObjectFactory(communicator, None)
        for factory in rtypes.ObjectFactories.values():
            factory.register(communicator)


class UserSession:
    """A session made for one user, over the router as any client's.

    A session keeps the memberships it began with, so it serves one run of
    imports and is closed then.
    """

    def __init__(self, client: Any, user: User, end: Callable[[], None]) -> None:
        self.user = user
        self._client = client
        self._end = end

    @property
    def services(self) -> Any:
        """The user's omero.api.ServiceFactoryPrx."""
        return self._client.getSession()

    def managed_repository(self) -> Any:
        """The ManagedRepositoryPrx; ServerAwayError when none is there yet."""
        with server_errors("looking for the managed repository"):
            repository = self._client.getManagedRepository()
        if repository is None:
            raise ServerAwayError("OMERO has no managed repository at the moment")
        return repository

    def alive(self) -> bool:
        """Whether OMERO still knows this session."""
        try:
            self.services.keepAlive(None)
        except (Ice.Exception, omero.ServerError, omero.ClientError):
            return False
        return True

    def close(self) -> None:
        """Ends the session on the server too; a server that is away has ended it itself."""
        try:
            self._client.closeSession()
        except (Ice.Exception, omero.ServerError, omero.ClientError) as error:
            log.debug("closing the client of %s: %s", self.user.name, type(error).__name__)
        self._end()


class Omero:
    """The grid's own way into OMERO, as root behind the router.

    Thread-safe.  Every method raises ServerAwayError while OMERO is down, and
    finds it again by itself.
    """

    def __init__(
        self, communicator: Any, *, host: str, port: int, time_to_live: float, time_to_idle: float
    ) -> None:
        """`time_to_live` and `time_to_idle` (s) of the users' sessions; 0: no end."""
        register_factories(communicator)
        # It words every try to reach a server that is away, in several lines;
        # we say it once.
        logging.getLogger("omero.utils").setLevel(logging.ERROR)
        self._communicator = communicator
        self._host, self._port = host, port
        self.sessions_last(time_to_live, time_to_idle)
        self._services: Any = None
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
        """For users' sessions made from now on; s, 0: no end."""
        self._live_ms = int(time_to_live * 1000)
        self._idle_ms = int(time_to_idle * 1000)

    def ping(self) -> None:
        """Raises ServerAwayError unless OMERO answers, and its database as well.

        Blitz keeps sessions alive from memory, long after its database went away.
        """
        one = "select e.id from Experimenter e where e.id = 0"
        self._ask(
            "asking OMERO for a sign of life",
            lambda sf: sf.getQueryService().projection(one, None, ALL_GROUPS),
        )

    def user(self, name: str, group: str = "") -> User:
        """The user called `name`, to import into `group` or else the user's default group.

        Raises UserError when nobody of that name may import, there is no such
        group, or the user is no member of it.
        """

        def look(services: Any) -> User:
            admin = services.getAdminService()
            try:
                experimenter = admin.lookupExperimenter(name)
            except omero.ApiUsageException:
                raise UserError(f"there is no OMERO user named {name}") from None
            identifier = experimenter.id.val
            groups = [unwrap(g.name) for g in admin.containedGroups(identifier)]
            if "user" not in groups:
                # Such a user is given a session, and only the import fails.
                raise UserError(f"the OMERO user {name} is not active")
            if group:
                _check_group(admin, name, group, groups)
            default = group or unwrap(admin.getDefaultGroup(identifier).name)
            return User(identifier, name, default)

        return self._ask(f"looking up the user {name}", look)

    def experimenters(self) -> dict[str, bool]:
        """Every OMERO user's name, and whether the user is active, so that imports can be theirs.

        Being active is being a member of the group `user`.
        """

        def ask(services: Any) -> dict[str, bool]:
            rows = services.getQueryService().projection(
                "select e.omeName, g.name from Experimenter e "
                "left outer join e.groupExperimenterMap m left outer join m.parent g",
                None,
                ALL_GROUPS,
            )
            found: dict[str, bool] = {}
            for name, group in rows:
                found[unwrap(name)] = found.get(unwrap(name), False) or unwrap(group) == "user"
            return found

        return self._ask("asking for the users", ask)

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

        Each with all of its files.
        """
        return self._filesets(user, "k.clientPath = :path", {"path": rstring(client_path)})

    def filesets_below(self, user: User, client_path: str, after: int) -> list[ServerFileset]:
        """The user's filesets from that directory with images, of a higher id than `after`."""
        # A wildcard in the path, or a character that may be one, finds too much.
        pattern = client_path.replace("\\", "_") + "/%"
        found = self._filesets(
            user,
            "f.id > :after and k.clientPath like :below",
            {"after": rlong(after), "below": rstring(pattern)},
        )
        return [
            fileset
            for fileset in found
            if fileset.images and all(p.startswith(f"{client_path}/") for p in fileset.paths)
        ]

    def _filesets(
        self, user: User, condition: str, values: Mapping[str, Any]
    ) -> list[ServerFileset]:
        parameters = omero.sys.ParametersI()
        parameters.map = {"user": rlong(user.id), **values}
        where = f"where f.details.owner.id = :user and {condition}"

        def ask(services: Any) -> list[ServerFileset]:
            query = services.getQueryService()
            files = query.projection(
                "select distinct f.id, e.id, e.clientPath, o.hash, o.size from Fileset f "
                "join f.usedFiles k join f.usedFiles e left outer join e.originalFile o "
                f"{where} order by e.id",
                parameters,
                ALL_GROUPS,
            )
            images = query.projection(
                "select distinct f.id, i.id from Fileset f join f.usedFiles k "
                f"join f.images i {where}",
                parameters,
                ALL_GROUPS,
            )
            images_of: dict[int, list[int]] = {}
            for fileset, image in images:
                images_of.setdefault(unwrap(fileset), []).append(unwrap(image))
            files_of: dict[int, list[tuple[str, str | None, int]]] = {}
            for fileset, _, path, sha1, size in files:
                files_of.setdefault(unwrap(fileset), []).append(
                    (unwrap(path), unwrap(sha1), unwrap(size) or 0)
                )
            return [
                ServerFileset(
                    identifier,
                    tuple(sorted(images_of.get(identifier, ()))),
                    *map(tuple, zip(*of, strict=True)),
                )
                for identifier, of in files_of.items()
            ]

        return self._ask(f"asking for filesets of {user.name}", ask)

    def filesets_of_images(self, images: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """Fileset id -> image ids, for those of `images` that OMERO really has."""
        parameters = omero.sys.ParametersI()
        parameters.map = {"ids": rlist([rlong(i) for i in images])}

        def ask(services: Any) -> dict[int, tuple[int, ...]]:
            rows = services.getQueryService().projection(
                "select distinct f.id, i.id from Fileset f join f.images i where i.id in (:ids)",
                parameters,
                ALL_GROUPS,
            )
            of: dict[int, tuple[int, ...]] = {}
            for fileset, image in rows:
                of[unwrap(fileset)] = (*of.get(unwrap(fileset), ()), unwrap(image))
            return of

        return self._ask("asking for the images of an import", ask)

    def close(self) -> None:
        """Ends the session."""
        with self._lock:
            services, self._services = self._services, None
        if services is not None:
            try:
                services.closeOnDestroy()
                services.destroy()
            except (Ice.Exception, omero.ServerError) as error:
                log.debug("closing the grid's session: %s", type(error).__name__)

    def _ask(self, what: str, call: Callable[[Any], _Result]) -> _Result:
        """Calls with the session there is, and once more with a new one if that has ended."""
        with self._lock:
            services = self._services
        if services is not None:
            try:
                with server_errors(what):
                    return call(services)
            except (ServerBusyError, ServerMisconfiguredError):
                raise  # no fault of the session's, and to ask again makes it worse
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
                        f"OMERO is not there yet ({type(error).__name__})"
                    ) from error
                if self._services is None:
                    raise ServerAwayError("OMERO is not there yet")
            return self._services
