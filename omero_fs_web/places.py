"""Where in OMERO the images of the page are: the dataset of each, as the user may see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, unwrap

from omero_fs_plugin.blitz.users import ALL_GROUPS

_MOST = 200  # images that are asked for


@dataclass(frozen=True)
class Dataset:
    """A dataset in OMERO."""

    id: int
    name: str


def datasets_of(services: Any, images: Iterable[int]) -> dict[int, Dataset | None]:
    """Image -> a dataset of it, for those of the first 200 `images` that the user may see."""
    wanted = sorted(set(images))[:_MOST]
    if not wanted:
        return {}
    parameters = omero.sys.ParametersI()
    parameters.map = {"ids": rlist([rlong(image) for image in wanted])}
    query = services.getQueryService()
    there = query.projection(
        "select i.id from Image i where i.id in (:ids)", parameters, ALL_GROUPS
    )
    found: dict[int, Dataset | None] = {unwrap(image): None for (image,) in there}
    linked = query.projection(
        "select i.id, d.id, d.name from DatasetImageLink l join l.parent d join l.child i "
        "where i.id in (:ids)",
        parameters,
        ALL_GROUPS,
    )
    for image, dataset, name in linked:
        found[unwrap(image)] = Dataset(unwrap(dataset), unwrap(name) or "")
    return found
