"""Attempts through the protocol: several in one run, sets and their copies, what is removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.importing.activity import Watch
from omero_fs_plugin.dropbox.importing.attempts import Attempt
from omero_fs_plugin.dropbox.importing.importers.choice import choose
from omero_fs_plugin.dropbox.importing.importers.factory import make
from omero_fs_plugin.dropbox.importing.importers.protocol import Importer, Wishes
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.dropbox.importing.together import run_together
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.events import FileStat

from .importing import Importing


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may handle it."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()


def taken(world: Importing, journal: Journal, *paths: Path, **more: Any) -> list[Attempt]:
    """Attempts at what was queued, in its order."""
    for path in paths:
        journal.hand_over("amy", str(world.root), Found(str(path), FileStat.of(path.lstat())))
    made = []
    while (fileset := journal.take("amy")) is not None:
        made.append(
            Attempt(
                journal, world.omero, world.session, fileset,
                stopping=lambda: False, watch=Watch(), **more,
            )
        )  # fmt: skip
    return made


def states(made: list[Attempt], importer: Importer) -> list[State]:
    """In the order of the attempts."""
    ended = {attempt.fileset.id: state for attempt, state in run_together(made, importer)}
    return [ended[attempt.fileset.id] for attempt in made]


def row(journal: Journal, path: Path) -> Fileset:
    return next(f for f in journal.select() if f.path == str(path))


@pytest.mark.parametrize("kind", ["native", "java"])
def test_several_in_one_run_each_with_its_end(
    world: Importing, journal: Journal, kind: str
) -> None:
    one, bad, two = world.drop("a.tif", 1), world.root / "b.tif", world.drop("c.tif", 2)
    bad.write_text("no image")
    copy = world.drop("d.tif", 2)
    importer = world.importer(kind, Transfer.UPLOAD_RM)
    made = taken(world, journal, one, bad, two, copy)
    ended = states(made, importer)
    # Of equal content under way the second waits; after it, it is a copy.
    copied = State.SKIPPED if kind == "native" else State.QUEUED
    assert ended == [State.IMPORTED, State.QUEUED, State.IMPORTED, copied]
    assert row(journal, bad).reason.startswith("refused 1 of 3 times: ")
    assert [path.exists() for path in (one, bad, two)] == [False, True, False]
    assert len(world.in_omero(one)) == len(world.in_omero(two)) == 1
    assert world.in_omero(bad) == world.in_omero(copy) == []


def test_found_in_omero_after_a_kill_its_source_is_removed_too(
    world: Importing, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.drop("a.tif")
    (attempt,) = taken(world, journal, path)
    importer = world.importer("native", Transfer.CP_RM)

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Omero, "filesets_of_images", killed)
        states([attempt], importer)
    assert path.exists()
    journal.move(attempt.fileset.id, State.IMPORTING, State.QUEUED, "interrupted")
    assert states(taken(world, journal), importer) == [State.IMPORTED]
    assert not path.exists()
    assert world.in_omero(path) == [row(journal, path).images]


def test_a_path_imported_before_is_excluded_where_that_is_wanted(
    world: Importing, journal: Journal
) -> None:
    path = world.drop("a.tif", 1)
    importer = world.importer("native")
    assert states(taken(world, journal, path), importer) == [State.IMPORTED]
    world.drop("a.tif", 2)
    assert states(taken(world, journal, path, exclude_imported_paths=True), importer) == [
        State.SKIPPED
    ]
    assert "--exclude clientpath" in journal.select(State.SKIPPED)[0].reason
    assert len(world.in_omero(path)) == 1


def test_a_server_away_in_the_middle_leaves_the_rest_to_be_given_back(
    world: Importing, journal: Journal
) -> None:
    one, two = world.drop("a.tif", 1), world.drop("b.tif", 2)
    made = taken(world, journal, one, two)
    ended: list[State] = []
    with pytest.raises(FsError):
        for _, state in run_together(made, world.importer("native")):
            ended.append(state)
            world.stop_server()
    assert ended == [State.IMPORTED]
    assert [f.path for f in journal.importing()] == [str(two)]


@pytest.mark.parametrize("kind", ["native", "java"])
def test_from_the_properties_to_an_image(
    world: Importing, journal: Journal, tmp_path: Path, kind: str
) -> None:
    """What DropBox does with omero.fs.importer, importArgs and transfer."""
    choice = choose(
        kind, "-report --name 'a; b' --skip all", transfer="cp_rm", omerodir=str(tmp_path)
    )
    assert choice.importer == kind
    importer = make(choice, world.session, world.omero, host="h", port=4064)
    path = world.drop("gr\u00fcn.tif")
    made = taken(world, journal, path, wishes=lambda: Wishes(name=choice.arguments.name))
    assert states(made, importer) == [State.IMPORTED]
    assert world.ask("select i.name from Image i") == [["a; b"]]
    assert not path.exists()
