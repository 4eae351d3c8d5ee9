"""Whether OMERO may still work on an import, although nobody waits for its answer any more.

An OMERO.server shows this of an import (the source is its code, and omero-py's
`omero fs importtime`).  The UploadJob of a fileset is Finished when the upload was
found whole and the import has begun.  The import's log is linked to that job.  The
log's row changes after each step, and on disk the log grows between the steps.
Only the answer to an import says that it has failed.  An import does not outlive
its server, and each start of a server is a row of Node, with a higher id.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, unwrap

import omero
from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.blitz.user_session import AGENT, UserSession
from omero_fs_plugin.blitz.users import ALL_GROUPS
from omero_fs_plugin.blitz.verdicts import server_errors
from omero_fs_plugin.errors import ImportRefused, UnclearError, UserError

log = logging.getLogger(__name__)

# An import has ended if it shows no sign of life for START_S, and more for each file and byte.
START_S, FILE_S, BYTES_PER_S = 600.0, 10.0, 1_000_000
# OMERO carried out a call that we gave up as late as 90 s afterwards.  We wait for LATE_S, and
# more for each byte.
LATE_S, LATE_BYTES_PER_S = 120.0, 20_000_000
WATCH_S = 60.0  # an import is watched for at least so long before it counts as without life

_MADE = "select f.id, f.details.creationEvent.time from Fileset f where f.id in (:ids)"
_FIRST = (
    "select o.id from Fileset f join f.usedFiles e join e.originalFile o where f.id = :id "
    "order by e.id"
)
_LOGS = (
    "select fs.id, s.value, o.id, o.details.updateEvent.time from FilesetJobLink l "
    "join l.parent fs join l.child j join j.status s "
    "join j.originalFileLinks k join k.child o "
    "where fs.id in (:ids) and o.mimetype = 'application/omero-log-file'"
)
_CLIENTS = (
    "select l.parent.id, v.value from FilesetJobLink l, UploadJob u join u.versionInfo v "
    "where l.child.id = u.id and l.parent.id in (:ids) and v.name = 'client'"
)
_STARTED = "select max(n.up), max(n.id) from Node n"


@dataclass(frozen=True)
class Signs:
    """What OMERO shows of one fileset's import.  Times are OMERO's, in s since the epoch."""

    begun: float  # when the fileset was made
    told: bool = False  # the import itself has begun
    changed: float = 0.0  # when the row of its log was last changed
    logged: int = 0  # bytes in its log, on disk
    uploaded: str = ""  # changes with each file that is uploaded
    first: int = 0  # OriginalFile id of its first file; 0: not known
    client: str = ""  # what began it, as it says itself; empty: not known


@dataclass(frozen=True)
class Look:
    """What OMERO showed of some filesets at one moment."""

    now: float  # s since the epoch, by OMERO's clock
    started: float  # when this OMERO.server started, by the same clock; 0: not known
    signs: Mapping[int, Signs]  # by Fileset id; a fileset that is gone has none
    ahead: float = 0.0  # s that our clock is ahead of OMERO's
    start: int = 0  # which start of OMERO that was, as `start_of` has it; 0: not known


@dataclass(frozen=True)
class Rest:
    """For how long nothing has moved in a fileset's import."""

    # When the fileset was made, in s since the epoch, as our clock showed time when we first saw
    # it; -inf if OMERO's clock was set back before that, so that nobody knows.
    begun: float
    age: float  # s since then
    told: bool  # the import itself has begun
    quiet: float  # s since the last sign of life
    watched: float  # s since we first saw it as it is now
    ended: bool = False  # it is certain that its server has ended, or that the upload is over
    ours: bool = False  # it is certain that this process, or any DropBox, made the upload

    def over(self, limit: float) -> bool:
        """Whether it has ended: it is certain, or there was no sign of life for `limit` s."""
        return self.ended or (self.quiet >= limit and self.watched >= min(WATCH_S, limit))


def limit_s(files: int, size: int) -> float:
    """How long (s) an import of so many files and bytes may show no sign of life."""
    return START_S + FILE_S * files + size / BYTES_PER_S


def late_s(size: int) -> float:
    """How long (s) OMERO may take to begin an import of so many bytes that we gave up."""
    return LATE_S + size / LATE_BYTES_PER_S


def look(
    session: UserSession, filesets: Sequence[ServerFileset], clock: Callable[[], float]
) -> Look:
    """How far the imports of `filesets` are.  `clock` is ours, in s since the epoch.

    Raises ServerAwayError, UserError and ImportRefused.
    """
    parameters = omero.sys.ParametersI()
    parameters.map = {"ids": rlist([rlong(one.id) for one in filesets])}
    with server_errors("asking how far an import is"):
        services = session.services
        query = services.getQueryService()
        now = unwrap(services.getConfigService().getServerTime()) / 1000
        ahead = clock() - now
        made = {
            fileset: at / 1000
            for fileset, at in map(unwrap, query.projection(_MADE, parameters, ALL_GROUPS))
        }
        logs = {
            row[0]: row[1:] for row in map(unwrap, query.projection(_LOGS, parameters, ALL_GROUPS))
        }
    clients = _clients(lambda: query, parameters)
    signs = {}
    for one in filesets:
        if one.id not in made:
            continue
        status, file, changed = logs.get(one.id, ("", None, 0))
        logged = _size(services, file) if file is not None else 0
        signs[one.id] = Signs(
            begun=made[one.id],
            told=status == "Finished",
            changed=changed / 1000,
            logged=logged,
            uploaded=_uploaded(one.hashes),
            first=_first(query, one.id),
            client=clients.get(one.id, ""),
        )
    started, start = _started(lambda: query)
    return Look(now, started, signs, ahead, start)


