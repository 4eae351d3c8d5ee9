"""The benchmarks read a journal of the real code, and the real code reads theirs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.dropbox import history, known
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.watching.rescan import walk
from omero_fs_plugin.events import FileStat


def test_times_and_counts(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    assert history.counts(file) == {}
    clock = iter(range(100, 200))
    journal = Journal(f"sqlite:///{file}", clock=lambda: next(clock))
    try:
        stats = [FileStat(1, inode, 5, 6, 7) for inode in (1, 2)]
        journal.wait("amy", "/in/amy", [Found(f"/in/amy/{s.inode}.tif", s) for s in stats])
        opened = journal.open_at(["/in/amy/1.tif"])["/in/amy/1.tif"]
        journal.settled({opened.id: stats[0]})
        before = history.everything(file)
        taken = journal.take("amy")
        assert taken is not None
        journal.imported(taken.id, 7, [8], [""])
    finally:
        journal.close()
    assert history.everything(file) != before
    assert history.counts(file) == {"imported": 1, "waiting": 1}
    times = history.times(file)
    one = times["/in/amy/1.tif"]
    assert one.begun is not None and one.done is not None and one.done > one.begun
    assert history.times_of(file, "/in/amy/1.tif") == one
    assert times["/in/amy/2.tif"] == history.Times("amy", None, None)
    assert history.times_of(file, "/in/amy/3.tif") is None


def test_a_journal_made_ready_knows_its_tree(tmp_path: Path) -> None:
    home = tmp_path / "amy"
    known.make(tmp_path / "journal.sqlite", home, 2 * known.FILES_IN_DIRECTORY)
    found = list(walk(str(home)))
    assert len(found) == 2 * known.FILES_IN_DIRECTORY
    journal = Journal(f"sqlite:///{tmp_path / 'journal.sqlite'}")
    try:
        assert journal.known(found) == {met.path: State.IMPORTED for met in found}
    finally:
        journal.close()
