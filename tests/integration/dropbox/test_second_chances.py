"""After an end, in the whole DropBox: sources that a crash left, failed files, sets in
quarantine, and files that are only touched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing import returning
from omero_fs_plugin.dropbox.importing.importers.native import NativeImporter
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import groupers
from tests import bioformats
from tests.integration.whole import QUIET_S, Whole

from .test_sets import NAMES, paths_in_omero, reason, write_part

COMPLETE_S = 200.0  # omero.fs.completeTimeout


class Deaths:
    """Importers that die as their import stands in the journal and the sources are there."""

    def __init__(self) -> None:
        self.filesets: list[int] = []
        self.over = False  # from now on nobody dies; who is to remove anything is somebody else

    def done(self, importer: NativeImporter, fileset: Fileset, sha1s: Sequence[str]) -> None:
        if not self.over:
            self.filesets.append(fileset.id)
            raise RuntimeError("it dies here")


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> Deaths:
    deaths = Deaths()

    def done(
        self: NativeImporter, fileset: Fileset, sha1s: Sequence[str], stopping: object
    ) -> None:
        deaths.done(self, fileset, sha1s)

    monkeypatch.setattr(NativeImporter, "done", done)
    return deaths


class TestSourcesToBeRemoved:
    """A crash lies between the journal's `imported` and the removal."""

    @pytest.fixture
    def whole(self, make_whole: Callable[..., Whole], deaths: Deaths) -> Whole:
        """Stopped, after an import that left its source."""
        whole = make_whole(transfer="upload_rm")
        path = whole.drop("a.tif")
        whole.until("it dies", lambda: deaths.filesets)
        assert whole.row(path).state is State.IMPORTED
        whole.stop_dropbox()
        deaths.over = True
        assert path.exists()
        return whole

    def test_are_removed_after_the_restart(self, whole: Whole) -> None:
        path = whole.watch_dir / "amy" / "a.tif"
        whole.start_dropbox()
        whole.until("the source is removed", lambda: not path.exists())
        whole.until("nothing is left to do", lambda: not whole.journal.unfinished())
        assert whole.row(path).reason == ""
        whole.assert_once(path)

    def test_stay_where_somebody_has_written_since(self, whole: Whole) -> None:
        path = whole.watch_dir / "amy" / "a.tif"
        former = whole.row(path)
        whole.drop("a.tif")
        content = path.read_bytes()
        whole.start_dropbox()
        whole.until(
            "it is imported again",
            lambda: whole.row(path).id != former.id and whole.row(path).state is State.IMPORTED,
        )
        whole.until("nothing is left to do", lambda: not whole.journal.unfinished())
        assert path.read_bytes() == content
        assert [len(images) for images in whole.in_omero(path)] == [1, 1]


class Incomplete:
    """A set whose second part does not come, given up and in quarantine."""

    def __init__(self, whole: Whole, place: Path) -> None:
        self.whole, self.place = whole, place
        self.directory = whole.watch_dir / "amy" / "set"
        self.directory.mkdir()
        for number in (2, 0):
            write_part(self.directory, number, NAMES)
        self.first, self.missing, self.last = (self.directory / name for name in NAMES)
        whole.until("it waits", lambda: reason(whole, self.first).startswith("waits for"))
        self.until_in_quarantine()

    def until_in_quarantine(self) -> None:
        def moved() -> bool:
            self.whole.clock.pass_by(130.0)
            return not self.first.exists() and not self.last.exists()

        self.whole.until("its parts are moved", moved)
        self.whole.until("the journal knows", lambda: len(self.rows()) == 1)
        self.until_nobody_moves_it()

    def until_nobody_moves_it(self) -> None:
        """Whoever moves it has a lock beside it."""
        self.whole.until("nobody moves it", lambda: not list(self.place.rglob(".*.lock")))

    def rows(self) -> list[Fileset]:
        """What is failed and lies there."""
        failed = self.whole.journal.select(State.FAILED)
        return [row for row in failed if row.root.startswith(str(self.place))]

    def lying(self) -> list[str]:
        """All files in quarantine, by their paths below it."""
        return sorted(
            str(path.relative_to(self.place)) for path in self.place.rglob("*") if path.is_file()
        )

    def assert_imported_as_one(self) -> None:
        """One fileset of three files, once, and no other fileset ends because of it."""
        self.whole.until_known(self.first)
        self.whole.until_settled()
        assert paths_in_omero(self.whole, self.first) == [tuple(NAMES)]
        self.whole.assert_once(self.first)
        assert self.whole.journal.counts()[State.FAILED] == 0
        assert self.whole.journal.counts()[State.IMPORTED] == 1
        self.until_nobody_moves_it()
        assert self.lying() == []


