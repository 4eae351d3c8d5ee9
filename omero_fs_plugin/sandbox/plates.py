"""Plates: the rows that say in which well an image was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from .pixels import Place, Series
from .store import Store


def insert_plates(
    store: Store,
    db: sa.Connection,
    owned: Mapping[str, int],
    found: Sequence[Series],
    images: Sequence[int],
    *,
    name: str,
    otherwise: str,
) -> list[int]:
    """Makes Plates for those of `images` (ids, as `found`) that have a place, and gives their ids.

    A plate's name is `name` if that is given, or else that in the file, or else `otherwise`.
    """
    placed = [(s.place, i) for s, i in zip(found, images, strict=True) if s.place]
    plates: dict[str, int] = {}
    wells: dict[Place, int] = {}
    for place, image in placed:
        if place.plate not in plates:
            on_it = [p for p, _ in placed if p.plate == place.plate]
            plates[place.plate] = store.insert(
                db,
                "Plate",
                name=name or place.plate or otherwise,
                rows=1 + max(p.row for p in on_it),
                columns=1 + max(p.column for p in on_it),
                **owned,
            )
        if place not in wells:
            at = {"plate": plates[place.plate], "row": place.row, "column": place.column}
            wells[place] = store.insert(db, "Well", **at, **owned)
        store.insert(db, "WellSample", well=wells[place], image=image, **owned)
    return list(plates.values())
