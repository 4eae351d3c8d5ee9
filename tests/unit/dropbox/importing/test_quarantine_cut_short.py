"""Moves into quarantine, and back, that were cut short: somebody finishes or undoes each of them.

By a kill, a disk that is away, a journal that does not answer, or an older journal that was put
in its place.  In the end each file lies once, and where it will be looked for.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.importing import moving, returning
from omero_fs_plugin.dropbox.importing import quarantine as quarantine_module
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.database import JournalAway
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME, RETURNING, Way
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service.parts import Parts
from omero_fs_plugin.events import FileStat
from tests.parts import in_parts_of
from tests.rules import places_of

from .test_quarantine_stores import Kill, Killed, World, each_change, is_whole, two_disks, world

__all__ = ["two_disks", "world"]  # fixtures


class Site:
    """amy's directory, and a quarantine."""

    def __init__(self, place: Path, journal: Journal) -> None:
        self.place, self.journal = place, journal
        self.home, self.vault = place / "DropBox" / "amy", place / "failed"
        self.home.mkdir(parents=True)
        self.quarantine = self.begun()

    def begun(self, directory: Path | None = None) -> Quarantine:
        """That of a DropBox that has just begun; by default with this quarantine."""
        places = places_of(self.home.parent)
        return Quarantine(directory or self.vault, places, self.journal)

    def without(self) -> Quarantine:
        """That of a DropBox that has just begun, where there is no quarantine any more."""
        return Quarantine(None, places_of(self.home.parent), self.journal)

    def failed(self, *names: str) -> Fileset:
        """A set of these files, each with its name in it."""
        met = []
        for name in names:
            path = self.home / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name)
            met.append(Found(str(path), FileStat.of(path.lstat())))
        identifier, _ = self.journal.form(Formed("amy", str(self.home), met))
        assert identifier is not None
        self.journal.move(identifier, State.QUEUED, State.FAILED, "unknown format")
        return self.now(identifier)

    def now(self, identifier: int) -> Fileset:
        (row,) = self.journal.load([identifier])
        return row

    def there(self, fileset: Fileset, name: str) -> Path:
        return self.vault / "amy" / str(fileset.id) / name

    def dies(self, module: Any, name: str, act: Callable[[], object]) -> None:
        """`act` is killed as it calls the function."""
        with mock.patch.object(module, name, side_effect=Killed), suppress(Killed):
            act()

    def moved_but_not_recorded(self, fileset: Fileset) -> None:
        self.dies(quarantine_module, "_tell", lambda: self.quarantine.take(fileset))

    @contextmanager
    def unmounted(self, *made: str) -> Iterator[None]:
        """A directory with nothing but these directories is in the place of the quarantine."""
        disk, below = self.place / "disk", [self.vault / name for name in made]
        self.vault.rename(disk)
        for directory in (self.vault, *below):
            directory.mkdir()
        yield
        assert list(self.vault.rglob("*")) == below, "nothing is made where the disk is to be"
        for directory in (*below, self.vault):
            directory.rmdir()
        disk.rename(self.vault)

    def tend(self, quarantine: Quarantine, root: Path | None = None) -> None:
        """DropBox goes on for some minutes."""
        lanes = Lanes()
        parts = Parts(
            **{one.name: mock.Mock() for one in fields(Parts)}
            | {"quarantine": quarantine, "lanes": lanes}
        )
        with (
            mock.patch.object(quarantine._forsaken, "looks", lambda now: True),
            mock.patch.object(self.journal, "now", lambda: time.time() + 1000.0),
        ):
            parts.tend()
            for lane in ("", str(root or self.home)):  # what the first hands on is in the second
                done = threading.Event()
                lanes.do(lane, done.set, beside="quarantine")
                assert done.wait(20.0)
        assert lanes.stop(time.monotonic() + 20.0)

    def lie(self, *names: str) -> list[Path]:
        """Where the files with these names are; each lies once, with its bytes."""
        found = []
        for name in names:
            (path,) = [path for path in self.place.rglob(Path(name).name) if path.is_file()]
            assert path.read_text() == name
            found.append(path)
        return found


@pytest.fixture
def site(tmp_path: Path, journal: Journal) -> Site:
    return Site(tmp_path, journal)


