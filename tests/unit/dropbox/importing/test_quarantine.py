"""Quarantine: a failed file goes to a place that is its own, and comes back from there."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.importing import copying, lying, moving
from omero_fs_plugin.dropbox.importing import quarantine as quarantine_module
from omero_fs_plugin.dropbox.importing.alone import Busy, alone
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.database import Database
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from tests.parts import in_parts_of
from tests.rules import places_of
from tests.steps import before_each

CONTENT = b"no image"


@contextmanager
def dies_before(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """... the write of the journal with this number."""
    numbers, writing = itertools.count(), Database.writing

    def dying(self: Database, **options: Any) -> Any:
        if options.get("fenced", True) and next(numbers) == number:
            raise KeyboardInterrupt
        return writing(self, **options)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Database, "writing", dying)
        yield


@pytest.fixture
def across(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quarantine lies on another file system."""
    real = os.rename

    def rename(
        source: str,
        target: Path,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
    ) -> None:
        if src_dir_fd is not None:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)


@pytest.fixture
def watch_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "DropBox"
    (directory / "amy" / "day 1").mkdir(parents=True)
    return directory


@pytest.fixture
def quarantine(journal: Journal, watch_dir: Path, tmp_path: Path) -> Quarantine:
    return Quarantine(tmp_path / "failed", places_of(watch_dir), journal)


def failed(journal: Journal, path: Path, root: Path) -> Fileset:
    path.write_bytes(CONTENT)
    met = Found(str(path), FileStat.of(path.lstat()))
    fileset = journal.hand_over("amy", str(root), met)
    journal.move(fileset.id, State.QUEUED, State.FAILED, "unknown format")
    return journal.load([fileset.id])[0]


@pytest.fixture
def fileset(journal: Journal, watch_dir: Path) -> Fileset:
    return failed(journal, watch_dir / "amy" / "day 1" / "a.tif", watch_dir / "amy")


def place(tmp_path: Path, fileset: Fileset) -> Path:
    return tmp_path / "failed" / "amy" / str(fileset.id) / "day 1" / "a.tif"


def assert_moved(tmp_path: Path, journal: Journal, fileset: Fileset) -> None:
    to = place(tmp_path, fileset)
    assert to.read_bytes() == CONTENT
    assert not Path(fileset.path).exists()
    (now,) = journal.load([fileset.id])
    assert (now.state, now.reason) == (State.FAILED, "unknown format")
    assert (now.path, now.files[0].path) == (str(to), str(to))
    assert now.root == str(tmp_path / "failed" / "amy" / str(fileset.id))
    assert now.files[0].stat == FileStat.of(to.lstat())


def test_a_failed_file_is_moved_and_the_journal_knows(
    quarantine: Quarantine, tmp_path: Path, journal: Journal, fileset: Fileset
) -> None:
    quarantine.take(fileset)
    assert_moved(tmp_path, journal, fileset)


def test_two_of_the_same_name_never_meet(
    quarantine: Quarantine, journal: Journal, watch_dir: Path, fileset: Fileset, tmp_path: Path
) -> None:
    quarantine.take(fileset)
    again = failed(journal, Path(fileset.path), watch_dir / "amy")
    quarantine.take(again)
    assert again.id != fileset.id
    assert place(tmp_path, fileset).exists()
    assert place(tmp_path, again).exists()


@pytest.mark.usefixtures("across")
def test_to_another_file_system_it_is_copied_first(
    quarantine: Quarantine, tmp_path: Path, journal: Journal, fileset: Fileset
) -> None:
    mtime = Path(fileset.path).stat().st_mtime_ns
    quarantine.take(fileset)
    assert_moved(tmp_path, journal, fileset)
    assert place(tmp_path, fileset).stat().st_mtime_ns == mtime
    assert [p.name for p in place(tmp_path, fileset).parent.iterdir()] == ["a.tif"]


