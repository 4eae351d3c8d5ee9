"""The grid's own session on OMERO: made when it is needed, and made anew when it has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import Ice
import omero.clients

import omero
from omero_fs_plugin.errors import ServerAwayError, ServerBusyError, ServerMisconfiguredError
from omero_fs_plugin.unanswered import why_unanswered

from .users import ALL_GROUPS
from .verdicts import server_errors

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


def register_factories(communicator: Any) -> None:
    """Lets `communicator` receive objects of omero.model.  A second call does nothing."""
    from omero import ObjectFactoryRegistrar, rtypes

    if communicator.findObjectFactory("::omero::model::Experimenter") is None:
        ObjectFactoryRegistrar.registerObjectFactory(communicator, None)
        for factory in rtypes.ObjectFactories.values():
            factory.register(communicator)


class Connection:
    """As root behind the router.  Thread-safe.

    Rule: a session that has ended is found at the next call, which is made once more with a new
    one.  The lock guards what is kept of a connection.  It is held while a new one is made, so that
    only one is made, and never during another call.
    """

    def __init__(self, communicator: Any) -> None:
        register_factories(communicator)
        # It logs several lines for every try to reach a server that is away; we say it once.
        logging.getLogger("omero.utils").setLevel(logging.ERROR)
        self._communicator = communicator
        self._services: Any = None
        self._configured: tuple[Any, dict[str, str]] = (None, {})  # the connection, what it said
        self._kept_query: tuple[Any, Any] = (None, None)  # the connection, its IQueryPrx
        self._lock = threading.Lock()

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