@pytest.fixture(params=[1, 2], ids=["one disk", "two disks"])
def disks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """On how many disks amy's directory and the quarantine lie."""
    if request.param == 2:
        request.getfixturevalue("two_disks")
        real = os.link

        def link(one: Any, other: Any, **more: Any) -> None:
            sides = {
                Path(f"/proc/self/fd/{more[end]}").readlink().is_relative_to(tmp_path / "failed")
                for end in ("src_dir_fd", "dst_dir_fd")
            }
            if len(sides) == 2:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            real(one, other, **more)

        monkeypatch.setattr(os, "link", link)
    return int(request.param)


@pytest.mark.parametrize("then", ["goes again", "comes home"])
def test_a_file_that_was_on_its_way_back_lies_once(site: Site, disks: int, then: str) -> None:
    """A kill came before the name, or the copy, in quarantine was removed."""
    fileset = site.failed("a.tif")
    site.moved_but_not_recorded(fileset)
    site.dies(moving, "remove_source", site.without().sweep)
    assert len(list(site.place.rglob("a.tif"))) == 2
    later = site.begun() if then == "goes again" else site.without()
    later.sweep()
    (lies,) = site.lie("a.tif")
    assert site.now(fileset.id).path == str(lies)
    assert site.journal.notes(GOES) == {}
    if then == "comes home":
        assert lies == site.home / "a.tif"
        assert site.journal.notes(HOME) == {}


@pytest.mark.parametrize("then", ["goes again", "comes home"])
def test_an_undo_that_is_killed_before_each_change(
    site: Site, monkeypatch: pytest.MonkeyPatch, disks: int, then: str
) -> None:
    """It is that of a set of two."""
    for number in itertools.count():
        names = [f"day {number}/{number} a.tif", f"day {number}/{number} b.tif"]
        fileset = site.failed(*names)
        site.moved_but_not_recorded(fileset)
        kill = Kill(number)
        with suppress(Killed), each_change(monkeypatch, kill):
            site.without().sweep()
        for _ in range(2):
            (site.begun() if then == "goes again" else site.without()).sweep()
        lie = site.lie(*names)
        row = site.now(fileset.id)
        assert [met.path for met in row.files] == [str(path) for path in lie], number
        assert site.journal.notes(GOES) == {}, number
        assert len({path.is_relative_to(site.home) for path in lie}) == 1, "a set is torn apart"
        if not kill.came:
            break
        site.journal.forget(fileset.id, "enough")
    assert number > 6


