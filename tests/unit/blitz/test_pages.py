"""Very many rows of a projection come in several answers."""

from __future__ import annotations

from typing import Any

import pytest
from omero.rtypes import rlong, rstring, unwrap

from omero_fs_plugin.blitz import filesets
from omero_fs_plugin.blitz.filesets import in_pages, with_file
from omero_fs_plugin.blitz.users import User

MOST = 3


class Query:
    """Has entries with the ids 2, 4, 6 and so on, of Fileset 9."""

    def __init__(self, rows: int) -> None:
        self.ids = [2 * n for n in range(1, rows + 1)]
        self.answers: list[int] = []

    def projection(self, text: str, parameters: Any, context: Any) -> list[list[Any]]:
        if "f.images" in text:
            return []
        last, most = unwrap(parameters.map["beyond"]), unwrap(parameters.theFilter.limit)
        assert unwrap(parameters.theFilter.offset) == 0
        found = [one for one in self.ids if one > last][:most]
        self.answers.append(len(found))
        return [
            [rlong(9), rlong(one), rstring(f"a/{one}"), rstring(f"{one:x}"), rlong(1)]
            for one in found
        ]


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesets, "MOST_ROWS", MOST)


@pytest.mark.parametrize(
    ("rows", "answers"),
    [(0, [0]), (1, [1]), (2, [2]), (3, [3, 0]), (4, [3, 1]), (7, [3, 3, 1])],
)
def test_each_row_comes_once(rows: int, answers: list[int]) -> None:
    query = Query(rows)
    found = in_pages(query, "any", {}, column=1)
    assert [unwrap(row[1]) for row in found] == query.ids
    assert query.answers == answers


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_a_fileset_has_all_of_its_files(rows: int) -> None:
    query = Query(rows)
    (found,) = with_file(query, User(1, "amy", "lab"), "a/2")
    assert found.paths == tuple(f"a/{one}" for one in query.ids)
    assert max(query.answers) <= MOST
