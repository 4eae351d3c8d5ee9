"""Finds or makes the containers of a target in OMERO, as the user, before the upload.

OMERO would refuse some targets, or silently ignore them, only after the upload.
This module finds them earlier: a container that does not exist, is in another
group, or does not let the user put anything into it.  It makes a missing
container in one transaction with its link.  So a crash leaves nothing half made,
and the container is found by its name the next time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import omero.model
import omero.sys
from omero.rtypes import rlist, rlong, rstring, unwrap

import omero
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.users import ALL_GROUPS
from omero_fs_plugin.blitz.verdicts import Step, server_errors
from omero_fs_plugin.errors import ImportRefused, UserError

from .targets import DATASET, KINDS, NEW, OLDEST, ONLY, PROJECT, SCREEN, Container, Target

log = logging.getLogger(__name__)

# A container -> the link to what lies in it.
_CONTENTS = {DATASET: "DatasetImageLink", SCREEN: "ScreenPlateLink"}
KEPT_S = 10.0  # s that a container which was found counts as found
BATCH = 500  # ids in one query, links in one call


# Keeps out, while it lasts, whoever does the same thing on another machine; given in words.
Alone = Callable[[str], AbstractContextManager[object]]


def nobody_else(what: str) -> AbstractContextManager[object]:
    """Of a process whose importers are alone."""
    return nullcontext()


@dataclass(frozen=True)
class Destination:
    """A dataset or screen that OMERO has, and into which the user may put things."""

    kind: str  # Dataset or Screen
    id: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    def object(self) -> Any:
        """The unloaded model object, for ImportSettings.userSpecifiedTarget."""
        return _proxy(self.kind, self.id)


class Containers:
    """Finds the containers of targets, or makes them.  Thread-safe; one for all imports.

    Imports in one group take turns, on whatever machine.  If several want the same container, the
    first makes it, and the others find it.  What was found is kept for KEPT_S, until `forget`.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, alone: Alone = nobody_else
    ) -> None:
        """`alone` keeps out the importers of other machines."""
        self._clock, self._alone = clock, alone
        self._lock = threading.Lock()
        # (user id, group id, target) -> what was found, until when (s) it counts
        self._kept: dict[tuple[int, int, Target], tuple[Destination, float]] = {}
        self._turns: dict[int, threading.Lock] = {}  # group id ->

    def find(
        self, session: UserSession, target: Target, *, plate: bool, made_for: str
    ) -> Destination | None:
        """The container that `target` names, in the group of the session.

        None leaves the images orphaned.  `made_for` names the fileset uniquely, as its client
        path does.  If a target is to be new each time, it is made once for the fileset,
        also if there is a crash in between.

        Raises ImportRefused, final, if the container has the wrong kind for a plate or for
        images, is not there, is in another group, does not let the user put things into it,
        or is not the only one of its name.  Raises what `server_errors` raises if OMERO
        cannot be asked.
        """
        target.check(plate=plate)
        if not target.containers:
            return None
        with server_errors("asking for the group of the session"):
            group = session.group_id
        with self._lock:
            turn = self._turns.setdefault(group, threading.Lock())
        # The lock is held during calls to OMERO on purpose: others wait for the container
        # that is made here.  Each call ends within a minute, whatever the server does.
        with turn:
            key = session.user.id, group, target
            if (kept := self._known(key)) is not None:
                return kept
            with self._alone(f"looks for containers in the group {group}"):
                search = _Search(session, group, f"OMERO.fs: for {made_for}")
                found = search.find(target.containers)
            # One that must be new, or the only one of its name, is asked for each time.
            if all(one.which not in (NEW, ONLY) for one in target.containers):
                with self._lock:
                    self._kept[key] = found, self._clock() + KEPT_S
            return found

    def forget(self, session: UserSession) -> None:
        """Looks anew for the containers of this user, because an import has failed."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == session.user.id]:
                del self._kept[key]

    def _known(self, key: tuple[int, int, Target]) -> Destination | None:
        now = self._clock()
        with self._lock:
            self._kept = {k: (found, end) for k, (found, end) in self._kept.items() if end > now}
            return self._kept[key][0] if key in self._kept else None


class _Search:
    """One search for the containers of one target."""

    def __init__(self, session: UserSession, group: int, note: str) -> None:
        self._session = session
        self._group = group
        self._note = note  # description of a container that is made for one fileset only

    def find(self, containers: Sequence[Container]) -> Destination:
        *above, last = containers
        if not above:
            found = self._one(last)
            return Destination(last.kind, found or self._make(last, _new(last, self._note)))
        project = self._one(above[0])
        dataset = self._one(last, project=project, within=True)
        if project and dataset and self._is_in(project, dataset):
            return Destination(last.kind, dataset)
        link = omero.model.ProjectDatasetLinkI()
        link.parent = _proxy(PROJECT, project) if project else _new(above[0], self._note)
        link.child = _proxy(DATASET, dataset) if dataset else _new(last, self._note)
        return Destination(last.kind, self._make(last, link))

    def _one(
        self, wanted: Container, *, project: int | None = None, within: bool = False
    ) -> int | None:
        """The id of the container that is there; None if it has to be made.

        `within`: only a dataset within `project` counts.
        """
        if wanted.id:
            return self._by_id(wanted)
        if within and project is None:
            return None
        join = where = ""
        values = {"name": rstring(wanted.name)}
        if within:
            join, where = " join c.projectLinks l", " and l.parent.id = :project"
            values["project"] = rlong(project)
        found = self._ask(
            f"select c from {wanted.kind} c{join} where c.name = :name{where} order by c.id desc",
            values,
        )
        ids = list(dict.fromkeys(c.id.val for c in found if c.details.permissions.canLink()))
        if wanted.which == NEW:
            ids = self._made_for_this(wanted, found)
        if wanted.which == ONLY and len(ids) > 1:
            raise ImportRefused(
                f"there are {len(ids)} of {wanted} ({_listed(wanted.kind, ids)}), and the target "
                "says %name, the only one: rename one of them, or use its id",
                final=True,
            )
        if not ids:
            return None
        return int(ids[-1] if wanted.which == OLDEST else ids[0])

    def _made_for_this(self, wanted: Container, found: Iterable[Any]) -> list[int]:
        """Containers that an earlier attempt has made for this fileset, and that are empty."""
        mine = [
            c.id.val
            for c in found
            if c.details.owner.id.val == self._session.user.id
            and unwrap(c.description) == self._note
        ]
        if not mine:
            return []
        link = _CONTENTS[wanted.kind]
        rows = self._values(
            f"select l.parent.id from {link} l where l.parent.id in (:ids)", {"ids": ids_of(mine)}
        )
        return [c for c in mine if [c] not in rows]

    def _by_id(self, wanted: Container) -> int:
        user = self._session.user.name
        found = self._ask(_BY_ID.format(wanted.kind), {"id": rlong(wanted.id)}, ALL_GROUPS)
        if not found:
            others = [
                f"{kind}:{wanted.id}"
                for kind in KINDS
                if kind != wanted.kind
                and self._ask(_BY_ID.format(kind), {"id": rlong(wanted.id)}, ALL_GROUPS)
            ]
            hint = f"; there is {' and '.join(others)}" if others else ""
            raise ImportRefused(f"there is no {wanted} that {user} may see{hint}", final=True)
        details = found[0].details
        if details.group.id.val != self._group:
            raise ImportRefused(
                f"{wanted} is in the group {unwrap(details.group.name)}, and these images go into "
                f"{self._session.user.group}: set omero.fs.group, or another target",
                final=True,
            )
        if not details.permissions.canLink():
            raise ImportRefused(
                f"{wanted} is {unwrap(details.owner.omeName)}'s, and {user} may not put anything "
                f"into it in the group {unwrap(details.group.name)} ({details.permissions}): "
                "set another target",
                final=True,
            )
        return wanted.id

    def _is_in(self, project: int, dataset: int) -> bool:
        text = "select l.id from ProjectDatasetLink l where l.parent.id = :p and l.child.id = :d"
        return bool(self._values(text, {"p": rlong(project), "d": rlong(dataset)}))

    def _make(self, wanted: Container, value: Any) -> int:
        """Saves a new container, or the link of one; the container's id."""
        user = self._session.user
        try:
            with server_errors(f"making {wanted} for {user.name}", Step.DESCRIBE):
                saved = self._session.services.getUpdateService().saveAndReturnObject(value)
        except UserError as error:
            raise ImportRefused(str(error), final=True) from error
        made = saved.child if isinstance(saved, omero.model.ProjectDatasetLink) else saved
        log.info("%s: %s is %s:%d", user.name, wanted, wanted.kind, made.id.val)
        return int(made.id.val)

    def _ask(
        self, text: str, values: Mapping[str, Any], context: dict[str, str] | None = None
    ) -> list[Any]:
        with server_errors("looking for the target"):
            query = self._session.query
            return list(query.findAllByQuery(text, parameters_of(values), context))

    def _values(self, text: str, values: Mapping[str, Any]) -> list[Any]:
        with server_errors("looking for the target"):
            query = self._session.query
            return [
                [unwrap(c) for c in row] for row in query.projection(text, parameters_of(values))
            ]


