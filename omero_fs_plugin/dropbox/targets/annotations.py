"""Puts the tags, pairs and texts of a sidecar on images in OMERO, after the import.

It looks for each part before it adds it.  So after a crash at any moment it may
do all of it again, and adds nothing twice.  It annotates a plate as a whole, and
not each of its thousands of images.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import omero.model
from omero.constants.metadata import NSCLIENTMAPANNOTATION, NSINSIGHTTAGSET
from omero.rtypes import rlist, rlong, rstring, unwrap

from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.verdicts import Step, server_errors
from omero_fs_plugin.errors import ImportRefused, UserError

from .containers import BATCH, Alone, ids_of, nobody_else, parameters_of, plates_of
from .sidecar import Sidecar

# Of several imports into one group that need the same new tag, one makes it; those into other
# groups do not wait for it.
_turns: dict[str, threading.Lock] = {}  # name of a group ->
_lock = threading.Lock()


def _turn_of(group: str) -> threading.Lock:
    with _lock:
        return _turns.setdefault(group, threading.Lock())


def annotate(
    session: UserSession, images: Sequence[int], sidecar: Sidecar, alone: Alone = nobody_else
) -> None:
    """Puts description, tags and key-value pairs on `images`, or on the plates they lie in.

    It does so in the session's group and as its user.  It may be repeated without harm.  `alone`:
    as for Containers.

    Raises ImportRefused if OMERO does not let the user annotate them, and what
    `server_errors` raises.
    """
    if not (sidecar.annotates and images):
        return
    plates = plates_of(session, images)
    work = _Annotating(session, "Plate" if plates else "Image", alone)
    objects = plates or images
    try:
        tags = work.tags(sidecar.tags or ())
        for start in range(0, len(objects), BATCH):
            batch = objects[start : start + BATCH]
            if sidecar.description:
                work.describe(batch, sidecar.description)
            if tags:
                work.tag(batch, tags)
            if sidecar.key_value:
                work.pair(batch, sidecar.key_value)
    except UserError as error:
        raise ImportRefused(str(error)) from error


class _Annotating:
    """Annotates objects of one kind as one user."""

    def __init__(self, session: UserSession, kind: str, alone: Alone) -> None:
        self._session = session
        self._kind = kind  # Image or Plate
        self._alone = alone

    def tags(self, texts: Sequence[str]) -> list[int]:
        """The ids of the user's tags of these texts, or of others' that may be used, or new."""
        if not texts:
            return []
        # Held over calls to OMERO on purpose: who waits wants what is made here.
        group = self._session.user.group
        with _turn_of(group), self._alone(f"looks for tags in the group {group}"):
            found = self._usable(texts)
            self._make([text for text in texts if text not in found], found)
        return [found[text] for text in texts]

    def _usable(self, texts: Sequence[str]) -> dict[str, int]:
        """The tag of each text that there is one of: the user's own, else the oldest."""
        there = self._ask(
            "select t from TagAnnotation t where t.textValue in (:texts) "
            "and (t.ns is null or t.ns <> :sets) order by t.id",
            texts=rlist([rstring(text) for text in texts]),
            sets=rstring(NSINSIGHTTAGSET),
        )
        user = self._session.user.id
        usable = [t for t in there if t.details.permissions.canAnnotate()]
        mine = [t for t in usable if t.details.owner.id.val == user]
        found: dict[str, int] = {}
        for tag in (*mine, *usable):
            found.setdefault(tag.textValue.val, int(tag.id.val))
        return found

    def _make(self, texts: Sequence[str], found: dict[str, int]) -> None:
        """Makes those tags, with one call, and adds their ids to `found`."""
        tags = []
        for text in texts:
            tag = omero.model.TagAnnotationI()
            tag.textValue = rstring(text)
            tags.append(tag)
        if tags:
            with server_errors(f"making the tag {texts[0]!r}", Step.DESCRIBE):
                made = self._session.services.getUpdateService().saveAndReturnArray(tags)
            found.update((tag.textValue.val, int(tag.id.val)) for tag in made)

    def describe(self, objects: Sequence[int], text: str) -> None:
        """Sets the description of those objects that have another one."""
        loaded = self._ask(
            f"select o from {self._kind} o where o.id in (:ids)", ids=ids_of(objects)
        )
        others = [one for one in loaded if unwrap(one.description) != text]
        for one in others:
            one.description = rstring(text)
        self._save(others, "describing")

    def tag(self, objects: Sequence[int], tags: Sequence[int]) -> None:
        """Links each tag to each object that does not have it."""
        there = set(
            self._values(
                f"select l.parent.id, l.child.id from {self._kind}AnnotationLink l "
                "where l.parent.id in (:ids) and l.child.id in (:tags)",
                ids=ids_of(objects),
                tags=ids_of(tags),
            )
        )
        self._save(
            [
                self._link(one, omero.model.TagAnnotationI(tag, False))
                for one in objects
                for tag in tags
                if (one, tag) not in there
            ],
            "tagging",
        )

    def pair(self, objects: Sequence[int], pairs: Sequence[tuple[str, str]]) -> None:
        """Gives each object that lacks a pair a map annotation of its own, as clients edit them."""
        links = []
        for one, has in self._pairs(objects).items():
            if set(pairs) <= has:
                continue
            annotation = omero.model.MapAnnotationI()
            annotation.ns = rstring(NSCLIENTMAPANNOTATION)
            annotation.mapValue = [omero.model.NamedValue(key, value) for key, value in pairs]
            links.append(self._link(one, annotation))  # both are saved, or neither is
        self._save(links, "adding key-value pairs")

    def _pairs(self, objects: Sequence[int]) -> dict[int, set[tuple[str, str]]]:
        """The pairs that the user has on each object."""
        rows = self._values(
            f"select l.parent.id, a.id from {self._kind}AnnotationLink l, MapAnnotation a "
            "where l.child = a and l.parent.id in (:ids) and a.ns = :ns "
            "and a.details.owner.id = :user",
            ids=ids_of(objects),
            ns=rstring(NSCLIENTMAPANNOTATION),
            user=rlong(self._session.user.id),
        )
        has: dict[int, set[tuple[str, str]]] = {one: set() for one in objects}
        if not rows:
            return has
        annotations = self._ask(
            "select a from MapAnnotation a where a.id in (:ids)",
            ids=ids_of({annotation for _, annotation in rows}),
        )
        of = {a.id.val: {(p.name, p.value) for p in a.mapValue or () if p} for a in annotations}
        for one, annotation in rows:
            has[one] |= of.get(annotation, set())
        return has

    def _link(self, parent: int, child: Any) -> Any:
        link = getattr(omero.model, f"{self._kind}AnnotationLinkI")()
        link.parent = getattr(omero.model, f"{self._kind}I")(parent, False)
        link.child = child
        return link

    def _save(self, values: Sequence[Any], what: str) -> None:
        for start in range(0, len(values), BATCH):
            with server_errors(f"{what} what was imported", Step.DESCRIBE):
                self._session.services.getUpdateService().saveArray(values[start : start + BATCH])

    def _ask(self, query_text: str, /, **values: Any) -> list[Any]:
        with server_errors("looking for annotations"):
            query = self._session.query
            return list(query.findAllByQuery(query_text, parameters_of(values)))

    def _values(self, query_text: str, /, **values: Any) -> list[tuple[Any, ...]]:
        with server_errors("looking for annotations"):
            query = self._session.query
            rows = query.projection(query_text, parameters_of(values))
        return [tuple(unwrap(cell) for cell in row) for row in rows]
