"""What OMERO has already: its filesets, the files they were imported from, and their images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, rstring, unwrap

import omero

from .users import ALL_GROUPS, User


@dataclass(frozen=True)
class ServerFileset:
    """A fileset that OMERO has, and the files it was imported from, in their order."""

    id: int
    images: tuple[int, ...]  # ids; empty after a failed or unfinished import
    paths: tuple[str, ...]  # client paths: no leading slash
    hashes: tuple[str | None, ...]
    sizes: tuple[int, ...]  # bytes


def with_file(services: Any, user: User, client_path: str) -> list[ServerFileset]:
    """The user's filesets with a file of that client path, with and without images."""
    return _of(services, user, "k.clientPath = :path", {"path": rstring(client_path)})


def below(services: Any, user: User, client_path: str, after: int) -> list[ServerFileset]:
    """The user's filesets from that directory with images, of a higher id than `after`."""
    # A wildcard in the path, or a character that may be one, finds too much.
    pattern = client_path.replace("\\", "_") + "/%"
    found = _of(
        services,
        user,
        "f.id > :after and k.clientPath like :below",
        {"after": rlong(after), "below": rstring(pattern)},
    )
    return [
        fileset
        for fileset in found
        if fileset.images and all(p.startswith(f"{client_path}/") for p in fileset.paths)
    ]


def _of(
    services: Any, user: User, condition: str, values: Mapping[str, Any]
) -> list[ServerFileset]:
    """Those that the condition is true for, each with all of its files."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"user": rlong(user.id), **values}
    where = f"where f.details.owner.id = :user and {condition}"
    query = services.getQueryService()
    files = query.projection(
        "select distinct f.id, e.id, e.clientPath, o.hash, o.size from Fileset f "
        "join f.usedFiles k join f.usedFiles e left outer join e.originalFile o "
        f"{where} order by e.id",
        parameters,
        ALL_GROUPS,
    )
    images = query.projection(
        f"select distinct f.id, i.id from Fileset f join f.usedFiles k join f.images i {where}",
        parameters,
        ALL_GROUPS,
    )
    images_of: dict[int, list[int]] = {}
    for fileset, image in images:
        images_of.setdefault(unwrap(fileset), []).append(unwrap(image))
    files_of: dict[int, list[tuple[str, str | None, int]]] = {}
    for fileset, _, path, sha1, size in files:
        files_of.setdefault(unwrap(fileset), []).append(
            (unwrap(path), unwrap(sha1), unwrap(size) or 0)
        )
    return [
        ServerFileset(
            identifier,
            tuple(sorted(images_of.get(identifier, ()))),
            *map(tuple, zip(*of, strict=True)),
        )
        for identifier, of in files_of.items()
    ]


def of_images(services: Any, images: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Fileset id -> image ids, for those of `images` that OMERO really has."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"ids": rlist([rlong(i) for i in images])}
    rows = services.getQueryService().projection(
        "select distinct f.id, i.id from Fileset f join f.images i where i.id in (:ids)",
        parameters,
        ALL_GROUPS,
    )
    of: dict[int, tuple[int, ...]] = {}
    for fileset, image in rows:
        of[unwrap(fileset)] = (*of.get(unwrap(fileset), ()), unwrap(image))
    return of
