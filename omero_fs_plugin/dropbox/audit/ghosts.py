"""Filesets of ours in OMERO that have no images: imports that were cut off, and never resumed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from omero_fs_plugin.blitz import inventory
from omero_fs_plugin.blitz.inventory import MOST, Ghost
from omero_fs_plugin.blitz.user_session import AGENT
from omero_fs_plugin.dropbox.journal.glance import Glance, glance
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import OPEN

from .findings import Finding, Kind
from .means import YOUNG_S, Means

PART = "ghosts"


def look_for_ghosts(means: Means) -> None:
    """Goes through all filesets of OMERO that have no images.

    One is ours if DropBox says so in OMERO, or if the journal knows its first file as a file of
    the same user.  One that may be under way is left out, and so is one that is told already,
    because the journal has it as imported.
    """
    record = means.record
    after = int(record.positions.get(PART) or 0)
    while True:
        some = means.ask(
            "looking for filesets without images",
            inventory.ghosts_after,
            after,
        )
        if some:
            _look(means, some)
            after = some[-1].id
            record.looked[PART] += len(some)
        if len(some) < MOST:
            break
        record.mark(PART, after)
    record.mark(PART, None)


def _look(means: Means, some: Sequence[Ghost]) -> None:
    means.pace.wait()
    now = means.omero.time()
    ids = [one.id for one in some]
    paths = means.ask("asking for first files", inventory.first_paths, ids)
    ours = means.ask("asking who began it", inventory.made_by, ids, AGENT)
    with glance(means.settings.journal_url) as look:
        if look is None:
            return
        told = look.recorded(ids)
        for one in some:
            if one.id not in told and now - one.made >= YOUNG_S:
                found = _found(look, one, paths, ours)
                if found is not None:
                    means.record.add(found)


def _found(
    look: Glance, one: Ghost, paths: Mapping[int, str], ours: Collection[int]
) -> Finding | None:
    path = f"/{paths[one.id]}" if paths.get(one.id) else ""
    rows = [row for row in (look.at(path) if path else ()) if row.user == one.owner]
    if any(row.state in OPEN for row in rows):
        return None  # the next attempt at it looks itself
    if not rows and one.id not in ours:
        return None
    newest: Seen | None = rows[-1] if rows else None
    if newest is None:
        why = "DropBox began it, and the journal does not know its file"
    else:
        why = f"an import was cut off; the file is {newest.state} now"
    fileset = None if newest is None else newest.id
    return Finding(Kind.GHOST, path or f"Fileset:{one.id}", why, one.owner, fileset, one.id)
