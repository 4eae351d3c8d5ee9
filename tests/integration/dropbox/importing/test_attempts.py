"""Attempts to import, killed at every step in turn: each file once in OMERO, nothing left over.

The sandbox's parts run in this process, over real Ice; the kill is an
exception that no handler of ours catches, at a step of the attempt.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.blitz import filesets as server_filesets
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.users import User
from omero_fs_plugin.dropbox.importing.activity import Watch
from omero_fs_plugin.dropbox.importing.attempts import Attempt
from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.importing.recovery import Recovery
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ServerAwayError, UserError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.store import TABLES
from tests.integration.blitz import client_communicator, enter
from tests.rules import places_of

from .attempts import (
    Killed,
    World,
    begin_by_another_client,
    make,
    no_patience,
    until,
    world,
)

__all__ = ["world"]


def test_a_file_becomes_an_image(world: World) -> None:
    path = world.drop("a.tif")
    world.queue(path)
    assert world.attempt() is State.IMPORTED
    assert [world.row(path).images] == world.in_omero(path)
    assert len(world.row(path).images) == 1


def _killing(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, after: bool
) -> Callable[[], None]:
    """Makes the next call of `owner.name` the last thing the process does."""
    real = getattr(owner, name)
    armed = [True]

    def step(*args: Any, **options: Any) -> Any:
        if not armed:
            return real(*args, **options)
        armed.clear()
        if after:
            real(*args, **options)
        raise Killed(name)

    monkeypatch.setattr(owner, name, step)
    return armed.clear


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Attempt, "_earlier"),
        (NativeImport, "_settings"),
        (NativeImport, "_description"),
        (NativeImport, "_upload"),
        (Journal, "note_verified"),
        (NativeImport, "_verify"),
        (NativeImport, "_await"),
        (Omero, "filesets_of_images"),
        (Journal, "imported"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_killed_at_any_step_it_is_imported_once(
    world: World, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: bool
) -> None:
    no_patience(monkeypatch)
    path = world.drop("a.tif")
    world.queue(path)
    _killing(monkeypatch, owner, name, after=after)
    with pytest.raises(Killed):
        world.attempt()
    world.restart()
    if (name, after) in {("_verify", True), ("_await", False)}:
        # OMERO goes on with the import by itself.  What is met while it does so is in
        # test_under_way.py.
        until(lambda: world.in_omero(path) != [()])
    if world.journal.queued_users():
        assert world.attempt() is State.IMPORTED
    row = world.row(path)
    assert row.state is State.IMPORTED
    assert world.in_omero(path) == [row.images], "one fileset, with images, and none without"


@pytest.mark.parametrize("change", ["renamed", "rewritten"])
def test_killed_before_the_end_was_written_and_then(
    world: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = world.drop("a.tif", seed=1)
    world.queue(path)
    _killing(monkeypatch, NativeImport, "_await", after=True)
    with pytest.raises(Killed):
        world.attempt()
    now = path.rename(world.root / "b.tif") if change == "renamed" else world.drop("a.tif", seed=2)
    world.restart()
    assert world.attempt() is State.IMPORTED, "it is what OMERO was told to import then"
    images = world.row(path).images
    world.queue(now)
    if change == "renamed":
        assert world.attempt() is State.SKIPPED
        assert (world.in_omero(path), world.in_omero(now)) == ([images], [])
    else:
        assert world.attempt() is State.IMPORTED
        assert len(set(world.in_omero(path))) == 2


def test_a_lost_journal_imports_nothing_twice(world: World, tmp_path: Path) -> None:
    path = world.drop("a.tif")
    world.queue(path)
    world.attempt()
    images = world.row(path).images
    world.journal.close()
    world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
    world.queue(path)
    assert world.attempt() is State.IMPORTED
    assert world.row(path).images == images
    assert world.in_omero(path) == [images]


@pytest.mark.parametrize("change", ["rename", "chmod", "touch", "copy and remove"])
def test_a_file_that_only_moved_is_not_imported_again(world: World, change: str) -> None:
    path = world.drop("a.tif")
    world.queue(path)
    world.attempt()
    now = path
    if change == "rename":
        now = path.rename(world.root / "b.tif")
    elif change == "chmod":
        path.chmod(0o600)
    elif change == "touch":
        path.touch()
    else:
        now = world.root / "c.tif"
        now.write_bytes(path.read_bytes())
        path.unlink()
    world.journal.wait("amy", str(world.root), [Found(str(now), FileStat.of(now.lstat()))])
    world.queue(now)
    assert world.attempt() is State.SKIPPED
    assert world.in_omero(path) == [world.journal.select(State.IMPORTED)[0].images]
    moved = world.journal.select(State.IMPORTED)[0]
    assert moved.files[0] == Found(str(now), FileStat.of(now.lstat())), "it is known as it is now"


def test_a_file_whose_inode_was_touched_is_no_copy_of_itself(world: World) -> None:
    """As after a chown of the whole tree and a restart: one row, which knows it as it is."""
    path = world.drop("a.tif")
    world.meet(path)
    assert world.attempt() is State.IMPORTED
    path.chmod(0o600)
    world.meet(path)
    assert world.attempt() is State.SKIPPED
    (row,) = world.journal.select()
    assert row.state is State.IMPORTED
    assert row.files[0].stat.ctime_ns == path.lstat().st_ctime_ns


def test_another_content_under_the_same_name_is_a_fileset_of_its_own(world: World) -> None:
    path = world.drop("a.tif", seed=1)
    world.queue(path)
    world.attempt()
    world.drop("a.tif", seed=2)
    world.queue(path)
    assert world.attempt() is State.IMPORTED
    assert len(world.in_omero(path)) == 2


def test_the_same_bytes_beside_each_other_are_one_image(world: World) -> None:
    first, second = world.drop("a.tif", seed=1), world.drop("b.tif", seed=1)
    for path in (first, second):
        world.queue(path)
    assert [world.attempt(), world.attempt()] == [State.IMPORTED, State.SKIPPED]
    done, skipped = world.row(first), world.row(second)
    assert skipped.duplicate_of == done.id
    assert str(first) in skipped.reason
    assert f"Fileset:{done.server_fileset}, Image:{done.images[0]}" in skipped.reason
    assert world.in_omero(second) == []


def test_or_two_where_an_admin_wants_that(world: World) -> None:
    first, second = world.drop("a.tif", seed=1), world.drop("b.tif", seed=1)
    for path in (first, second):
        world.queue(path)
        assert world.attempt(import_duplicates=True) is State.IMPORTED
    assert len(world.in_omero(first)) == len(world.in_omero(second)) == 1


def test_a_stop_does_not_wait_until_a_file_is_read(world: World) -> None:
    world.queue(world.drop("a.tif"))
    world.attempt()
    path = world.drop("b.tif")
    world.queue(path)
    world.stopping.set()
    assert world.attempt() is State.QUEUED
    world.stopping.clear()
    assert world.attempt() is State.SKIPPED, "it has the same content"


def test_a_renamed_file_is_no_duplicate_to_import(world: World) -> None:
    path = world.drop("a.tif")
    world.queue(path)
    world.attempt()
    now = path.rename(world.root / "b.tif")
    world.queue(now)
    assert world.attempt(import_duplicates=True) is State.SKIPPED
    assert world.in_omero(now) == []


@pytest.mark.parametrize("seen", ["before the upload", "after it"])
def test_the_same_bytes_under_way_are_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    first, second = world.drop("a.tif", seed=1), world.drop("b.tif", seed=1)
    world.queue(first)
    _killing(monkeypatch, NativeImport, "_await", after=True)
    with pytest.raises(Killed):
        world.attempt()
    monkeypatch.undo()
    world.queue(second)
    if seen == "after it":
        monkeypatch.setattr(Journal, "has_twin", lambda self, fileset: False)
    assert world.attempt() is State.QUEUED
    assert world.row(second).reason == "the same content is being imported as fileset 1"
    assert world.in_omero(second) == [], "what was uploaded is cleaned up"
    monkeypatch.undo()
    world.restart()
    assert [world.attempt(), world.attempt()] == [State.IMPORTED, State.SKIPPED]
    assert world.in_omero(second) == []


def test_what_is_under_way_and_came_to_nothing_blocks_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = world.drop("a.tif", seed=1), world.drop("b.tif", seed=1)
    for path in (first, second):
        world.queue(path)
    _killing(monkeypatch, NativeImport, "_verify", after=False)
    with pytest.raises(Killed):
        world.attempt()
    monkeypatch.undo()
    no_patience(monkeypatch)
    world.restart()
    first.unlink()
    assert world.attempt() is State.FAILED, "it is gone, and was handed over"
    assert world.attempt() is State.IMPORTED


def _fill(world: World, number: int) -> None:
    """amy has so many filesets of one image each."""
    with world.sandbox.store.begin() as db:
        amy = accounts.user_by_name(world.sandbox.store, db, "amy")
        assert amy is not None
        group = world.sandbox.store.first(db, "ExperimenterGroup", name="amy_group")
        assert group is not None
        owned = {"owner_id": amy["id"], "group_id": group["id"], "creation": 0}
        first, numbers = 1000, range(number)
        db.execute(TABLES["Fileset"].insert(), [{"id": first + n, **owned} for n in numbers])
        db.execute(
            TABLES["OriginalFile"].insert(),
            [{"id": first + n, "size": 9, "hash": f"{n:040x}", **owned} for n in numbers],
        )
        db.execute(
            TABLES["FilesetEntry"].insert(),
            [
                {
                    "fileset": first + n,
                    "originalFile": first + n,
                    "clientPath": f"{world.root}/{n}.tif"[1:],
                    **owned,
                }
                for n in numbers
            ],
        )
        db.execute(TABLES["Image"].insert(), [{"fileset": first + n, **owned} for n in numbers])


class TestRecovery:
    """A journal that was lost, or brought back from a backup."""

    def test_a_lost_one_knows_renamed_files_by_their_content(
        self, world: World, tmp_path: Path
    ) -> None:
        path = world.drop("a.tif", seed=1)
        world.queue(path)
        world.attempt()
        images = world.row(path).images
        now = path.rename(world.root / "b.tif")
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
        world.recover()
        world.queue(now)
        assert world.attempt() is State.SKIPPED
        assert world.journal.select(State.IMPORTED)[0].images == images
        assert world.in_omero(now) == []

    def test_an_old_one_learns_what_came_after_it(self, world: World, tmp_path: Path) -> None:
        first, second, third = (world.drop(f"{n}.tif", seed=n) for n in range(3))
        world.queue(first)
        world.attempt()
        world.queue(second)
        world.journal.close()
        shutil.copy(tmp_path / "journal.sqlite", tmp_path / "backup.sqlite")
        world.journal = Journal(f"sqlite:///{tmp_path}/journal.sqlite")
        world.queue(third)
        world.attempt()
        world.attempt()
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/backup.sqlite")
        moved = third.rename(world.root / "moved.tif")
        world.recover()
        world.queue(moved)
        # The one that was queued is itself what OMERO has; it gets no second row.
        assert [world.attempt(), world.attempt()] == [State.IMPORTED, State.SKIPPED]
        everything = [world.in_omero(path) for path in (first, second, third, moved)]
        assert [len(found) for found in everything] == [1, 1, 1, 0]
        assert len(world.journal.select(State.IMPORTED)) == 3

    def test_an_attempt_in_doubt_is_left_to_itself(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = world.drop("a.tif")
        world.queue(path)
        _killing(monkeypatch, NativeImport, "_await", after=True)
        with pytest.raises(Killed):
            world.attempt()
        monkeypatch.undo()
        world.restart()
        world.recover()
        assert world.journal.select(State.IMPORTED) == []
        assert world.attempt() is State.IMPORTED

    def test_what_is_there_under_the_path_of_a_file_that_waits_is_learnt(
        self, world: World, tmp_path: Path
    ) -> None:
        """The file was written anew meanwhile, and its former bytes are dropped once more."""
        path = world.drop("a.tif", seed=1)
        world.queue(path)
        assert world.attempt() is State.IMPORTED
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
        copy = shutil.copy(path, world.root / "b.tif")
        world.drop("a.tif", seed=2)
        world.queue(path)
        world.recover()
        assert world.attempt() is State.IMPORTED
        assert len(world.in_omero(path)) == 2
        world.queue(copy)
        assert world.attempt() is State.SKIPPED
        assert world.in_omero(copy) == []

    @pytest.mark.parametrize("met", ["before", "after"])
    def test_a_file_that_it_has_learnt_has_one_row(
        self, world: World, tmp_path: Path, met: str
    ) -> None:
        path = world.drop("a.tif", seed=1)
        world.queue(path)
        world.attempt()
        images = world.row(path).images
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
        if met == "before":
            world.meet(path)
        world.recover()
        if met == "after":
            world.meet(path)
        world.attempt()
        (row,) = world.journal.select()
        assert (row.state, row.images) == (State.IMPORTED, images)
        found = Found(str(path), FileStat.of(path.lstat()))
        assert row.files == (found,)
        assert world.journal.known([found]) == {str(path): State.IMPORTED}
        assert world.in_omero(path) == [images]

    def test_very_many_are_asked_for_in_answers_that_fit_into_a_message(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = 4000
        _fill(world, number)
        ice = client_communicator({"Ice.MessageSizeMax": "512"})
        try:
            cramped = enter(world.serving, ice)
            user = cramped.user("amy")
            with monkeypatch.context() as patch:
                patch.setattr(server_filesets, "MOST_ROWS", 2 * number)
                with pytest.raises(ServerAwayError, match="MessageSizeMax"):
                    cramped._ask(
                        "asking for all of them",
                        lambda sf: server_filesets._of(
                            sf.getQueryService(), user, "f.id > 0", {}, joined=""
                        ),
                    )
            Recovery(world.journal, cramped, places_of(world.root.parent)).of("amy")
        finally:
            ice.destroy()
        assert world.journal.counts("amy")["imported"] == number

    def test_what_was_interrupted_goes_on_where_it_was(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _fill(world, 30)
        monkeypatch.setattr(server_filesets, "MOST_ROWS", 7)
        real, calls = Omero.filesets_after, []

        def away(self: Omero, user: User, after: int) -> Any:
            calls.append(after)
            if len(calls) == 3:
                raise ServerAwayError("away")
            return real(self, user, after)

        monkeypatch.setattr(Omero, "filesets_after", away)
        with pytest.raises(ServerAwayError):
            world.recover()
        assert world.journal.counts("amy")["imported"] == 14
        world.recover()
        assert calls[3] == calls[2] > 0, "what is known is not asked for again"
        assert world.journal.counts("amy")["imported"] == 30

    def test_a_sound_one_learns_nothing(self, world: World) -> None:
        path = world.drop("a.tif")
        world.queue(path)
        world.attempt()
        before = world.journal.select()
        world.recover()
        assert world.journal.select() == before

    def test_others_and_other_places_are_no_concern(self, world: World, tmp_path: Path) -> None:
        elsewhere = tmp_path / "DropBox" / "amy2"
        elsewhere.mkdir()
        path = elsewhere / "a.tif"
        world.drop("b.tif").rename(path)
        stat = FileStat.of(path.lstat())
        world.journal.hand_over("amy", str(elsewhere), Found(str(path), stat))
        assert world.attempt() is State.IMPORTED
        world.journal.close()
        world.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
        world.recover()
        assert world.journal.select() == []


def test_what_omero_refuses_has_failed_with_its_reason_and_leaves_nothing(world: World) -> None:
    path = world.root / "notes.tif"
    path.write_text("no image")
    world.queue(path)
    assert world.attempt() is State.QUEUED
    assert world.row(path).reason.startswith("refused 1 of 3 times: ")
    assert world.attempt() is State.QUEUED
    assert world.attempt() is State.FAILED
    assert "notes.tif" in world.row(path).reason
    assert world.in_omero(path) == []
    assert path.read_text() == "no image"


def test_a_failed_fileset_has_all_its_tries_again_when_it_is_retried(world: World) -> None:
    path = world.root / "late.tif"
    path.write_text("no image")
    world.queue(path)
    while world.attempt() is not State.FAILED:
        pass
    assert world.journal.retry(world.row(path).id)
    assert world.row(path).refusals == 0
    assert world.attempt() is State.QUEUED
    assert not world.journal.retry(world.row(path).id), "it has not failed"


def test_another_clients_unfinished_fileset_is_left_alone(world: World) -> None:
    path = world.drop("a.tif")
    begin_by_another_client(world, path)
    world.queue(path)
    assert world.attempt() is State.IMPORTED
    assert sorted(map(len, world.in_omero(path))) == [0, 1]


def test_a_file_that_changed_since_it_settled_settles_again(world: World) -> None:
    path = world.drop("a.tif")
    world.journal.wait("amy", str(world.root), [Found(str(path), FileStat.of(path.lstat()))])
    (row,) = world.journal.select()
    world.journal.settled({row.id: row.files[0].stat})
    with path.open("ab") as more:
        more.write(b"!")
    assert world.attempt() is State.WAITING
    assert "changed" in world.row(path).reason


def test_a_file_written_to_during_the_upload_settles_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.drop("a.tif")
    world.journal.wait("amy", str(world.root), [Found(str(path), FileStat.of(path.lstat()))])
    (row,) = world.journal.select()
    world.journal.settled({row.id: row.files[0].stat})
    real = NativeImport._verify
    monkeypatch.setattr(NativeImport, "_verify", lambda self, process: pytest.fail("verified"))
    reading = iter([False])

    def meanwhile() -> bool:
        if next(reading, True) is False:
            with path.open("ab") as more:
                more.write(b"!")
        return False

    fileset = world.journal.take("amy")
    assert fileset is not None
    session = world.omero.session_for(world.omero.user("amy"))
    state = make(
        Attempt(world.journal, world.omero, session, fileset, stopping=meanwhile, watch=Watch())
    )
    assert state is State.WAITING
    assert real is not NativeImport._verify


def test_a_link_out_of_the_users_directory_is_refused(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    secret.write_bytes(world.drop("a.tif").read_bytes())
    link = world.root / "link.tif"
    link.symlink_to(secret)
    world.journal.hand_over("amy", str(world.root), Found(str(link), FileStat.of(secret.stat())))
    assert world.attempt() is State.FAILED
    assert "symbolic link" in world.row(link).reason


def test_stopped_before_omero_was_told_the_fileset_is_given_back(world: World) -> None:
    path = world.drop("a.tif")
    world.queue(path)
    world.stopping.set()
    assert world.attempt() is State.QUEUED
    world.stopping.clear()
    assert world.attempt() is State.IMPORTED
    assert world.in_omero(path) == [world.row(path).images]


def test_an_unknown_user_is_nobody_who_imports(world: World) -> None:
    with pytest.raises(UserError, match="nobody"):
        world.omero.user("nobody")


def test_a_user_who_is_not_active_imports_nothing(world: World) -> None:
    with pytest.raises(UserError, match="not active"):
        world.omero.user("guest")
