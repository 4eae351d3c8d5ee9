"""The files of one fileset leave: whole, proved, and going on after a kill -9 at any step."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.blitz.copies import Copy
from omero_fs_plugin.config.after_import import AfterImport
from omero_fs_plugin.dropbox.afterwards import leaving
from omero_fs_plugin.dropbox.afterwards.leaving import Leaving, NotNow
from omero_fs_plugin.dropbox.importing.importers import FileChanged, Stopped
from omero_fs_plugin.dropbox.journal.afterwards import Afterwards
from omero_fs_plugin.dropbox.journal.fates import ENDED, GOING, Ended, Fate
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import Holder
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed, Found, Held
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.receipts.proof import Stored
from omero_fs_plugin.errors import JournalError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.stores import is_store
from tests.memory import MEMORY
from tests.steps import before_each

NAMES = ("day 1/a.tif", "day 1/b.tif", "c.tif")
DELETE = AfterImport("delete")


class World:
    """amy's directory, an archive, a journal, and what OMERO has."""

    def __init__(self, place: Path, url: str) -> None:
        self.root = place / "DropBox" / "amy"
        self.shelf = place / "archive"
        for directory in (self.root / "day 1", self.shelf):
            directory.mkdir(parents=True)
        self.url = url
        self.journal = Journal(url)
        self.contents: dict[str, bytes] = {}
        self.copies: dict[int, list[Copy]] = {}

    @property
    def move(self) -> AfterImport:
        return AfterImport("move", self.shelf)

    def found(self, name: str) -> Found:
        path = self.root / name
        if not path.exists():
            self.contents[name] = f"the pixels of {name}".encode()
            path.write_bytes(self.contents[name])
        return Found(str(path), FileStat.of(path.lstat()))

    def fileset(self, *names: str, state: State = State.IMPORTED) -> Fileset:
        """In this state, with its files; OMERO has them if it is imported."""
        met = [self.found(name) for name in names]
        for one in met:
            self.journal.wait("amy", str(self.root), [one])
        identifier, _ = self.journal.form(Formed("amy", str(self.root), met))
        assert identifier is not None
        if state is State.FAILED:
            self.journal.move(identifier, State.QUEUED, State.FAILED, "no reader takes it")
        if state is State.IMPORTED:
            self.imported(identifier)
        return self.journal.load([identifier])[0]

    def imported(self, identifier: int) -> None:
        taken = self.journal.take("amy")
        assert taken is not None and taken.id == identifier
        sha1s = [hashlib.sha1(Path(met.path).read_bytes()).hexdigest() for met in taken.files]
        self.journal.imported(identifier, identifier, [identifier], sha1s)
        self.copies[identifier] = [
            Copy(number, identifier, met.path[1:], met.stat.size, sha1, "SHA1-160", "")
            for number, (met, sha1) in enumerate(zip(taken.files, sha1s, strict=True))
        ]

    @property
    def stored(self) -> Stored:
        return Stored(self.copies, {one: (one,) for one in self.copies}, {})

    def take(
        self, fileset: Fileset, act: AfterImport, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        Leaving(self.journal, stopping).take(fileset, act, self.stored, tidy=True)

    def ended(self, fileset: Fileset) -> Ended | None:
        text = self.journal.noted(f"{ENDED}{fileset.id}")
        return Ended.read(text) if text else None

    def at_home(self) -> set[str]:
        return {str(one.relative_to(self.root)) for one in self.root.rglob("*") if one.is_file()}

    def on_the_shelf(self) -> dict[str, bytes]:
        top = self.shelf / "amy"
        files = [one for one in top.rglob("*") if one.is_file()]
        return {str(one.relative_to(top)): one.read_bytes() for one in files}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, f"sqlite:///{tmp_path}/journal.sqlite")
    yield made
    made.journal.close()


