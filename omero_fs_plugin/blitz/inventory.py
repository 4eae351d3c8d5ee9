"""All that OMERO has, page by page: for an audit, which asks seldom and much at once.

Each function is one query.  `query` is root's IQueryPrx.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, rstring, unwrap

import omero

from .users import ALL_GROUPS

MOST = 4000  # rows of most answers, and ids in one question
# Files in one answer: one more than two of each fileset, so that such filesets are asked for once.
FILES = 2 * MOST + 1


@dataclass(frozen=True)
class Kept:
    """A file of a fileset, as OMERO's database has it."""

    entry: int  # id of the FilesetEntry
    fileset: int
    file: int  # id of the OriginalFile
    client_path: str  # no leading slash
    place: str  # relative to the repository's directory
    size: int  # bytes
    hash: str  # lower-case hex; empty if OMERO has none
    hasher: str  # OMERO's name of its checksum algorithm; empty if it says none
    repository: str = ""  # uuid of the one that has the file


@dataclass(frozen=True)
class Ghost:
    """A fileset without images."""

    id: int
    owner: str  # OMERO user name
    made: float  # s since the epoch, by OMERO's clock


def files_after(query: Any, filesets: Collection[int], entry: int) -> list[Kept]:
    """The files of these filesets whose entries have ids above `entry`, by that id.

    At most FILES of them: if there are so many, ask again after the last one.
    """
    rows = query.projection(
        "select e.id, f.id, o.id, e.clientPath, o.path, o.name, o.size, o.hash, h.value, o.repo "
        "from FilesetEntry e join e.fileset f join e.originalFile o left outer join o.hasher h "
        "where f.id in (:ids) and e.id > :after order by e.id",
        _page(FILES, ids=_longs(filesets), after=rlong(entry)),
        ALL_GROUPS,
    )
    return [
        Kept(
            unwrap(row[0]),
            unwrap(row[1]),
            unwrap(row[2]),
            unwrap(row[3]) or "",
            f"{(unwrap(row[4]) or '').strip('/')}/{unwrap(row[5])}",
            unwrap(row[6]) or 0,
            unwrap(row[7]) or "",
            unwrap(row[8]) or "",
            unwrap(row[9]) or "",
        )
        for row in rows
    ]


def image_counts(query: Any, filesets: Collection[int]) -> dict[int, int]:
    """Fileset id -> how many images it has, for those of these filesets that have any."""
    rows = query.projection(
        "select f.id, count(i.id) from Fileset f join f.images i where f.id in (:ids) "
        "group by f.id order by f.id",
        _page(ids=_longs(filesets)),
        ALL_GROUPS,
    )
    return {unwrap(fileset): unwrap(number) for fileset, number in rows}


def images_there(query: Any, images: Collection[int]) -> set[int]:
    """Those of these images that OMERO has."""
    rows = query.projection(
        "select i.id from Image i where i.id in (:ids)", _page(ids=_longs(images)), ALL_GROUPS
    )
    return {unwrap(row[0]) for row in rows}


def ghosts_after(query: Any, after: int) -> list[Ghost]:
    """The next filesets without images, by id.  At most MOST of them."""
    rows = query.projection(
        "select f.id, u.omeName, f.details.creationEvent.time from Fileset f "
        "join f.details.owner u where f.id > :after "
        "and not exists (select i.id from Image i where i.fileset.id = f.id) order by f.id",
        _page(after=rlong(after)),
        ALL_GROUPS,
    )
    return [Ghost(unwrap(row[0]), unwrap(row[1]), unwrap(row[2]) / 1000) for row in rows]


def first_paths(query: Any, filesets: Collection[int]) -> dict[int, str]:
    """Fileset id -> the client path of its first file, for those of these that have files."""
    rows = query.projection(
        "select f.id, e.clientPath from FilesetEntry e join e.fileset f where f.id in (:ids) "
        "and e.id in (select min(x.id) from FilesetEntry x where x.fileset.id in (:ids) "
        "group by x.fileset.id)",
        _page(ids=_longs(filesets)),
        ALL_GROUPS,
    )
    return {unwrap(fileset): unwrap(path) or "" for fileset, path in rows}


def made_by(query: Any, filesets: Collection[int], client: str) -> set[int]:
    """Those of these filesets that a program began which calls itself `client`, in any version."""
    rows = query.projection(
        "select l.parent.id, v.value from FilesetJobLink l, UploadJob u join u.versionInfo v "
        "where l.child.id = u.id and l.parent.id in (:ids) and v.name = 'client'",
        _page(ids=_longs(filesets)),
        ALL_GROUPS,
    )
    names = [(unwrap(fileset), unwrap(name) or "") for fileset, name in rows]
    return {fileset for fileset, name in names if name.split(" ")[0] == client}


def repository_id(query: Any) -> str:
    """The uuid of the repository that has the newest imported file; empty if there is none."""
    parameters = omero.sys.ParametersI()
    parameters.page(0, 1)
    rows = query.projection(
        "select o.repo, e.id from FilesetEntry e join e.originalFile o "
        "where o.repo is not null order by e.id desc",
        parameters,
        ALL_GROUPS,
    )
    return str(unwrap(rows[0][0])) if rows else ""


def registered(query: Any, repository: str, directories: Iterable[str]) -> set[str]:
    """Those of these directories in which OMERO has registered anything.

    They are relative to the repository's directory.  At most MOST / 2 of them.
    """
    # OMERO writes a path with and without a slash before it.
    paths = [f"{slash}{one}/" for one in directories for slash in ("", "/")]
    rows = query.projection(
        "select distinct o.path from OriginalFile o where o.repo = :repo and o.path in (:paths)",
        _page(repo=rstring(repository), paths=rlist([rstring(path) for path in paths])),
        ALL_GROUPS,
    )
    return {(unwrap(row[0]) or "").strip("/") for row in rows}


def _longs(ids: Iterable[int]) -> Any:
    return rlist([rlong(one) for one in sorted(ids)])


def _page(rows: int = 0, /, **values: Any) -> Any:
    """`rows`: how many at most; 0: MOST."""
    parameters = omero.sys.ParametersI()
    parameters.map = values
    parameters.page(0, rows or MOST)
    return parameters
