"""No name goes to OMERO that Ice cannot carry: a process that gives it one may end at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.blitz import users
from omero_fs_plugin.errors import UserError
from omero_fs_plugin.icegrid import StatusFacet


def services() -> Any:
    def look_up(name: str) -> Any:
        raise AssertionError(f"Ice was given {name!a}")

    return SimpleNamespace(
        getAdminService=lambda: SimpleNamespace(lookupExperimenter=look_up),
    )


@pytest.mark.parametrize(
    "ask",
    [
        lambda given: users.look_up(services(), given, ""),
        lambda given: users.address_of(services(), given),
        lambda given: users.id_of(services(), given),
    ],
    ids=["look_up", "address_of", "id_of"],
)
def test_a_user_whose_name_is_not_utf8_is_none(ask: Any) -> None:
    """A directory of this name stopped DropBox, at each start again."""
    with pytest.raises(UserError) as refused:
        ask("amy\udcff")
    assert str(refused.value) == (
        r"there is no OMERO user named amy\xff, for this is not valid UTF-8"
    )


def test_figures_with_such_a_name_are_told_as_people_read_it() -> None:
    facet = StatusFacet(lambda: {"left.\udcff": "why \udcfe", "state": "running"})
    assert facet.getPropertiesForPrefix("left.") == {r"left.\xff": r"why \xfe"}
    assert facet.getPropertiesForPrefix("")["state"] == "running"