_BY_ID = "select c from {} c join fetch c.details.owner join fetch c.details.group where c.id = :id"


def ensure_linked(session: UserSession, place: Destination, images: Sequence[int]) -> str:
    """Makes sure that what was imported is in its target, and links it if it is not.

    OMERO links while it imports.  But if the import was found in OMERO later, OMERO may have
    had another target.  It may be repeated without harm.  Returns what cannot be mended, in
    one line; empty if there is nothing.

    Raises ImportRefused if OMERO does not let the user link, and what `server_errors`
    raises.
    """
    children = images if place.kind == DATASET else plates_of(session, images)
    if not children:
        return f"OMERO made no plate of it, so it is not in {place}"
    entity = _CONTENTS[place.kind]
    text = f"select l.child.id from {entity} l where l.parent.id = :id and l.child.id in (:ids)"
    for start in range(0, len(children), BATCH):
        batch = children[start : start + BATCH]
        with server_errors(f"looking into {place}"):
            rows = session.query.projection(
                text, parameters_of({"id": rlong(place.id), "ids": ids_of(batch)})
            )
        there = {unwrap(row[0]) for row in rows}
        missing = [child for child in batch if child not in there]
        if missing:
            _link(session, place, missing)
    return ""


def plates_of(session: UserSession, images: Sequence[int]) -> list[int]:
    """The ids of the plates in whose wells `images` lie."""
    found: set[int] = set()
    for start in range(0, len(images), BATCH):
        with server_errors("looking for the plates of an import"):
            rows = session.query.projection(
                "select distinct w.plate.id from WellSample s join s.well w "
                "where s.image.id in (:ids)",
                parameters_of({"ids": ids_of(images[start : start + BATCH])}),
            )
        found.update(unwrap(row[0]) for row in rows)
    return sorted(found)


