"""A receipt: what OMERO has of the files of one day or of one directory, with its checksums."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, unwrap

from omero_fs_plugin.blitz.users import ALL_GROUPS
from omero_fs_plugin.dropbox.publishing.document import in_omero

COLUMNS = ("file", "bytes", "checksum", "algorithm", "imported", "images", "fileset")
MOST_FILES = 200  # of one fileset, where it stands alone
_SOME = 50  # filesets that are asked for together
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with these a table calculates


@dataclass(frozen=True)
class Line:
    """One file that OMERO has."""

    file: str  # as OMERO noted it: the path it came from
    size: int  # bytes
    checksum: str  # lower-case hex; empty: OMERO has none
    algorithm: str
    imported: datetime
    images: tuple[int, ...]
    fileset: int  # in OMERO


def chosen(document: Mapping[str, Any], *, day: date | None, below: str) -> list[Mapping[str, Any]]:
    """The imported filesets of the document: those of `day`, with a file below a directory."""
    start = below.strip("/")
    return [
        one
        for one in document["filesets"]
        if one["state"] == "imported"
        and in_omero(one) is not None
        and (day is None or datetime.fromtimestamp(one["since"]).date() == day)
        and (not start or any(f"{name}/".startswith(f"{start}/") for name in one["files"]))
    ]


def is_whole(document: Mapping[str, Any], day: date | None) -> bool:
    """Whether the document knows all drops of `day`, or of all days.  It has the latest alone."""
    known = document["filesets"]
    if sum(document["counts"].values()) <= len(known):
        return True
    return day is not None and any(
        datetime.fromtimestamp(one["since"]).date() < day for one in known
    )


def lines(services: Any, user: int, filesets: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """What OMERO has of these filesets of the user: their own files, with images, and no others.

    A user may write anything into the document, so OMERO is asked whose a fileset is.
    """
    of = {one["fileset"]: one["since"] for one in filesets}
    for start in range(0, len(of), _SOME):
        some = {one: of[one] for one in sorted(of)[start : start + _SOME]}
        yield from _lines(services, some, "and f.details.owner.id = :user", user=rlong(user))


def lines_of(services: Any, fileset: int, imported: float) -> list[Line]:
    """The first MOST_FILES files of one fileset that the caller may see, with their images.

    `imported` in s since the epoch.
    """
    return list(_lines(services, {fileset: imported}, "", most=MOST_FILES))


def _lines(
    services: Any, filesets: Mapping[int, float], more: str, *, most: int = 0, **given: Any
) -> Iterator[Line]:
    """`filesets`: id -> when it was imported.  `more`: a condition, with its values in `given`."""
    parameters = omero.sys.ParametersI()
    parameters.map = {"ids": rlist([rlong(one) for one in filesets]), **given}
    query = services.getQueryService()
    images: dict[int, list[int]] = {}
    for fileset, image in query.projection(
        "select f.id, i.id from Fileset f join f.images i where f.id in (:ids) "
        f"{more} order by i.id",
        parameters,
        ALL_GROUPS,
    ):
        images.setdefault(unwrap(fileset), []).append(unwrap(image))
    if most:
        parameters.page(0, most)
    for row in query.projection(
        "select f.id, e.clientPath, o.size, o.hash, h.value from Fileset f "
        "join f.usedFiles e join e.originalFile o left outer join o.hasher h "
        f"where f.id in (:ids) {more} order by e.id",
        parameters,
        ALL_GROUPS,
    ):
        fileset, path, size, checksum, algorithm = (unwrap(value) for value in row)
        if fileset in images:
            yield Line(
                f"/{path or ''}",
                size or 0,
                checksum or "",
                algorithm or "",
                datetime.fromtimestamp(filesets[fileset]).astimezone(),
                tuple(images[fileset]),
                fileset,
            )


def as_csv(found: Sequence[Line]) -> str:
    """The receipt as a table.  A name that begins like a formula gets an apostrophe before it."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(COLUMNS)
    for one in found:
        images = " ".join(map(str, one.images))
        when = one.imported.isoformat(" ", "seconds")
        row = (one.file, one.size, one.checksum, one.algorithm, when, images, one.fileset)
        table.writerow([_plain(str(value)) for value in row])
    return written.getvalue()


def _plain(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value
