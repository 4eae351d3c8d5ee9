"""The journal's imported filesets, compared with OMERO and with the files of its repository."""

from __future__ import annotations

import stat as stat_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from omero_fs_plugin.blitz import inventory
from omero_fs_plugin.blitz.inventory import FILES, MOST, Kept
from omero_fs_plugin.dropbox.disks.calls import Call
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.seen import Met, Seen
from omero_fs_plugin.stores import is_store, store_at

from . import looks
from .findings import Finding, Kind
from .looks import FINE, Place, Source, Verdict
from .means import Means

PART = "filesets"


@dataclass
class _Page:
    """Some filesets of the journal, and how their files were when they were met."""

    rows: list[Seen]
    met: Mapping[int, Mapping[str, Met]]
    of: dict[int, Seen] = field(init=False)  # by OMERO's id of the fileset
    # (fileset, device, inode) -> the path of the file
    names: dict[tuple[int, int, int], str] = field(init=False)

    gone: set[int] = field(default_factory=set)  # OMERO's ids of those deleted meanwhile
    ours: set[int] = field(default_factory=set)  # OMERO's ids of those that have a file of ours
    # OMERO's id -> the path of a file in it that the journal does not know there
    strange: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.of = {row.server_fileset: row for row in self.rows if row.server_fileset is not None}
        self.names = {
            (fileset, one.device, one.inode): path
            for fileset, files in self.met.items()
            for path, one in files.items()
        }


def look_at_filesets(means: Means, repository: str) -> None:
    """Goes through all of them, MOST at a time.  `repository`: its directory; empty: not here."""
    record = means.record
    after = int(record.positions.get(PART) or 0)
    while page := _page(means, after):
        counts = means.ask("counting images", inventory.image_counts, page.of)
        _look_at_images(means, page, counts)
        # Without the repository, stores can be looked at: those that OMERO reads where they lie.
        kept = {
            one
            for one, row in page.of.items()
            if one in counts and (repository or is_store(row.path))
        }
        if kept:
            _look_at_files(means, page, kept, repository)
        after = page.rows[-1].id
        record.looked[PART] += len(page.rows)
        record.mark(PART, after)
    record.mark(PART, None)


def _page(means: Means, after: int) -> _Page | None:
    with glance(means.settings.journal_url) as look:
        rows = look.imported_after(after, MOST) if look is not None else []
        if not rows or look is None:
            return None
        return _Page(rows, look.files_of([row.id for row in rows]))


def _look_at_images(means: Means, page: _Page, counts: Mapping[int, int]) -> None:
    without = [row for row in page.rows if row.server_fileset is None and row.images]
    wanted = sorted({image for row in without for image in row.images})
    there: set[int] = set()
    for start in range(0, len(wanted), MOST):
        some = wanted[start : start + MOST]
        there |= means.ask("asking for images", inventory.images_there, some)
    for row in page.rows:
        if row.server_fileset is not None:
            number = counts.get(row.server_fileset, 0)
        elif row.images:
            number = len(there.intersection(row.images))
        else:
            continue  # the journal does not say what became of it in OMERO
        if number == 0:
            why = "OMERO has no images of it any more"
        elif number < len(row.images):
            why = f"OMERO has only {number:,} of its {len(row.images):,} images"
        else:
            continue
        means.record.add(
            Finding(Kind.IMAGES_GONE, row.path, why, row.user, row.id, row.server_fileset)
        )


def _look_at_files(means: Means, page: _Page, kept: set[int], repository: str) -> None:
    entry = 0
    while True:
        some = means.ask(
            "asking for files of filesets",
            inventory.files_after,
            kept,
            entry,
        )
        if some:
            _recognise(page, some)
            _compare(means, page, some, repository)
            means.registered.add_all(some)
            means.record.looked["files"] += len(some)
        if len(some) < FILES:
            break
        entry = some[-1].entry
    for fileset, path in page.strange.items():
        if fileset not in page.ours:
            row = page.of[fileset]
            why = (
                f"OMERO's fileset {fileset} is of other files, such as {path}: was an older "
                "database of OMERO put back?"
            )
            means.record.add(Finding(Kind.IMAGES_GONE, row.path, why, row.user, row.id, fileset))


def _recognise(page: _Page, files: Sequence[Kept]) -> None:
    """Whether filesets of OMERO are those of the journal: ids are given anew after a restore.

    A file may have another name since, but then it has its size.
    """
    sizes: dict[int, set[int]] = {}  # of the files of a row
    for one in files:
        if one.fileset in page.ours:
            continue
        row = page.of[one.fileset]
        met, path = page.met.get(row.id, {}), f"/{one.client_path}"
        if not met or is_store(row.path) or path in met or path == row.path:
            page.ours.add(one.fileset)
            continue
        if row.id not in sizes:
            sizes[row.id] = {file.size for file in met.values()}
        if one.size in sizes[row.id]:
            page.ours.add(one.fileset)
        else:
            page.strange.setdefault(one.fileset, path)