def test_what_was_given_back_is_not_taken_for_what_failed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user puts another file there as it is moved; a kill comes as that one is given back."""
    fileset = site.failed("a.tif")
    path, to = site.home / "a.tif", site.there(fileset, "a.tif")
    rename, unlink = os.rename, Path.unlink

    def exchanged(*args: Any, **more: Any) -> None:
        if more.get("src_dir_fd") is not None:
            os.unlink(path)  # noqa: PTH108
            path.write_text("mended")
        rename(*args, **more)

    def killed(self: Path, missing_ok: bool = False) -> None:
        if self == to:
            raise Killed
        unlink(self, missing_ok)

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(os, "rename", exchanged)
        patch.setattr(Path, "unlink", killed)
        site.quarantine.take(fileset)
    assert to.exists()
    site.begun().sweep()
    assert path.read_text() == "mended"
    assert not to.exists()
    assert site.now(fileset.id).path == str(path)
    assert site.journal.notes(GOES) == {} == site.journal.notes(HOME)


class TestWithoutAStart:
    """DropBox runs on."""

    @pytest.mark.parametrize("when", ["after it", "between two parts"])
    def test_the_journal_is_away_at_the_end_of_a_move(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, when: str
    ) -> None:
        names = ("a.tif", "b.tif", "c.tif")
        fileset = site.failed(*names)
        note, put = site.journal.note, quarantine_module.Journal.put_elsewhere

        def note_away(key: str, value: str) -> None:
            if key.startswith(GOES) and not value:
                raise JournalAway("the journal does not answer")
            note(key, value)

        def one_part(journal: Journal, identifier: int, root: str, found: list[Found]) -> bool:
            writing, parts = journal.database.writing, itertools.count()

            def away(**more: Any) -> Any:
                if next(parts):
                    raise JournalAway("the journal does not answer")
                return writing(**more)

            with mock.patch.object(journal.database, "writing", away):
                return put(journal, identifier, root, found)

        with monkeypatch.context() as patch, in_parts_of(1):
            if when == "after it":
                patch.setattr(site.journal, "note", note_away)
            else:
                patch.setattr(quarantine_module.Journal, "put_elsewhere", one_part)
            site.quarantine.take(fileset)
        assert site.journal.notes(GOES)
        site.tend(site.quarantine)
        assert site.journal.notes(GOES) == {}
        lie = [str(path) for path in site.lie(*names)]
        assert [met.path for met in site.now(fileset.id).files] == lie
        assert site.journal.forget(fileset.id, "enough"), "and people decide about it again"

    def test_a_disk_is_full_as_a_move_is_undone(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fileset = site.failed("a.tif", "b.tif")
        move_out = quarantine_module.move_out

        def changes(root: str, met: Found, *args: Any, **more: Any) -> bool:
            if met.path.endswith("b.tif"):
                return False
            return move_out(root, met, *args, **more)

        def full(*args: Any, **more: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(quarantine_module, "move_out", changes)
            patch.setattr(os, "link", full)
            site.quarantine.take(fileset)
        assert site.there(fileset, "a.tif").exists()
        (site.home / "b.tif").write_text("mended")
        site.tend(site.quarantine)
        assert (site.home / "a.tif").read_text() == "a.tif"
        assert not site.there(fileset, "a.tif").exists()
        assert site.journal.notes(GOES) == {} == site.journal.notes(HOME)


@pytest.mark.parametrize("late", [None, (), ("amy",)], ids=["mounted", "late", "later"])
def test_the_others_of_a_set_come_home_if_its_first_file_is_dropped_again(
    site: Site, late: tuple[str, ...] | None, disks: int
) -> None:
    """A rescan meets that before anybody has looked at the move that was cut short."""
    fileset = site.failed("a.tif", "b.tif", "c.tif")
    site.moved_but_not_recorded(fileset)
    again = site.home / "a.tif"
    again.write_text("whole")
    met = Found(str(again), FileStat.of(again.lstat()))
    site.journal.wait("amy", str(site.home), [met])
    assert len(site.now(fileset.id).files) == 1, "each of the others waits by itself"
    if late is not None:
        with site.unmounted(*late):
            site.begun().sweep()
        assert site.journal.notes(GOES)
    former = site.there(fileset, "former.tif")
    former.write_text("of another journal")
    site.begun().sweep()
    assert again.read_text() == "whole"
    assert site.there(fileset, "a.tif").read_text() == "a.tif", "there is no place for it"
    assert site.lie("b.tif", "c.tif") == [site.home / "b.tif", site.home / "c.tif"]
    assert former.read_text() == "of another journal", "nobody has said that it lay there"
    assert site.journal.notes(GOES) == {} == site.journal.notes(HOME)


@pytest.mark.parametrize("made", [(), ("amy",)], ids=["empty", "a directory is there"])
def test_a_way_home_waits_for_the_disk_of_the_quarantine(site: Site, made: tuple[str, ...]) -> None:
    """A kill came in the middle of it.  What is at home must not stay there without the rest."""
    names = ("a.tif", "b.tif")
    fileset = site.failed(*names)
    site.quarantine.take(fileset)
    move_back = returning.move_back

    def killed(at: Path, *args: Any) -> None:
        if at.name == "b.tif":
            raise Killed
        move_back(at, *args)

    with mock.patch.object(returning, "move_back", killed), suppress(Killed):
        site.quarantine.bring_back(site.now(fileset.id))
    with site.unmounted(*made):
        later = site.begun()
        later.sweep()
        assert "mount its disk" in later.stays[fileset.id]
    assert site.journal.notes(RETURNING)
    site.tend(later)
    assert site.lie(*names) == [site.home / name for name in names]
    waiting = site.journal.select(State.WAITING)
    assert sorted(one.path for one in waiting) == [str(site.home / name) for name in names]
    assert site.journal.notes(RETURNING) == {} == site.journal.notes(HOME)


def test_nothing_is_moved_to_where_the_disk_of_the_quarantine_is_to_be_mounted(site: Site) -> None:
    """It would lie hidden as soon as the disk is there."""
    before = site.failed("a.tif")
    site.quarantine.take(before)
    fileset = site.failed("b.tif")
    with site.unmounted():
        site.quarantine.take(fileset)
        (said,) = site.quarantine.staying.told().values()
        assert "mount its disk" in said
        assert site.quarantine.bring_back(site.now(before.id)) == []
        assert "mount its disk" in site.quarantine.stays[before.id]
        assert (site.home / "b.tif").exists()
    site.quarantine.take_again(fileset.id, fileset.root)
    assert site.lie("b.tif") == [site.there(fileset, "b.tif")]
    assert not site.quarantine.staying


def test_a_quarantine_that_was_emptied_is_used_again(site: Site) -> None:
    """An admin has removed all of it, and made the user's directory, as is said."""
    before = site.failed("a.tif")
    site.quarantine.take(before)
    site.there(before, "a.tif").unlink()
    user = site.vault / "amy"
    user.rename(site.place / "removed")
    user.mkdir()
    fileset = site.failed("b.tif")
    site.quarantine.take(fileset)
    assert site.lie("b.tif") == [site.there(fileset, "b.tif")]


