"""What OMERO has already: its filesets, the files they were imported from, and their images."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, rstring, unwrap

import omero
from omero_fs_plugin.packed import FEW, Sha1s, Texts

from .users import ALL_GROUPS, User

MOST_ROWS = 2000  # of one answer: each has some hundred bytes, and a message has a limit


@dataclass(frozen=True)
class ServerFileset:
    """A fileset that OMERO has, and the files it was imported from, in their order."""

    id: int
    images: tuple[int, ...]  # ids; empty after a failed or unfinished import
    # Of very many files these are packed.
    paths: Sequence[str]  # client paths: no leading slash
    hashes: Sequence[str | None]
    sizes: Sequence[int]  # bytes


# `query` is an IQueryPrx, which its caller keeps: to ask for it is a call of its own.


def with_file(query: Any, user: User, client_path: str) -> list[ServerFileset]:
    """The user's filesets with a file of that client path, with and without images."""
    return _of(query, user, "k.clientPath = :path", {"path": rstring(client_path)})


def with_file_of_others(query: Any, user: User, client_path: str) -> dict[str, list[ServerFileset]]:
    """As `with_file`, those of all other users: the name of each -> what that one has."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"path": rstring(client_path)}
    owners = query.projection(
        "select distinct o.id, o.omeName from Fileset f join f.usedFiles k join f.details.owner o "
        "where k.clientPath = :path",
        parameters,
        ALL_GROUPS,
    )
    others = [User(unwrap(one), unwrap(name), "") for one, name in owners if unwrap(one) != user.id]
    return {other.name: with_file(query, other, client_path) for other in others}


def owner_of(query: Any, fileset: int) -> int | None:
    """The id of the user who has the Fileset; None if OMERO does not have it."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"fileset": rlong(fileset)}
    rows = query.projection(
        "select o.id from Fileset f join f.details.owner o where f.id = :fileset",
        parameters,
        ALL_GROUPS,
    )
    return int(unwrap(rows[0][0])) if rows else None


def some_after(query: Any, user: User, after: int) -> list[ServerFileset]:
    """The user's next filesets with ids above `after`, by id, with and without images.

    It returns as many as fit well into one message; empty if there are no more.
    """
    last = _last_of_some(query, user, after)
    if last is None:
        return []
    between = {"after": rlong(after), "last": rlong(last)}
    found = _of(query, user, "f.id > :after and f.id <= :last", between, joined="")
    return sorted(found, key=lambda fileset: fileset.id)


def _last_of_some(query: Any, user: User, after: int) -> int | None:
    """The highest id of the next filesets whose rows fit into one answer; None if none is left."""
    last = None
    parameters = omero.sys.ParametersI()
    parameters.map = {"user": rlong(user.id), "after": rlong(after)}
    parameters.page(0, MOST_ROWS)
    counted: dict[str, dict[int, int]] = {}
    for many in ("usedFiles", "images"):
        rows = query.projection(
            f"select f.id, count(m.id) from Fileset f join f.{many} m "
            "where f.details.owner.id = :user and f.id > :after group by f.id order by f.id",
            parameters,
            ALL_GROUPS,
        )
        counted[many] = {unwrap(fileset): unwrap(number) for fileset, number in rows}
    total = dict.fromkeys(counted, 0)
    for identifier in sorted(counted["usedFiles"]):
        for many, numbers in counted.items():
            total[many] += numbers.get(identifier, 0)
        if last is not None and max(total.values()) > MOST_ROWS:
            break
        last = identifier
    return last