def _link(session: UserSession, place: Destination, children: Sequence[int]) -> None:
    links = []
    for child in children:
        link = getattr(omero.model, _CONTENTS[place.kind] + "I")()
        link.parent = place.object()
        link.child = _proxy("Image" if place.kind == DATASET else "Plate", child)
        links.append(link)
    log.warning("%s: OMERO left %d outside %s; linking them", session.user.name, len(links), place)
    try:
        with server_errors(f"linking to {place}", Step.DESCRIBE):
            session.services.getUpdateService().saveArray(links)
    except UserError as error:
        raise ImportRefused(str(error), final=True) from error


def _new(wanted: Container, note: str) -> Any:
    made = getattr(omero.model, wanted.kind + "I")()
    made.name = rstring(wanted.name)
    if wanted.which == NEW:
        made.description = rstring(note)
    return made


def _proxy(kind: str, identifier: int) -> Any:
    return getattr(omero.model, kind + "I")(identifier, False)


def parameters_of(values: Mapping[str, Any]) -> Any:
    """The named values of a query, as OMERO takes them."""
    parameters = omero.sys.ParametersI()
    parameters.map = dict(values)
    return parameters


def ids_of(values: Iterable[int]) -> Any:
    """A list of ids, as a named value of a query takes them."""
    return rlist([rlong(value) for value in values])


def _listed(kind: str, ids: Sequence[int]) -> str:
    some = ", ".join(f"{kind}:{i}" for i in ids[:5])
    return some + (", ..." if len(ids) > 5 else "")