def test_no_text_stays_of_a_move_that_was_undone(site: Site) -> None:
    fileset = site.failed("a.tif")
    with mock.patch.object(site.journal, "put_elsewhere", return_value=False):
        site.quarantine.take(fileset)
    assert site.lie("a.tif") == [site.home / "a.tif"]
    assert [path for path in site.vault.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("home", ["nothing", "another"])
def test_a_journal_that_was_put_back_takes_no_store_for_the_rest_of_a_way_home(
    world: World, home: str
) -> None:
    """It is of a moment when the store was at home.  Since then that has failed once more."""
    fileset = world.failed()
    at_home = fileset.files
    world.quarantine.take(fileset)
    at = world.in_quarantine(fileset)
    assert world.quarantine.bring_back(world.now(fileset))
    world.journal.hand_over("amy", str(world.root), *world.now(fileset).files)
    world.journal.move(fileset.id, State.QUEUED, State.FAILED, "no image")
    world.quarantine.take(world.now(fileset))
    world.assert_in_quarantine(fileset)
    # This is what the older journal has.
    world.journal.bring_home(world.now(fileset), str(world.root), at_home, f"{HOME}{fileset.id}")
    way = Way(str(world.root), str(at.parent), (str(at),))
    world.journal.note(f"{RETURNING}{fileset.id}", str(way))
    if home == "another":
        (world.root / "a.zarr").mkdir()
        (world.root / "a.zarr" / ".zgroup").write_bytes(b"new")
    world.restart()
    assert is_whole(at), "the only copy"
    assert world.journal.notes(RETURNING) == {}
    if home == "another":
        assert (world.root / "a.zarr" / ".zgroup").read_bytes() == b"new"
        stat = tree_stat(str(world.root), f"{world.root}/a.zarr/")
        assert stat is not None
        world.journal.hand_over("amy", str(world.root), Found(f"{world.root}/a.zarr/", stat))
        world.journal.move(fileset.id, State.QUEUED, State.FAILED, "no image")
        world.quarantine.take(world.now(fileset))
        assert is_whole(at)
        assert "something else lies there" in next(iter(world.quarantine.staying.told().values()))


@pytest.mark.parametrize("named", ["other", ""])
def test_a_reload_names_another_quarantine_as_a_move_begins(site: Site, named: str) -> None:
    """A kill comes before that move is recorded."""
    fileset = site.failed("a.tif")
    alone = site.quarantine._alone

    def reloaded(*args: Any) -> Any:
        site.quarantine.directory = site.place / named if named else None
        return alone(*args)

    with mock.patch.object(site.quarantine, "_alone", reloaded):
        site.moved_but_not_recorded(fileset)
    assert site.there(fileset, "a.tif").exists()
    (site.begun(site.place / named) if named else site.without()).sweep()
    (lies,) = site.lie("a.tif")
    assert site.now(fileset.id).path == str(lies)
    assert not lies.is_relative_to(site.vault)
    assert site.journal.notes(GOES) == {}


@pytest.mark.parametrize("way", ["out", "back"])
def test_a_set_is_killed_before_each_change(
    site: Site, monkeypatch: pytest.MonkeyPatch, disks: int, way: str
) -> None:
    for number in itertools.count():
        names = [f"day {number}/{number} a.tif", f"day {number}/{number} b.tif"]
        fileset = site.failed(*names)
        if way == "back":
            site.quarantine.take(fileset)
        kill = Kill(number)
        with suppress(Killed), each_change(monkeypatch, kill):
            if way == "out":
                site.quarantine.take(fileset)
            else:
                site.quarantine.bring_back(site.now(fileset.id))
        later = site.begun()
        later.sweep()
        later.sweep()
        lie = site.lie(*names)
        assert len({path.is_relative_to(site.home) for path in lie}) == 1, "a set is torn apart"
        if way == "out":
            assert lie[0] == site.there(fileset, names[0])
        row = site.now(fileset.id)
        if row.state is State.FAILED:
            assert [met.path for met in row.files] == [str(path) for path in lie], number
        else:
            waiting = {one.path for one in site.journal.select(State.WAITING)}
            assert {str(path) for path in lie} <= waiting, number
        assert site.journal.notes(GOES) == {} == site.journal.notes(RETURNING), number
        if not kill.came:
            break
        site.journal.forget(fileset.id, "enough")
    assert number > 10


@pytest.mark.parametrize(
    ("way", "disks"), [("out", 1), ("back", 1), ("back", 2)], indirect=["disks"]
)
def test_the_user_drops_another_file_before_each_change(
    site: Site, monkeypatch: pytest.MonkeyPatch, disks: int, way: str
) -> None:
    """It has the name of one of a set.  Nothing is lost but what the user replaces."""
    for number in itertools.count():
        names = [f"day {number}/{number} a.tif", f"day {number}/{number} b.tif"]
        fileset = site.failed(*names)
        if way == "back":
            site.quarantine.take(fileset)
        home, done = site.home / names[0], itertools.count()
        replaced: list[bool] = []

        def drop(
            call: str,
            what: Any,
            home: Path = home,
            done: Iterator[int] = done,
            replaced: list[bool] = replaced,
            number: int = number,
        ) -> None:
            if next(done) == number:
                replaced.append(home.exists())
                new = home.with_name("new")
                new.write_text("new")
                new.replace(home)

        with each_change(monkeypatch, drop):
            if way == "out":
                site.quarantine.take(fileset)
            else:
                site.quarantine.bring_back(site.now(fileset.id))
        if not replaced:
            break
        assert home.read_text() == "new", number
        met = Found(str(home), FileStat.of(home.lstat()))
        site.journal.wait("amy", str(site.home), [met])  # a rescan meets it
        later = site.begun()
        later.sweep()
        later.sweep()
        assert home.read_text() == "new", number
        found = [path.read_text() for path in site.place.rglob(f"{number} ?.tif")]
        assert (found.count("new"), found.count(names[1])) == (1, 1), number
        assert replaced[0] or found.count(names[0]) == 1, number
        assert site.journal.notes(GOES) == {} == site.journal.notes(RETURNING), number
    assert number > 6


class TestWithoutHardLinks:
    """As on exFAT and over SMB, or where the kernel allows no links to the files of others."""

    @pytest.fixture(autouse=True, params=[errno.EPERM, errno.EOPNOTSUPP], ids=["EPERM", "none"])
    def no_links(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(*_: Any, **more: Any) -> None:
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(os, "link", refused)

    @pytest.mark.parametrize("copied", [False, True], ids=["in one step", "as a copy"])
    def test_it_comes_home(self, site: Site, monkeypatch: pytest.MonkeyPatch, copied: bool) -> None:
        fileset = site.failed("a.tif")
        inode = (site.home / "a.tif").stat().st_ino
        site.quarantine.take(fileset)
        if copied:
            monkeypatch.setattr(moving, "_is_renamed", lambda *_: False)
        assert site.quarantine.bring_back(site.now(fileset.id)) == [str(site.home / "a.tif")]
        assert site.lie("a.tif") == [site.home / "a.tif"]
        assert ((site.home / "a.tif").stat().st_ino == inode) is not copied
        assert [path.name for path in site.home.iterdir()] == ["a.tif"]

    @pytest.mark.parametrize("renames", [True, False], ids=["in one step", "as a copy"])
    def test_never_over_what_the_user_drops_at_this_moment(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, renames: bool
    ) -> None:
        fileset = site.failed("a.tif")
        site.quarantine.take(fileset)
        real = moving.rename_to_free

        def dropped(*args: Any) -> None:
            (site.home / "a.tif").write_text("new")
            real(*args)

        monkeypatch.setattr(moving, "rename_to_free", dropped)
        if not renames:
            monkeypatch.setattr(moving, "_is_renamed", lambda *_: False)
        assert site.quarantine.bring_back(site.now(fileset.id)) == []
        assert (site.home / "a.tif").read_text() == "new"
        assert site.there(fileset, "a.tif").read_text() == "a.tif"
        assert [path.name for path in site.home.iterdir()] == ["a.tif"]

    def test_what_the_user_puts_there_as_it_is_moved_is_given_back(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fileset = site.failed("a.tif")
        path, rename = site.home / "a.tif", os.rename

        def exchanged(*args: Any, **more: Any) -> None:
            if more.get("src_dir_fd") is not None:
                path.unlink()
                path.write_text("mended")
            rename(*args, **more)

        monkeypatch.setattr(os, "rename", exchanged)
        site.quarantine.take(fileset)
        assert path.read_text() == "mended"
        assert not site.there(fileset, "a.tif").exists()