def _of(
    query: Any,
    user: User,
    condition: str,
    values: Mapping[str, Any],
    *,
    joined: str = "join f.usedFiles k ",
) -> list[ServerFileset]:
    """The filesets for which the condition is true, each with all of its files."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"user": rlong(user.id), **values}
    where = f"where f.details.owner.id = :user and {condition}"
    files_of: dict[int, _Files] = {}
    for row in in_pages(
        query,
        "select distinct f.id, e.id, e.clientPath, o.hash, o.size from Fileset f "
        f"{joined}join f.usedFiles e left outer join e.originalFile o "
        f"{where} and e.id > :beyond order by e.id",
        parameters.map,
        column=1,
    ):
        fileset, _, path, sha1, size = map(unwrap, row)
        files_of.setdefault(fileset, _Files()).append(path, sha1, size or 0)
    if not files_of:  # as of nearly every file that is imported
        return []
    images = query.projection(
        f"select distinct f.id, i.id from Fileset f {joined}join f.images i {where}",
        parameters,
        ALL_GROUPS,
    )
    images_of: dict[int, list[int]] = {}
    for fileset, image in images:
        images_of.setdefault(unwrap(fileset), []).append(unwrap(image))
    return [
        files.of(identifier, tuple(sorted(images_of.get(identifier, ()))))
        for identifier, files in files_of.items()
    ]


class _Files:
    """The files of one fileset, as they come."""

    def __init__(self) -> None:
        self._paths, self._hashes, self._sizes = Texts(), Sha1s(), array("q")

    def append(self, path: str, sha1: str | None, size: int) -> None:
        self._paths.append(path)
        self._hashes.append(sha1)
        self._sizes.append(size)

    def of(self, identifier: int, images: tuple[int, ...]) -> ServerFileset:
        paths, hashes, sizes = self._paths, self._hashes, self._sizes
        if len(paths) <= FEW:
            return ServerFileset(identifier, images, tuple(paths), tuple(hashes), tuple(sizes))
        return ServerFileset(identifier, images, paths, hashes, sizes)


def in_pages(
    query: Any,
    text: str,
    values: Mapping[str, Any],
    *,
    column: int = 0,
    context: dict[str, str] | None = ALL_GROUPS,
) -> Iterator[Sequence[Any]]:
    """The rows of a projection, MOST_ROWS in one answer: a store has very many files.

    `text` has ``x.id > :beyond order by x.id``, and the ids of `x` are in this `column`.  Without a
    `context` it is that of the session.
    """
    last = 0
    while True:
        parameters = omero.sys.ParametersI()
        parameters.map = {**values, "beyond": rlong(last)}
        parameters.page(0, MOST_ROWS)
        rows = query.projection(text, parameters, context)
        yield from rows
        if len(rows) < MOST_ROWS:
            return
        last = unwrap(rows[-1][column])


def containers_of(query: Any, images: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Image -> its dataset and the project of that, in words, for images that OMERO has.

    An image without a dataset has an empty tuple.
    """
    found: dict[int, tuple[str, ...]] = {}
    for some in _some(images):
        found |= _containers_of(query, some)
    return found


def _some(ids: Iterable[int]) -> Iterator[list[int]]:
    wanted = sorted(ids)
    for start in range(0, len(wanted), MOST_ROWS):
        yield wanted[start : start + MOST_ROWS]


def _containers_of(query: Any, images: Sequence[int]) -> dict[int, tuple[str, ...]]:
    def rows(text: str, ids: Iterable[int]) -> list[tuple[Any, ...]]:
        parameters = omero.sys.ParametersI()
        parameters.map = {"ids": rlist([rlong(i) for i in ids])}
        found = query.projection(text, parameters, ALL_GROUPS)
        return [tuple(unwrap(value) for value in row) for row in found]

    found: dict[int, tuple[str, ...]] = {
        image: () for (image,) in rows("select i.id from Image i where i.id in (:ids)", images)
    }
    if not found:
        return found
    linked = rows(
        "select i.id, d.id, d.name from DatasetImageLink l join l.parent d join l.child i "
        "where i.id in (:ids)",
        found,
    )
    projects: dict[int, tuple[str, ...]] = {}
    if linked:
        for dataset, project, name in rows(
            "select d.id, p.id, p.name from ProjectDatasetLink l join l.parent p join l.child d "
            "where d.id in (:ids)",
            {dataset for _, dataset, _ in linked},
        ):
            projects.setdefault(dataset, (f"Project:{project} {name!r}",))
    for image, dataset, name in linked:
        found[image] = (f"Dataset:{dataset} {name!r}", *projects.get(dataset, ()))
    return found


def of_images(query: Any, images: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Fileset id -> image ids, for those of `images` that OMERO really has."""
    of: dict[int, list[int]] = {}
    for some in _some(images):
        parameters = omero.sys.ParametersI()
        parameters.map = {"ids": rlist([rlong(i) for i in some])}
        rows = query.projection(
            "select distinct f.id, i.id from Fileset f join f.images i where i.id in (:ids)",
            parameters,
            ALL_GROUPS,
        )
        for fileset, image in rows:
            of.setdefault(unwrap(fileset), []).append(unwrap(image))
    return {fileset: tuple(there) for fileset, there in of.items()}
