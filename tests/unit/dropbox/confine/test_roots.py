"""Roots: the directory that was taken, and no other, whoever puts one in its place."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.confine import (
    is_there,
    listing,
    open_beneath,
    roots,
    stat_beneath,
)
from omero_fs_plugin.dropbox.confine import (
    taken as taken_module,
)
from omero_fs_plugin.dropbox.confine.roots import RootChanged, RootMissing, Roots
from omero_fs_plugin.dropbox.disks.calls import HUNG_S, Calls, RootAway
from omero_fs_plugin.dropbox.grouping.userfiles import UserFiles
from omero_fs_plugin.dropbox.settling import groupers
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.links import Mount, reach
from tests.clocks import Ahead

pytestmark = pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="there is no openat")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """amy's, who may put into it what she likes; the way to it is the admin's."""
    directory = tmp_path / "home" / "amy"
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    return directory


@pytest.fixture
def mine(home: Path) -> Path:
    """The directory that a rule names."""
    (home / "myData" / "day 1").mkdir(parents=True)
    (home / "myData" / "day 1" / "a.tif").write_bytes(b"amy's")
    return home / "myData"


@pytest.fixture
def zaks(tmp_path: Path) -> Path:
    directory = tmp_path / "home" / "zak"
    (directory / "day 1").mkdir(parents=True)
    (directory / "day 1" / "a.tif").write_bytes(b"zak's")
    return directory


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Roots]:
    """Makes roots of directories, and takes them."""
    fresh = Roots()
    for module in ("", ".roots"):
        monkeypatch.setattr(f"omero_fs_plugin.dropbox.confine{module}.ROOTS", fresh)

    def take(*paths: Path, **apart: Path) -> Roots:
        fresh.apply(map(str, paths), {name: str(where) for name, where in apart.items()})
        for path in paths:
            fresh.look(str(path))
        return fresh

    return take


def content(root: Path, path: Path) -> bytes:
    with os.fdopen(open_beneath(str(root), str(path)), "rb") as file:
        return file.read()


def a_link(mine: Path, zaks: Path) -> None:
    mine.rename(mine.with_name("old"))
    mine.symlink_to(zaks)


def a_link_to_itself(mine: Path, zaks: Path) -> None:
    mine.rename(mine.with_name("old"))
    mine.symlink_to(mine.with_name("old"))


def another_directory(mine: Path, zaks: Path) -> None:
    mine.rename(mine.with_name("old"))
    zaks.rename(mine)


def a_file(mine: Path, zaks: Path) -> None:
    mine.rename(mine.with_name("old"))
    mine.write_bytes(b"no directory")


SWAPS = [a_link, a_link_to_itself, another_directory, a_file]


class TestASwappedRoot:
    @pytest.mark.parametrize("swap", SWAPS)
    def test_is_not_followed_by_any_act(
        self,
        taken: Callable[..., Roots],
        mine: Path,
        zaks: Path,
        swap: Callable[[Path, Path], None],
    ) -> None:
        all_roots = taken(mine)
        path = mine / "day 1" / "a.tif"
        assert content(mine, path) == b"amy's"
        swap(mine, zaks)
        with pytest.raises(RootChanged):
            open_beneath(str(mine), str(path))
        with pytest.raises(RootChanged):
            stat_beneath(str(mine), str(path))
        with pytest.raises(RootChanged), listing(str(mine), str(mine / "day 1")):
            pass
        assert not is_there(str(mine))
        assert all_roots.trouble(str(mine))

    @pytest.mark.parametrize("swap", SWAPS)
    def test_is_followed_again_when_what_was_taken_is_back(
        self,
        taken: Callable[..., Roots],
        mine: Path,
        zaks: Path,
        swap: Callable[[Path, Path], None],
    ) -> None:
        all_roots = taken(mine)
        swap(mine, zaks)
        all_roots.look(str(mine))
        if swap is another_directory:
            mine.rename(zaks)
        else:
            mine.unlink()
        mine.with_name("old").rename(mine)
        assert content(mine, mine / "day 1" / "a.tif") == b"amy's"
        assert all_roots.trouble(str(mine)) == ""

    def test_is_taken_by_a_reload_if_it_is_a_directory(
        self, taken: Callable[..., Roots], mine: Path, zaks: Path
    ) -> None:
        taken(mine)
        another_directory(mine, zaks)
        all_roots = taken(mine)
        assert all_roots.trouble(str(mine)) == ""
        assert content(mine, mine / "day 1" / "a.tif") == b"zak's"

    def test_is_not_taken_by_a_reload_if_it_is_a_link(
        self, taken: Callable[..., Roots], mine: Path, zaks: Path
    ) -> None:
        taken(mine)
        a_link(mine, zaks)
        assert "is a symbolic link" in taken(mine).trouble(str(mine))
        with pytest.raises(RootChanged):
            content(mine, mine / "day 1" / "a.tif")

    def test_on_the_way_to_it(self, taken: Callable[..., Roots], home: Path, zaks: Path) -> None:
        root = home / "lab" / "myData"
        root.mkdir(parents=True)
        (zaks / "myData").mkdir()
        all_roots = taken(root)
        a_link(home / "lab", zaks)
        with pytest.raises(RootChanged, match="is a symbolic link"):
            all_roots.open(str(root))


class TestBelowARoot:
    def test_a_link_in_the_middle_is_refused(
        self, taken: Callable[..., Roots], mine: Path, zaks: Path
    ) -> None:
        taken(mine)
        a_link(mine / "day 1", zaks / "day 1")
        with pytest.raises(ImportRefused, match="symbolic link"):
            content(mine, mine / "day 1" / "a.tif")
        assert stat_beneath(str(mine), str(mine / "day 1" / "a.tif")) is None

    def test_a_users_directory_that_is_a_link_is_not_followed(
        self, taken: Callable[..., Roots], tmp_path: Path, zaks: Path
    ) -> None:
        everyones = tmp_path / "DropBox"
        everyones.mkdir()
        (everyones / "amy").symlink_to(zaks)
        all_roots = taken(everyones)
        amys = everyones / "amy"
        with pytest.raises(RootChanged, match="over a symbolic link"):
            content(amys, amys / "day 1" / "a.tif")
        assert all_roots.trouble(str(everyones)) == "", "which is no fault of all the others"

    def test_a_users_directory_may_come_later(
        self, taken: Callable[..., Roots], tmp_path: Path
    ) -> None:
        everyones = tmp_path / "DropBox"
        everyones.mkdir()
        taken(everyones)
        amys = everyones / "amy"
        with pytest.raises(FileNotFoundError):
            content(amys, amys / "a.tif")
        amys.mkdir()
        (amys / "a.tif").write_bytes(b"new")
        assert content(amys, amys / "a.tif") == b"new"

    def test_a_file_is_gone_with_its_users_directory_but_not_with_the_root(
        self, taken: Callable[..., Roots], tmp_path: Path
    ) -> None:
        everyones = tmp_path / "DropBox"
        amys = everyones / "amy"
        amys.mkdir(parents=True)
        taken(everyones)
        amys.rmdir()
        with pytest.raises(FileNotFoundError):
            content(amys, amys / "a.tif")
        everyones.rmdir()
        with pytest.raises(RootMissing):
            content(amys, amys / "a.tif")


class TestWhatMayBeARoot:
    def test_an_admins_link_is_followed(
        self, taken: Callable[..., Roots], tmp_path: Path, zaks: Path
    ) -> None:
        link = tmp_path / "DropBox"
        link.symlink_to(Path("home", "..", "home", "zak"))
        all_roots = taken(link)
        assert content(link, link / "day 1" / "a.tif") == b"zak's"
        assert all_roots.real(str(link)) == str(zaks)

    def test_where_an_admins_link_leads_otherwise_it_is_not_followed_until_a_reload(
        self, taken: Callable[..., Roots], tmp_path: Path, zaks: Path, mine: Path
    ) -> None:
        link = tmp_path / "DropBox"
        link.symlink_to(zaks)
        taken(link)
        link.unlink()
        link.symlink_to(mine.with_name("new"))
        mine.rename(mine.with_name("new"))
        with pytest.raises(RootChanged):
            content(link, link / "day 1" / "a.tif")

    def test_what_is_not_there_yet_is_taken_when_it_comes(
        self, taken: Callable[..., Roots], home: Path
    ) -> None:
        root = home / "later"
        all_roots = taken(root)
        assert all_roots.trouble(str(root)) == ""
        root.mkdir()
        os.close(all_roots.open(str(root)))
        assert all_roots.real(str(root)) == str(root)

    @pytest.mark.parametrize("where", ["", "inside", ".."])
    def test_nothing_that_is_omeros_own(
        self, taken: Callable[..., Roots], tmp_path: Path, where: str
    ) -> None:
        repository = tmp_path / "OMERO" / "ManagedRepository"
        (repository / "inside").mkdir(parents=True)
        link = tmp_path / "DropBox"
        link.symlink_to(repository / where)
        assert "the repository" in taken(link, **{"the repository": repository}).trouble(str(link))
        with pytest.raises(RootChanged):
            content(link, link / "a.tif")

    def test_omeros_data_may_lie_in_omerodir(
        self, taken: Callable[..., Roots], tmp_path: Path
    ) -> None:
        (tmp_path / "server" / "data" / "DropBox").mkdir(parents=True)
        (tmp_path / "server" / "etc").mkdir()
        apart = {"OMERODIR": tmp_path / "server", "omero.data.dir": tmp_path / "server" / "data"}
        well, ill = tmp_path / "server" / "data" / "DropBox", tmp_path / "server" / "etc"
        all_roots = taken(well, ill, **apart)
        assert all_roots.trouble(str(well)) == ""
        assert "it lies in OMERODIR" in all_roots.trouble(str(ill))

    @pytest.mark.parametrize("first", [True, False])
    def test_two_of_one_directory(
        self, taken: Callable[..., Roots], tmp_path: Path, zaks: Path, first: bool
    ) -> None:
        link = tmp_path / "amys"
        link.symlink_to(zaks)
        both = (link, zaks) if first else (zaks, link)
        all_roots = taken(*both)
        assert "the same directory" in all_roots.trouble(str(link))
        assert all_roots.trouble(str(zaks)) == ""

    def test_one_in_another_whose_name_does_not_say_so(
        self, taken: Callable[..., Roots], tmp_path: Path, zaks: Path
    ) -> None:
        link = tmp_path / "amys"
        link.symlink_to(zaks / "day 1")
        assert "lies in the other" in taken(zaks, link).trouble(str(link))

    def test_what_no_rule_names_any_more_is_in_nobodys_way(
        self, taken: Callable[..., Roots], tmp_path: Path, zaks: Path
    ) -> None:
        link = tmp_path / "amys"
        link.symlink_to(zaks)
        taken(zaks)
        all_roots = taken(link)
        assert all_roots.trouble(str(link)) == ""
        assert content(link, link / "day 1" / "a.tif") == b"zak's"
        assert content(zaks, zaks / "day 1" / "a.tif") == b"zak's", "it may be under way"
        zaks.rename(tmp_path / "old")
        zaks.mkdir()
        with pytest.raises(RootChanged):
            content(zaks, zaks / "day 1" / "a.tif")

    def test_one_in_another_by_its_name(self, taken: Callable[..., Roots], tmp_path: Path) -> None:
        (tmp_path / "DropBox" / "amy").mkdir(parents=True)
        link = tmp_path / "linked"
        link.symlink_to(tmp_path / "DropBox")
        both = (link, link / "amy")
        all_roots = taken(*both)
        assert [all_roots.trouble(str(one)) for one in both] == ["", ""]


class TestMounts:
    """What an admin mounts is taken at once; what a user can do is not a mount."""

    LOCAL = Mount("29", "8:1", "/", "/", "ext4", "/dev/sda1")
    SHARE = Mount("77", "0:55", "/", "/home", "nfs4", "nas:/home")

    @pytest.fixture
    def mounted(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mount], None]:
        def mount(mount: Mount) -> None:
            monkeypatch.setattr(taken_module, "mount_of", lambda descriptor: mount)

        return mount

    @pytest.fixture
    def exchanged(self, mine: Path, zaks: Path) -> Callable[[], None]:
        return lambda: another_directory(mine, zaks)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param(LOCAL, SHARE, id="a share that came late"),
            pytest.param(SHARE, replace(SHARE, device="0:56"), id="under another device number"),
            pytest.param(SHARE, replace(SHARE, number="78"), id="as another mount"),
            pytest.param(SHARE, replace(SHARE, source="nas2:/home"), id="from another server"),
        ],
    )
    def test_is_taken(
        self,
        taken: Callable[..., Roots],
        mine: Path,
        mounted: Callable[[Mount], None],
        exchanged: Callable[[], None],
        before: Mount,
        after: Mount,
    ) -> None:
        mounted(before)
        all_roots = taken(mine)
        mounted(after)
        exchanged()
        assert content(mine, mine / "day 1" / "a.tif") == b"zak's"
        assert all_roots.trouble(str(mine)) == ""

    def test_that_went_is_away(
        self,
        taken: Callable[..., Roots],
        mine: Path,
        mounted: Callable[[Mount], None],
        exchanged: Callable[[], None],
    ) -> None:
        mounted(self.SHARE)
        taken(mine)
        mounted(self.LOCAL)
        exchanged()
        with pytest.raises(RootChanged, match=r"nas:/home \(nfs4\) on /home is not mounted"):
            content(mine, mine / "day 1" / "a.tif")

    @pytest.mark.parametrize("kind", ["fuse.sshfs", "overlay", "cifs"])
    def test_where_numbers_do_not_last_the_way_counts(
        self,
        taken: Callable[..., Roots],
        mine: Path,
        zaks: Path,
        mounted: Callable[[Mount], None],
        kind: str,
    ) -> None:
        mounted(replace(self.SHARE, type=kind))
        taken(mine)
        another_directory(mine, zaks)  # as when it is given another number
        assert content(mine, mine / "day 1" / "a.tif") == b"zak's"
        mine.rename(zaks)
        mine.symlink_to(zaks)
        with pytest.raises(RootChanged):
            content(mine, mine / "day 1" / "a.tif")

    def test_of_an_open_directory_is_told(self, tmp_path: Path) -> None:
        descriptor, _ = reach(str(tmp_path))
        mount = taken_module.mount_of(descriptor)
        os.close(descriptor)
        assert mount is not None
        assert str(tmp_path).startswith(mount.point)


class TestReach:
    """Which links lead on is a matter of who may make them."""

    def test_the_way_is_told_apart(self, mine: Path) -> None:
        descriptor, route = reach(str(mine / "day 1"))
        os.close(descriptor)
        assert route.fixed == str(mine.parent)
        assert route.rest == ("myData", "day 1")
        assert route.real == str(mine / "day 1")
        found = (mine / "day 1").stat()
        assert route.identity == (found.st_dev, found.st_ino)
        assert len(route.above) == len((mine / "day 1").parts)

    @pytest.mark.parametrize(("mode", "followed"), [(0o755, True), (0o777, False), (0o1777, True)])
    def test_by_the_mode_of_the_directory_that_it_is_in(
        self, tmp_path: Path, mode: int, followed: bool
    ) -> None:
        (tmp_path / "target").mkdir()
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "link").symlink_to(tmp_path / "target")
        (tmp_path / "in").chmod(mode)
        if followed:
            descriptor, route = reach(str(tmp_path / "in" / "link"))
            os.close(descriptor)
            assert route.real == str(tmp_path / "target")
        else:
            with pytest.raises(OSError, match="is a symbolic link") as told:
                reach(str(tmp_path / "in" / "link"))
            assert told.value.errno == errno.ELOOP

    def test_a_circle_of_links_ends(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(OSError, match="too many"):
            reach(str(tmp_path / "a"))

    def test_no_descriptor_is_left_open(self, tmp_path: Path, mine: Path) -> None:
        before = {path.name for path in Path("/proc/self/fd").iterdir()}
        descriptor, _ = reach(f"{mine}/../myData/day 1/..")
        os.close(descriptor)
        for wrong in (mine / "none", mine / "day 1" / "a.tif"):
            with pytest.raises(OSError):
                reach(str(wrong))
        assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


def test_what_lies_around_a_file_is_listed_over_no_link(
    taken: Callable[..., Roots], mine: Path, zaks: Path
) -> None:
    taken(mine)
    (zaks / "day 1" / "zak's.companion.ome").write_bytes(b"")
    asked = str(mine / "day 1" / "a.tif")
    (mine / "day 1" / "amy's.companion.ome").write_bytes(b"")
    assert UserFiles(str(mine)).names(str(mine / "day 1")) == ("a.tif", "amy's.companion.ome")
    assert groupers._indexes(str(mine), [asked]) == [str(mine / "day 1" / "amy's.companion.ome")]
    a_link(mine / "day 1", zaks / "day 1")
    assert UserFiles(str(mine)).names(str(mine / "day 1")) == ()
    assert groupers._indexes(str(mine), [asked]) == []


def test_omeros_own_directories_are_calls_to_their_own_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If that of OMERODIR hangs, it is named, and not a user's directory."""
    (tmp_path / "amy").mkdir()
    omerodir = str(tmp_path / "omero")
    clock = Ahead()
    calls = Calls(clock)
    monkeypatch.setattr(roots, "CALLS", calls)
    begun, go = threading.Event(), threading.Event()

    def hang() -> None:
        with calls.at(omerodir):
            begun.set()
            assert go.wait(10)

    thread = threading.Thread(target=hang)
    thread.start()
    assert begun.wait(10)
    clock.ahead += HUNG_S
    mine = Roots()
    mine.apply([f"{tmp_path}/amy"], {"OMERODIR": omerodir})
    with pytest.raises(RootAway) as away, calls.at(f"{tmp_path}/amy"):
        mine.open(f"{tmp_path}/amy")
    assert away.value.root == omerodir
    assert calls.answers(f"{tmp_path}/amy")
    go.set()
    thread.join()
    os.close(mine.open(f"{tmp_path}/amy"))
