"""Sessions: who is logged in, until when, and what a call of theirs may see.

Live sessions are in memory: a killed server forgets them, as OMERO's clients
must expect.  The table keeps what a query may ask of them afterwards.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import Ice
import sqlalchemy as sa

import omero

from . import accounts
from .accounts import Member
from .store import TABLES, Store

TIME_TO_LIVE = 0  # ms, 0: no end; omero.sessions.maximum
TIME_TO_IDLE = 600_000  # ms; omero.sessions.timeout
_REMEMBERED = 10_000  # ended sessions that are told from unknown ones

_GROUPS = TABLES["ExperimenterGroup"]


@dataclass(eq=False)
class Session:
    """One live session; keeps the memberships it began with."""

    uuid: str
    id: int
    user: int
    user_name: str
    group: int  # the one it works in; changed by setSecurityContext
    members: tuple[Member, ...]
    privileges: frozenset[str]
    time_to_live: int  # ms; 0: no end
    time_to_idle: int  # ms; 0: no end
    started: int  # ms since the epoch
    born: float  # s, monotonic
    used: float  # s, monotonic: the last activity
    sudoer: int | None = None
    sudoer_name: str | None = None
    agent: str = ""
    by_password: bool = False  # the user gave a password, rather than someone opening it for him
    clients: int = 0
    identities: set[Any] = field(default_factory=set)  # of its servants
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def is_admin(self) -> bool:
        """Member of the group `system`, restricted or not."""
        return any(m.group == accounts.SYSTEM_GROUP for m in self.members)

    def expired(self, now: float) -> bool:
        """Whether its time to live or to idle is over at `now` (s, monotonic)."""
        live, idle = self.time_to_live / 1000, self.time_to_idle / 1000
        return bool((live and now >= self.born + live) or (idle and now >= self.used + idle))


@dataclass(frozen=True)
class Call:
    """One call: the session, and the group it speaks of (-1: all that the user may see)."""

    session: Session
    group: int
    store: Store

    @property
    def user(self) -> int:
        """The caller's experimenter id."""
        return self.session.user

    @property
    def is_admin(self) -> bool:
        """Whether the caller is an administrator, restricted or not."""
        return self.session.is_admin

    @property
    def write_group(self) -> int:
        """Where new objects go: the call's group, or the session's when that is -1."""
        return self.session.group if self.group == -1 else self.group

    def owns_group(self, group: int) -> bool:
        """Whether the caller is one of the owners of `group`."""
        return any(m.group == group and m.owner for m in self.session.members)

    def require(self, privilege: str) -> None:
        """Raises SecurityViolation unless the caller is an administrator with `privilege`."""
        if privilege not in self.session.privileges:
            raise security(f"{self.session.user_name} needs the privilege {privilege}")

    def require_role(self) -> None:
        """Raises SecurityViolation for an inactive user: one who is not in the group `user`."""
        names = [m.name for m in self.session.members]
        if "user" not in names and not self.is_admin:
            raise security(f"No matching roles found in [{', '.join(names)}]")

    def visible(self, table: sa.FromClause) -> sa.ColumnElement[bool]:
        """The condition on a table with owner_id and group_id: what this call may see.

        Private groups show a member his own; the others show all; owners of a group and
        administrators see everything in it.
        """
        group, owner = table.c.group_id, table.c.owner_id
        inside = sa.true() if self.group == -1 else group == self.group
        if self.is_admin:
            return inside
        shared = sa.select(_GROUPS.c.id).where(sa.func.substr(_GROUPS.c._permissions, 3, 1) == "r")
        led = [m.group for m in self.session.members if m.owner]
        readable = [accounts.USER_GROUP, *(m.group for m in self.session.members)]
        within = sa.or_(owner == self.user, group.in_(shared), group.in_(led))
        everyones = group == accounts.USER_GROUP  # OMERO's own files, seen in every context
        return sa.or_(sa.and_(inside, group.in_(readable), within), everyones)

    def may_see(self, row: Mapping[str, Any]) -> bool:
        """`visible` for one row, whatever the group of the call."""
        group = row["group_id"]
        if self.is_admin or self.owns_group(group) or group == accounts.USER_GROUP:
            return True
        mine = any(m.group == group for m in self.session.members)
        return mine and (row["owner_id"] == self.user or self._allows(row, 2, "r"))

    def may_annotate(self, row: Mapping[str, Any]) -> bool:
        """Whether the caller may hang an annotation on this row: also in read-annotate groups."""
        return self.may_change(row) or self._allows(row, 3, "aw")

    def may_change(self, row: Mapping[str, Any]) -> bool:
        """Whether the caller may change, link or delete this row.

        The owner, administrators and the group's owners may; members in a read-write group.
        """
        group = row["group_id"]
        if row["owner_id"] == self.user or self.owns_group(group):
            return True
        if "WriteOwned" in self.session.privileges:
            return True
        return self._allows(row, 3, "w")

    def _allows(self, row: Mapping[str, Any], place: int, letters: str) -> bool:
        mine = any(m.group == row["group_id"] for m in self.session.members)
        return mine and self._permissions(row["group_id"])[place] in letters

    def _permissions(self, group: int) -> str:
        with self.store.read() as db:
            row = self.store.row(db, "ExperimenterGroup", group)
        return row["_permissions"] if row else accounts.PRIVATE