def is_by_dropbox(session: UserSession, fileset: int) -> bool:
    """Whether OMERO says that a DropBox made this Fileset.  False if nobody knows.

    Raises ServerAwayError.
    """
    parameters = omero.sys.ParametersI()
    parameters.map = {"ids": rlist([rlong(fileset)])}
    return _clients(lambda: session.query, parameters).get(fileset, "").startswith(f"{AGENT} ")


def start_of(session: UserSession) -> int:
    """Which start of OMERO the session is of: the id of its Node; 0 if that is not known.

    Raises ServerAwayError.
    """
    return session.keep("start", lambda: _started(lambda: session.query)[1])


class Watch:
    """Remembers unfinished imports from one look to the next.  Thread-safe.

    Rule: somebody may set OMERO's clock.  No import counts as ended because of that.  `clock`
    counts the time while we watch, in s; nobody can set it.  OMERO's times only say how long it had
    been quiet, and how old it was, when we first saw it.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: time.monotonic())
        self._lock = threading.Lock()
        # Fileset id -> how it was last seen, since when (s) it is so, since when (s) we know it,
        # and when it was made, by our clock
        self._seen: dict[int, tuple[Signs, float, float, float]] = {}
        self._refused: dict[int, int] = {}
        self._early: set[float] = set()  # starts of OMERO by a clock that was set back since
        self._over: set[int] = set()  # ids of first files; nobody imports their filesets any more

    def over(self, file: int) -> None:
        """Notes that the upload of this OriginalFile is over for certain, without images."""
        with self._lock:
            self._over.add(file)

    def rest(self, identifier: int, found: Look, told_at: int = 0) -> Rest | None:
        """For how long nothing has moved in that import; None if the fileset is gone.

        `told_at`: the start of OMERO that was told to import it, see `start_of`; 0: not known.  If
        that is the latest, OMERO has not ended since, whatever clock it was started by.
        """
        signs, now = found.signs.get(identifier), self._clock()
        with self._lock:
            if found.started > found.now:
                self._early.add(found.started)
            early = found.started in self._early or (told_at != 0 and told_at == found.start)
            if signs is None:
                self._seen.pop(identifier, None)
                return None
            before = self._seen.get(identifier)
            if before is None:
                quiet = max(0.0, found.now - max(signs.begun, signs.changed))
                # If it is made later than now, the clock was set back, and nobody knows its age.
                made = signs.begun + found.ahead if signs.begun <= found.now else float("-inf")
                seen = signs, now - quiet, now, made
            elif before[0] != signs:
                seen = signs, now, now, before[3]
            else:
                seen = before
            self._seen[identifier] = seen
            over = signs.first in self._over
        _, since, known, made = seen
        return Rest(
            begun=made,
            age=found.now - signs.begun,
            told=signs.told,
            quiet=now - since,
            watched=now - known,
            ended=over or (signs.begun < found.started and not early),
            ours=over or signs.client.startswith(f"{AGENT} "),
        )

    def refused(self, identifier: int) -> int:
        """Notes that OMERO would not delete it, a sign of life.  Returns how often by now."""
        now = self._clock()
        with self._lock:
            number = self._refused[identifier] = self._refused.get(identifier, 0) + 1
            if identifier in self._seen:
                signs, _, _, made = self._seen[identifier]
                self._seen[identifier] = signs, now, now, made
        return number

    def forget(self, identifiers: Sequence[int]) -> None:
        """Forgets filesets that are gone."""
        with self._lock:
            for identifier in identifiers:
                self._seen.pop(identifier, None)
                self._refused.pop(identifier, None)


def _uploaded(hashes: Iterable[str | None]) -> str:
    """One hash over those of all files, of which a file has one when it is uploaded."""
    whole = hashlib.sha256()
    for one in hashes:
        whole.update(f"{one or ''} ".encode())
    return whole.hexdigest()


def _first(query: Any, fileset: int) -> int:
    """The OriginalFile id of the first file; 0 if there is none.  A store has very many."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"id": rlong(fileset)}
    parameters.page(0, 1)
    rows = query.projection(_FIRST, parameters, ALL_GROUPS)
    return int(unwrap(rows[0][0])) if rows else 0


def _size(services: Any, file: int) -> int:
    """Bytes of a file on OMERO's disk.  The file's row is not always up to date."""
    try:
        with server_errors("looking at the log of an import"):
            store = services.createRawFileStore()
            try:
                store.setFileId(file)
                return int(store.size())
            finally:
                store.close()
    except (ImportRefused, UnclearError, UserError) as error:
        log.debug("%s", error)
        return 0


def _clients(query: Callable[[], Any], parameters: Any) -> dict[int, str]:
    """Fileset id -> what began it, if OMERO knows it.  OMERO's own importer notes it otherwise.

    `query` gives the IQueryPrx: that too is a call, which OMERO may refuse.
    """
    try:
        with server_errors("asking what began an import"):
            return dict(map(unwrap, query().projection(_CLIENTS, parameters, ALL_GROUPS)))
    except (ImportRefused, UnclearError, UserError) as error:
        log.debug("%s", error)
        return {}


def _started(query: Callable[[], Any]) -> tuple[float, int]:
    """When OMERO started, in s since the epoch by its clock, and the id of that Node.

    Both are 0 if they are not known.  `query` as for `_clients`.
    """
    try:
        with server_errors("asking when OMERO started"):
            ((latest, start),) = query().projection(_STARTED, None, ALL_GROUPS)
    except (ImportRefused, UnclearError, UserError) as error:
        log.debug("%s", error)
        return 0.0, 0
    return (unwrap(latest) or 0) / 1000, unwrap(start) or 0
