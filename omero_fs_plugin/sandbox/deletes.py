"""omero.cmd.Delete2, alone or in a DoAll: deletes rows, and their files.

Everything that refers to a deleted row is deleted too.  A request that would
tear something else apart is refused as a whole: an image whose fileset has
other images, or a container that is not empty.  Directories stay, and so does
the source of a file that was linked in place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import omero

from .handles import CommandFailed
from .sessions import Call
from .store import MODEL, SUBTYPES, TABLES, Store, base

# What a client may ask to delete; its parts are deleted too.
TARGETS = (
    "Fileset",
    "Image",
    "OriginalFile",
    "Dataset",
    "Project",
    "Screen",
    "Plate",
    "Annotation",
)
# A container -> the links that hold its contents.
CONTENTS = {
    "Dataset": "DatasetImageLink",
    "Project": "ProjectDatasetLink",
    "Screen": "ScreenPlateLink",
}
SHARED = ("TagAnnotation", "FileAnnotation")  # these stay if what they annotate is deleted

Found = dict[str, set[int]]  # entity -> ids
Place = Callable[[Mapping[str, Any]], Path | None]


def respond(store: Store, place: Place, call: Call, request: Any) -> Any:
    """Carries out a Delete2, or a DoAll of them, and gives the answer.  Raises CommandFailed.

    `place` gives the path of the file of an OriginalFile's row.
    """
    if isinstance(request, omero.cmd.DoAll):
        responses = [respond(store, place, call, part) for part in request.requests]
        return omero.cmd.DoAllRsp(responses, [omero.cmd.Status() for _ in responses])
    if not isinstance(request, omero.cmd.Delete2):
        kind = request.ice_id()
        message = f"{kind.rpartition('::')[2]} is not part of the sandbox server"
        raise CommandFailed(omero.cmd.ERR(kind, "unsupported", {"message": message}))
    found = defaultdict[str, set[int]](set)
    with store.begin() as db:
        for target, ids in (request.targetObjects or {}).items():
            name = target.rpartition(".")[2]
            if SUBTYPES.get(name, name) not in TARGETS:
                raise _refusal(request, f"{name} is not deleted by the sandbox server")
            for row_id in ids:
                row = store.row(db, name, row_id)
                if row is None or not call.may_see(row):
                    raise _refusal(request, f"no {name}:{row_id} for this user")
                if not call.may_change(row):
                    raise _refusal(request, f"may not delete {name}:{row_id} of another user")
                found[base(name)].add(row_id)
        _check(db, request, found)
        _collect(db, found)
        rows = [store.row(db, "OriginalFile", row_id) for row_id in found["OriginalFile"]]
        if not request.dryRun:
            for entity, ids in found.items():
                store.delete(db, entity, *ids)
    if not request.dryRun:
        for path in filter(None, (place(row) for row in rows if row)):
            path.unlink(missing_ok=True)
    deleted = {entity: sorted(ids) for entity, ids in found.items() if ids}
    return omero.cmd.Delete2Response(deleted)


def _check(db: sa.Connection, request: Any, found: Found) -> None:
    """Adds the filesets whose images are all deleted.  Raises if one would be torn apart."""
    for fileset in _ids(db, "Image", "id", found["Image"], "fileset") - {None}:
        left = _ids(db, "Image", "fileset", {fileset}) - found["Image"]
        if left and fileset not in found["Fileset"]:
            raise _refusal(
                request, f"Fileset:{fileset} cannot be split: it has the images {sorted(left)} too"
            )
        found["Fileset"].add(fileset)
    for row_id in _ids(db, "FilesetEntry", "originalFile", found["OriginalFile"], "fileset"):
        if row_id not in found["Fileset"]:
            raise _refusal(request, f"an OriginalFile is used by Fileset:{row_id}")
    for entity, link in CONTENTS.items():
        if _ids(db, link, "parent", found[entity]):
            raise _refusal(request, f"the sandbox server deletes a {entity} only when it is empty")


def _collect(db: sa.Connection, found: Found) -> None:
    """Adds everything that belongs to the rows found, and the links to them."""
    filesets = found["Fileset"]
    found["OriginalFile"] |= _ids(db, "FilesetEntry", "fileset", filesets, "originalFile")
    found["Job"] |= _ids(db, "FilesetJobLink", "parent", filesets, "child")
    found["Image"] |= _ids(db, "Image", "fileset", filesets)
    wells = _ids(db, "WellSample", "image", found["Image"], "well")
    found["Plate"] |= _ids(db, "Well", "id", wells, "plate")
    for entity in ("Fileset", "Image", "OriginalFile", "Plate", *CONTENTS):
        link, table = f"{entity}AnnotationLink", TABLES["Annotation"]
        linked = _ids(db, link, "parent", found[entity], "child")
        own = sa.select(table.c.id).where(table.c.id.in_(linked), table.c._type.not_in(SHARED))
        found["Annotation"] |= {row_id for (row_id,) in db.execute(own)}
    waiting = [entity for entity in found if found[entity]]
    while waiting:
        entity = waiting.pop()
        for name, kind in MODEL.items():
            for attribute, target in kind.references.items():
                more = _ids(db, name, attribute, found[entity]) if target == entity else set()
                if more - found[name]:
                    found[name] |= more
                    waiting.append(name)


def _ids(
    db: sa.Connection, entity: str, attribute: str, values: set[int], wanted: str = "id"
) -> set[int]:
    """The `wanted` column of the rows whose `attribute` is one of `values`."""
    table = TABLES[entity]
    rows = db.execute(sa.select(table.c[wanted]).where(table.c[attribute].in_(values)))
    return {value for (value,) in rows if value is not None}


def _refusal(request: Any, message: str) -> CommandFailed:
    parameters = {"message": message}
    kind = request.ice_id()
    return CommandFailed(omero.cmd.GraphException(kind, "graph-fail", parameters, message))
