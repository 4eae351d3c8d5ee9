"""What changes between a look at the journal and the transaction that acts on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.gathering import Gathered
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from tests.parts import in_parts_of
from tests.steps import before_each

ROOT = "/dropbox/amy"


def found(name: str, inode: int) -> Found:
    return Found(f"{ROOT}/{name}", FileStat(1, inode, 10, 20, 30))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/journal.sqlite"


@pytest.fixture
def journal(url: str) -> Iterator[Journal]:
    journal = Journal(url, who="DropBox")
    yield journal
    journal.close()


@pytest.fixture
def command(url: str, journal: Journal) -> Iterator[Journal]:
    """`omero fs import` has the journal open too."""
    command = Journal(url, make=False, who="a command")
    yield command
    command.close()


def test_a_renamed_file_is_not_followed_out_of_a_set(journal: Journal) -> None:
    """It was alone when it was looked for; then its set was given up, with all of its files."""
    parts = [found("a.tif.part", 1), found("b.tif", 2)]
    renamed = Found(f"{ROOT}/a.tif", parts[0].stat)
    for one in (*parts, renamed):
        journal.wait("amy", ROOT, [one])
    opened = journal.open_at([met.path for met in parts])
    ids = [opened[met.path].id for met in parts]
    former = journal.former("amy", [renamed])
    assert former == {ids[0]: (parts[0].path, renamed)}
    assert journal.give_up(ids, "waits for c.tif", ["c.tif"]) == ids[0]
    journal.follow({ids[0]: (ROOT, renamed)})
    (kept,) = journal.load([ids[0]])
    assert (kept.state, list(kept.files)) == (State.FAILED, parts)
    assert journal.open_at([renamed.path])[renamed.path].state is State.WAITING


def test_two_processes_do_not_gather_one_set_that_begin_at_the_same_moment(
    journal: Journal, command: Journal
) -> None:
    """Each has looked whether another does, before the other has begun."""
    files = [found(f"{number}.tif", number) for number in range(1, 6)]
    for met in files:
        journal.wait("amy", ROOT, [met])
    begun: list[Gathered | None] = []
    with (
        in_parts_of(2),
        before_each(
            [(journal, "_begin")],
            lambda: begun.append(command.gather(Formed("amy", ROOT, files[::-1]))),
        ),
    ):
        ours = journal.gather(Formed("amy", ROOT, [files[-1], *files[:-1]]))
        assert ours is None
        assert begun[0] is not None
        identifier, left = command.queue(begun[0])
    assert identifier is not None and left == []
    (queued,) = journal.load([identifier])
    assert (queued.state, list(queued.files)) == (State.QUEUED, files[::-1])
    assert journal.select(State.WAITING) == []