@pytest.fixture
def make_incomplete(make_whole: Callable[..., Whole], tmp_path: Path) -> Callable[[], Incomplete]:
    place = tmp_path / "bad"
    return lambda: Incomplete(
        make_whole(quarantine=str(place), completeTimeout=f"{COMPLETE_S:g}"), place
    )


class TestASetInQuarantine:
    def test_lies_there_whole_with_the_reason_beside_it(
        self, make_incomplete: Callable[[], Incomplete]
    ) -> None:
        incomplete = make_incomplete()
        (row,) = incomplete.rows()
        home = f"amy/{row.id}"
        assert incomplete.lying() == [
            f"{home}.txt",
            f"{home}/set/{NAMES[0]}",
            f"{home}/set/{NAMES[2]}",
        ]
        told = (incomplete.place / f"{home}.txt").read_text(encoding="utf-8")
        assert f"waits for {incomplete.missing}" in told
        assert f"omero fs import --retry {row.id}" in told
        assert [Path(met.path).name for met in row.files] == [NAMES[0], NAMES[2]]

    def test_comes_back_when_what_it_lacks_comes(
        self, make_incomplete: Callable[[], Incomplete]
    ) -> None:
        incomplete = make_incomplete()
        write_part(incomplete.directory, 1, NAMES)
        incomplete.assert_imported_as_one()

    def test_comes_back_when_that_came_while_dropbox_was_down(
        self, make_incomplete: Callable[[], Incomplete]
    ) -> None:
        incomplete = make_incomplete()
        incomplete.whole.stop_dropbox()
        write_part(incomplete.directory, 1, NAMES)
        incomplete.whole.start_dropbox()
        incomplete.assert_imported_as_one()

    def test_comes_back_on_a_disk_that_is_slow(
        self, make_incomplete: Callable[[], Incomplete], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One part is back for some quiet periods before the other comes."""
        incomplete = make_incomplete()
        whole, move_back = incomplete.whole, returning.move_back
        came = iter((False, True))

        def slow(*args: Any, **options: Any) -> None:
            if next(came):
                pipeline, first = whole.dropbox.pipeline, str(incomplete.first)
                # In its quiet period, or after it.
                whole.until(
                    "a part is met", lambda: first in pipeline.settler or first in pipeline.lots
                )
                time.sleep(4 * QUIET_S)
            move_back(*args, **options)

        monkeypatch.setattr(returning, "move_back", slow)
        write_part(incomplete.directory, 1, NAMES)
        incomplete.assert_imported_as_one()
        # Each part once: the one in quarantine, and the one that came.
        assert {row.id for row in whole.journal.select()} <= {1, 2, 3, 4}

    def test_comes_back_when_it_was_just_moved_by_another(
        self, make_incomplete: Callable[[], Incomplete]
    ) -> None:
        incomplete = make_incomplete()
        quarantine = incomplete.whole.dropbox.quarantine
        (row,) = incomplete.rows()
        with quarantine._alone(row.id, Path(row.root), str(incomplete.place)):
            write_part(incomplete.directory, 1, NAMES)
            incomplete.whole.until("it is wanted", quarantine.wanted)
        incomplete.assert_imported_as_one()

    def test_comes_back_to_a_directory_that_was_removed(
        self, make_incomplete: Callable[[], Incomplete]
    ) -> None:
        """As by a user who wonders about an empty directory, and copies the rest again."""
        incomplete = make_incomplete()
        incomplete.directory.rmdir()
        incomplete.directory.mkdir()
        write_part(incomplete.directory, 1, NAMES)
        incomplete.assert_imported_as_one()

    def test_that_came_back_and_still_lacks_a_part_goes_again(
        self, make_incomplete: Callable[[], Incomplete]
    ) -> None:
        incomplete = make_incomplete()
        former = incomplete.lying()
        (row,) = incomplete.rows()
        (incomplete.place / "amy" / f"{row.id}.txt").unlink()
        assert incomplete.whole.dropbox.quarantine.bring_back(row)
        whole, first = incomplete.whole, incomplete.first
        # Both of its parts are known again: each by itself would be given up by itself.
        lacks = f"waits for {incomplete.directory / NAMES[1]}"
        whole.until("it waits", lambda: reason(whole, first) == lacks)
        incomplete.until_in_quarantine()
        assert incomplete.lying() == former
        write_part(incomplete.directory, 1, NAMES)
        incomplete.assert_imported_as_one()


def test_what_is_only_touched_has_one_row_also_after_a_restart(whole: Whole) -> None:
    """As by a chown of the whole tree, while DropBox is down."""
    directory = whole.watch_dir / "amy" / "set"
    directory.mkdir()
    single = whole.drop("a.tif")
    parts = [write_part(directory, number, NAMES) for number in range(3)]
    whole.until_known(single, parts[0])
    whole.until_settled()
    before = {row.id for row in whole.journal.select()}
    whole.stop_dropbox()
    for path in (single, *parts):
        os.chmod(path, 0o600)  # noqa: PTH101
    whole.start_dropbox()

    def known() -> bool:
        there = {met.path: met.stat.ctime_ns for row in rows() for met in row.files}
        return all(there.get(str(path)) == path.lstat().st_ctime_ns for path in (single, *parts))

    def rows() -> list[Fileset]:
        return whole.journal.select(State.IMPORTED)

    whole.until("they are known as they are", known)
    whole.until_settled()
    assert {row.id for row in whole.journal.select()} == before
    assert whole.journal.counts()[State.SKIPPED] == 0
    whole.assert_once(single, parts[0])
    for row in rows():
        told = [why for _, _, _, why, _ in whole.journal.events(row.id)]
        assert any(why.startswith("met again, as fileset") for why in told), told


@pytest.mark.parametrize(
    "jars", ["none", bioformats.as_property()], ids=["without Java", "with Bio-Formats"]
)
def test_a_file_that_may_be_read_at_last_is_imported_although_nothing_else_happens(
    make_whole: Callable[..., Whole], jars: str
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    whole = make_whole(bioformatsJars=jars)
    path = whole.watch_dir / "amy" / "a.tif"
    other = whole.drop("b.tif")
    path.write_bytes(other.read_bytes() + b"not the same")
    path.chmod(0)
    whole.until_known(other)
    whole.until("it says why", lambda: "cannot be read" in reason(whole, path))
    path.chmod(0o644)
    whole.until("it is imported", lambda: whole.row(path).state is State.IMPORTED)
    whole.assert_once(path)


def test_that_is_so_over_a_restart_too(whole: Whole) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = whole.drop("a.tif")
    path.chmod(0)
    whole.until("it says why", lambda: "cannot be read" in reason(whole, path))
    whole.stop_dropbox()
    whole.start_dropbox()
    whole.until_state("running")
    path.chmod(0o644)
    whole.until("it is imported", lambda: whole.row(path).state is State.IMPORTED)
    whole.assert_once(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_until_then_it_stays_out_of_quarantine(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    """There its owner could not mend it, and nobody would look whether that was done."""
    whole = make_whole(quarantine=str(tmp_path / "bad"))
    path = whole.drop("a.tif")
    path.chmod(0)
    whole.until_known(path, states=(State.FAILED,))
    broken = whole.watch_dir / "amy" / "b.tif"
    broken.write_bytes(b"no TIFF")
    whole.until("one that is broken is moved", lambda: not broken.exists())
    path.chmod(0o644)
    whole.until_known(path)
    whole.assert_once(path)


def test_a_member_that_may_be_read_at_last_completes_its_set(whole: Whole) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    directory = whole.watch_dir / "amy" / "set"
    directory.mkdir()
    first, hidden, last = (write_part(directory, number, NAMES) for number in range(3))
    hidden.chmod(0)
    whole.until("it says why", lambda: "cannot be read" in reason(whole, first))
    hidden.chmod(0o644)
    whole.until("it is imported", lambda: whole.row(first).state is State.IMPORTED)
    assert paths_in_omero(whole, first) == [tuple(NAMES)]
    whole.assert_once(last)


@pytest.mark.parametrize("rights", [0, 0o400], ids=["shut", "listed and not entered"])
@pytest.mark.parametrize("when", ["met before", "found by a rescan"])
def test_a_directory_that_may_be_entered_at_last_although_nothing_else_happens(
    whole: Whole, when: str, rights: int
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    directory = whole.watch_dir / "amy" / "shut"
    directory.mkdir()
    if when == "found by a rescan":
        whole.stop_dropbox()
    path = whole.drop("shut/a.tif")
    directory.chmod(rights)
    if when == "found by a rescan":
        whole.start_dropbox()

    def told() -> bool:
        figures = whole.dropbox.figures()
        return any(
            k.startswith(f"left.{directory}") and "Permission" in figures[k] for k in figures
        )

    whole.until("it says why", told)
    directory.chmod(0o755)
    known = (State.QUEUED, State.IMPORTING, State.IMPORTED)
    whole.until(
        "it is met",
        lambda: [row for row in whole.journal.select(*known) if row.path == str(path)],
    )
    whole.until("nothing is told any more", lambda: not told())
    whole.until_known(path)
    whole.assert_once(path)


def rows_of(whole: Whole, path: Path) -> list[Fileset]:
    return [row for row in whole.journal.select() if row.path == str(path)]


@pytest.mark.parametrize("name", ["a.tif.copytool", "unfinished a.tif"])
def test_of_a_temporary_name_no_row_is_left_after_the_rename(whole: Whole, name: str) -> None:
    """A tool that nobody knows: its name is met, and was skipped or has failed."""
    content = whole.drop("elsewhere/b.tif").read_bytes()
    path, final = whole.watch_dir / "amy" / name, whole.watch_dir / "amy" / "a.tif"
    path.write_bytes(b"not all of it")
    ended = (State.SKIPPED, State.FAILED)
    whole.until("it has ended", lambda: any(r.state in ended for r in rows_of(whole, path)))
    with whole.clock.halted():  # it does not come to rest under this name
        path.write_bytes(content + b"another")
        path.rename(final)
    whole.until_known(final)
    whole.assert_once(final)
    assert rows_of(whole, path) == []


def test_a_name_that_is_gone_before_it_has_rested_leaves_no_row(whole: Whole) -> None:
    with whole.clock.halted():
        path = whole.drop("a.tif.copytool")
        whole.until("it is met", lambda: rows_of(whole, path))
        final = path.with_name("a.tif")
        path.rename(final)
    whole.until_known(final)
    assert rows_of(whole, path) == []


def test_a_second_name_of_a_failed_file_leaves_its_row(whole: Whole) -> None:
    path = whole.watch_dir / "amy" / "a.tif"
    path.write_bytes(b"no TIFF")
    whole.until_known(path, states=(State.FAILED,))
    second = path.with_name("b.tif")
    os.link(path, second)
    whole.until_known(second, states=(State.FAILED,))
    assert [row.state for row in rows_of(whole, path)] == [State.FAILED]


def test_a_failed_file_moved_to_another_directory_of_the_user_is_tried_there(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    """The directories have roots of their own, which no file may lead out of."""
    own = tmp_path / "own"
    own.mkdir()
    whole = make_whole(importUsers="default;amy", watchDir=f";{own}")
    content = whole.drop("elsewhere/b.tif").read_bytes()
    path = whole.watch_dir / "amy" / "a.tif"
    path.write_bytes(b"no TIFF")
    whole.until_known(path, states=(State.FAILED,))
    moved = path.rename(own / "a.tif")
    whole.until_known(moved, states=(State.FAILED,))
    row = whole.row(moved)
    assert row.root == str(own) and "not below" not in row.reason
    moved.write_bytes(content + b"another")
    whole.until_known(moved)
    whole.until("it is alone", lambda: rows_of(whole, path) == [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_only_its_import_could_not_read_is_tried_again(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was shut after it was grouped; no other event is needed once it is mended."""
    monkeypatch.setattr(groupers, "_UNREAD_S", 0.2)
    whole = make_whole(rescanInterval="0")
    whole.until_known(whole.drop("before.tif"))
    whole.blitz.stop()
    path = whole.drop("a.tif")
    under_way = (State.QUEUED, State.IMPORTING)
    whole.until(
        "it is grouped", lambda: str(path) in {f.path for f in whole.journal.select(*under_way)}
    )
    path.chmod(0)
    whole.blitz.start()
    whole.until_known(path, states=(State.FAILED,))
    assert "and it is tried again" in whole.row(path).reason
    whole.clock.sleep(3 * groupers._STEP_S)
    path.chmod(0o600)
    whole.until_known(path)
    whole.until_settled()
    whole.assert_once(path)