def _compare(means: Means, page: _Page, files: Sequence[Kept], repository: str) -> None:
    _look_at_stores(means, page, [one for one in files if is_store(one.client_path)])
    kept = [one for one in files if not is_store(one.client_path)]
    if not repository or not kept:
        return
    found = means.look(repository, looks.places, repository, kept)
    if found is None:
        return
    by_root: dict[str, list[tuple[Kept, Source, Place]]] = {}
    missing: list[Kept] = []
    for one, place in zip(kept, found, strict=True):
        row = page.of[one.fileset]
        if place.why:
            means.not_seen(_copy(repository, one), place.why)
        elif place.stat is None:
            missing.append(one)
        elif place.leads_to:
            of = _source(page, row, one, place.leads_to)
            by_root.setdefault(_root(row, place.leads_to), []).append((one, of, place))
        elif of_link := _hard_link(page, row, one, place, _copy(repository, one)):
            by_root.setdefault(repository, []).append((one, of_link, place))
        elif not stat_module.S_ISREG(place.stat.st_mode):
            _add(means, row, one, repository, Verdict(Kind.CHANGED_COPY, "it is no file any more"))
        elif one.hash and place.stat.st_size != one.size:
            sizes = f"it has {place.stat.st_size:,} bytes, and OMERO noted {one.size:,}"
            _add(means, row, one, repository, Verdict(Kind.CHANGED_COPY, sizes))
    _look_again(means, page, missing, repository)
    for root, links in by_root.items():
        verdicts = means.look(root, _judged, root, links)
        for (one, _, _), verdict in zip(links, verdicts or (), strict=bool(verdicts)):
            _add(means, page.of[one.fileset], one, repository, verdict)


def _look_again(means: Means, page: _Page, missing: Sequence[Kept], repository: str) -> None:
    """Files that are not in the repository.  Somebody may have deleted the images meanwhile."""
    if not missing:
        return
    filesets = sorted({one.fileset for one in missing})
    there = means.ask("counting images again", inventory.image_counts, filesets)
    gone = [one for one in filesets if one not in there and one not in page.gone]
    page.gone.update(gone)
    _look_at_images(means, _Page([page.of[one] for one in gone], {}), {})
    why = "it is not in OMERO's repository"
    for one in missing:
        if one.fileset in there:
            _add(means, page.of[one.fileset], one, repository, Verdict(Kind.MISSING_COPY, why))


def _look_at_stores(means: Means, page: _Page, kept: Sequence[Kept]) -> None:
    """Stores that were registered: OMERO reads them where they lie, and has nothing of them."""
    by_root: dict[str, list[Kept]] = {}
    for one in kept:
        by_root.setdefault(page.of[one.fileset].root, []).append(one)
    for root, some in by_root.items():
        paths = [store_at(f"/{one.place}") for one in some]
        verdicts = means.look(root, looks.stores, root, paths)
        for one, path, verdict in zip(some, paths, verdicts or (), strict=bool(verdicts)):
            row = page.of[one.fileset]
            if verdict.kind is not None:
                means.record.add(
                    Finding(verdict.kind, path, verdict.why, row.user, row.id, row.server_fileset)
                )
            elif verdict != FINE:
                means.not_seen(path, verdict.why)


def _judged(call: Call, root: str, links: Sequence[tuple[Kept, Source, Place]]) -> list[Verdict]:
    return [
        looks.source(call, root, of)
        if place.leads_to or place.stat is None
        else looks.unchanged(call, of, place.stat)
        for _, of, place in links
    ]


def _source(page: _Page, row: Seen, kept: Kept, path: str) -> Source:
    return Source(path, kept, page.met.get(row.id, {}).get(path), row.created)


def _hard_link(page: _Page, row: Seen, kept: Kept, place: Place, copy: str) -> Source | None:
    """What is in the repository, if it is another name of the user's file."""
    assert place.stat is not None
    path = page.names.get((row.id, place.stat.st_dev, place.stat.st_ino))
    return None if path is None else replace(_source(page, row, kept, path), path=copy)


def _root(row: Seen, path: str) -> str:
    """Whose lane it is: the user's directory, or that in which the file lies."""
    return (
        row.root
        if PurePosixPath(path).is_relative_to(row.root)
        else str(PurePosixPath(path).parent)
    )


def _add(means: Means, row: Seen, kept: Kept, repository: str, verdict: Verdict) -> None:
    copy = _copy(repository, kept)
    if verdict.kind is not None:
        path = f"/{kept.client_path}" if kept.client_path else row.path
        means.record.add(
            Finding(
                verdict.kind, path, verdict.why, row.user, row.id, row.server_fileset, copy=copy
            )
        )
    elif verdict != FINE:
        means.not_seen(copy, verdict.why)


def _copy(repository: str, kept: Kept) -> str:
    return f"{repository}/{kept.place}"
