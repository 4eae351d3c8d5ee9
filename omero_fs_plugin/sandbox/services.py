"""ISession, IConfig and IUpdate."""

from __future__ import annotations

import re
import time
from typing import Any

from omero.rtypes import rtime, unwrap

import omero

from .objects import Builder, entity_of, save
from .paths import PATH_RULES, PATH_RULES_DEFAULT
from .rawfiles import CHECKSUMS, CHECKSUMS_SUPPORTED
from .servants import Servant
from .sessions import Call, Session, security
from .store import MODEL, base

VERSION = "5.6.0-sandbox"  # clients compare the numbers; people see "sandbox"


class SessionService(Servant, omero.api.ISession):  # type: ignore[misc]
    """The caller's own sessions, and with the privilege Sudo those of others."""

    def _open(self, call: Call, principal: Any, live: int | None, idle: int | None) -> Any:
        if (live is not None and live < 0) or (idle is not None and idle < 0):
            raise omero.ApiUsageException("", "", "A timeout is 0 or more milliseconds")
        call.require("Sudo")
        default_live, default_idle = self.sandbox.timeouts()
        session = self.sandbox.sessions.create(
            principal.name,
            principal.group or "",
            time_to_live=default_live if live is None else live,
            time_to_idle=default_idle if idle is None else idle,
            sudoer=self.session,
            event_type=principal.eventType or "User",
        )
        session.clients = 1  # its maker counts as a client, until its closeSession
        return self._row(session)

    def _row(self, session: Session) -> Any:
        with self.sandbox.store.read() as db:
            return Builder(self.sandbox.store, db).load("Session", session.id)

    def do_createSessionWithTimeouts(self, call: Call, who: Any, live: int, idle: int) -> Any:
        return self._open(call, who, live, idle)

    def do_createSessionWithTimeout(self, call: Call, who: Any, live: int) -> Any:
        return self._open(call, who, live, None)

    def do_createUserSession(self, call: Call, live: int, idle: int, group: str) -> Any:
        session = self.sandbox.sessions.create(
            self.session.user_name, group, time_to_live=live, time_to_idle=idle
        )
        session.clients = 1
        return self._row(session)

    def _mine(self, call: Call, key: str) -> Session:
        session = self.sandbox.sessions.get(key)
        if session.user != call.user and not call.is_admin and session.sudoer != call.user:
            raise security("That is another user's session")
        return session

    def do_getSession(self, call: Call, key: str) -> Any:
        return self._row(self._mine(call, key))

    def do_getReferenceCount(self, call: Call, key: str) -> int:
        return self._mine(call, key).clients

    def do_closeSession(self, call: Call, row: Any) -> int:
        try:
            session = self._mine(call, unwrap(row.uuid))
        except omero.RemovedSessionException:
            return -2  # OMERO's answer for a session that does not exist
        self.sandbox.sessions.end(session)
        return -2

    def do_getMyOpenSessions(self, call: Call) -> Any:
        return [self._row(s) for s in self.sandbox.sessions.live() if s.user == call.user]

    def do_getMyOpenClientSessions(self, call: Call) -> Any:
        return self.do_getMyOpenSessions(call)

    def do_getMyOpenAgentSessions(self, call: Call, agent: str) -> Any:
        return [s for s in self.do_getMyOpenSessions(call) if unwrap(s.userAgent) == agent]

    def do_getInput(self, call: Call, key: str, name: str) -> Any:
        return self._mine(call, key).inputs.get(name)

    def do_setInput(self, call: Call, key: str, name: str, value: Any) -> None:
        self._mine(call, key).inputs[name] = value

    def do_getInputKeys(self, call: Call, key: str) -> Any:
        return sorted(self._mine(call, key).inputs)

    def do_getInputs(self, call: Call, key: str) -> Any:
        return dict(self._mine(call, key).inputs)