@pytest.fixture
def across(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive lies on another file system."""
    real = os.rename

    def rename(source: Any, target: Any, **more: Any) -> None:
        if "src_dir_fd" in more:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(source, target, **more)

    monkeypatch.setattr(os, "rename", rename)


def test_a_set_is_moved(world: World) -> None:
    fileset = world.fileset(*NAMES)
    world.take(fileset, world.move)
    assert world.on_the_shelf() == world.contents
    assert world.at_home() == set()
    told = world.ended(fileset)
    assert told is not None and (told.fate, told.files) == (Fate.MOVED, 3)
    assert {one.path for one in world.journal.afterwards.emptied()} == {
        str(world.root),
        str(world.root / "day 1"),
    }


def test_a_set_is_moved_to_another_file_system(world: World, across: None) -> None:
    world.fileset(*NAMES)
    world.take(world.journal.select(State.IMPORTED)[0], world.move)
    assert world.on_the_shelf() == world.contents
    assert world.at_home() == set()


def test_a_copy_that_is_not_the_same_leaves_the_original(
    world: World, across: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fileset = world.fileset(NAMES[0])
    real = os.fsync

    def fsync(descriptor: int) -> None:
        """A disk that writes other bytes than it was given."""
        real(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.name.endswith(".part"):
            data = bytearray(path.read_bytes())
            data[0] ^= 1
            path.write_bytes(data)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="the copy has other bytes"):
        world.take(fileset, world.move)
    assert world.at_home() == {NAMES[0]} and world.on_the_shelf() == {}
    monkeypatch.setattr(os, "fsync", real)
    world.take(fileset, world.move)
    assert world.on_the_shelf() == {NAMES[0]: world.contents[NAMES[0]]}


def test_what_lies_there_is_not_overwritten(world: World) -> None:
    fileset = world.fileset(*NAMES)
    there = world.shelf / "amy" / NAMES[1]
    there.parent.mkdir(parents=True)
    there.write_bytes(b"of another day")
    world.take(fileset, world.move)
    beside = f"fileset-{fileset.id}"
    expected = {f"{beside}/{name}": data for name, data in world.contents.items()}
    assert world.on_the_shelf() == {NAMES[1]: b"of another day", **expected}


def test_a_place_that_is_taken_in_the_last_moment_is_not_overwritten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fileset = world.fileset(NAMES[0])
    begin = Afterwards.begin

    def begun(self: Afterwards, *of: Any) -> None:
        begin(self, *of)
        there = world.shelf / "amy" / NAMES[0]
        if not there.exists():
            there.parent.mkdir(parents=True)
            there.write_bytes(b"of another")

    monkeypatch.setattr(Afterwards, "begin", begun)
    world.take(fileset, world.move)
    assert world.on_the_shelf() == {
        NAMES[0]: b"of another",
        f"fileset-{fileset.id}/{NAMES[0]}": world.contents[NAMES[0]],
    }


@pytest.mark.parametrize("act", ["move", "delete"])
def test_one_file_that_is_not_proved_keeps_all(world: World, act: str) -> None:
    fileset = world.fileset(*NAMES)
    path = world.root / NAMES[2]
    before = path.stat()
    path.write_bytes(b"THE pixels of c.tif")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    world.take(fileset, world.move if act == "move" else DELETE)
    assert world.at_home() == set(NAMES) and world.on_the_shelf() == {}
    told = world.ended(fileset)
    assert told is not None and told.fate is Fate.LEFT
    assert told.why.startswith("c.tif: its content is not what OMERO has")


@pytest.mark.parametrize("act", ["move", "delete"])
def test_a_file_that_changes_after_it_was_proved_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """Even if its size and time are as before."""
    fileset = world.fileset(*NAMES)
    begin = Afterwards.begin
    path = world.root / NAMES[0]

    def begun(self: Afterwards, *of: Any) -> None:
        begin(self, *of)
        before = path.stat()
        path.write_bytes(b"THE pixels of day 1/a.tif")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    monkeypatch.setattr(Afterwards, "begin", begun)
    chosen = world.move if act == "move" else DELETE
    with pytest.raises(FileChanged):
        world.take(fileset, chosen)
    assert path.read_bytes() == b"THE pixels of day 1/a.tif"
    monkeypatch.setattr(Afterwards, "begin", begin)
    world.take(fileset, chosen)  # begun, so the others go
    assert world.at_home() == {NAMES[0]}
    told = world.ended(fileset)
    assert told is not None and "a.tif stays: its content is not" in told.why


@pytest.mark.parametrize("instead", ["link", "directory", "fifo", "hard link"])
def test_something_else_in_its_place_is_not_touched(world: World, instead: str) -> None:
    fileset = world.fileset(NAMES[0])
    path, secret = world.root / NAMES[0], world.root.parent / "zak's"
    secret.write_bytes(world.contents[NAMES[0]])
    path.unlink()
    {
        "link": lambda: path.symlink_to(secret),
        "directory": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "hard link": lambda: path.hardlink_to(secret),
    }[instead]()
    Leaving(world.journal, lambda: False).is_there(fileset)
    world.take(fileset, DELETE)
    assert secret.read_bytes() == world.contents[NAMES[0]]
    assert os.path.lexists(path) is (instead != "hard link"), "amy's own second name may go"


def test_a_file_of_two_sets_goes_with_the_last(world: World) -> None:
    one = world.fileset("a.xml", "plate.bin")
    other = world.fileset("b.xml", "plate.bin")
    world.take(one, world.move)
    assert world.at_home() == {"b.xml", "plate.bin"}
    world.take(other, world.move)
    assert world.at_home() == set()
    assert set(world.on_the_shelf()) == {"a.xml", "b.xml", "plate.bin"}


@pytest.mark.parametrize("state", [State.QUEUED, State.FAILED])
def test_a_file_that_another_fileset_needs_stays(world: World, state: State) -> None:
    one = world.fileset("a.xml", "plate.bin")
    other = world.fileset("b.xml", "plate.bin", state=state)
    if state is State.QUEUED:
        with pytest.raises(NotNow, match="is on its way"):
            world.take(one, DELETE)
        assert world.at_home() == {"a.xml", "b.xml", "plate.bin"}
        return
    world.take(one, DELETE)
    assert world.at_home() == {"b.xml", "plate.bin"}
    told = world.ended(one)
    assert told is not None and f"because fileset {other.id} has it too" in told.why


@pytest.mark.parametrize("at", ["it is read", "the first one goes"])
def test_a_file_stays_that_is_handed_over_with_another_meanwhile(world: World, at: str) -> None:
    """To read a set may take hours.  Whoever hands its file over is told that it is queued."""
    fileset = world.fileset("a.xml", "plate.bin")

    def hand_over() -> None:
        if not (world.root / "b.xml").exists():
            others = [world.found("b.xml"), world.found("plate.bin")]
            queued = world.journal.hand_over("amy", str(world.root), *others)
            assert queued.state is State.QUEUED

    step = {"it is read": "reading", "the first one goes": "remove_file"}[at]
    with (
        before_each([(leaving, step)], hand_over),
        pytest.raises(NotNow, match=r"plate\.bin: another fileset with it is on its way"),
    ):
        world.take(fileset, DELETE)
    assert world.at_home() >= {"b.xml", "plate.bin"}


def test_a_failed_fileset_with_other_bytes_at_the_path_needs_nothing(world: World) -> None:
    world.fileset("a.tif", state=State.FAILED)
    (world.root / "a.tif").unlink()
    whole = world.fileset("a.tif")
    world.contents["a.tif"] = (world.root / "a.tif").read_bytes()
    world.take(whole, DELETE)
    assert world.at_home() == set()


def test_without_the_directory_to_move_to_nothing_begins(world: World) -> None:
    fileset = world.fileset(NAMES[0])
    world.shelf.rmdir()
    with pytest.raises(FileNotFoundError):
        world.take(fileset, world.move)
    assert world.at_home() == {NAMES[0]} and not world.shelf.exists()
    assert not world.journal.noted(f"{GOING}{fileset.id}")


def test_a_directory_that_may_not_be_written_is_told_before_anything_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fileset = world.fileset(*NAMES)
    closed = str(world.root / "day 1")
    monkeypatch.setattr(leaving, "may_not_write_beneath", lambda root, paths: closed)
    with pytest.raises(PermissionError) as told:
        Leaving(world.journal, lambda: False).is_there(fileset)
    assert told.value.filename == closed


def test_who_has_lost_the_lease_touches_nothing(world: World) -> None:
    fileset = world.fileset(*NAMES)
    holder = Holder.me().name()
    world.journal.set_lease(Held(), Held(holder, 1, 1))
    world.journal.work_as(Held(holder, 1, 1))
    other = Journal(world.url)
    other.set_lease(Held(holder, 1, 1), Held("another", 1, 2))
    other.close()
    with pytest.raises(JournalError):
        world.take(fileset, DELETE)
    assert world.at_home() == set(NAMES)


def test_a_stop_leaves_the_rest(world: World) -> None:
    fileset = world.fileset(*NAMES)
    with pytest.raises(Stopped):
        world.take(fileset, DELETE, stopping=lambda: True)
    assert world.at_home() == set(NAMES)


def test_a_store_stays(world: World) -> None:
    fileset = world.fileset(NAMES[0])
    met = Found(f"{world.root}/a.zarr/", fileset.files[0].stat)
    assert is_store(met.path)
    store = replace(fileset, files=(met,))
    assert not Leaving(world.journal, lambda: False).is_there(store)
    told = world.ended(fileset)
    assert told is not None and told.fate is Fate.LEFT and "a store" in told.why


# What a kill may fall between: each system call that changes the disk, and each write of the
# journal's.
_CALLS = ("open", "rename", "unlink", "fsync", "utime", "mkdir")
_WRITES = ("begin", "end", "note_emptied")


def killed_at(step: int, world: World, act: AfterImport, fileset: Fileset) -> bool:
    """Runs it in a process that is killed (SIGKILL) before step `step`; whether it was."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFSIGNALED(status)
    try:
        left = [step]

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **more: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **more)

            return call

        world.journal = Journal(world.url)  # one that was opened before the fork must not be used
        for name in _CALLS:
            setattr(os, name, counted(getattr(os, name)))
        for name in _WRITES:
            setattr(Afterwards, name, counted(getattr(Afterwards, name)))
        world.take(fileset, act)
    except BaseException:
        os._exit(1)
    os._exit(0)


