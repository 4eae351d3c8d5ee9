"""A store goes into a quarantine on another disk and comes back: whole, and through any kill."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.disks.calls import CALLS, HUNG_S
from omero_fs_plugin.dropbox.importing.alone import Busy, alone
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.database import JournalAway
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from tests.clocks import Ahead
from tests.rules import places_of

FILES = {".zgroup": b"{}", "0/.zarray": b"[]", "0/0.0": b"first chunk", "0/1.0": b"second chunk"}


class Killed(BaseException):
    """Nothing of ours may handle it."""


class World:
    """amy's directory and a quarantine on another disk."""

    def __init__(self, place: Path, journal: Journal) -> None:
        self.root = place / "DropBox" / "amy"
        self.vault = place / "failed"
        self.root.mkdir(parents=True)
        self.journal = journal
        self.start()

    def start(self) -> None:
        """A DropBox starts."""
        self.quarantine = Quarantine(self.vault, places_of(self.root.parent), self.journal)

    def restart(self) -> None:
        self.start()
        self.quarantine.sweep()

    def failed(self, name: str = "a.zarr") -> Fileset:
        """A store that has failed; `name` is that of its directory."""
        top = self.root / name
        for inner, content in FILES.items():
            (top / inner).parent.mkdir(parents=True, exist_ok=True)
            (top / inner).write_bytes(content)
        (top / "empty").mkdir()
        (top / "link").symlink_to("/etc/passwd")
        stat = tree_stat(str(self.root), f"{top}/")
        assert stat is not None
        fileset = self.journal.hand_over("amy", str(self.root), Found(f"{top}/", stat))
        self.journal.move(fileset.id, State.QUEUED, State.FAILED, "no image")
        return self.now(fileset)

    def now(self, fileset: Fileset) -> Fileset:
        return self.journal.load([fileset.id])[0]

    def in_quarantine(self, fileset: Fileset, name: str = "a.zarr") -> Path:
        return self.vault / "amy" / str(fileset.id) / name

    def names(self) -> set[str]:
        """What lies at the top of her directory, hidden or not."""
        return {path.name for path in self.root.iterdir()}

    def assert_in_quarantine(self, fileset: Fileset, name: str = "a.zarr") -> None:
        to = self.in_quarantine(fileset, name)
        assert is_whole(to)
        assert {path.name for path in to.parent.iterdir()} == {name}
        assert name not in self.names() and not hidden(self.root)
        now = self.now(fileset)
        assert (now.state, now.path, now.root) == (State.FAILED, f"{to}/", str(to.parent))
        assert now.files[0].stat == tree_stat(str(to.parent), f"{to}/")
        assert to.parent.with_name(f"{fileset.id}.txt").exists()

    def assert_at_home(self, fileset: Fileset, name: str = "a.zarr") -> None:
        assert is_whole(self.root / name)
        assert not hidden(self.root)
        left = self.in_quarantine(fileset, name).parent
        assert not left.exists() or list(left.iterdir()) == []
        now = self.now(fileset)
        assert (now.state, now.path, now.root) == (
            State.WAITING,
            f"{self.root / name}/",
            str(self.root),
        )
        assert self.journal.notes("returning ") == {} == self.journal.notes("quarantined ")


def is_whole(top: Path) -> bool:
    """Whether the directory is the store, and nothing more."""
    if not top.is_dir():
        return False
    files = {str(p.relative_to(top)): p for p in top.rglob("*") if not p.is_dir()}
    link = files.pop("link", None)
    if link is None or str(link.readlink()) != "/etc/passwd" or not (top / "empty").is_dir():
        return False
    return {name: path.read_bytes() for name, path in files.items()} == FILES


def hidden(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.startswith(".")]


@pytest.fixture
def world(tmp_path: Path, journal: Journal, two_disks: None) -> Iterator[World]:
    made = World(tmp_path, journal)
    ROOTS.apply([str(made.root.parent)], {})
    yield made
    ROOTS.apply([], {})