# From etc/omero.properties: those that a client may ask for.
DEFAULTS = {
    "omero.version": VERSION,
    PATH_RULES: PATH_RULES_DEFAULT,
    CHECKSUMS_SUPPORTED: ", ".join(CHECKSUMS),
}

# Any client may read these; only administrators may read the others.  OMERO.web asks for the
# last three before and after each login, in the session of the guest or of the user.
_CLIENT = re.compile(
    r"omero\.(client\.|version$|upgrades\.url$|data\.dir$|search\."
    r"|router\.insecure$|cluster\.read_only\.|mail\.config$)"
)


class Config(Servant, omero.api.IConfig):  # type: ignore[misc]
    """The configuration with which the server was started.  `omero config` changes it."""

    def do_getVersion(self, call: Call) -> str:
        return VERSION

    def do_getConfigValue(self, call: Call, key: str) -> str:
        if not _CLIENT.match(key):
            call.require("ReadSession")
        return self.sandbox.properties.get(key) or DEFAULTS.get(key, "")

    def do_getConfigValues(self, call: Call, pattern: str) -> Any:
        call.require_role()
        found = {k: v for k, v in self.sandbox.properties.items() if re.search(pattern, k)}
        if "ReadSession" in call.session.privileges:
            return found
        return {k: v for k, v in found.items() if _CLIENT.match(k)}

    def do_getClientConfigValues(self, call: Call) -> Any:
        properties = self.sandbox.properties
        return {k: v for k, v in properties.items() if k.startswith("omero.client.")}

    def do_getClientConfigDefaults(self, call: Call) -> Any:
        return {}

    def do_getDatabaseUuid(self, call: Call) -> str:
        return self.sandbox.store.uuid

    def do_getDatabaseTime(self, call: Call) -> Any:
        return rtime(int(time.time() * 1000))

    def do_getServerTime(self, call: Call) -> Any:
        return self.do_getDatabaseTime(call)


class Update(Servant, omero.api.IUpdate):  # type: ignore[misc]
    """Saves graphs of model objects, such as datasets and links."""

    def _save(self, call: Call, values: Any) -> list[int]:
        call.require_role()
        with self.sandbox.store.begin() as db:
            return [save(self.sandbox.store, db, call, value, whole=True) for value in values]

    def _saved(self, call: Call, values: Any) -> list[Any]:
        ids = self._save(call, values)
        with self.sandbox.store.read() as db:
            build = Builder(self.sandbox.store, db, call)
            return [self._loaded(build, v, i) for v, i in zip(values, ids, strict=True)]

    def _loaded(self, build: Builder, value: Any, row_id: int) -> Any:
        entity = entity_of(value)
        for name in MODEL[base(entity)].references:  # a reference that came loaded goes back loaded
            referred = getattr(value, "_" + name, None)
            if referred is not None and referred.loaded:
                build.attach(entity, row_id, name)
        return build.load(entity, row_id)

    def do_saveObject(self, call: Call, value: Any) -> None:
        self._save(call, [value])

    def do_saveCollection(self, call: Call, values: Any) -> None:
        self._save(call, values)

    def do_saveArray(self, call: Call, values: Any) -> None:
        self._save(call, values)

    def do_saveAndReturnObject(self, call: Call, value: Any) -> Any:
        return self._saved(call, [value])[0]

    def do_saveAndReturnArray(self, call: Call, values: Any) -> Any:
        return self._saved(call, values)

    def do_saveAndReturnIds(self, call: Call, values: Any) -> Any:
        return self._save(call, values)

    def do_deleteObject(self, call: Call, value: Any) -> None:
        entity, row_id = entity_of(value), unwrap(value.id)
        with self.sandbox.store.begin() as db:
            row = self.sandbox.store.row(db, entity, row_id)
            if row is None:
                raise omero.ValidationException("", "", f"No {entity}:{row_id}")
            if not MODEL[base(entity)].owned or not call.may_change(row):
                raise security(f"Deleting {entity}:{row_id} not permitted")
            self.sandbox.store.delete(db, entity, row_id)
