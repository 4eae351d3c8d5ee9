"""What was imported before the latest drops: OMERO's own filesets, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import omero.sys
from omero.rtypes import rlong, rstring, unwrap

from omero_fs_plugin.blitz import inventory
from omero_fs_plugin.blitz.users import ALL_GROUPS
from omero_fs_plugin.dropbox.publishing.document import in_omero

from .places import datasets_of

PAGE = 50  # filesets
_LAST = 2**62  # above every id


@dataclass(frozen=True)
class Older:
    """One fileset of the user, as OMERO has it."""

    fileset: int  # in OMERO
    name: str  # of its first file, below the user's directory
    imported: datetime
    image: int  # its first one
    dataset: int | None = None  # of that image, as the user may see it
    dataset_name: str = ""


@dataclass(frozen=True)
class Some:
    """A page of them."""

    filesets: Sequence[Older]  # newest first
    before: int | None  # where the next page begins; None: there is none


def before_these(document: Mapping[str, Any]) -> int | None:
    """The oldest fileset that the document has, by its id in OMERO; None: it has all of them."""
    if sum(document["counts"].values()) <= len(document["filesets"]):
        return None
    known = [in_omero(one) for one in document["filesets"]]
    return min((one for one in known if one is not None), default=_LAST)


def older(services: Any, user: int, document: Mapping[str, Any], before: int) -> Some:
    """The user's filesets with ids below `before`, of files below the user's directories.

    A page may have fewer than PAGE filesets: those that an import left without images are not
    in it.
    """
    roots = [one["directory"].strip("/") for one in document["roots"]]
    if not roots or not 0 < before <= _LAST:
        return Some((), None)
    parameters = omero.sys.ParametersI()
    parameters.map = {"user": rlong(user), "before": rlong(before)}
    for number, root in enumerate(roots):
        parameters.map[f"root{number}"] = rstring(f"{root}/%")
    parameters.page(0, PAGE + 1)
    query = services.getQueryService()
    below = " or ".join(f"e.clientPath like :root{number}" for number in range(len(roots)))
    rows = query.projection(
        "select distinct f.id, f.details.creationEvent.time from FilesetEntry e "
        "join e.fileset f where f.details.owner.id = :user and f.id < :before "
        f"and ({below}) order by f.id desc",
        parameters,
        ALL_GROUPS,
    )
    made = {unwrap(fileset): unwrap(time) / 1000 for fileset, time in rows}
    ids = sorted(made, reverse=True)[:PAGE]
    if not ids:
        return Some((), None)
    paths = inventory.first_paths(query, ids)
    images = _images(query, ids)
    datasets = datasets_of(services, images.values())
    found = [
        Older(
            one,
            _below(paths.get(one, ""), roots),
            datetime.fromtimestamp(made[one]).astimezone(),
            images[one],
            *datasets.get(images[one], (None, "")),
        )
        for one in ids
        if one in images
    ]
    return Some(found, ids[-1] if len(made) > PAGE else None)


def _images(query: Any, filesets: Sequence[int]) -> dict[int, int]:
    """Fileset -> the first of its images that the caller may see."""
    parameters = omero.sys.ParametersI()
    parameters.addIds(list(filesets))
    rows = query.projection(
        "select f.id, min(i.id) from Fileset f join f.images i where f.id in (:ids) group by f.id",
        parameters,
        ALL_GROUPS,
    )
    return {unwrap(fileset): unwrap(image) for fileset, image in rows}


def _below(path: str, roots: Sequence[str]) -> str:
    for root in roots:
        if path.startswith(f"{root}/"):
            return path[len(root) + 1 :]
    return f"/{path}"
