"""omero.fs.afterImport: what OMERO has goes, whole and proved; everything else stays."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing.importers.answers import delete_filesets
from omero_fs_plugin.dropbox.journal.fates import ENDED, Ended, Fate
from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole

from .test_sets import NAMES, write_part

Make = Callable[..., Whole]
DAY_S = 86400.0


def ended(whole: Whole, path: Path) -> Ended | None:
    """How it ended with the newest fileset of `path`."""
    text = whole.journal.noted(f"{ENDED}{whole.row(path).id}")
    return Ended.read(text) if text else None


def until_ended(whole: Whole, path: Path) -> Ended:
    whole.until(f"it has ended with {path.name}", lambda: ended(whole, path))
    found = ended(whole, path)
    assert found is not None
    return found


def go_round(whole: Whole) -> None:
    """The next round comes."""
    whole.clock.pass_by(601)
    whole.dropbox.parts.caretaker.wake()


def sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def in_repository(whole: Whole, path: Path) -> Path:
    (found,) = (whole.watch_dir.parent / "ManagedRepository").rglob(path.name)
    return found


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    directory = tmp_path / "archive"
    directory.mkdir()
    return directory


def test_nothing_is_touched_by_default(whole: Whole) -> None:
    path = whole.drop("a.tif")
    whole.until_known(path)
    go_round(whole)
    whole.until_settled()
    assert path.exists() and ended(whole, path) is None


def test_a_file_is_moved_with_its_directories(make_whole: Make, shelf: Path) -> None:
    whole = make_whole(afterImport=f"move:{shelf}")
    path = whole.drop("day 1/a.tif")
    before = sha1(path)
    whole.until_known(path)
    assert until_ended(whole, path).fate is Fate.MOVED
    assert not path.exists() and path.parent.is_dir()
    assert sha1(shelf / "amy" / "day 1" / "a.tif") == before
    whole.assert_once(path)


def test_a_file_is_deleted_when_its_time_has_come(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:30")
    path = whole.drop("a.tif")
    whole.until_known(path)
    whole.clock.pass_by(29 * DAY_S)
    second = whole.drop("b.tif")  # its import shows that time has passed
    whole.until_known(second)
    assert path.exists()
    whole.clock.pass_by(1.1 * DAY_S)
    go_round(whole)
    assert until_ended(whole, path).fate is Fate.DELETED
    assert not path.exists() and second.exists()
    whole.assert_once(path)


def test_a_name_that_is_used_again_overwrites_nothing(make_whole: Make, shelf: Path) -> None:
    whole = make_whole(afterImport=f"move:{shelf}")
    first = whole.drop("a.tif")
    before = sha1(first)
    whole.until_known(first)
    until_ended(whole, first)
    one = whole.row(first).id
    second = whole.drop("a.tif")
    again = sha1(second)
    whole.until("it is imported too", lambda: whole.row(second).id != one)
    whole.until_settled()
    until_ended(whole, second)
    assert sha1(shelf / "amy" / "a.tif") == before
    assert sha1(shelf / "amy" / f"fileset-{whole.row(second).id}" / "a.tif") == again


@pytest.mark.parametrize("act", ["move", "delete"])
def test_a_set_goes_as_a_whole(make_whole: Make, shelf: Path, act: str) -> None:
    whole = make_whole(afterImport=f"move:{shelf}" if act == "move" else "delete-after:0")
    parts = [write_part(whole.watch_dir / "amy", number, NAMES) for number in range(3)]
    whole.until_known(parts[0])
    assert until_ended(whole, parts[0]).files == 3
    assert not any(part.exists() for part in parts)
    if act == "move":
        assert sorted(path.name for path in (shelf / "amy").iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("transfer", ["ln_s", "ln"])
def test_what_was_imported_in_place_is_never_touched(make_whole: Make, transfer: str) -> None:
    whole = make_whole(afterImport="delete-after:0", transfer=transfer)
    path = whole.drop("a.tif")
    whole.until_known(path)
    told = until_ended(whole, path)
    assert told.fate is Fate.LEFT and "imported in place" in told.why
    assert path.exists()


@pytest.mark.parametrize("transfer", ["upload", "cp"])
def test_copies_go(make_whole: Make, transfer: str) -> None:
    whole = make_whole(afterImport="delete-after:0", transfer=transfer)
    path = whole.drop("a.tif")
    whole.until_known(path)
    assert until_ended(whole, path).fate is Fate.DELETED
    assert not path.exists()


def _one_byte(path: Path) -> None:
    """Another byte, and the time of the file as it was."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_that_was_changed_since_stays(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:1")
    path = whole.drop("a.tif")
    whole.until_known(path)
    first = whole.row(path).id
    whole.stop_dropbox()
    _one_byte(path)
    whole.clock.pass_by(2 * DAY_S)
    whole.start_dropbox()
    whole.until("it is imported anew", lambda: whole.row(path).id != first)
    whole.until_settled()
    go_round(whole)
    whole.until("it has ended", lambda: whole.journal.noted(f"{ENDED}{first}"))
    told = Ended.read(whole.journal.noted(f"{ENDED}{first}"))
    assert told.fate is Fate.LEFT and "changed after the import" in told.why
    assert path.exists()


