"""The calls to OMERO that one import takes, each with what it is for.

The list is kept here, because each call costs time at a real server.  Whoever adds one says why.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.importing.importing import Importing
from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from tests.rules import settings_of

from .attempts import World, until, world

__all__ = ["world"]

ONE = {
    "IQuery.projection": 2,  # before: is something of this path there?  after: are the images?
    "ManagedRepository.importFileset": 1,  # the begin
    "ImportProcess.getUploader": 1,
    "RawFileStore.getFileId": 1,  # for an upload that fails; not waited for, but here it is
    "RawFileStore.write": 1,  # one for each block
    "RawFileStore.close": 1,  # saves
    "ImportProcess.verifyUpload": 1,  # the import begins
    "Handle.close": 1,  # not waited for
    "ImportProcess.close": 1,  # not waited for
}
ANSWER = "Handle.getResponse"  # as often as the import is long
WITH_TARGET = {"IQuery.projection": 3}  # the third: are the images in the target?


@pytest.fixture
def calls(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    reach = world.sandbox.pace.reach

    def noted(point: str, *more: object) -> None:
        if not point.startswith("ImportRequest."):
            made.append(point)
        reach(point, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(world.sandbox.pace, "reach", noted)
    note = NativeImport._note_first

    def answered(one: NativeImport, store: object) -> None:
        """Else it may come during the next import, or after the close, when nobody counts it."""
        note(one, store)
        assert one._asked_first is not None
        one._asked_first[1].waitForCompleted()

    monkeypatch.setattr(NativeImport, "_note_first", answered)
    return made


def _importing(world: World, **rule: str) -> Importing:
    settings = settings_of(watchDir=str(world.root.parent), **rule)
    places, methods = Places(settings.rules), Methods(None)
    methods.apply(methods.examine(settings)[1])
    return Importing(
        world.journal,
        world.omero,
        places=places,
        methods=methods,
        address=("localhost", 1),
        import_duplicates=lambda: False,
        stopping=lambda: False,
    )


def _import(world: World, importing: Importing, path: Path) -> None:
    world.queue(path)
    fileset = world.journal.take("amy")
    assert fileset is not None
    plan = importing.plan(fileset)
    assert [state for _, state in importing.run(plan, [fileset])] == [State.IMPORTED]


def _of_the_second(world: World, importing: Importing, calls: list[str]) -> Counter[str]:
    """The first asks for what is kept: the session, the repository, what OMERO is configured to."""
    _import(world, importing, world.drop("first.tif", 1))
    late = {"ImportProcess.close", "Handle.close"}
    until(lambda: late <= {*calls})
    calls.clear()
    _import(world, importing, world.drop("second.tif", 2))
    until(lambda: late <= {*calls})
    found = Counter(calls)
    assert found.pop(ANSWER) >= 1
    return found


def test_of_an_import(world: World, calls: list[str]) -> None:
    importing = _importing(world)
    try:
        assert _of_the_second(world, importing, calls) == ONE
    finally:
        importing.pool.tidy(everything=True)


def test_of_an_import_into_a_dataset_that_the_import_before_has_found(
    world: World, calls: list[str]
) -> None:
    importing = _importing(world, target="Dataset:name:of the day")
    try:
        assert _of_the_second(world, importing, calls) == ONE | WITH_TARGET
    finally:
        importing.pool.tidy(everything=True)


def test_what_is_kept_is_asked_anew_after_a_failure(world: World) -> None:
    session = world.omero.session_for(world.omero.user("amy"))
    asked: list[int] = []
    for _ in range(2):
        session.keep("something", lambda: asked.append(1))
    assert len(asked) == 1
    session.forget()
    session.keep("something", lambda: asked.append(1))
    assert len(asked) == 2
