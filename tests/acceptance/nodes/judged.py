"""What came of the files: each is to be in OMERO once, with images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .machines import Site


@dataclass(frozen=True)
class Judged:
    """Of all files that were dropped."""

    missing: tuple[str, ...]
    twice: tuple[str, ...]
    halves: int  # filesets without images that are not yet taken away
    strange: tuple[str, ...]  # in OMERO, and nobody dropped them


def judged(site: Site, dropped: Collection[Path]) -> Judged:
    """Asks OMERO."""
    whole: dict[str, set[int]] = {}
    halves = set()
    for one in site.grid.stored():
        if one.whole:
            whole.setdefault(f"/{one.client_path}", set()).add(one.fileset)
        else:
            halves.add(one.fileset)
    wanted = {str(path) for path in dropped}
    return Judged(
        missing=tuple(sorted(wanted - whole.keys())),
        twice=tuple(sorted(path for path, ids in whole.items() if len(ids) > 1)),
        halves=len(halves),
        strange=tuple(sorted(whole.keys() - wanted)),
    )
