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
from omero.rtypes import rlong, rstring, unwrap

from omero_fs_plugin.blitz.sessions import UserSession
from omero_fs_plugin.blitz.verdicts import Step, server_errors
from omero_fs_plugin.errors import ImportRefused, UserError

from .containers import BATCH, ids_of, parameters_of, plates_of
from .sidecar import Sidecar

# If several imports need the same new tag, one of them makes it.
_turn = threading.Lock()


def annotate(session: UserSession, images: Sequence[int], sidecar: Sidecar) -> None:
    """Puts description, tags and key-value pairs on `images`, or on the plates they lie in.

    It does so in the session's group and as its user.  It may be repeated without harm.

    Raises ImportRefused if OMERO does not let the user annotate them, and what
    `server_errors` raises.
    """
    if not (sidecar.annotates and images):
        return
    plates = plates_of(session, images)
    work = _Annotating(session, "Plate" if plates else "Image")
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

    def __init__(self, session: UserSession, kind: str) -> None:
        self._session = session
        self._kind = kind  # Image or Plate

    def tags(self, texts: Sequence[str]) -> list[int]:
        """The ids of tags with these texts: the user's own, or those of others, or new ones."""
        # The lock is held during calls to OMERO on purpose: others wait for the tag made here.
        with _turn:
            return [self._tag(text) for text in texts]

    def _tag(self, text: str) -> int:
        found = self._ask(
            "select t from TagAnnotation t where t.textValue = :text "
            "and (t.ns is null or t.ns <> :sets) order by t.id",
            text=rstring(text),
            sets=rstring(NSINSIGHTTAGSET),
        )
        user = self._session.user.id
        usable = [t for t in found if t.details.permissions.canAnnotate()]
        mine = [t for t in usable if t.details.owner.id.val == user]
        if mine or usable:
            return int((mine or usable)[0].id.val)
        tag = omero.model.TagAnnotationI()
        tag.textValue = rstring(text)
        with server_errors(f"making the tag {text!r}", Step.DESCRIBE):
            return int(self._session.services.getUpdateService().saveAndReturnObject(tag).id.val)

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
            query = self._session.services.getQueryService()
            return list(query.findAllByQuery(query_text, parameters_of(values)))

    def _values(self, query_text: str, /, **values: Any) -> list[tuple[Any, ...]]:
        with server_errors("looking for annotations"):
            query = self._session.services.getQueryService()
            rows = query.projection(query_text, parameters_of(values))
        return [tuple(unwrap(cell) for cell in row) for row in rows]
