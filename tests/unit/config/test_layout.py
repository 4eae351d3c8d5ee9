"""omero.fs.layout: whose the files in a directory are, by its name and those above it."""

from __future__ import annotations

import pytest

from omero_fs_plugin.config.layout import (
    LAYOUTS,
    OF_OWNER,
    OWNER,
    Owner,
    depth,
    is_of,
    of_user,
    owner,
    path_of,
)
from omero_fs_plugin.config.parsing import read

_AMYS = {
    "{user}": ("amy", Owner("amy")),
    "{group}/{user}": ("lab/amy", Owner("amy", "lab")),
    "{user}/{group}": ("amy/lab", Owner("amy", "lab")),
}


@pytest.mark.parametrize("layout", _AMYS)
def test_each_name_needs_its_directory(layout: str) -> None:
    path, whose = _AMYS[layout]
    names = path.split("/")
    assert path_of(layout, "amy", "lab") == path
    assert owner(layout, names) == owner(layout, [*names, "day", "deep"]) == whose
    assert len(names) == depth(layout)
    assert owner(layout, names[:-1]) is None
    assert is_of(layout, "amy", names) and not is_of(layout, "lab", names)


def test_people_are_shown_where_a_user_drops_files() -> None:
    assert [of_user(layout, "amy") for layout in LAYOUTS] == ["amy", "*/amy", "amy", ""]


@pytest.mark.parametrize("names", [[], ["amy"], ["lab", "amy", "day"]], ids=len)
def test_names_say_nothing_where_the_owner_of_a_file_does(names: list[str]) -> None:
    assert depth(OWNER) == 0
    assert owner(OWNER, names) == Owner(OF_OWNER)
    assert path_of(OWNER, "amy", "lab") == ""
    assert not is_of(OWNER, "amy", names)


def test_a_layout_that_is_none_is_told() -> None:
    (problem,) = read({"omero.fs.layout": "{group}/{usr}"}).problems
    assert str(problem).startswith("omero.fs.layout = '{group}/{usr}'")
    assert "did you mean {group}/{user}?" in str(problem)
