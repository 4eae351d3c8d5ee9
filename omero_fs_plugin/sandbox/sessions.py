"""Sessions: who is logged in, and until when.

Live sessions are in memory.  A killed server forgets them, as OMERO's clients
must expect.  The table keeps what queries may ask for afterwards.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import Ice

import omero

from . import accounts
from .calls import Call, Session, removed, security
from .moods import Mood
from .pace import Pace, Prices
from .store import TABLES, Store

__all__ = ["Call", "Sandbox", "Session", "Sessions", "removed", "security"]

TIME_TO_LIVE = 0  # ms, 0: no end; omero.sessions.maximum
TIME_TO_IDLE = 600_000  # ms; omero.sessions.timeout
_REMEMBERED = 10_000  # so many ended sessions are not taken for unknown ones


class Sessions:
    """All live sessions.  `now` gives seconds, monotonic.  Thread-safe."""

    def __init__(
        self,
        store: Store,
        on_end: Callable[[Session], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._on_end = on_end
        self._now = now
        self._lock = threading.Lock()
        self._live: dict[str, Session] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        with store.begin() as db:  # sessions of the server's last run
            table = TABLES["Session"]
            db.execute(table.update().where(table.c.closed.is_(None)).values(closed=_ms()))

    def create(
        self,
        name: str,
        group: str = "",
        *,
        time_to_live: int = TIME_TO_LIVE,
        time_to_idle: int = TIME_TO_IDLE,
        sudoer: Session | None = None,
        agent: str = "",
        event_type: str = "User",
        by_password: bool = False,
    ) -> Session:
        """Makes a session for the user `name`, in `group` or in the user's default group.

        As in OMERO, only the first call finds out whether the user is in that group.

        Raises RemovedSessionException for an unknown user, and AuthenticationException for
        an unknown group or a user without a group.
        """
        with self._store.begin() as db:
            user = accounts.user_by_name(self._store, db, name)
            if user is None:
                raise removed(f"No such user: {name}")
            members = accounts.memberships(db, user["id"])
            if group:
                row = self._store.first(db, "ExperimenterGroup", name=group)
                number = row["id"] if row else None
            else:
                default = accounts.default_group(members)
                number = default.group if default else None
            if number is None:
                raise omero.AuthenticationException("Error creating session.")
            key, started = str(uuid.uuid4()), _ms()
            row_id = self._store.insert(
                db,
                "Session",
                uuid=key,
                owner=user["id"],
                sudoer=sudoer.user if sudoer else None,
                timeToLive=time_to_live,
                timeToIdle=time_to_idle,
                started=started,
                userAgent=agent,
                defaultEventType=event_type,
                message="",
                _group=number,
            )
            privileges = accounts.privileges(db, user["id"], members)
            if sudoer:  # sudo gives nobody more privileges
                privileges &= sudoer.privileges
        now = self._now()
        session = Session(
            uuid=key,
            id=row_id,
            user=user["id"],
            user_name=name,
            group=number,
            members=members,
            privileges=privileges,
            time_to_live=time_to_live,
            time_to_idle=time_to_idle,
            started=started,
            born=now,
            used=now,
            sudoer=sudoer.user if sudoer else None,
            sudoer_name=sudoer.user_name if sudoer else None,
            agent=agent,
            by_password=by_password,
        )
        with self._lock:
            self._live[key] = session
        return session

    def get(self, key: str) -> Session:
        """The live session with this uuid.  Raises RemovedSessionException."""
        with self._lock:
            session = self._live.get(key)
        if session is None:
            raise removed("No session with this uuid")
        if session.expired(self._now()):
            self.end(session)
            raise removed("Session has timed out")
        return session

    def find(self, key: str) -> Session | None:
        """The live session with this uuid, or None."""
        try:
            return self.get(key)
        except omero.RemovedSessionException:
            return None

    def touch(self, session: Session) -> None:
        """Counts as activity of the session."""
        session.used = self._now()

    def call(self, session: Session, context: Mapping[str, str], *, touch: bool) -> Call:
        """The Call of a live session.

        Raises RemovedSessionException, or SecurityViolation if the user is not in the group.
        """
        self.get(session.uuid)
        if touch:
            self.touch(session)
        given = context.get("omero.group", "")
        numeric = given.lstrip("-").isdigit()  # a name is only for the login; ignore it
        group = int(given) if numeric else session.group
        for needed in {session.group, group} - {-1}:
            self._check_member(session, needed)
        return Call(session, group, self._store, context.get(omero.constants.CLIENTUUID, ""))

    def _check_member(self, session: Session, group: int) -> None:
        if not session.is_admin and all(m.group != group for m in session.members):
            raise security(f"User {session.user} is not a member of group {group} and cannot login")

    def end(self, session: Session) -> None:
        """Ends a session and its servants.  Does nothing if it has ended."""
        with self._lock:
            if self._live.pop(session.uuid, None) is None:
                return
            self._ended[session.uuid] = None
            while len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
        with self._store.begin() as db:
            self._store.update(db, "Session", session.id, closed=_ms())
        self._on_end(session)

    def was(self, key: str) -> bool:
        """Whether this is the uuid of a session that has ended."""
        with self._lock:
            return key in self._ended

    def live(self) -> list[Session]:
        """Ends the sessions that have expired, and gives the others."""
        with self._lock:
            sessions = list(self._live.values())
        for session in sessions:
            if session.expired(self._now()):
                self.end(session)
        with self._lock:
            return list(self._live.values())


def _ms() -> int:
    return int(time.time() * 1000)


class Sandbox:
    """The server as its servants see it: the store, the sessions, the object adapter."""

    def __init__(
        self,
        adapter: Any,
        store: Store,
        data_dir: Path,
        properties: Mapping[str, str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.adapter = adapter
        self.store = store
        self.data_dir = data_dir  # omero.data.dir
        self.properties = properties  # the omero.* with which the server was started
        self.sessions = Sessions(store, self._forget, now)
        self.mood = Mood(data_dir, now)
        self.repositories: Any = None  # repository.Repositories; the server sets it
        self.pace = Pace(Prices.of(properties), lambda: self.mood.current().imports)
        self._note_start()
        adapter.addServantLocator(_Ended(self.sessions), "")

    def serve(self, session: Session, servant: Any, name: str = "") -> Any:
        """Puts a servant of `session` on the adapter, and gives its proxy.

        A service that a session has once has a `name`, and is added once.  After the
        session's end its calls raise RemovedSessionException.  Objects without a name then
        do not exist (ObjectNotExistException).
        """
        identity = Ice.Identity(name or f"object-{uuid.uuid4()}", f"session-{session.uuid}")
        if not (name and self.adapter.find(identity)):
            with suppress(
                Ice.AlreadyRegisteredException
            ):  # another thread of the session was first
                self.adapter.add(servant, identity)
            session.identities.add(identity)
        return self.adapter.createDirectProxy(identity)

    def serve_factory(self, session: Session, factory: Any) -> Any:
        """Puts a client's ServiceFactory on the adapter.  Its identity's name is the session."""
        session.identities.add(factory.identity)
        return self.adapter.add(factory, factory.identity)

    def timeouts(self) -> tuple[int, int]:
        """The default times to live and to idle, in ms, from omero.sessions.*."""
        live = self.properties.get("omero.sessions.maximum") or TIME_TO_LIVE
        idle = self.properties.get("omero.sessions.timeout") or TIME_TO_IDLE
        return int(live), int(idle)

    def withdraw(self, session: Session, identity: Any) -> None:
        """Removes one servant, as its close() does."""
        session.identities.discard(identity)
        # The session has ended meanwhile, or the server ends.
        with suppress(Ice.NotRegisteredException, Ice.ObjectAdapterDeactivatedException):
            self.adapter.remove(identity)

    def _note_start(self) -> None:
        """Adds a Node for each start, as OMERO does.  What an earlier run began has ended."""
        with self.store.begin() as db:
            table, now = TABLES["Node"], _ms()
            db.execute(table.update().where(table.c.down.is_(None)).values(down=now))
            self.store.insert(db, "Node", uuid=str(uuid.uuid4()), conn="sandbox", up=now)

    def _forget(self, session: Session) -> None:
        for identity in list(session.identities):
            self.withdraw(session, identity)
        self.pace.forget(session.uuid)


class _Ended(Ice.ServantLocator):  # type: ignore[misc]
    """Tells clients that their session has ended."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def locate(self, current: Any) -> Any:
        category, name = current.id.category, current.id.name
        service = category.removeprefix("session-") if not name.startswith("object-") else ""
        if self._sessions.was(service) or self._sessions.was(name):
            raise removed("Session has ended")
        return None

    def finished(self, current: Any, servant: Any, cookie: Any) -> None:
        """There is nothing to release."""

    def deactivate(self, category: str) -> None:
        """There is nothing to release."""