def security(text: str) -> omero.SecurityViolation:
    """The exception OMERO refuses with."""
    return omero.SecurityViolation("", "", text)


def removed(text: str) -> omero.RemovedSessionException:
    """The exception for a session that is not, or no longer."""
    return omero.RemovedSessionException("", "", text)


class Sessions:
    """All live sessions.  `now` gives seconds, monotonic; thread-safe."""

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
        with store.begin() as db:  # those of the server before
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
        """A new session for the user `name`, in `group` or in the user's default group.

        Whether the user is in that group is found out at the first call, as in OMERO.

        Raises RemovedSessionException for an unknown user, AuthenticationException for an
        unknown group or a user without any.
        """
        with self._store.begin() as db:
            user = accounts.user_by_name(self._store, db, name)
            if user is None:
                raise removed(f"No such user: {name}")
            members = accounts.memberships(db, user["id"])
            if group:
                row = self._store.first(db, "ExperimenterGroup", name=group)
                if row is None and group.isdigit():
                    row = self._store.row(db, "ExperimenterGroup", int(group))
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
            if sudoer:  # nobody gains by sudo
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
        """The live session with this uuid; raises RemovedSessionException."""
        with self._lock:
            session = self._live.get(key)
        if session is None:
            raise removed("No session with this uuid")
        if session.expired(self._now()):
            self.end(session)
            raise removed("Session has timed out")
        return session

    def touch(self, session: Session) -> None:
        """Counts as activity."""
        session.used = self._now()

    def call(self, session: Session, context: Mapping[str, str], *, touch: bool) -> Call:
        """The Call of a live session.

        Raises RemovedSessionException, or SecurityViolation when the user is not in the group.
        """
        self.get(session.uuid)
        if touch:
            self.touch(session)
        given = context.get("omero.group", "")
        numeric = given.lstrip("-").isdigit()  # a name belongs to the login, and is passed over
        group = int(given) if numeric else session.group
        for needed in {session.group, group} - {-1}:
            self._check_member(session, needed)
        return Call(session, group, self._store)

    def _check_member(self, session: Session, group: int) -> None:
        if not session.is_admin and all(m.group != group for m in session.members):
            raise security(f"User {session.user} is not a member of group {group} and cannot login")

    def end(self, session: Session) -> None:
        """Ends a session and what it serves; ending twice is ending once."""
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
        """Whether this was a session that has ended."""
        with self._lock:
            return key in self._ended

    def live(self) -> list[Session]:
        """All that have not expired; ends those that have."""
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
        self.properties = properties  # omero.* as the server was started with
        self.sessions = Sessions(store, self._forget, now)
        self.repositories: Any = None  # repository.Repositories; the server sets it
        adapter.addServantLocator(_Ended(self.sessions), "")

    def serve(self, session: Session, servant: Any, name: str = "") -> Any:
        """Puts a servant of `session` on the adapter; its proxy.

        A `name` is for what there is once in a session, a service; it is served once.  Its
        calls after the session's end raise RemovedSessionException; objects without a name
        are simply gone (ObjectNotExistException).
        """
        identity = Ice.Identity(name or f"object-{uuid.uuid4()}", f"session-{session.uuid}")
        if not (name and self.adapter.find(identity)):
            with suppress(Ice.AlreadyRegisteredException):  # by another thread of the session
                self.adapter.add(servant, identity)
            session.identities.add(identity)
        return self.adapter.createDirectProxy(identity)

    def serve_factory(self, session: Session, factory: Any) -> Any:
        """Puts one client's ServiceFactory on the adapter; its identity's name is the session."""
        session.identities.add(factory.identity)
        return self.adapter.add(factory, factory.identity)

    def timeouts(self) -> tuple[int, int]:
        """What sessions get that ask for nothing: to live, to idle; omero.sessions.*, in ms."""
        live = self.properties.get("omero.sessions.maximum") or TIME_TO_LIVE
        idle = self.properties.get("omero.sessions.timeout") or TIME_TO_IDLE
        return int(live), int(idle)

    def withdraw(self, session: Session, identity: Any) -> None:
        """Takes one servant away, as its close() does."""
        session.identities.discard(identity)
        with suppress(Ice.NotRegisteredException):  # the session ended meanwhile
            self.adapter.remove(identity)

    def _forget(self, session: Session) -> None:
        for identity in list(session.identities):
            self.withdraw(session, identity)


class _Ended(Ice.ServantLocator):  # type: ignore[misc]
    """Tells clients of ended sessions so."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def locate(self, current: Any) -> Any:
        category, name = current.id.category, current.id.name
        service = category.removeprefix("session-") if not name.startswith("object-") else ""
        if self._sessions.was(service) or self._sessions.was(name):
            raise removed("Session has ended")
        return None

    def finished(self, current: Any, servant: Any, cookie: Any) -> None:
        """Nothing to release."""

    def deactivate(self, category: str) -> None:
        """Nothing to release."""