@pytest.mark.usefixtures("across")
def test_what_cannot_be_copied_stays(
    quarantine: Quarantine, fileset: Fileset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fchmod", full)
    quarantine.take(fileset)
    assert Path(fileset.path).read_bytes() == CONTENT
    assert list(place(tmp_path, fileset).parent.iterdir()) == [], "and no half of it elsewhere"


def test_a_move_that_was_cut_short_is_completed(
    quarantine: Quarantine, tmp_path: Path, journal: Journal, fileset: Fileset
) -> None:
    to = place(tmp_path, fileset)
    to.parent.mkdir(parents=True)
    Path(fileset.path).rename(to)
    quarantine.sweep()
    assert_moved(tmp_path, journal, fileset)


def test_what_failed_before_is_swept_up(
    quarantine: Quarantine, tmp_path: Path, journal: Journal, fileset: Fileset
) -> None:
    quarantine.sweep()
    assert_moved(tmp_path, journal, fileset)
    quarantine.sweep()
    assert_moved(tmp_path, journal, fileset)


def test_a_file_that_changed_since_stays(quarantine: Quarantine, fileset: Fileset) -> None:
    Path(fileset.path).write_bytes(b"mended")
    quarantine.take(fileset)
    assert Path(fileset.path).read_bytes() == b"mended"


def test_a_link_put_in_the_way_leads_nowhere(
    quarantine: Quarantine, fileset: Fileset, tmp_path: Path
) -> None:
    directory = Path(fileset.path).parent
    directory.rename(tmp_path / "secret")
    directory.symlink_to(tmp_path / "secret")
    quarantine.take(fileset)
    assert (tmp_path / "secret" / "a.tif").read_bytes() == CONTENT


def test_files_outside_the_watch_directory_stay(
    quarantine: Quarantine, journal: Journal, tmp_path: Path
) -> None:
    outside = failed(journal, tmp_path / "elsewhere.tif", tmp_path)
    quarantine.take(outside)
    assert Path(outside.path).read_bytes() == CONTENT


def test_without_a_directory_they_stay(journal: Journal, watch_dir: Path, fileset: Fileset) -> None:
    Quarantine(None, places_of(watch_dir), journal).sweep()
    assert Path(fileset.path).read_bytes() == CONTENT


class TestSets:
    """A set is moved whole, or not at all."""

    @pytest.fixture
    def pair(self, journal: Journal, watch_dir: Path) -> Fileset:
        return self.failed_set(journal, watch_dir, "a.tif", "b.tif")

    def failed_set(self, journal: Journal, watch_dir: Path, *names: str) -> Fileset:
        directory = watch_dir / "amy" / "day 1"
        for name in names:
            if not (directory / name).exists():
                (directory / name).write_bytes(name.encode())
        met = [Found(str(directory / n), FileStat.of((directory / n).lstat())) for n in names]
        identifier, _ = journal.form(Formed("amy", str(watch_dir / "amy"), met))
        assert identifier is not None
        journal.move(identifier, State.QUEUED, State.FAILED, "unknown format")
        return journal.load([identifier])[0]

    def test_all_its_files_are_moved(
        self, quarantine: Quarantine, journal: Journal, pair: Fileset, tmp_path: Path
    ) -> None:
        quarantine.take(pair)
        to = place(tmp_path, pair).parent
        assert sorted(path.name for path in to.iterdir()) == ["a.tif", "b.tif"]
        assert not any(Path(met.path).exists() for met in pair.files)
        (now,) = journal.load([pair.id])
        assert [met.path for met in now.files] == [str(to / "a.tif"), str(to / "b.tif")]
        assert [met.stat for met in now.files] == [met.stat for met in pair.files]

    def test_a_move_that_was_cut_short_is_completed(
        self, quarantine: Quarantine, journal: Journal, pair: Fileset, tmp_path: Path
    ) -> None:
        to = place(tmp_path, pair)
        to.parent.mkdir(parents=True)
        Path(pair.path).rename(to)
        quarantine.sweep()
        assert sorted(path.name for path in to.parent.iterdir()) == ["a.tif", "b.tif"]

    def test_it_stays_when_a_file_of_it_was_mended(
        self, quarantine: Quarantine, pair: Fileset
    ) -> None:
        Path(pair.files[1].path).write_bytes(b"as it should be")
        quarantine.take(pair)
        assert all(Path(met.path).exists() for met in pair.files)

    def test_it_stays_when_a_file_of_it_is_handed_over_at_the_last_moment(
        self, quarantine: Quarantine, journal: Journal, watch_dir: Path, pair: Fileset
    ) -> None:
        """Whoever hands it over with another one is told that both are queued."""
        root = watch_dir / "amy"
        (root / "c.tif").write_bytes(b"c.tif")
        other = Found(f"{root}/c.tif", FileStat.of((root / "c.tif").lstat()))
        with before_each(
            [(journal, "set_out")],
            lambda: journal.hand_over("amy", str(root), other, pair.files[1]),
        ):
            quarantine.take(pair)
        (queued,) = journal.select(State.QUEUED)
        assert [met.path for met in queued.files] == [other.path, pair.files[1].path]
        assert all(Path(met.path).exists() for met in pair.files)
        assert journal.notes(GOES) == {} == journal.notes(HOME)

    @pytest.mark.parametrize("killed", [False, True], ids=["before it is moved", "after a kill"])
    def test_it_lies_where_it_was_when_a_file_changes_in_the_middle(
        self,
        quarantine: Quarantine,
        pair: Fileset,
        journal: Journal,
        monkeypatch: pytest.MonkeyPatch,
        killed: bool,
    ) -> None:
        real, second = quarantine_module.move_out, pair.files[1].path

        def change_the_second(root: str, met: Found, to: Path, vault: str, **more: Any) -> bool:
            if met.path != second:
                return real(root, met, to, vault, **more)
            if killed:
                raise KeyboardInterrupt
            Path(second).write_bytes(b"as it should be")
            return real(root, met, to, vault, **more)

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(quarantine_module, "move_out", change_the_second)
            quarantine.take(pair)
        Path(second).write_bytes(b"as it should be")
        if killed:
            quarantine.sweep()
        assert all(Path(met.path).exists() for met in pair.files)
        assert journal.notes(GOES) == {} == journal.notes(HOME)

    def test_one_that_is_removed_as_soon_as_it_is_moved_is_told(
        self,
        quarantine: Quarantine,
        journal: Journal,
        pair: Fileset,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        real = quarantine_module.move_out

        def removed(root: str, met: Found, to: Path, vault: str, **more: Any) -> bool:
            done = real(root, met, to, vault, **more)
            if met.path == pair.files[1].path:
                to.unlink()
            return done

        monkeypatch.setattr(quarantine_module, "move_out", removed)
        quarantine.take(pair)
        assert Path(pair.path).read_bytes() == b"a.tif"
        assert "it was moved, and is gone" in next(iter(quarantine.staying.told().values()))
        assert journal.notes(GOES) == {} == journal.notes(HOME)

    @pytest.mark.parametrize("elsewhere", [True, False], ids=["another directory", "none"])
    @pytest.mark.parametrize("killed_at", ["move_out", "_tell", "put_elsewhere"])
    def test_after_a_kill_and_with_another_directory(
        self,
        quarantine: Quarantine,
        journal: Journal,
        watch_dir: Path,
        tmp_path: Path,
        pair: Fileset,
        monkeypatch: pytest.MonkeyPatch,
        killed_at: str,
        elsewhere: bool,
    ) -> None:
        """An admin has changed omero.fs.quarantine before the next start."""
        real, second = quarantine_module.move_out, pair.files[1].path

        def killed(*arguments: Any, **more: Any) -> bool:
            if killed_at == "move_out" and arguments[1].path != second:
                return real(*arguments, **more)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(
                journal if killed_at == "put_elsewhere" else quarantine_module, killed_at, killed
            )
            quarantine.take(pair)
        new = tmp_path / "other" if elsewhere else None
        Quarantine(new, places_of(watch_dir), journal).sweep()
        assert list((tmp_path / "failed").rglob("*.tif")) == []
        (now,) = journal.load([pair.id])
        assert sorted(path.read_bytes() for path in tmp_path.rglob("*.tif")) == [b"a.tif", b"b.tif"]
        assert all(Path(met.path).exists() for met in now.files)
        assert now.root == (str(tmp_path / "other" / "amy" / str(pair.id)) if new else pair.root)
        assert journal.notes("quarantine under way ") == {}

    @pytest.mark.parametrize("now", ["the same", "another", "none"])
    @pytest.mark.parametrize("killed_at", ["move_out", "_tell"])
    def test_after_a_kill_and_without_the_disk_of_the_quarantine(
        self,
        quarantine: Quarantine,
        journal: Journal,
        watch_dir: Path,
        tmp_path: Path,
        pair: Fileset,
        monkeypatch: pytest.MonkeyPatch,
        killed_at: str,
        now: str,
    ) -> None:
        """It is not mounted at the next start.  The files lie on it."""
        real, second = quarantine_module.move_out, pair.files[1].path

        def killed(*arguments: Any, **more: Any) -> bool:
            if killed_at == "move_out" and arguments[1].path != second:
                return real(*arguments, **more)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(quarantine_module, killed_at, killed)
            quarantine.take(pair)
        noted = journal.notes(GOES), journal.notes(HOME)
        vault, disk = tmp_path / "failed", tmp_path / "disk"
        vault.rename(disk)
        vault.mkdir()
        directory = {"the same": vault, "another": tmp_path / "other", "none": None}[now]
        later = Quarantine(directory, places_of(watch_dir), journal)
        later.sweep()
        assert (journal.notes(GOES), journal.notes(HOME)) == noted
        if now == "the same":
            assert "mount its disk" in next(iter(later.staying.told().values()))
        shutil.rmtree(vault)
        disk.rename(vault)
        Quarantine(vault, places_of(watch_dir), journal).sweep()
        to = place(tmp_path, pair).parent
        assert sorted(path.read_bytes() for path in to.iterdir()) == [b"a.tif", b"b.tif"]
        (row,) = journal.load([pair.id])
        assert [met.path for met in row.files] == [str(to / "a.tif"), str(to / "b.tif")]
        assert journal.notes(GOES) == {}

    @pytest.mark.parametrize("part", range(1, 5))
    def test_a_large_set_is_killed_between_two_parts(
        self,
        quarantine: Quarantine,
        journal: Journal,
        watch_dir: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        part: int,
    ) -> None:
        """On its way there, and on its way home; then the next DropBox goes on."""
        root = watch_dir / "amy"
        files = []
        for n in range(5):
            (root / f"{n}.tif").write_bytes(b"%d" % n)
            files.append(Found(f"{root}/{n}.tif", FileStat.of((root / f"{n}.tif").lstat())))
        identifier, _ = journal.form(Formed("amy", str(root), files))
        assert identifier is not None
        journal.move(identifier, State.QUEUED, State.FAILED, "no")
        with in_parts_of(1):
            with dies_before(monkeypatch, 2 + part):
                quarantine.take(journal.load([identifier])[0])
            (half,) = journal.load([identifier])
            assert len([m for m in half.files if "DropBox" not in m.path]) == part
            Quarantine(tmp_path / "failed", places_of(watch_dir), journal).sweep()
            (there,) = journal.load([identifier])
            assert [Path(met.path).read_bytes() for met in there.files] == [
                b"%d" % n for n in range(5)
            ]
            for met in there.files:
                assert met.path.startswith(f"{tmp_path}/failed/")
                assert met.stat == FileStat.of(Path(met.path).lstat())
            assert journal.notes("quarantine under way ") == {}
            with dies_before(monkeypatch, 1 + part):
                quarantine.bring_back(there)
            Quarantine(tmp_path / "failed", places_of(watch_dir), journal).sweep()
        assert sorted(path.name for path in root.iterdir() if path.is_file()) == [
            f"{n}.tif" for n in range(5)
        ]
        waiting = journal.select(State.WAITING)
        assert sorted(met.path for one in waiting for met in one.files) == [
            met.path for met in files
        ]
        assert journal.select(State.FAILED) == []
        assert journal.notes("quarantined ") == journal.notes("returning ") == {}

    def test_what_stays_because_it_was_dropped_again_is_told(
        self,
        quarantine: Quarantine,
        journal: Journal,
        tmp_path: Path,
        watch_dir: Path,
        pair: Fileset,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """After a kill in the middle of the move, and with another directory."""
        killed = mock.patch.object(quarantine_module, "_tell", side_effect=KeyboardInterrupt)
        with killed, suppress(KeyboardInterrupt):
            quarantine.take(pair)
        Path(pair.path).write_bytes(b"dropped again")
        Quarantine(tmp_path / "other", places_of(watch_dir), journal).sweep()
        assert Path(pair.path).read_bytes() == b"dropped again"
        old = place(tmp_path, pair)
        assert old.read_bytes() == b"a.tif"
        assert f"{old} stays: {pair.path} is there" in caplog.text

    def test_it_stays_when_another_set_has_a_file_of_it(
        self, quarantine: Quarantine, journal: Journal, watch_dir: Path, pair: Fileset
    ) -> None:
        other = self.failed_set(journal, watch_dir, "c.tif", "b.tif")
        journal.retry(other.id)
        quarantine.take(pair)
        assert all(Path(met.path).exists() for met in pair.files)


class TestBack:
    """What lacked a file comes back when that comes, or somebody says so; as one set."""

    @pytest.fixture
    def given_up(self, journal: Journal, watch_dir: Path, quarantine: Quarantine) -> Fileset:
        """Two parts of a set.  The third part never came."""
        home = watch_dir / "amy"
        met = []
        for name in ("day 1/a.tif", "day 1/b.tif"):
            (home / name).write_bytes(name.encode())
            met.append(Found(str(home / name), FileStat.of((home / name).lstat())))
        journal.wait("amy", str(home), met)
        ids = [journal.open_at([one.path])[one.path].id for one in met]
        missing = str(home / "day 1" / "c.tif")
        failed = journal.give_up(ids, f"waits for {missing}", [missing])
        assert failed is not None
        quarantine.take(journal.load([failed])[0])
        return journal.load([failed])[0]

    @pytest.fixture
    def home(self, watch_dir: Path) -> Path:
        return watch_dir / "amy" / "day 1"

    def test_the_parts_lie_together_and_it_says_why(
        self, given_up: Fileset, tmp_path: Path, home: Path
    ) -> None:
        to = place(tmp_path, given_up).parent
        assert sorted(path.name for path in to.iterdir()) == ["a.tif", "b.tif"]
        text = (tmp_path / "failed" / "amy" / f"{given_up.id}.txt").read_text(encoding="utf-8")
        assert f"The reason: waits for {home / 'c.tif'}" in text
        assert f"omero fs import --retry {given_up.id}" in text
        assert str(home / "a.tif") in text

    def assert_back(self, journal: Journal, home: Path, tmp_path: Path) -> None:
        assert sorted(path.name for path in home.iterdir()) == ["a.tif", "b.tif"]
        waiting = journal.select(State.WAITING)
        assert sorted(one.path for one in waiting) == [str(home / "a.tif"), str(home / "b.tif")]
        assert {one.root for one in waiting} == {str(home.parent)}
        assert journal.select(State.FAILED) == []
        assert not list((tmp_path / "failed" / "amy").glob("*.txt"))

    @pytest.mark.parametrize("came", ["c.tif", "a.tif"], ids=["what lacks", "what names it"])
    def test_when_the_missing_file_comes(
        self,
        given_up: Fileset,
        quarantine: Quarantine,
        journal: Journal,
        home: Path,
        tmp_path: Path,
        came: str,
    ) -> None:
        back = quarantine.bring_what_lacks("amy", [str(home / came)])
        assert sorted(back) == [str(home / "a.tif"), str(home / "b.tif")]
        self.assert_back(journal, home, tmp_path)

    def test_nobody_elses_file_brings_it(
        self, given_up: Fileset, quarantine: Quarantine, home: Path
    ) -> None:
        assert quarantine.bring_what_lacks("zak", [str(home / "c.tif")]) == []
        assert quarantine.bring_what_lacks("amy", [str(home / "d.tif")]) == []

    def test_when_it_is_asked_for(
        self,
        given_up: Fileset,
        quarantine: Quarantine,
        journal: Journal,
        home: Path,
        tmp_path: Path,
    ) -> None:
        home.rmdir()
        assert quarantine.bring_back(given_up)
        self.assert_back(journal, home, tmp_path)

    def test_never_over_what_lies_there_now(
        self, given_up: Fileset, quarantine: Quarantine, journal: Journal, home: Path
    ) -> None:
        (home / "b.tif").write_bytes(b"another")
        assert quarantine.bring_back(given_up) == []
        assert (home / "b.tif").read_bytes() == b"another"
        assert not (home / "a.tif").exists()
        assert [one.id for one in journal.select(State.FAILED)] == [given_up.id]

    def test_a_link_put_in_the_way_leads_nowhere(
        self, given_up: Fileset, quarantine: Quarantine, home: Path, tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret"
        secret.mkdir()
        home.rmdir()
        home.symlink_to(secret)
        assert quarantine.bring_back(given_up) == []
        assert list(secret.iterdir()) == []

    def test_from_another_file_system(
        self,
        given_up: Fileset,
        quarantine: Quarantine,
        journal: Journal,
        home: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        link = os.link

        def across(source: str | Path, target: str, **options: int | bool) -> None:
            if "src_dir_fd" not in options:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            link(source, target, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "link", across)
        assert quarantine.bring_back(given_up)
        self.assert_back(journal, home, tmp_path)
        assert (home / "b.tif").read_bytes() == b"day 1/b.tif"

    @pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
    def test_what_the_user_removes_while_it_is_compared(
        self,
        given_up: Fileset,
        quarantine: Quarantine,
        journal: Journal,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        replaced: bool,
    ) -> None:
        """A kill came before the copy in quarantine was removed.  By now it is the only one."""
        at = Path(given_up.path)
        shutil.copy2(at, home / "a.tif")
        real = lying.sha1_of

        def slow(*args: Any) -> str:
            found = real(*args)
            (home / "a.tif").unlink()
            if replaced:
                (home / "a.tif").write_bytes(b"another")
            return found

        with monkeypatch.context() as patch:
            patch.setattr(lying, "sha1_of", slow)
            assert quarantine.bring_back(given_up) == []
        assert at.read_bytes() == b"day 1/a.tif"
        assert "it changed while it was compared" in quarantine.stays[given_up.id]
        if not replaced:
            assert quarantine.bring_back(journal.load([given_up.id])[0])
            assert (home / "a.tif").read_bytes() == b"day 1/a.tif"

    @pytest.mark.parametrize("across", [False, True], ids=["same disk", "another disk"])
    @pytest.mark.parametrize("steps", range(12))
    def test_after_a_kill_at_any_step(
        self,
        given_up: Fileset,
        quarantine: Quarantine,
        journal: Journal,
        home: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        across: bool,
        steps: int,
    ) -> None:
        class Killed(BaseException):
            """Nothing of ours may handle it."""

        left = iter(range(steps))

        def kill_after(owner: Any, name: str) -> None:
            real = getattr(owner, name)

            def step(*args: Any, **options: Any) -> Any:
                if across and name == "link" and options["src_dir_fd"] != options["dst_dir_fd"]:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                found = real(*args, **options)
                if next(left, None) is None:
                    raise Killed
                return found

            monkeypatch.setattr(owner, name, step)

        with monkeypatch.context():
            for owner, name in (
                *((os, name) for name in ("link", "unlink", "mkdir")),
                *((Path, name) for name in ("unlink",)),
                (journal, "bring_home"),
            ):
                kill_after(owner, name)
            with suppress(Killed):
                quarantine.bring_back(given_up)
        monkeypatch.undo()
        for fileset in journal.select(State.FAILED):
            quarantine.bring_back(fileset)
        self.assert_back(journal, home, tmp_path)
        assert list((tmp_path / "failed" / "amy").rglob("*.tif")) == []
        assert journal.notes("quarantined ") == {}


class TestAcrossFileSystems:
    """The copy is on disk before the original goes, and nothing else is taken for the file."""

    pytestmark = pytest.mark.usefixtures("across")

    def test_file_name_and_directories_are_synced_before_the_original_goes(
        self,
        quarantine: Quarantine,
        fileset: Fileset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        done: list[str] = []
        sync, unlink = os.fsync, os.unlink

        def fsync(descriptor: int) -> None:
            done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
            sync(descriptor)

        def unlinked(name: str, *, dir_fd: int | None = None) -> None:
            done.append(f"unlink {name}")
            unlink(name, dir_fd=dir_fd)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "unlink", unlinked)
        quarantine.take(fileset)
        to = place(tmp_path, fileset)
        before = [path for path in done[: done.index("unlink a.tif")] if path[0] == "/"]
        assert before[-2:] == [str(to.parent / ".a.tif.part"), str(to.parent)]
        assert set(before) >= {str(tmp_path / "failed"), str(tmp_path / "failed" / "amy")}

    @pytest.mark.parametrize("what", ["fifo", "link", "directory", "another file"])
    def test_what_takes_its_place_at_the_last_moment_stays(
        self,
        quarantine: Quarantine,
        fileset: Fileset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        what: str,
    ) -> None:
        secret = tmp_path / "secret"
        secret.write_bytes(CONTENT)
        exchange_at_rename(monkeypatch, Path(fileset.path), what, secret, error=errno.EXDEV)
        quarantine.take(fileset)
        assert secret.read_bytes() == CONTENT
        assert os.path.lexists(fileset.path), "what is there now is not ours to remove"
        assert not os.path.lexists(place(tmp_path, fileset))

    def test_it_keeps_its_mode(
        self, quarantine: Quarantine, fileset: Fileset, tmp_path: Path
    ) -> None:
        Path(fileset.path).chmod(0o600)
        quarantine.take(fileset)
        assert place(tmp_path, fileset).stat().st_mode & 0o777 == 0o600

    def test_a_trap_where_it_comes_back_holds_nobody(
        self, quarantine: Quarantine, journal: Journal, fileset: Fileset, tmp_path: Path
    ) -> None:
        quarantine.take(fileset)
        os.mkfifo(Path(fileset.path).with_name(".a.tif.part"))
        (moved,) = journal.load([fileset.id])
        to = place(tmp_path, fileset)
        with mock.patch.object(os, "link", across_link(os.link, to)):
            assert quarantine.bring_back(moved) == [fileset.path]
        assert Path(fileset.path).read_bytes() == CONTENT
        assert [path.name for path in Path(fileset.path).parent.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("what", ["fifo", "link", "directory", "another file"])
def test_what_takes_its_place_at_the_last_moment_is_given_back(
    quarantine: Quarantine,
    fileset: Fileset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    exchange_at_rename(monkeypatch, Path(fileset.path), what, secret)
    quarantine.take(fileset)
    assert secret.read_bytes() == CONTENT
    assert os.path.lexists(fileset.path)
    assert not os.path.lexists(place(tmp_path, fileset))


def exchange_at_rename(
    monkeypatch: pytest.MonkeyPatch, path: Path, what: str, secret: Path, error: int = 0
) -> None:
    """A user puts something else in the place of `path` between our look at it and our rename."""
    real = os.rename

    def rename(
        source: Any, target: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        if src_dir_fd is not None:
            path.unlink()
            if what == "fifo":
                os.mkfifo(path)
            elif what == "link":
                path.symlink_to(secret)
            elif what == "directory":
                path.mkdir()
            else:
                path.write_bytes(CONTENT)
            if error:
                raise OSError(error, os.strerror(error))
        real(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", rename)


def across_link(real: Any, source: Path) -> Any:
    """As os.link, where `source` lies on another file system."""

    def link(one: Any, other: Any, **more: Any) -> None:
        above = more.get("src_dir_fd")
        at = Path(f"/proc/self/fd/{above}").readlink() if above is not None else Path()
        if at / one == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(one, other, **more)

    return link


@pytest.mark.usefixtures("across")
def test_the_disk_of_the_quarantine_is_not_the_users(
    quarantine: Quarantine, fileset: Fileset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it hangs, it is named, and nothing else waits."""
    vault, at = str(tmp_path / "failed"), []
    for name in ("mkdir", "open", "rename", "fsync", "lstat", "stat"):
        real = getattr(os, name)

        def called(*arguments: Any, real: Any = real, name: str = name, **more: Any) -> Any:
            where = str(arguments[0])
            if name == "fsync":
                where = str(Path(f"/proc/self/fd/{arguments[0]}").readlink())
            if where == vault or where.startswith(f"{vault}/"):
                call = getattr(CALLS._mine, "call", None)
                if call is None or call.since is not None:  # else no disk is waited for
                    at.append((name, call.root if call is not None else ""))
            return real(*arguments, **more)

        monkeypatch.setattr(os, name, called)
    monkeypatch.setattr(copying, "_BLOCK", 4)
    monkeypatch.setattr(copying, "_SYNCED_EACH", 4)
    quarantine.take(fileset)
    names = [name for name, _ in at]
    assert {"mkdir", "open"} <= set(names)
    assert names.count("fsync") > len(CONTENT) // 4, "little is left to be synced at any time"
    assert {root for _, root in at} == {vault}, at


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("what", ["fifo", "link", "directory"])
def test_nothing_but_a_file_comes_back(
    quarantine: Quarantine,
    journal: Journal,
    fileset: Fileset,
    tmp_path: Path,
    what: str,
    across: bool,
) -> None:
    """Whoever can write in the quarantine puts something else in the place of the file."""
    quarantine.take(fileset)
    (moved,) = journal.load([fileset.id])
    to, secret = place(tmp_path, fileset), tmp_path / "secret"
    secret.write_bytes(CONTENT)
    to.unlink()
    if what == "fifo":
        os.mkfifo(to)
    elif what == "link":
        to.symlink_to(secret)
    else:
        to.mkdir()
    link = across_link(os.link, to) if across else os.link
    with mock.patch.object(os, "link", link):
        assert quarantine.bring_back(moved) == []
    assert not os.path.lexists(fileset.path)
    assert os.path.lexists(to)
    assert secret.read_bytes() == CONTENT


def test_what_lies_there_of_an_older_journal_is_not_replaced(
    quarantine: Quarantine, journal: Journal, watch_dir: Path, tmp_path: Path
) -> None:
    """A journal that was restored gives its numbers a second time."""
    path = watch_dir / "amy" / "day 1" / "a.tif"
    fileset = failed(journal, path, watch_dir / "amy")
    there = tmp_path / "failed" / "amy" / str(fileset.id) / "day 1" / "a.tif"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"another")
    quarantine.take(fileset)
    assert (path.read_bytes(), there.read_bytes()) == (CONTENT, b"another")
    assert "something else lies there already" in next(iter(quarantine.staying.told().values()))
    assert f"move {there} away" in next(iter(quarantine.staying.told().values()))
    assert journal.notes(GOES) == {} == journal.notes(HOME), "nothing of it is being moved"
    assert journal.retry(fileset.id), "and so it may be tried again"
    journal.move(fileset.id, State.QUEUED, State.FAILED, "no")
    there.write_bytes(CONTENT)  # as a kill between the copy and the end of the original leaves it
    quarantine.take(fileset)
    assert not path.exists()
    assert there.read_bytes() == CONTENT


@pytest.mark.parametrize("noted", [False, True], ids=["", "a note stayed"])
def test_what_lies_there_of_an_older_journal_is_not_taken_for_the_file(
    quarantine: Quarantine, journal: Journal, fileset: Fileset, tmp_path: Path, noted: bool
) -> None:
    """The user has removed the file, which was never moved."""
    there = place(tmp_path, fileset)
    there.parent.mkdir(parents=True)
    there.write_bytes(b"another")
    if noted:
        journal.note(f"{GOES}{fileset.id}", str(tmp_path / "failed"))
        journal.note(f"{HOME}{fileset.id}", fileset.root)
    quarantine.take(fileset)
    assert journal.notes(GOES) == {} == journal.notes(HOME)
    Path(fileset.path).unlink()
    quarantine.take(fileset)
    assert journal.load([fileset.id])[0].path == fileset.path
    assert there.read_bytes() == b"another"


def test_a_directory_that_lies_there_is_not_replaced(
    quarantine: Quarantine, fileset: Fileset, tmp_path: Path
) -> None:
    place(tmp_path, fileset).mkdir(parents=True)
    quarantine.take(fileset)
    assert Path(fileset.path).read_bytes() == CONTENT
    assert place(tmp_path, fileset).is_dir()
    said = next(iter(quarantine.staying.told().values()))
    assert f"move {place(tmp_path, fileset)} away" in said


def test_a_directory_in_the_place_of_a_file_is_closed_again(
    fileset: Fileset, tmp_path: Path, across: None
) -> None:
    """It is tried again and again."""
    path, met = Path(fileset.path), fileset.files[0]
    path.unlink()
    path.mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(IsADirectoryError):
        copying.sha1_at(path, str(tmp_path))
    with mock.patch.object(moving, "_is", lambda *_: True):  # it comes just after this look
        assert not moving.move_out(fileset.root, met, tmp_path / "a.tif")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@contextmanager
def no_room_for_a_lock(code: int) -> Iterator[None]:
    real = os.open

    def full(path: Any, flags: int, *args: Any, **more: Any) -> int:
        if str(path).endswith(".lock"):
            raise OSError(code, os.strerror(code))
        return real(path, flags, *args, **more)

    with mock.patch.object(os, "open", full):
        yield


class TestNoRoom:
    """The disk of the quarantine is full.  What lies there can leave it all the same."""

    @pytest.fixture
    def moved(self, quarantine: Quarantine, journal: Journal, fileset: Fileset) -> Fileset:
        quarantine.take(fileset)
        return journal.load([fileset.id])[0]

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
    def test_it_comes_home(
        self, quarantine: Quarantine, fileset: Fileset, moved: Fileset, code: int
    ) -> None:
        with no_room_for_a_lock(code):
            assert quarantine.bring_back(moved) == [fileset.path]
        assert Path(fileset.path).read_bytes() == CONTENT

    @pytest.mark.parametrize("first", ["with", "without"])
    @pytest.mark.parametrize("second", ["with", "without"])
    def test_another_is_kept_out(
        self, quarantine: Quarantine, moved: Fileset, tmp_path: Path, first: str, second: str
    ) -> None:
        def room(which: str) -> AbstractContextManager[None]:
            return nullcontext() if which == "with" else no_room_for_a_lock(errno.EDQUOT)

        lock = Path(moved.root).with_name(f".{moved.id}.lock")
        with ExitStack() as held:
            with room(first):
                held.enter_context(alone(lock, str(tmp_path / "failed")))
            with room(second), pytest.raises(Busy):
                quarantine.bring_back(moved)
        assert quarantine.bring_back(moved)

    def test_without_locks_for_directories_it_stays(
        self, quarantine: Quarantine, moved: Fileset
    ) -> None:
        """As on NFS: nobody would be kept out."""
        refused = OSError(errno.EBADF, os.strerror(errno.EBADF))
        with no_room_for_a_lock(errno.ENOSPC), mock.patch("fcntl.flock", side_effect=refused):
            assert quarantine.bring_back(moved) == []
        assert os.strerror(errno.ENOSPC) in quarantine.stays[moved.id]


def test_one_that_another_moves_is_looked_at_again(
    quarantine: Quarantine, journal: Journal, watch_dir: Path, tmp_path: Path
) -> None:
    """Whoever moves it may be killed in the middle of it."""
    path = watch_dir / "amy" / "day 1" / "a.tif"
    fileset = failed(journal, path, watch_dir / "amy")
    root = tmp_path / "failed" / "amy" / str(fileset.id)
    with quarantine._alone(fileset.id, root, str(tmp_path / "failed")):
        quarantine.take(fileset)
    assert path.exists()
    assert quarantine.staying
    quarantine.take_again(fileset.id, fileset.root)
    assert not path.exists()
    assert not quarantine.staying
