"""Where in OMERO the images of the page are: the dataset of each, as the user may see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import omero.sys
from omero.rtypes import rlist, rlong, unwrap

from omero_fs_plugin.blitz.users import ALL_GROUPS

_MOST = 200  # images that are asked for


def datasets_of(services: Any, images: Iterable[int]) -> dict[int, tuple[int, str]]:
    """Image -> id and name of its dataset: of the first 200 `images`, as the user may see them."""
    wanted = sorted(set(images))[:_MOST]
    if not wanted:
        return {}
    parameters = omero.sys.ParametersI()
    parameters.map = {"ids": rlist([rlong(image) for image in wanted])}
    query = services.getQueryService()
    linked = query.projection(
        "select i.id, d.id, d.name from DatasetImageLink l join l.parent d join l.child i "
        "where i.id in (:ids)",
        parameters,
        ALL_GROUPS,
    )
    return {unwrap(image): (unwrap(dataset), unwrap(name) or "") for image, dataset, name in linked}