@pytest.fixture
def two_disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The quarantine lies on another disk: nothing is renamed from one to the other."""
    real = os.rename

    def rename(
        old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        sides = {
            Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(tmp_path / "failed")
            for fd in (src_dir_fd, dst_dir_fd)
            if fd is not None
        }
        if len(sides) == 2:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", rename)


# What changes something on a disk or in the journal.  A kill between two of these is a kill before
# the second.
CHANGES = (
    *((os, name) for name in ("rename", "link", "unlink", "rmdir", "mkdir", "symlink")),
    *((os, name) for name in ("write", "fchmod", "utime", "open")),
    *((Path, name) for name in ("unlink", "mkdir", "write_text")),
    *((Journal, name) for name in ("note", "put_elsewhere", "bring_home")),
)


@contextmanager
def each_change(patch: pytest.MonkeyPatch, act: Callable[[str, Any], None]) -> Iterator[None]:
    """Calls `act` with the name of each change, and its first argument, just before it is made."""
    here = threading.get_ident()
    with patch.context() as inner:
        for owner, name in CHANGES:
            kept = getattr(owner, name)

            def step(*args: Any, real: Any = kept, name: str = name, **more: Any) -> Any:
                makes = name != "open" or (len(args) > 1 and args[1] & os.O_CREAT)
                if makes and threading.get_ident() == here:
                    act(name, args[0])
                return real(*args, **more)

            inner.setattr(owner, name, step)
        yield


class Kill:
    """A kill -9 before the change with this number: from then on this process does nothing."""

    def __init__(self, at: int) -> None:
        self.at, self.done = at, 0

    def __call__(self, name: str, what: Any) -> None:
        self.done += 1
        if self.done > self.at:
            raise Killed

    @property
    def came(self) -> bool:
        return self.done > self.at


def test_it_is_carried_there_and_back(world: World) -> None:
    fileset = world.failed()
    (world.root / "a.zarr" / "0").chmod(0o750)
    mtime = (world.root / "a.zarr" / "0" / "0.0").stat().st_mtime_ns
    world.quarantine.take(fileset)
    world.assert_in_quarantine(fileset)
    to = world.in_quarantine(fileset)
    assert (to / "0").stat().st_mode & 0o777 == 0o750
    assert (to / "0" / "0.0").stat().st_mtime_ns == mtime
    world.restart()
    world.assert_in_quarantine(fileset)
    assert world.quarantine.bring_back(world.now(fileset)) == [f"{world.root}/a.zarr/"]
    world.assert_at_home(fileset)
    assert (world.root / "a.zarr" / "0" / "0.0").stat().st_mtime_ns == mtime


def test_killed_before_each_change_on_its_way_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in itertools.count():
        name = f"{number}.zarr"
        fileset = world.failed(name)
        kill = Kill(number)
        with suppress(Killed), each_change(monkeypatch, kill):
            world.quarantine.take(fileset)
        at, to = world.root / name, world.in_quarantine(fileset, name)
        assert is_whole(at) or is_whole(to), number
        assert is_whole(at) or not at.exists(), number
        assert is_whole(to) or not to.exists(), number
        world.restart()
        world.assert_in_quarantine(fileset, name)
        world.journal.forget(fileset.id, "enough")
        if not kill.came:
            break
    assert number > 30


def test_killed_before_each_change_on_its_way_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in itertools.count():
        name = f"{number}.zarr"
        fileset = world.failed(name)
        world.quarantine.take(fileset)
        kill = Kill(number)
        with suppress(Killed), each_change(monkeypatch, kill):
            world.quarantine.bring_back(world.now(fileset))
        at, to = world.root / name, world.in_quarantine(fileset, name)
        assert is_whole(at) or is_whole(to), number
        assert is_whole(at) or not at.exists(), number
        assert is_whole(to) or not to.exists(), number
        begun = bool(world.journal.notes("returning "))
        world.restart()
        if not at.exists():
            assert not begun, number
            world.quarantine.bring_back(world.now(fileset))
        world.assert_at_home(fileset, name)
        world.journal.move(fileset.id, State.WAITING, State.SKIPPED, "enough")
        if not kill.came:
            break
    assert number > 30


@pytest.mark.parametrize("way", ["out", "back"])
@pytest.mark.parametrize(
    "first", [pytest.param(n, marks=pytest.mark.long) for n in range(1, 90, 4)]
)
def test_killed_again_at_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch, way: str, first: int
) -> None:
    for number in itertools.count():
        name = f"{number}.zarr"
        fileset = world.failed(name)
        if way == "back":
            world.quarantine.take(fileset)
        with suppress(Killed), each_change(monkeypatch, Kill(first)):
            if way == "out":
                world.quarantine.take(fileset)
            else:
                world.quarantine.bring_back(world.now(fileset))
        again = Kill(number)
        with suppress(Killed), each_change(monkeypatch, again):
            world.restart()
        at, to = world.root / name, world.in_quarantine(fileset, name)
        assert is_whole(at) or is_whole(to), number
        assert is_whole(at) or not at.exists(), number
        assert is_whole(to) or not to.exists(), number
        world.restart()
        if way == "out":
            world.assert_in_quarantine(fileset, name)
            world.journal.forget(fileset.id, "enough")
        else:
            if not at.exists():  # the first kill came before it had begun
                world.quarantine.bring_back(world.now(fileset))
            world.assert_at_home(fileset, name)
            world.journal.move(fileset.id, State.WAITING, State.SKIPPED, "enough")
        if not again.came:
            break


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
@pytest.mark.parametrize("way", ["out", "back"])
def test_a_disk_that_is_full_at_each_write(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    way: str,
    code: int,
) -> None:
    """It stays where it was, whole, and nothing is left of the copy; it is named."""
    full = str(world.vault if way == "out" else world.root)
    for number in itertools.count():
        name = f"{number}.zarr"
        fileset = world.failed(name)
        if way == "back":
            world.quarantine.take(fileset)
        left = [number]

        def fail(call: str, what: Any, left: list[int] = left) -> None:
            if call not in ("write", "mkdir", "symlink", "open"):
                return
            now = getattr(CALLS._mine, "call", None)
            if now is None or now.root != full:
                return
            left[0] -= 1
            if left[0] < 0:
                raise OSError(code, os.strerror(code))

        caplog.clear()
        with each_change(monkeypatch, fail):
            if way == "out":
                world.quarantine.take(fileset)
            else:
                world.quarantine.bring_back(world.now(fileset))
        at, to = world.root / name, world.in_quarantine(fileset, name)
        if left[0] >= 0:
            break
        if way == "out" and to.exists():  # only the text beside it found no room
            world.assert_in_quarantine(fileset, name)
        assert not hidden(world.root)
        assert os.strerror(code) in caplog.text
        if way == "out":
            assert is_whole(at)
            assert not to.parent.exists() or list(to.parent.iterdir()) == []
            world.quarantine.take(fileset)
            world.assert_in_quarantine(fileset, name)
            world.journal.forget(fileset.id, "enough")
        else:
            world.assert_in_quarantine(fileset, name)
            assert world.quarantine.bring_back(world.now(fileset))
            world.assert_at_home(fileset, name)
            world.journal.move(fileset.id, State.WAITING, State.SKIPPED, "enough")
    assert number > 5


SWAPS: dict[str, Callable[[Path, Path], None]] = {
    "directory, a link": lambda at, secret: (at / "0").symlink_to(secret),
    "directory, a FIFO": lambda at, secret: os.mkfifo(at / "0"),
    "store, a link": lambda at, secret: at.symlink_to(secret),
}


@pytest.mark.parametrize("way", ["out", "back"])
@pytest.mark.parametrize("what", SWAPS)
def test_what_a_user_exchanges_at_any_moment_leads_nowhere(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, way: str
) -> None:
    """Neither is a file of others copied, nor is one removed or written."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "0.0").write_bytes(b"of others")
    (secret / "1.0").write_bytes(b"second chunk")
    before = {path: path.stat() for path in secret.iterdir()}
    done = 0
    for number in itertools.count(1, 3):
        name = f"{number}.zarr"
        fileset = world.failed(name)
        if way == "back":
            world.quarantine.take(fileset)
        kill = Kill(number)

        def swap(call: str, of: Any, kill: Kill = kill, name: str = name) -> None:
            nonlocal done
            with suppress(Killed):
                kill(call, of)
            if kill.done != kill.at + 1:
                return
            for at in (world.root / name, *world.root.glob(f".{name}.*")):
                taken = at if what.startswith("store") else at / "0"
                if taken.is_dir() and not taken.is_symlink():
                    taken.rename(tmp_path / f"taken {done}")
                    SWAPS[what](at, secret)
                    done += 1

        with monkeypatch.context() as patch, each_change(patch, swap):
            if way == "out":
                world.quarantine.take(fileset)
            else:
                world.quarantine.bring_back(world.now(fileset))
        world.restart()
        assert {path: path.stat() for path in secret.iterdir()} == before
        assert not any(
            b"of others" in path.read_bytes()
            for path in world.in_quarantine(fileset, name).parent.rglob("*")
            if path.is_file() and not path.is_symlink()
        )
        if world.now(fileset).state is State.FAILED:
            world.journal.forget(fileset.id, "enough")
        if not kill.came:
            break
    assert done > 5


