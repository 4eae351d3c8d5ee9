"""Whether OMERO may still be at an import whose answer nobody hears any more.

What an OMERO.server shows of that (read in its sources, and in omero-py's
`omero fs importtime`): the UploadJob of a fileset is Finished once the upload
was found whole and the import began; the log of the import hangs on that job,
its row is changed after each step, and on disk it grows between them; the end
of an import that has failed is told nowhere but in its answer.  An import
does not outlive its server, and each start of one is a row of Node.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, unwrap

import omero
from omero_fs_plugin.blitz.filesets import ServerFileset
from omero_fs_plugin.blitz.sessions import UserSession
from omero_fs_plugin.blitz.users import ALL_GROUPS
from omero_fs_plugin.blitz.verdicts import server_errors
from omero_fs_plugin.errors import ImportRefused, UnclearError, UserError

log = logging.getLogger(__name__)

# An import without a sign of life for so long has ended: so much, and more for each file and byte.
START_S, FILE_S, BYTES_PER_S = 600.0, 10.0, 1_000_000
# A call that we gave up is carried out up to 90 s later, as was seen; so much, and more for bytes.
LATE_S, LATE_BYTES_PER_S = 120.0, 20_000_000
WATCH_S = 60.0  # nothing counts as without a sign of life that was not watched for so long

_MADE = (
    "select f.id, f.details.creationEvent.time, o.id from Fileset f "
    "join f.usedFiles e join e.originalFile o where f.id in (:ids) order by o.id"
)
_LOGS = (
    "select fs.id, s.value, o.id, o.details.updateEvent.time from FilesetJobLink l "
    "join l.parent fs join l.child j join j.status s "
    "join j.originalFileLinks k join k.child o "
    "where fs.id in (:ids) and o.mimetype = 'application/omero-log-file'"
)
_STARTED = "select max(n.up) from Node n"


@dataclass(frozen=True)
class Signs:
    """What OMERO shows of one fileset's import.  Times are OMERO's, in s since the epoch."""

    begun: float  # when the fileset was made
    told: bool = False  # the import itself has begun
    changed: float = 0.0  # when the row of its log was last changed
    logged: int = 0  # bytes in its log, on disk
    hashes: tuple[str | None, ...] = ()  # of its files; one that is uploaded has one
    files: tuple[int, ...] = ()  # their OriginalFile ids


@dataclass(frozen=True)
class Look:
    """Some filesets, as OMERO showed them at one moment."""

    now: float  # s since the epoch, by OMERO's clock
    started: float  # when this OMERO.server started, by the same clock; 0: it does not say
    signs: Mapping[int, Signs]  # by Fileset id; one that is gone has none


@dataclass(frozen=True)
class Rest:
    """How long nothing has moved in a fileset's import."""

    begun: float  # when the fileset was made, in s since the epoch, by OMERO's clock
    age: float  # s since then
    told: bool  # the import itself has begun
    quiet: float  # s since the last sign of life
    watched: float  # s that we have seen it as it is
    ended: bool = False  # for certain: the server that was at it has ended, or the upload is over
    ours: bool = False  # for certain: the upload was one of this process

    def over(self, limit: float) -> bool:
        """Whether it has ended, as far as a `limit` (s) without a sign of life tells."""
        return self.ended or (self.quiet >= limit and self.watched >= min(WATCH_S, limit))


def limit_s(files: int, size: int) -> float:
    """How long an import of so many files and bytes may show no sign of life."""
    return START_S + FILE_S * files + size / BYTES_PER_S


def late_s(size: int) -> float:
    """How long after we gave it up OMERO may begin an import of so many bytes."""
    return LATE_S + size / LATE_BYTES_PER_S


def look(session: UserSession, filesets: Sequence[ServerFileset]) -> Look:
    """How far the imports of `filesets` are.  Raises ServerAwayError, UserError, ImportRefused."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"ids": rlist([rlong(one.id) for one in filesets])}
    with server_errors("asking how far an import is"):
        services = session.services
        query = services.getQueryService()
        now = unwrap(services.getConfigService().getServerTime()) / 1000
        made: dict[int, float] = {}
        files: dict[int, list[int]] = {}
        for fileset, at, file in map(unwrap, query.projection(_MADE, parameters, ALL_GROUPS)):
            made[fileset] = at / 1000
            files.setdefault(fileset, []).append(file)
        logs = {
            row[0]: row[1:] for row in map(unwrap, query.projection(_LOGS, parameters, ALL_GROUPS))
        }
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
            hashes=one.hashes,
            files=tuple(files[one.id]),
        )
    return Look(now, _started(query), signs)


class Watch:
    """What was seen of unfinished imports, from one look to the next.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Fileset id -> how it was seen last; since when it is so, and since when we know (s)
        self._seen: dict[int, tuple[Signs, float, float]] = {}
        self._refused: dict[int, int] = {}
        self._over: set[int] = set()  # OriginalFile ids: nobody is at their fileset any more

    def over(self, file: int) -> None:
        """The upload that made this OriginalFile is over, for certain and without images."""
        with self._lock:
            self._over.add(file)

    def rest(self, identifier: int, found: Look) -> Rest | None:
        """How long nothing has moved in that fileset's import; None: OMERO has it no more."""
        signs = found.signs.get(identifier)
        with self._lock:
            if signs is None:
                self._seen.pop(identifier, None)
                return None
            before = self._seen.get(identifier)
            if before is None:
                seen = signs, max(signs.begun, signs.changed), found.now
            elif before[0] != signs:
                seen = signs, found.now, found.now
            else:
                seen = before
            self._seen[identifier] = seen
            over = not self._over.isdisjoint(signs.files)
        _, since, known = seen
        return Rest(
            begun=signs.begun,
            age=found.now - signs.begun,
            told=signs.told,
            quiet=found.now - since,
            watched=found.now - known,
            ended=over or signs.begun < found.started,
            ours=over,
        )

    def refused(self, identifier: int, found: Look) -> int:
        """OMERO would not delete it, which is a sign of life; how often by now."""
        with self._lock:
            number = self._refused[identifier] = self._refused.get(identifier, 0) + 1
            if identifier in self._seen:
                self._seen[identifier] = self._seen[identifier][0], found.now, found.now
        return number

    def forget(self, identifiers: Sequence[int]) -> None:
        """They are gone."""
        with self._lock:
            for identifier in identifiers:
                self._seen.pop(identifier, None)
                self._refused.pop(identifier, None)


def _size(services: Any, file: int) -> int:
    """Bytes of a file on OMERO's disk; its row is not told of them all the time."""
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


def _started(query: Any) -> float:
    try:
        with server_errors("asking when OMERO started"):
            ((latest,),) = query.projection(_STARTED, None, ALL_GROUPS)
    except (ImportRefused, UnclearError, UserError) as error:
        log.debug("%s", error)
        return 0.0
    return (unwrap(latest) or 0) / 1000