# `make test` tries each sixth step, and each run begins elsewhere; `make long` tries all of them.
@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("way", ["move", "across", "delete"])
def test_a_kill_at_any_step_loses_nothing_and_it_goes_on(
    request: pytest.FixtureRequest, way: str, stride: int
) -> None:
    if way == "across":
        request.getfixturevalue("across")
    import tempfile

    step, killed = 1 - random.randint(1, stride), True
    while killed:
        step += stride
        with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
            world = World(Path(directory), f"sqlite:///{directory}/journal.sqlite")
            fileset = world.fileset(*NAMES)
            act = DELETE if way == "delete" else world.move
            world.journal.close()
            killed = killed_at(step, world, act, fileset)
            world.journal = Journal(world.url)
            home, shelf = world.at_home(), world.on_the_shelf()
            whole = {name for name, data in shelf.items() if data == world.contents.get(name)}
            if way != "delete":
                assert home | whole == set(NAMES), f"something is lost at step {step}"
            if world.ended(fileset) is None:
                world.take(fileset, act)
            assert world.at_home() == set(), f"after step {step}"
            told = world.ended(fileset)
            assert told is not None and told.files == 3 and not told.why
            if way != "delete":
                assert world.on_the_shelf() == world.contents, f"after step {step}"
            assert not world.journal.noted(f"{GOING}{fileset.id}")
            world.journal.close()
    assert step > 10