def test_a_link_to_a_directory_of_others_is_no_way_to_it(world: World, tmp_path: Path) -> None:
    fileset = world.failed()
    world.quarantine.take(fileset)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "file").touch()
    half = world.root / ".a.zarr.omero-fs-coming"
    half.symlink_to(tmp_path / "others")
    assert world.quarantine.bring_back(world.now(fileset))
    world.assert_at_home(fileset)
    assert [path.name for path in (tmp_path / "others").iterdir()] == ["file"]


def test_what_is_no_file_keeps_it_where_it_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    fileset = world.failed()
    os.mkfifo(world.root / "a.zarr" / "0" / "pipe")
    stat = tree_stat(str(world.root), fileset.path)
    assert stat is not None
    world.journal.put_elsewhere(fileset.id, fileset.root, [Found(fileset.path, stat)])
    world.quarantine.take(fileset)
    assert "0/pipe: is no file, directory or link" in caplog.text
    assert world.names() == {"a.zarr"}
    assert list(world.in_quarantine(fileset).parent.iterdir()) == []


def test_a_hard_link_to_the_file_of_others_is_not_copied(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fileset = world.failed()
    os.link(world.root / "a.zarr" / "0" / "0.0", world.root / "another")
    real = os.fstat

    def of_others(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        return os.stat_result((*found[:4], 4711, *found[5:])) if found.st_nlink == 2 else found

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", of_others)
        world.quarantine.take(fileset)
    assert "a hard link to a file of another owner" in caplog.text
    assert not world.in_quarantine(fileset).exists()


def test_what_comes_while_it_is_removed_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A program has a directory of the store open, and writes into it."""
    fileset = world.failed()
    leaving = world.root / ".a.zarr.omero-fs-leaving" / "0"

    def late(name: str, what: Any) -> None:
        if name == "unlink" and leaving.is_dir():
            (leaving / "2.0").write_bytes(b"late")
            if (leaving / "1.0").exists():
                (leaving / "1.0").write_bytes(b"rewritten!!!")

    with each_change(monkeypatch, late):
        world.quarantine.take(fileset)
    assert is_whole(world.in_quarantine(fileset))
    rest = {p.name: p.read_bytes() for p in (world.root / "a.zarr").rglob("*") if p.is_file()}
    assert rest.pop("2.0") == b"late"
    assert rest in ({}, {"1.0": b"rewritten!!!"})
    assert not hidden(world.root)
    assert f"what came or changed while {fileset.path} was moved is in" in caplog.text


def test_what_changed_after_a_kill_is_given_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fileset = world.failed()
    with suppress(Killed), monkeypatch.context() as patch:
        patch.setattr(Journal, "put_elsewhere", kill_now)
        world.quarantine.take(fileset)
    assert world.names() == {".a.zarr.omero-fs-leaving"}
    (world.root / ".a.zarr.omero-fs-leaving" / "0" / "2.0").write_bytes(b"late")
    world.restart()
    assert world.names() == {"a.zarr"}
    assert (world.root / "a.zarr" / "0" / "2.0").read_bytes() == b"late"
    assert list(world.in_quarantine(fileset).parent.iterdir()) == []


def test_a_new_store_in_its_place_after_a_kill_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fileset = world.failed()
    with suppress(Killed), monkeypatch.context() as patch:
        patch.setattr(Journal, "put_elsewhere", kill_now)
        world.quarantine.take(fileset)
    (world.root / "a.zarr").mkdir()
    (world.root / "a.zarr" / ".zgroup").write_bytes(b"new")
    world.restart()
    assert (world.root / "a.zarr" / ".zgroup").read_bytes() == b"new"
    assert is_whole(world.in_quarantine(fileset)), "the only copy of the other"
    assert not hidden(world.root)


def test_nothing_is_said_of_one_whose_directory_is_gone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    (world.root / "day 1").mkdir()
    fileset = world.failed("day 1/a.zarr")
    world.quarantine.take(fileset)
    (world.root / "day 1").rmdir()
    caplog.clear()
    world.restart()
    assert caplog.text == ""
    assert world.quarantine.bring_back(world.now(fileset))
    assert is_whole(world.root / "day 1" / "a.zarr")


def test_never_over_what_lies_there_now(world: World) -> None:
    fileset = world.failed()
    world.quarantine.take(fileset)
    (world.root / "a.zarr").mkdir()
    (world.root / "a.zarr" / ".zgroup").write_bytes(b"new")
    assert world.quarantine.bring_back(world.now(fileset)) == []
    world.restart()
    assert (world.root / "a.zarr" / ".zgroup").read_bytes() == b"new"
    assert is_whole(world.in_quarantine(fileset))
    assert world.journal.notes("returning ") == {}


@pytest.mark.parametrize("noted", [False, True], ids=["", "a move was cut short"])
def test_another_store_that_lies_there_is_not_replaced(world: World, noted: bool) -> None:
    """It may be of an older journal, and the only copy."""
    fileset = world.failed()
    former = world.in_quarantine(fileset) / "former"
    former.parent.mkdir(parents=True)
    former.write_bytes(b"of another")
    if noted:
        world.journal.note(f"{GOES}{fileset.id}", str(world.vault))
        world.journal.note(f"{HOME}{fileset.id}", fileset.root)
    for _ in range(2):
        world.quarantine.take(fileset)
        assert former.read_bytes() == b"of another"
        assert is_whole(world.root / "a.zarr")
        assert not hidden(world.root)
        assert world.journal.notes(GOES) == {} == world.journal.notes(HOME)
        (said,) = world.quarantine.staying.told().values()
        assert f"move {former.parent} away" in said
    former.parent.rename(world.vault / "former")
    world.quarantine.take(fileset)
    world.assert_in_quarantine(fileset)


def test_what_is_the_only_copy_is_not_replaced_by_what_came_since(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another store of its name is met before the journal has the move, and fails too."""
    fileset = world.failed()
    top, put = world.root / "a.zarr", world.journal.put_elsewhere

    def dropped_again(*args: Any) -> bool:
        top.mkdir()
        (top / ".zgroup").write_bytes(b"new")
        stat = tree_stat(str(world.root), f"{top}/")
        assert stat is not None
        world.journal.wait("amy", str(world.root), [Found(f"{top}/", stat)])
        return put(*args)

    with monkeypatch.context() as patch:
        patch.setattr(world.journal, "put_elsewhere", dropped_again)
        world.quarantine.take(fileset)
    assert is_whole(world.in_quarantine(fileset)), "the only copy of the first"
    now = world.now(fileset)
    assert now.state is State.WAITING
    world.journal.hand_over("amy", str(world.root), *now.files)
    world.journal.move(fileset.id, State.QUEUED, State.FAILED, "no image")
    world.quarantine.take(world.now(fileset))
    world.restart()
    assert is_whole(world.in_quarantine(fileset))
    assert (top / ".zgroup").read_bytes() == b"new"
    assert world.journal.notes(GOES) == {}


def test_one_that_may_not_be_emptied_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fileset = world.failed()
    inner = (world.root / "a.zarr" / "0").stat().st_ino
    monkeypatch.setattr(
        os, "access", lambda where, mode, *, dir_fd, **more: os.fstat(dir_fd).st_ino != inner
    )
    world.quarantine.take(fileset)
    assert "the server may not remove files there: '0/'" in caplog.text
    assert is_whole(world.root / "a.zarr")
    assert list(world.in_quarantine(fileset).parent.iterdir()) == []


def test_bytes_that_are_other_on_the_disk_are_no_copy(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fileset = world.failed()
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, block: real(fd, bytes(len(block))))
        world.quarantine.take(fileset)
    assert "the copy has other bytes" in caplog.text
    assert is_whole(world.root / "a.zarr")
    assert list(world.in_quarantine(fileset).parent.iterdir()) == []


def test_two_at_once_are_kept_apart(world: World) -> None:
    fileset = world.failed()
    root = world.in_quarantine(fileset).parent
    root.parent.mkdir(parents=True)
    lock = root.with_name(f".{fileset.id}.lock")
    with alone(lock, str(world.vault)):
        world.quarantine.take(fileset)
        assert is_whole(world.root / "a.zarr")
    world.quarantine.take(fileset)
    world.assert_in_quarantine(fileset)
    with alone(lock, str(world.vault)), pytest.raises(Busy, match="another process is moving it"):
        world.quarantine.bring_back(world.now(fileset))
    assert not lock.exists()


def test_who_lost_the_lease_moves_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another DropBox goes on with the copy."""
    fileset = world.failed()
    asked = [0]

    def make_sure(journal: Journal) -> None:
        asked[0] += 1
        if asked[0] > 4:
            raise Killed

    monkeypatch.setattr("omero_fs_plugin.dropbox.importing.vault._SURE_S", 0.0)
    with suppress(Killed), monkeypatch.context() as patch:
        patch.setattr(Journal, "make_sure", make_sure)
        world.quarantine.take(fileset)
    assert is_whole(world.root / "a.zarr")
    world.restart()
    world.assert_in_quarantine(fileset)


@pytest.mark.parametrize("hangs", ["home", "quarantine"])
def test_a_disk_that_hangs_in_the_middle(
    world: World, monkeypatch: pytest.MonkeyPatch, hangs: str
) -> None:
    """Whoever waits is named by its own disk; the other answers, and the move goes on later."""
    clock = Ahead()
    monkeypatch.setattr(CALLS, "clock", clock)
    fileset = world.failed()
    away, well = str(world.vault), str(world.root)
    if hangs == "home":
        away, well = well, away
    reached, go = threading.Event(), threading.Event()
    real = os.read if hangs == "home" else os.write

    def hang(*args: Any) -> Any:
        call = getattr(CALLS._mine, "call", None)
        if call is not None and call.root == away and not reached.is_set():
            reached.set()
            assert go.wait(20)
        return real(*args)

    monkeypatch.setattr(os, real.__name__, hang)
    thread = threading.Thread(target=world.quarantine.take, args=(fileset,))
    thread.start()
    assert reached.wait(20)
    clock.ahead += HUNG_S
    assert set(CALLS.away()) == {away}
    assert CALLS.answers(well)
    go.set()
    thread.join(20)
    world.restart()
    world.assert_in_quarantine(fileset)


def test_a_journal_that_is_slow_is_no_disk_that_hangs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Ahead()
    monkeypatch.setattr(CALLS, "clock", clock)
    monkeypatch.setattr("omero_fs_plugin.dropbox.importing.vault._SURE_S", 0.0)
    away: list[str] = []

    def make_sure(journal: Journal) -> None:
        clock.ahead += HUNG_S
        away.extend(CALLS.away())

    monkeypatch.setattr(Journal, "make_sure", make_sure)
    fileset = world.failed()
    world.quarantine.take(fileset)
    world.assert_in_quarantine(fileset)
    assert away == []


def kill_now(*_: Any) -> None:
    raise Killed


@pytest.mark.parametrize("disks", [1, 2])
def test_what_goes_again_is_no_rest_of_its_last_way_home(
    tmp_path: Path,
    journal: Journal,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    disks: int,
) -> None:
    """Nobody has ended that way, and it fails again; a kill comes when it is in quarantine."""
    if disks == 2:
        request.getfixturevalue("two_disks")
    world = World(tmp_path, journal)
    ROOTS.apply([str(world.root.parent)], {})
    try:
        fileset = world.failed()
        world.quarantine.take(fileset)
        note = journal.note

        def away(key: str, value: str) -> None:
            if key.startswith("returning ") and not value:
                raise JournalAway("the journal does not answer")
            note(key, value)

        with monkeypatch.context() as patch:
            patch.setattr(journal, "note", away)
            assert world.quarantine.bring_back(world.now(fileset))
        assert journal.notes("returning ")
        journal.hand_over("amy", str(world.root), *world.now(fileset).files)
        journal.move(fileset.id, State.QUEUED, State.FAILED, "no image")

        def killed(*_: object) -> bool:
            raise Killed

        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(journal, "put_elsewhere", killed)
            world.quarantine.take(world.now(fileset))
        world.restart()
        world.restart()
        world.assert_in_quarantine(fileset)
        assert journal.notes("returning ") == {}
    finally:
        ROOTS.apply([], {})
