"""Logins: who may log in, and which services a session gets.

Glacier2 and the servers inside the grid ask `Verifier` and `Manager` for sessions.
`Factory` is the proxy of a session that its client holds.
"""

from __future__ import annotations

import logging
import threading
import uuid
from typing import Any

import Glacier2
import Ice
from omero.rtypes import rlong, rstring, rtime

import omero

from . import accounts
from .admin import Admin, event_context
from .handles import Handle
from .moods import DENIED, NULL, REFUSED, refusal_of_login
from .query import Container, Query
from .servants import Servant
from .services import Config, SessionService, Update
from .sessions import Call, Sandbox, Session, security
from .thumbnails import Thumbnails

log = logging.getLogger(__name__)

STATUS_CHECK = "####### STATUS CHECK ########"  # the name with which `omero admin status` asks

SERVICES = {
    "Admin": (Admin, omero.api.IAdminPrx),
    "Config": (Config, omero.api.IConfigPrx),
    "Container": (Container, omero.api.IContainerPrx),
    "Query": (Query, omero.api.IQueryPrx),
    "Session": (SessionService, omero.api.ISessionPrx),
    "Update": (Update, omero.api.IUpdatePrx),
}


class Verifier(Glacier2.PermissionsVerifier):  # type: ignore[misc]
    """Checks a name and its password, or the uuid of a live session given as both."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def checkPermissions(self, name: str, password: str, current: Any = None) -> tuple[bool, str]:
        store, mood = self._sandbox.store, self._sandbox.mood
        denied = mood.login() == DENIED
        if name == password and not denied and self._sandbox.sessions.find(name):
            return True, ""
        with store.read() as db:
            user = accounts.user_by_name(store, db, name)
        if denied or not mood.knows_passwords():
            user = None
        if user and accounts.password_fits(user["_password"], password):
            return True, ""
        log.info("login refused: %s", "a session" if len(name) == 36 else name)
        return False, f"Password check failed for '{name}': []"


class Manager(Glacier2.SessionManager):  # type: ignore[misc]
    """Opens sessions for the router, which has checked the password, and inside the grid."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def create(self, name: str, control: Any, current: Any = None) -> Any:
        sessions, context = self._sandbox.sessions, current.ctx
        login = self._sandbox.mood.login() if name != STATUS_CHECK else ""
        if login == REFUSED:
            raise refusal_of_login()
        if login == NULL:
            return None
        try:
            live = sessions.find(name)
            live_ms, idle_ms = self._sandbox.timeouts()
            session = live or sessions.create(
                name,
                context.get("omero.group", ""),
                agent=context.get("omero.agent", ""),
                event_type=context.get("omero.event", "User"),
                by_password=True,
                time_to_live=live_ms,
                time_to_idle=idle_ms,
            )
        except omero.ServerError as error:
            kind = type(error).__name__
            raise omero.WrappedCreateSessionException(error.message, False, 0, kind) from error
        factory = Factory(self._sandbox, session)
        proxy = self._sandbox.serve_factory(session, factory)
        if control is not None:
            categories = Glacier2.SessionControlPrx.uncheckedCast(control).categories()
            categories.add([factory.identity.category, f"session-{session.uuid}"])
        if name != STATUS_CHECK:
            log.info("session %s of %s: client %s", session.id, session.user_name, session.clients)
        return Glacier2.SessionPrx.uncheckedCast(proxy)


