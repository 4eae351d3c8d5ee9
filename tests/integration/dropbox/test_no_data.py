"""What is no data: recycle bins, and names that copy tools use while they copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from omero_fs_plugin import system_names
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole
from tests.stores import image

from .test_stores import omerodir, stored

__all__ = ["omerodir", "stored"]

# Every directory of the list, as an example of it is called.
BINS = [name for one in system_names.DIRECTORIES for name in one.examples]
NEVER = (system_names.COMING, system_names.LEAVING, system_names.NOTE)  # DropBox's own
# Every name of the list that a copy tool gives to a file on its way: it has the final name in it.
COPIED = [
    name
    for one in system_names.FILES
    for name in one.examples
    if name not in ("a.tif", ".DS_Store") and "a.tif" in name and not name.endswith(NEVER)
]


def rows_below(whole: Whole, directory: Path) -> list[Fileset]:
    return [row for row in whole.journal.select() if row.path.startswith(f"{directory}/")]


def look_again(whole: Whole) -> None:
    """A rescan, and then another file, so that everything before that has been looked at."""
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("beside.tif", user="zak"))
    whole.until_settled()


def thrown_away(whole: Whole, path: Path, bin: str) -> Path:
    to = path.parent / bin / path.name
    to.parent.mkdir()
    return path.rename(to)


@pytest.mark.parametrize("when", [None, State.WAITING, State.QUEUED], ids=lambda when: f"{when}")
def test_what_was_thrown_away_before_its_import_is_never_imported(
    make_whole: Callable[..., Whole], when: State | None
) -> None:
    """`when`: the state in which it is thrown away; None: before anybody has met it.

    A rescan and a restart do not find it in the bin either.  Put back, it is imported once.
    """
    whole = make_whole()
    if when is State.QUEUED:
        whole.blitz.stop()
    amy = whole.watch_dir / "amy"
    dropped = []
    # Else nothing is queued before it is thrown away.
    with nullcontext() if when is State.QUEUED else whole.clock.halted():
        for number, bin in enumerate(BINS):
            path = whole.drop(f"{number}/a{number}.tif")
            if when is None:
                thrown_away(whole, path, bin)
            dropped.append(path)
        if when is not None:
            whole.until_known(*dropped, states=(when,))
            for path, bin in zip(dropped, BINS, strict=True):
                thrown_away(whole, path, bin)
    if when is State.QUEUED:
        whole.blitz.start()
    look_again(whole)
    whole.stop_dropbox()
    whole.start_dropbox()
    look_again(whole)
    for path, bin in zip(dropped, BINS, strict=True):
        there = path.parent / bin / path.name
        assert there.exists()
        assert whole.in_omero(path) == whole.in_omero(there) == [], bin
        assert rows_below(whole, there.parent) == [], bin
    assert [r for r in rows_below(whole, amy) if r.state in (State.IMPORTED, State.FAILED)] == []
    for path, bin in zip(dropped, BINS, strict=True):
        (path.parent / bin / path.name).rename(path)
    whole.until_known(*dropped)
    whole.assert_once(*dropped)


@pytest.mark.parametrize("bin", ["#recycle", ".Trash-1000", "$RECYCLE.BIN"])
def test_a_bin_of_the_whole_share(whole: Whole, bin: str) -> None:
    """It stands beside the directories of the users, and has their names in it."""
    to = whole.watch_dir / bin / "amy"
    to.mkdir(parents=True)
    with whole.clock.halted():
        path = whole.drop("a.tif").rename(to / "a.tif")
    look_again(whole)
    assert [row for row in whole.journal.select() if row.path == str(path)] == []
    assert {row.user for row in whole.journal.select()} <= {"amy", "zak"}
    assert whole.in_omero(whole.watch_dir / "amy" / "a.tif") == []


def test_a_store_thrown_away_in_pieces_and_as_a_whole(stored: Whole) -> None:
    """As a whole by a desktop, file by file by a server of SMB; neither is imported from there."""
    amy = stored.watch_dir / "amy"
    whole_one, pieces = image(amy / "a.zarr", levels=2), image(amy / "b.zarr", levels=2, seed=5)
    with stored.clock.halted():
        for store in (whole_one, pieces):
            store.write()
        (amy / "#recycle").mkdir()
        whole_one.top.rename(amy / "#recycle" / "a.zarr")
        for name in pieces.files:
            to = amy / "#recycle" / "b.zarr" / name
            to.parent.mkdir(parents=True, exist_ok=True)
            (pieces.top / name).rename(to)
        shutil.rmtree(pieces.top)
    look_again(stored)
    assert [r for r in rows_below(stored, amy) if r.state is State.IMPORTED] == []
    assert rows_below(stored, amy / "#recycle") == []


def test_a_file_on_its_way_is_nobodys_business_until_it_has_its_name(whole: Whole) -> None:
    """Each name of the list.  The final name comes by a rename, and nothing of the other stays."""
    amy, pairs = whole.watch_dir / "amy", []
    with whole.clock.halted():
        for number, name in enumerate(COPIED):
            path = whole.drop(f"{number}/a.tif")
            content = path.read_bytes()
            path.unlink()
            temporary = path.with_name(name)
            temporary.write_bytes(content[: len(content) // 2])
            pairs.append((temporary, path, content))
    look_again(whole)
    on_their_way = {str(temporary) for temporary, _, _ in pairs}
    assert [row for row in whole.journal.select() if row.path in on_their_way] == []
    for temporary, path, content in pairs:
        temporary.write_bytes(content)
        temporary.rename(path)
    finals = [path for _, path, _ in pairs]
    whole.until_known(*finals)
    look_again(whole)
    whole.assert_once(*finals)
    mine = [row.path for row in rows_below(whole, amy)]
    assert sorted(mine) == sorted(map(str, finals))


def test_a_set_in_a_directory_on_its_way(whole: Whole) -> None:
    """Named as the documentation says, and renamed at the end."""
    amy = whole.watch_dir / "amy"
    for suffix in ("partial", "part", "download"):
        (amy / f"x.{suffix}").mkdir()
        for number in range(2):
            whole.drop(f"x.{suffix}/{suffix}{number}.tif")
    look_again(whole)
    assert rows_below(whole, amy) == []
    finals = []
    for suffix in ("partial", "part", "download"):
        final = (amy / f"x.{suffix}").rename(amy / f"x-{suffix}")
        finals += [final / f"{suffix}{number}.tif" for number in range(2)]
    whole.until_known(*finals)
    whole.assert_once(*finals)
    assert len(rows_below(whole, amy)) == len(finals)
