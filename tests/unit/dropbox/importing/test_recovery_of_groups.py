"""A journal that was lost, where users have a directory for each group."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.blitz.users import User
from omero_fs_plugin.dropbox.importing.recovery import Recovery
from tests.rules import places_of


@pytest.mark.parametrize(
    ("layout", "root"), [("{group}/{user}", "/d/lab/amy"), ("{user}/{group}", "/d/amy/lab")]
)
def test_what_omero_has_is_told_by_its_directory(layout: str, root: str) -> None:
    """Without it a user's files would be imported once more."""
    others = "/d/lab/zak" if layout == "{group}/{user}" else "/d/zak/lab"
    there = [
        SimpleNamespace(id=number, images=(number,), paths=[path[1:]])
        for number, path in enumerate(
            [f"{root}/a.tif", f"{others}/b.tif", "/e/lab/amy/c.tif", "/d/stray.tif"], 1
        )
    ]
    found: list[tuple[str, str, list[int]]] = []

    def found_in_omero(user: str, root: str, filesets: list[Any]) -> int:
        found.append((user, root, [one.id for one in filesets]))
        return len(filesets)

    journal: Any = SimpleNamespace(
        finish_uniting=lambda: None,
        newest_in_omero=lambda user: 0,
        found_in_omero=found_in_omero,
    )
    omero: Any = SimpleNamespace(
        user=lambda name: User(1, name, "amy_group"),
        path_rules="",
        filesets_after=lambda whose, after: [one for one in there if one.id > after],
    )
    Recovery(journal, omero, places_of("/d", layout=layout)).of("amy")
    assert found == [("amy", root, [1])]
