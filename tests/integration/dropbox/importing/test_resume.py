"""An upload that a kill cut off goes on with the files that are not there yet."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.blitz import filesets
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.dropbox.importing.importers import Stopped, native, streams
from omero_fs_plugin.dropbox.importing.importers.answers import delete_filesets
from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.importing.importers.protocol import Imported, Task, Wishes
from omero_fs_plugin.dropbox.importing.importers.resume import FEWEST
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.dropbox.journal.database import LeaseLost
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.sandbox.rawfiles import StoredFile
from tests.stores import image

from .attempts import Killed
from .importing import Importing, run
from .test_store_attempts import Stored, stored

__all__ = ["stored"]

FILES = 60
SENT = 25  # files of the first attempt, before the kill


class Writes:
    """The names of the files that somebody writes to at the server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        real = StoredFile.write

        def write(file: StoredFile, data: bytes, offset: int) -> None:
            if data and file.path.suffix != ".log":
                self.names.append(file.path.name)
            real(file, data, offset)

        monkeypatch.setattr(StoredFile, "write", write)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    return Writes(monkeypatch)


class Kill:
    """From `armed` on, the process ends after so many files, and says good-bye to nobody."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._lock = threading.Lock()
        self._left = 0
        self._real = native.upload
        self._goodbye = native.quietly

    def armed(self, after: int = SENT) -> None:
        self._left = after
        self._monkeypatch.setattr(streams, "AT_ONCE", 1)
        self._monkeypatch.setattr(streams, "MORE_AT_ONCE", 0)
        self._monkeypatch.setattr(native, "upload", self._upload)
        self._monkeypatch.setattr(native, "quietly", lambda call: None)

    def over(self) -> None:
        self._monkeypatch.setattr(native, "upload", self._real)
        self._monkeypatch.setattr(native, "quietly", self._goodbye)

    def _upload(self, *args: Any) -> str:
        with self._lock:
            if not self._left:
                raise Killed("upload")
            self._left -= 1
        return self._real(*args)


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Kill:
    return Kill(monkeypatch)


class Resumed:
    """A set of files whose upload was cut off."""

    def __init__(self, world: Importing, kill: Kill, **more: Any) -> None:
        self.world, self.marks = world, [""]
        self.members = [world.drop("a.tif"), *(world.root / f"{n}.raw" for n in range(FILES - 1))]
        for number, path in enumerate(self.members[1:]):
            path.write_bytes(b"%d" % number * 10)
        kill.armed()
        with pytest.raises(Killed):
            self.again(**more)
        kill.over()

    def again(
        self,
        wishes: Wishes | None = None,
        transfer: Transfer = Transfer.UPLOAD,
        lost: FsError | None = None,
        **options: Any,
    ) -> Any:
        """`lost`: another DropBox has taken over meanwhile, which is found out by this."""
        fileset = self.world.fileset(*self.members)
        task = Task(
            fileset,
            partial(self._verified, lost),
            wishes or Wishes(),
            known=self.marks[-1],
            began=self.marks.append,
            ours=lambda: lost is None,
        )
        (done,) = run(self.world.importer("native", transfer, **options), task)
        return done

    def _verified(self, lost: FsError | None, sha1s: Sequence[str]) -> None:
        if lost is not None:
            raise lost
        self.sha1s = sha1s

    def names(self, begin: int = 0) -> list[str]:
        return sorted(path.name for path in self.members[begin:])


@pytest.mark.parametrize("rows", [7, FILES, filesets.MOST_ROWS])
def test_only_what_is_not_there_is_sent(
    world: Importing, kill: Kill, writes: Writes, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """... however many rows OMERO tells in one answer."""
    monkeypatch.setattr(filesets, "MOST_ROWS", rows)
    resumed = Resumed(world, kill)
    assert sorted(writes.names) == sorted(path.name for path in resumed.members[:SENT])
    writes.names.clear()
    world.session = world.omero.session_for(world.omero.user("amy"))
    done = resumed.again()
    assert isinstance(done, Imported), done
    assert sorted(writes.names) == resumed.names(SENT)
    assert world.in_omero(resumed.members[0]) == [done.images]
    assert len(resumed.marks) == 2


@pytest.mark.parametrize("error", [LeaseLost("another has it"), Stopped("it ends")], ids=repr)
def test_who_has_lost_the_lease_takes_away_nothing_that_another_goes_on_with(
    world: Importing, kill: Kill, writes: Writes, error: FsError
) -> None:
    resumed = Resumed(world, kill)
    assert resumed.again(lost=error) is error
    writes.names.clear()
    done = resumed.again()
    assert isinstance(done, Imported), done
    assert writes.names == []
    assert world.in_omero(resumed.members[0]) == [done.images]


def test_what_has_other_bytes_by_now_is_sent_again(
    world: Importing, kill: Kill, writes: Writes
) -> None:
    resumed = Resumed(world, kill)
    resumed.members[3].write_bytes(b"x" * resumed.members[3].stat().st_size)
    writes.names.clear()
    assert isinstance(resumed.again(), Imported)
    assert sorted(writes.names) == sorted([*resumed.names(SENT), resumed.members[3].name])
    (place,) = [path for path in world.stored() if path.name == resumed.members[3].name]
    assert place.read_bytes() == resumed.members[3].read_bytes()


@pytest.mark.parametrize("why", ["session", "deleted", "length", "wishes", "options", "in place"])
def test_what_cannot_be_gone_on_with_begins_anew(
    world: Importing, kill: Kill, writes: Writes, why: str
) -> None:
    resumed = Resumed(world, kill)
    wishes, options = Wishes(), dict[str, Any]()
    if why == "session":
        world.session.services.destroy()
        world.session = world.omero.session_for(world.omero.user("amy"))
    elif why == "deleted":
        delete_filesets(world.session, [row[0] for row in world.ask("select f.id from Fileset f")])
    elif why == "length":
        resumed.members[3].write_bytes(b"x")
    elif why == "wishes":
        wishes = Wishes(name="another")
    elif why == "options":
        options["thumbnails"] = False
    else:
        options["transfer"] = Transfer.LN_S
    writes.names.clear()
    done = resumed.again(wishes, **options)
    assert isinstance(done, Imported), done
    assert sorted(writes.names) == ([] if why == "in place" else resumed.names())
    assert len([images for images in world.in_omero(resumed.members[0]) if images]) == 1


def test_a_few_files_begin_anew_and_leave_no_mark(world: Importing) -> None:
    marks: list[str] = []
    members = [world.drop("a.tif"), *(world.root / f"{n}.raw" for n in range(FEWEST - 2))]
    for path in members[1:]:
        path.write_bytes(os.urandom(9))
    task = Task(world.fileset(*members), lambda sha1s: None, began=marks.append)
    (done,) = run(world.importer("native"), task)
    assert isinstance(done, Imported) and marks == []


def test_no_mark_shows_the_key_of_a_session(world: Importing, kill: Kill) -> None:
    resumed = Resumed(world, kill)
    assert all(world.key not in mark and len(mark) == 64 for mark in resumed.marks[1:])


def test_a_store_goes_on_after_a_kill(stored: Stored, kill: Kill, writes: Writes) -> None:
    store = image(stored.root / "a.zarr", side=32)
    store.write()
    stored.queue_store(store)
    kill.armed()
    with pytest.raises(Killed):
        stored.attempt()
    kill.over()
    assert stored.journal.notes("upload:")
    stored.restart()
    sent = len(writes.names)
    assert stored.attempt() is State.IMPORTED
    assert len(writes.names) == len(store.files) and sent == SENT
    row = stored.row_of(store)
    assert stored.images_of(store) == [row.images]
    assert stored.journal.notes("upload:") == {}


def test_an_upload_of_another_of_the_same_user_is_left_alone(
    world: Importing, kill: Kill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an upload with our mark is touched: another one may be under way."""
    resumed = Resumed(world, kill)
    other = world.fileset(world.drop("b.tif", 1))
    begun = NativeImport(world.session, Task(other, lambda s: None), stopping=lambda: False)
    repository = world.session.managed_repository()
    process = repository.importFileset(begun._description(), begun._settings(repository))
    store = process.getUploader(0)
    data = Path(other.path).read_bytes()
    store.write(data[:100], 0, 100)
    assert isinstance(resumed.again(), Imported)
    store.write(data[100:], 100, len(data) - 100)
    store.close()
    assert process.getUploadOffset(0) == len(data)
    process.close()


def test_a_server_that_lists_nothing_begins_anew(
    world: Importing, kill: Kill, monkeypatch: pytest.MonkeyPatch
) -> None:
    resumed = Resumed(world, kill)
    real = UserSession.managed_repository

    class Lists:
        def __init__(self, repository: Any) -> None:
            self._repository = repository

        def __getattr__(self, name: str) -> Any:
            return getattr(self._repository, name)

        def listImports(self) -> list[Any]:
            return [None]

    monkeypatch.setattr(UserSession, "managed_repository", lambda self: Lists(real(self)))
    assert isinstance(resumed.again(), Imported)
    assert len(resumed.marks) == 3
