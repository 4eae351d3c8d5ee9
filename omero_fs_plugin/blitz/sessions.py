"""Sessions on OMERO: the grid's own, and those for users.

Whoever reads a session key can open the user's data.  So it stays in memory, and is in
no argument, log, journal or error text.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import omero.clients
import omero.sys
from omero.rtypes import unwrap

import omero
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.errors import FsError

from . import copies, filesets, publications, users
from .connection import Connection
from .copies import Copy
from .filesets import ServerFileset
from .user_session import KEEP_ALIVE_S, UserSession, join
from .users import User
from .verdicts import server_errors

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

DROPPED = "omero.fs.dropped"  # beside it in an upload's versionInfo: when DropBox met the files
_LONGEST_MS = 2**53  # "no end"; it fits into a Slice long and a double


class Omero(Connection):
    """The grid's own access to OMERO, as root behind the router.

    Thread-safe.  Every method raises ServerAwayError while OMERO is down, and
    finds it again by itself.
    """

    def __init__(
        self, communicator: Any, *, host: str, port: int, time_to_live: float, time_to_idle: float
    ) -> None:
        """`time_to_live` and `time_to_idle` (s) are those of the users' sessions; 0: no end."""
        super().__init__(communicator)
        self._host, self._port = host, port
        self._let_in: set[str] = set()  # users who are members of the documents' group
        self.sessions_last(time_to_live, time_to_idle)

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

    def memberships(self) -> dict[str, frozenset[str]]:
        """Every OMERO user's name -> the groups of the user that may hold data."""
        return self._ask("asking for the groups of users", users.memberships)

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
            idle = self._idle_ms // 3000 or KEEP_ALIVE_S
            client = join(self._host, self._port, unwrap(session.uuid), user, idle)
        except BaseException:
            end()
            raise
        return UserSession(client, user, end, router=(self._host, self._port))

    def filesets(self, user: User, client_path: str) -> list[ServerFileset]:
        """The user's filesets with a file of that client path, with and without images.

        Each fileset has all of its files.
        """
        return self._ask(
            f"asking for filesets of {user.name}",
            lambda services: filesets.with_file(self._query(services), user, client_path),
        )

    def filesets_of_others(self, user: User, client_path: str) -> dict[str, list[ServerFileset]]:
        """As `filesets`, those of all other users: the name of each -> what that one has."""
        return self._ask(
            f"asking for filesets of others than {user.name}",
            lambda services: filesets.with_file_of_others(self._query(services), user, client_path),
        )

    def has_fileset(self, user: User, fileset: int) -> bool:
        """Whether the Fileset is in OMERO, and this user's, whatever the user was called then."""
        return self._ask(
            f"asking whose Fileset:{fileset} is",
            lambda services: filesets.owner_of(self._query(services), fileset) == user.id,
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
        what = f"writing the document of {name}"

        def rewrite(services: Any) -> bool:
            return publications.rewrite(services, name, change)

        if name in self._let_in and self._ask(what, rewrite):
            return
        user = self.user(name)
        self._ask(what, lambda services: publications.let_in(services, user.id))
        if name not in self._let_in:
            self._let_in.add(name)
            if self._ask(what, rewrite):
                return
        # The first one is made by its user, so it is the user's.
        session = self.session_for(User(user.id, name, publications.GROUP))
        try:
            with server_errors(what):
                publications.replace(session.services, user.id, change)
        finally:
            session.close()

    def published(self) -> list[int]:
        """The ids of the documents of all users."""
        return self._ask("asking for users' documents", publications.identifiers)

    def show_sign(self, text: str) -> str:
        """Replaces the sign of life, which every user reads in OMERO.  Returns the one before."""
        return self._ask("leaving a sign of life", lambda sf: publications.show_sign(sf, text))

    def show_check(self, text: str) -> None:
        """Replaces what `omero fs check` found, which administrators read in OMERO."""
        what = "leaving what the check found"
        self._ask(what, lambda services: publications.show_check(services, text))

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
