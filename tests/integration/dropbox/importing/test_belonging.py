"""A set of many files, put into OMERO's repository by us: where each belongs, and what it costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers import belonging
from omero_fs_plugin.dropbox.importing.importers.protocol import Imported, Task
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.sandbox import query

from .importing import Importing, run

FILES = 60
# The calls for each file of a set, one after the other: whoever adds one says why.
EACH = {
    "ImportProcess.getUploader": 2,  # to make the empty file that shows the place; to look at ours
    "RawFileStore.close": 2,
    "RawFileStore.save": 1,  # OMERO looks at what is there now
}
# For the set as a whole, beside those of the import itself.
LOTS = {
    "IQuery.projection": 2,  # which fileset is it?  where do its files belong?
    # Whose fileset is it?  And of both uploaders of the first file, in case that the import fails.
    "RawFileStore.getFileId": 3,
}


def _members(world: Importing) -> list[Path]:
    members = [world.drop("a.tif"), *(world.root / "raw" / str(n) for n in range(FILES - 1))]
    (world.root / "raw").mkdir()
    for number, path in enumerate(members[1:]):
        path.write_bytes(b"%d" % number * number)  # the first one is empty
    return members


def _import(world: Importing, members: list[Path]) -> Any:
    task = Task(world.fileset(*members), lambda sha1s: None)
    (done,) = run(world.importer("native", Transfer.LN_S), task)
    return done


def _links(world: Importing) -> list[str]:
    return sorted(str(path.readlink()) for path in world.stored())


def test_the_calls_for_each_file(world: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    reach = world.sandbox.pace.reach

    def noted(point: str, *more: Any) -> None:
        made.append(point)
        reach(point, *more)

    monkeypatch.setattr(world.sandbox.pace, "reach", noted)
    members = _members(world)
    done = _import(world, members)
    assert isinstance(done, Imported), done
    calls = Counter(made)
    assert {name: calls[name] for name in EACH} == {n: k * FILES for n, k in EACH.items()}
    assert {name: calls[name] for name in LOTS} == LOTS
    assert calls["RawFileStore.size"] == 0
    assert _links(world) == sorted(map(str, members))


@pytest.mark.parametrize("lot", [1, 7, FILES, FILES + 1])
def test_they_are_asked_for_lot_by_lot(
    world: Importing, monkeypatch: pytest.MonkeyPatch, lot: int
) -> None:
    monkeypatch.setattr(belonging, "LOT", lot)
    members = _members(world)
    done = _import(world, members)
    assert isinstance(done, Imported), done
    assert world.in_omero(members[0]) == [done.images]
    assert _links(world) == sorted(map(str, members))


@pytest.mark.parametrize("answer", ["another order", "other paths"])
def test_where_omero_tells_something_else_each_is_asked_for(
    world: Importing, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Then it only takes longer: a file is never put where another belongs."""
    monkeypatch.setattr(belonging, "LOT", 3)
    real = query.Query._run

    def told(self: Any, call: Any, text: str, parameters: Any) -> Any:
        if "e.clientPath, o.path" in text and answer == "another order":
            text = text.replace("e.id > :after order by e.id", "e.id > :after order by e.id desc")
        rows = real(self, call, text, parameters)
        if "e.clientPath, o.path" in text and answer == "other paths":
            rows = [[row[0], type(row[1])("/x" + row[1].val), *row[2:]] for row in rows]
        return rows

    monkeypatch.setattr(query.Query, "_run", told)
    members = _members(world)
    done = _import(world, members)
    assert isinstance(done, Imported), done
    assert _links(world) == sorted(map(str, members))


def test_a_place_outside_the_repository_is_refused(
    world: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = query.Query._run

    def told(self: Any, call: Any, text: str, parameters: Any) -> Any:
        rows = real(self, call, text, parameters)
        if "e.clientPath, o.path" in text:
            rows = [[*row[:2], type(row[2])("/../../elsewhere/"), row[3]] for row in rows]
        return rows

    monkeypatch.setattr(query.Query, "_run", told)
    outcome = _import(world, _members(world))
    assert isinstance(outcome, ImportRefused)
    assert "outside its repository" in str(outcome)
    assert world.ask("select f.id from Fileset f") == []