class Factory(Servant, omero.api.ServiceFactory):  # type: ignore[misc]
    """omero.api.ServiceFactory: one client of a session.

    The session ends when the last client that did not detach has gone.
    """

    def __init__(self, sandbox: Sandbox, session: Session) -> None:
        super().__init__(sandbox, session)
        self.identity = Ice.Identity(session.uuid, f"client-{uuid.uuid4()}")
        self._close_on_destroy = True
        self._destroyed = threading.Event()
        session.clients += 1

    def _service(self, name: str) -> Any:
        servant, proxy = SERVICES[name]
        found = self.sandbox.serve(self.session, servant(self.sandbox, self.session), f"I{name}")
        return proxy.uncheckedCast(found)

    def do_getAdminService(self, call: Call) -> Any:
        return self._service("Admin")

    def do_getConfigService(self, call: Call) -> Any:
        return self._service("Config")

    def do_getContainerService(self, call: Call) -> Any:
        return self._service("Container")

    def do_getQueryService(self, call: Call) -> Any:
        return self._service("Query")

    def do_getSessionService(self, call: Call) -> Any:
        return self._service("Session")

    def do_getUpdateService(self, call: Call) -> Any:
        return self._service("Update")

    def do_sharedResources(self, call: Call) -> Any:
        shared = SharedResources(self.sandbox, self.session)
        proxy = self.sandbox.serve(self.session, shared, "SharedResources")
        return omero.grid.SharedResourcesPrx.uncheckedCast(proxy)

    def do_submit(self, call: Call, request: Any) -> Any:
        repositories, known = self.sandbox.repositories, _REQUESTS.get(type(request))
        if known is None:
            return repositories.submit(self.session, call, request)
        handle = Handle(self.sandbox, self.session, request)
        handle.start(repositories.workers, lambda: known(self.sandbox, call, request))
        return omero.cmd.HandlePrx.uncheckedCast(handle.proxy)

    def do_createRawFileStore(self, call: Call) -> Any:
        return self.sandbox.repositories.raw_file_store(self.session)

    def do_createThumbnailStore(self, call: Call) -> Any:
        store = Thumbnails(self.sandbox, self.session)
        return omero.api.ThumbnailStorePrx.uncheckedCast(store.proxy)

    def do_getSecurityContexts(self, call: Call) -> Any:
        return [omero.model.ExperimenterGroupI(m.group, False) for m in self.session.members]

    def do_setSecurityContext(self, call: Call, target: Any) -> Any:
        before = self.session.group
        group = target.id.val
        if not call.is_admin and all(m.group != group for m in self.session.members):
            raise security(f"User {call.user} is not a member of group {group} and cannot login")
        self.session.group = group
        return omero.model.ExperimenterGroupI(before, False)

    def do_setSecurityPassword(self, call: Call, password: str) -> None:
        with self.sandbox.store.read() as db:
            user = self.sandbox.store.row(db, "Experimenter", call.user)
        if user is None or not accounts.password_fits(user["_password"], password):
            raise security("Bad password.")
        self.session.by_password = True

    def do_setCallback(self, call: Call, callback: Any) -> None:
        """Does nothing: clients always offer a callback, and the sandbox never calls it."""

    def do_subscribe(self, call: Call, topic: str, proxy: Any) -> None:
        """Does nothing: the sandbox has no IceStorm, so there are no events."""

    def do_activeServices(self, call: Call) -> Any:
        return sorted(Ice.identityToString(i) for i in list(self.session.identities))

    def do_keepAlive(self, call: Call, proxy: Any) -> bool:
        return True

    def do_keepAllAlive(self, call: Call, proxies: Any) -> int:
        return 0  # bit i set: proxy i is not alive

    def do_closeOnDestroy(self, call: Call) -> None:
        self._close_on_destroy = True

    def do_detachOnDestroy(self, call: Call) -> None:
        self._close_on_destroy = False

    def destroy(self, current: Any = None) -> None:
        """The router calls it when the client goes or is lost.  The session may have ended."""
        if self._destroyed.is_set():
            return
        self._destroyed.set()
        self.sandbox.withdraw(self.session, self.identity)
        self.session.clients -= 1
        if self._close_on_destroy and self.session.clients < 1:
            self.sandbox.sessions.end(self.session)


class SharedResources(Servant, omero.grid.SharedResources):  # type: ignore[misc]
    """Gives the repositories.  There are no tables and no scripts."""

    def do_repositories(self, call: Call) -> Any:
        return self.sandbox.repositories.map(self.session)

    def do_areTablesEnabled(self, call: Call) -> bool:
        return False


def _current_sessions(sandbox: Sandbox, call: Call, request: Any) -> Any:
    response = omero.cmd.CurrentSessionsResponse()
    response.sessions, response.contexts, response.data = [], [], []
    for session in sandbox.sessions.live():
        mine = call.is_admin or session.user == call.user
        row = omero.model.SessionI()
        row.unloadCollections()
        row.started = rtime(session.started)
        row.timeToLive, row.timeToIdle = rlong(session.time_to_live), rlong(session.time_to_idle)
        row.userAgent = rstring(session.agent)
        if mine:
            row.id, row.uuid = rlong(session.id), rstring(session.uuid)
        context = event_context(sandbox.store, session) if mine else omero.sys.EventContext()
        context.userName = session.user_name
        response.sessions.append(row)
        response.contexts.append(context)
        response.data.append({})
    return response


def _update_timeout(sandbox: Sandbox, call: Call, request: Any) -> Any:
    session = sandbox.sessions.get(request.session)
    if session.user != call.user and not call.is_admin:
        raise security("Not your session")
    if request.timeToLive is not None:
        session.time_to_live = request.timeToLive.val
    if request.timeToIdle is not None:
        session.time_to_idle = request.timeToIdle.val
    return omero.cmd.OK()


_REQUESTS = {
    omero.cmd.CurrentSessionsRequest: _current_sessions,
    omero.cmd.UpdateSessionTimeoutRequest: _update_timeout,
}