@pytest.mark.parametrize("act", ["move", "delete"])
def test_omeros_damaged_copy_of_one_part_keeps_the_whole_set(
    make_whole: Make, shelf: Path, act: str
) -> None:
    whole = make_whole(afterImport="keep")
    parts = [write_part(whole.watch_dir / "amy", number, NAMES) for number in range(3)]
    whole.until_known(parts[0])
    whole.stop_dropbox()
    _one_byte(in_repository(whole, parts[2]))
    whole.start_dropbox(afterImport=f"move:{shelf}" if act == "move" else "delete-after:0")
    told = until_ended(whole, parts[0])
    assert told.fate is Fate.LEFT and "its checksum differs" in told.why
    assert all(part.exists() for part in parts)


def test_images_deleted_in_omero_keep_the_file(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:1")
    path = whole.drop("a.tif")
    whole.until_known(path)
    session = whole._omero.session_for(whole._omero.user("amy"))
    delete_filesets(session, [whole.row(path).server_fileset or 0])
    session.close()
    whole.clock.pass_by(2 * DAY_S)
    go_round(whole)
    assert until_ended(whole, path).fate is Fate.LEFT
    assert path.exists()


def test_what_the_user_has_deleted_is_no_news(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:1")
    path = whole.drop("a.tif")
    whole.until_known(path)
    path.unlink()
    whole.clock.pass_by(2 * DAY_S)
    go_round(whole)
    assert until_ended(whole, path).fate is Fate.GONE


def test_a_part_that_the_user_has_deleted_keeps_the_rest(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:1")
    parts = [write_part(whole.watch_dir / "amy", number, NAMES) for number in range(3)]
    whole.until_known(parts[0])
    parts[1].unlink()
    whole.clock.pass_by(2 * DAY_S)
    go_round(whole)
    told = until_ended(whole, parts[0])
    assert told.fate is Fate.LEFT and f"{parts[1].name} is not there any more" in told.why
    assert parts[0].exists() and parts[2].exists()


def test_while_omero_is_away_nothing_goes(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:1")
    path = whole.drop("a.tif")
    whole.until_known(path)
    whole.blitz.stop()
    whole.clock.pass_by(2 * DAY_S)
    go_round(whole)
    caretaker = whole.dropbox.parts.caretaker
    whole.until("it has asked OMERO", lambda: caretaker.away)
    assert path.exists() and ended(whole, path) is None
    whole.blitz.start()
    go_round(whole)
    assert until_ended(whole, path).fate is Fate.DELETED


def test_a_directory_to_move_to_that_is_not_there_is_told_and_waited_for(
    make_whole: Make, shelf: Path
) -> None:
    away = shelf / "not mounted"
    whole = make_whole(afterImport=f"move:{away}")
    path = whole.drop("a.tif")
    whole.until_known(path)
    left = f"left.{whole.watch_dir / 'amy'}"
    whole.until("status tells", lambda: str(away) in whole.dropbox.figures().get(left, ""))
    assert path.exists() and not away.exists()
    away.mkdir()
    go_round(whole)
    assert until_ended(whole, path).fate is Fate.MOVED
    whole.until("it is told no more", lambda: left not in whole.dropbox.figures())


def test_each_user_has_a_rule(make_whole: Make, tmp_path: Path) -> None:
    mine = tmp_path / "zak's"
    mine.mkdir()
    whole = make_whole(
        importUsers="amy;zak", watchDir=f";{mine}", afterImport="delete-after:0;keep"
    )
    path = whole.drop("a.tif")
    other = mine / "b.tif"
    other.write_bytes(whole.drop("c.tif", "amy").read_bytes()[:-1] + b"x")
    whole.until_known(path, other)
    until_ended(whole, path)
    assert not path.exists() and other.exists()


def test_a_copy_that_was_skipped_stays(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:1")
    path = whole.drop("a.tif")
    whole.until_known(path)
    copy = path.with_name("copy.tif")
    copy.write_bytes(path.read_bytes())
    whole.until_known(copy, states=(State.SKIPPED,))
    whole.clock.pass_by(2 * DAY_S)
    go_round(whole)
    until_ended(whole, path)
    assert copy.exists() and not path.exists()


def test_emptied_directories_are_removed_after_an_hour_if_wanted(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:0", tidyDirectories="True")
    path = whole.drop("day 1/series 2/a.tif")
    beside = whole.watch_dir / "amy" / "day 2"
    beside.mkdir()
    whole.until_known(path)
    until_ended(whole, path)
    go_round(whole)
    assert path.parent.is_dir(), "somebody may put new files there now"
    whole.clock.pass_by(2 * 3600)
    go_round(whole)
    whole.until("they are gone", lambda: not path.parent.parent.exists())
    assert beside.is_dir() and (whole.watch_dir / "amy").is_dir()
    whole.until("nothing is left to do", lambda: not whole.journal.afterwards.emptied())


def test_directories_stay_by_default(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:0")
    path = whole.drop("day 1/a.tif")
    whole.until_known(path)
    until_ended(whole, path)
    assert not whole.journal.afterwards.emptied()
    assert path.parent.is_dir()


def test_a_rule_that_keeps_again_stops_it(make_whole: Make) -> None:
    whole = make_whole(afterImport="delete-after:1")
    path = whole.drop("a.tif")
    whole.until_known(path)
    whole.stop_dropbox()
    whole.clock.pass_by(2 * DAY_S)
    whole.start_dropbox(afterImport="keep")
    second = whole.drop("b.tif")
    whole.until_known(second)
    go_round(whole)
    whole.until_settled()
    assert path.exists() and second.exists()
