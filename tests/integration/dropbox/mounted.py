"""Real file systems that are full, or vanish; test_adversity_mounts.py runs this.

In a mount namespace of its own: nothing of it is seen outside, or left behind.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from omero_fs_plugin.checks.directories import in_each_others_way
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.confine.roots import Roots
from omero_fs_plugin.dropbox.importing import activity, tidying, workers
from omero_fs_plugin.dropbox.journal import engines, keeper, lease
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import groupers, looks
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.sandbox.repository import MANAGED
from omero_fs_plugin.stores import in_order
from tests.integration.dropbox.test_stores import in_omero, install_reader, reason
from tests.integration.whole import Whole
from tests.stores import image
from tests.unit.dropbox.importing.test_quarantine_stores import World

LEASE_S = 2.0


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _is_unmounted(point: Path) -> bool:
    """Now, or not yet: while somebody looks at a file there, the kernel refuses it."""
    done = subprocess.run(["umount", point], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "busy" in done.stderr, done.stderr
    return done.returncode == 0


def _small_disk(place: Path, size: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", place)


def _fill(disk: Path) -> Path:
    """A file that leaves no room on the disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler


def test_disk_of_the_journal_is_full(tmp_path: Path, make_whole: Callable[..., Whole]) -> None:
    disk = tmp_path / "small"
    _small_disk(disk, "4m")
    whole = make_whole(journal=f"sqlite:///{disk}/journal.sqlite")
    before = whole.drop("before.tif")
    whole.until_known(before)
    filler = _fill(disk)
    during = [whole.drop(f"{number:03}.tif") for number in range(60)]
    whole.until("it says so", lambda: whole.dropbox.figures()["state"] == "waiting for room")
    filler.unlink()
    whole.until_known(*during)
    whole.until_settled()
    whole.assert_once(before, *during)


@pytest.mark.parametrize(
    "held_still",
    [
        pytest.param(True, id="the holder hangs"),
        pytest.param(False, id="both live", marks=pytest.mark.long),
    ],
)
def test_disk_of_the_journal_is_full_for_longer_than_the_lease(
    tmp_path: Path,
    make_whole: Callable[..., Whole],
    monkeypatch: pytest.MonkeyPatch,
    held_still: bool,
) -> None:
    """Nobody can take the lease meanwhile.  Then one of the two goes on, and the other ends."""
    for module, name, seconds in (
        (keeper, "RENEW", LEASE_S / 4),
        (keeper, "RENEW_AGAIN", LEASE_S / 12),
        (engines, "_BUSY_S", LEASE_S / 2),
        (workers, "_PING_S", 0.2),
        (tidying, "_PING_S", 0.2),
        *((activity, name, 1.0) for name in ("START_S", "FILE_S", "LATE_S", "WATCH_S")),
    ):
        monkeypatch.setattr(module, name, seconds)
    disk = tmp_path / "small"
    _small_disk(disk, "4m")
    whole = make_whole(journal=f"sqlite:///{disk}/journal.sqlite", transfer="upload_rm")
    before = whole.drop("before.tif")
    whole.until_known(before)
    whole.until_settled()
    first, go = whole.dropbox, threading.Event()
    with whole.standby() as took_over:
        filler = _fill(disk)
        during = [whole.drop(f"{number:03}.tif") for number in range(20)]
        whole.until("it says so", lambda: first.figures()["state"] == "waiting for room")
        for module in (keeper, lease):  # from now on: before, a slow machine is no takeover
            monkeypatch.setattr(module, "EXPIRES", LEASE_S)
        if held_still:
            ask = first._keeper.ask
            monkeypatch.setattr(first._keeper, "ask", lambda: (go.wait(60), ask())[1])
        time.sleep(2 * LEASE_S)
        assert not took_over() and not first._stopping.is_set()
        filler.unlink()
        if held_still:
            whole.until("the second takes over", took_over)
            go.set()
        whole.until_known(*during)
        whole.until_settled()
        whole.until("one of them is left", lambda: first._stopping.is_set() == took_over())
    whole.assert_once(before, *during)
    whole.until("nothing is left to do", lambda: not whole.journal.unfinished())
    assert whole.journal.counts()[State.FAILED] == 0
    whole.until_state("running")


def test_disk_of_the_repository_is_full(tmp_path: Path, make_whole: Callable[..., Whole]) -> None:
    disk = tmp_path / "OMERO" / MANAGED
    _small_disk(disk, "1m")
    whole = make_whole()
    before = whole.drop("before.tif")
    whole.until_known(before)
    filler = _fill(disk)
    path = whole.drop("no room.tif")
    whole.until(
        "it is said", lambda: os.strerror(errno.ENOSPC) in whole.dropbox.figures()["reason"]
    )
    assert whole.row(path).state in (State.QUEUED, State.IMPORTING)
    filler.unlink()

    def imported() -> bool:
        whole.leap(60)
        return whole.row(path).state is State.IMPORTED

    whole.until("there is room again, and it is imported", imported)
    whole.assert_once(before, path)


def test_watch_directory_is_unmounted(tmp_path: Path, make_whole: Callable[..., Whole]) -> None:
    disk, watch_dir = tmp_path / "share", tmp_path / "OMERO" / "DropBox"
    _small_disk(disk, "8m")
    watch_dir.mkdir(parents=True)
    _mount("--bind", disk, watch_dir)
    whole = make_whole(dirImportWait="1.5")
    imported = whole.drop("imported.tif")
    whole.until_known(imported)
    with whole.clock.halted():  # they do not come to rest before it is away
        settling = [whole.drop(f"settling {number}.tif") for number in range(3)]
        whole.until_known(*settling, states=(State.WAITING,))
        whole.until("it is unmounted", lambda: _is_unmounted(watch_dir))
    whole.clock.sleep(2)  # their quiet period ends
    _mount("--bind", disk, watch_dir)
    after = whole.drop("after.tif")
    whole.until_known(*settling, after)
    whole.assert_once(imported, *settling, after)


def test_a_user_of_her_own_directory_on_a_share(
    tmp_path: Path, make_whole: Callable[..., Whole]
) -> None:
    """It comes late, goes, and comes back under another device number; and what she swaps stays."""
    share, home = tmp_path / "share", tmp_path / "home" / "amy"
    mine = home / "myData"
    mine.mkdir(parents=True)
    home.chmod(0o777)
    _small_disk(share, "8m")
    whole = make_whole(importUsers="amy", watchDir=str(mine))
    whole.until_state("running")
    _mount("--bind", share, mine)
    first = mine / "first.tif"
    shutil.copy(whole.drop("elsewhere.tif", user="zak"), first)
    whole.dropbox.rescanner.ask()
    whole.until_known(first)
    subprocess.run(["umount", "-l", mine], check=True)
    whole.dropbox.rescanner.ask()
    whole.until_state("watch directory changed")
    assert "is not mounted any more" in whole.dropbox.figures()["reason"]
    assert whole.row(first).state is State.IMPORTED
    other = tmp_path / "other"
    _small_disk(other, "8m")
    shutil.copy2(share / "first.tif", other / "first.tif")
    shutil.copy(whole.drop("elsewhere 2.tif", user="zak"), other / "second.tif")
    _mount("--bind", other, mine)
    whole.dropbox.rescanner.ask()
    whole.until_known(mine / "second.tif")
    whole.until_state("running")
    whole.until_settled()
    assert whole.journal.counts()[State.IMPORTED] == 2, "what it knew is not imported again"
    subprocess.run(["umount", "-l", mine], check=True)
    mine.rename(home / "old")
    mine.symlink_to(tmp_path / "OMERO" / "DropBox" / "zak")
    whole.dropbox.rescanner.ask()
    whole.until(
        "the link is told", lambda: "is a symbolic link" in whole.dropbox.figures()["reason"]
    )
    whole.until_settled()
    assert {row.path for row in whole.journal.select()} == {str(first), str(mine / "second.tif")}


def _own(place: Path) -> tuple[dict[str, str], Path, Path]:
    """amy has a rule for a directory that is mounted in two places: that and both."""
    mine = place / "OMERO" / "DropBox" / "amy" / "scope"
    other = place / "home" / "scope"
    for directory in (mine, other):
        directory.mkdir(parents=True)
    return {"importUsers": "default;amy", "watchDir": f";{other}"}, mine, other


def _below_another(place: Path) -> tuple[dict[str, str], Path, Path]:
    properties, mine, other = _own(place)
    _mount("--bind", other, mine)
    return properties, mine, other


def _of_another(place: Path) -> tuple[dict[str, str], Path, Path]:
    properties, mine, other = _own(place)
    _mount("--bind", mine, other)
    return properties, mine, other


def _a_disk_twice(place: Path) -> tuple[dict[str, str], Path, Path]:
    properties, mine, other = _own(place)
    _small_disk(place / "disk", "8m")
    for point in (mine, other):
        _mount("--bind", place / "disk", point)
    return properties, mine, other


def _all_of_it(place: Path) -> tuple[dict[str, str], Path, Path]:
    dropbox = place / "OMERO" / "DropBox"
    other = place / "dropbox"
    mine = dropbox / "amy"
    for directory in (mine, other):
        directory.mkdir(parents=True)
    _mount("--bind", dropbox, other)
    return {"importUsers": "default;amy", "watchDir": f";{other}/amy"}, mine, other / "amy"


def _by_a_link(place: Path) -> tuple[dict[str, str], Path, Path]:
    mine = place / "OMERO" / "DropBox" / "amy"
    mine.mkdir(parents=True)
    (place / "link").symlink_to(mine)
    return {"importUsers": "default;amy", "watchDir": f";{place}/link"}, mine, place / "link"


@pytest.mark.parametrize("duplicates", ["skip", "import"])
@pytest.mark.parametrize(
    "two_ways", [_below_another, _of_another, _a_disk_twice, _all_of_it, _by_a_link]
)
def test_one_directory_by_two_rules(
    tmp_path: Path,
    make_whole: Callable[..., Whole],
    two_ways: Callable[[Path], tuple[dict[str, str], Path, Path]],
    duplicates: str,
) -> None:
    """One of the two is not followed, and what lies there is imported once."""
    properties, mine, other = two_ways(tmp_path)
    whole = make_whole(**properties, duplicates=duplicates)
    whole.until_state("watch directory changed")
    source = whole.drop("elsewhere.tif", user="zak")
    shutil.copy(source, mine / "one.tif")
    assert (other / "one.tif").read_bytes() == source.read_bytes()
    for number in range(3):
        whole.dropbox.rescanner.ask()
        whole.until_known(source, whole.drop(f"{number}.tif", user="zak"))
    whole.until_settled()
    imported = [row.path for row in whole.journal.select(State.IMPORTED)]
    assert [path for path in imported if path.endswith("one.tif")] == [str(mine / "one.tif")]
    (line,) = _told_by_check(whole.dropbox.parts.places.rules)
    assert line.startswith(f"{properties['watchDir'][1:]} is not followed: ")
    # Whoever is root in a user namespace alone is not the admin who may make links.
    assert "needs a directory of its own" in line or two_ways is _by_a_link


def _told_by_check(rules: Sequence[Rule]) -> list[str]:
    roots = Roots()
    roots.apply([str(rule.watch_dir) for rule in rules], {})
    for rule in rules:
        roots.look(str(rule.watch_dir))
    return [line.what for line in in_each_others_way(roots, rules)]


def test_one_directory_twice_below_that_of_a_user(
    tmp_path: Path, make_whole: Callable[..., Whole]
) -> None:
    """A file with two paths is imported once, and the journal does not grow with each rescan."""
    mine = tmp_path / "OMERO" / "DropBox" / "amy"
    for name in ("one", "other"):
        (mine / name).mkdir(parents=True)
    _mount("--bind", mine / "one", mine / "other")
    whole = make_whole(duplicates="import")
    path = whole.drop("one/a.tif")
    whole.until_known(path)
    rows = []
    for number in range(4):
        whole.dropbox.rescanner.ask()
        whole.until_known(whole.drop(f"{number}.tif", user="zak"))
        whole.until_settled()
        rows.append(len(whole.journal.select()) - number)
    ids = [images for name in ("one", "other") for images in whole.in_omero(mine / name / "a.tif")]
    assert len(ids) == 1, ids
    assert rows[1:] == rows[1:2] * 3, "it is known after the first"
    assert _told_by_check(whole.dropbox.parts.places.rules) == [], "which hurts nobody"


@pytest.mark.parametrize("what", ["directory", "file"])
def test_what_is_shown_to_two_users_is_imported_once(
    tmp_path: Path, make_whole: Callable[..., Whole], what: str
) -> None:
    dropbox = tmp_path / "OMERO" / "DropBox"
    ours = [dropbox / user / "shared" for user in ("amy", "zak")]
    for directory in ours:
        directory.mkdir(parents=True)
    if what == "directory":
        _mount("--bind", *ours)
    whole = make_whole(duplicates="import", importers="4")
    source = whole.drop("source.tif")
    whole.until_known(source)
    whole.stop_dropbox()
    files = [[directory / f"{number}.tif" for directory in ours] for number in range(6)]
    for number, (one, other) in enumerate(files):
        one.write_bytes(source.read_bytes() + bytes([number]))
        if what == "file":
            other.touch()
            _mount("--bind", one, other)
    # Both were met, at moments when it grew: by its other path it was another file then.
    for names in files:
        for user, path in zip(("amy", "zak"), names, strict=True):
            met = Found(str(path), FileStat.of(path.stat()))
            whole.journal.wait(user, str(dropbox / user), [met])
    whole.start_dropbox()
    for turn in range(2):
        whole.until_known(whole.drop(f"marker {turn}.tif"))
        whole.until_settled()
        whole.dropbox.rescanner.ask()
    for names in files:
        assert sum(len(whole.in_omero(path)) for path in names) == 1, whole.journal.select()
        states = {str(whole.row(path).state): whole.row(path).reason for path in names}
        assert states.keys() == {State.IMPORTED, State.SKIPPED}
        assert "by another mount, imported as Fileset:" in states[State.SKIPPED]
    if what == "directory":
        (line,) = _told_by_check(whole.dropbox.parts.places.rules)
        assert "whoever comes first" in line


def test_a_hard_link_is_a_file_of_its_own(tmp_path: Path, make_whole: Callable[..., Whole]) -> None:
    """Somebody made it for zak, which a mount does not tell."""
    whole = make_whole()
    first = whole.drop("a.tif")
    whole.until_known(first)
    (whole.watch_dir / "zak" / "b.tif").hardlink_to(first)
    whole.until_known(whole.watch_dir / "zak" / "b.tif")
    assert whole.row(whole.watch_dir / "zak" / "b.tif").state is State.IMPORTED


def test_a_store_is_carried_between_two_file_systems(tmp_path: Path) -> None:
    """As in the unit tests, but the kernel itself says that they are two, and that one is full."""
    for name in ("DropBox", "failed"):
        _small_disk(tmp_path / name, "1m")
    journal = Journal(f"sqlite:///{tmp_path}/journal.sqlite")
    try:
        world = World(tmp_path, journal)
        fileset = world.failed()
        for disk, move, lies in (
            (world.vault, world.quarantine.take, world.assert_in_quarantine),
            (world.root.parent, world.quarantine.bring_back, world.assert_at_home),
        ):
            filler, before = _fill(disk), world.now(fileset)
            move(before)
            assert world.now(fileset) == before, "it stays"
            assert not list(disk.rglob(".*")), "and no half of it is left"
            filler.unlink()
            move(before)
            lies(fileset)
    finally:
        journal.close()


@pytest.mark.long
def test_a_store_goes_to_a_quarantine_on_another_disk_and_back(
    tmp_path: Path, make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While that disk is full it stays; it comes back, and is imported as one."""
    monkeypatch.setenv("OMERODIR", str(tmp_path / "OMERO.server"))
    (tmp_path / "OMERO.server" / "lib" / "server").mkdir(parents=True)
    install_reader(tmp_path / "OMERO.server")
    for name in ("_LOOK_S", "_SOONEST_S", "_LATEST_S", "_KNOWN_S"):
        monkeypatch.setattr(looks, name, 0.2)
    monkeypatch.setattr(groupers, "_UNREAD_S", 0.2)
    vault = tmp_path / "bad"
    _small_disk(vault, "1m")
    whole = make_whole(completeTimeout="3000", quarantine=str(vault))
    store = image(whole.watch_dir / "amy" / "a.zarr", levels=2)
    there = sorted(set(store.files) - {"1/.zarray"})
    store.write(*there)
    whole.until("it waits", lambda: reason(whole, store).startswith("waits for"))
    (vault / "amy").mkdir()
    filler = _fill(vault)

    def failed() -> bool:
        whole.clock.pass_by(600)
        return whole.journal.counts()[State.FAILED] == 1

    whole.until("it has failed", failed)
    whole.until("it was tried", (vault / "amy" / str(whole.row(store.path).id)).is_dir)
    whole.stop_dropbox()
    assert _files(store.top) == there
    filler.unlink()
    whole.start_dropbox()

    def moved() -> bool:
        return [row.root.startswith(str(vault)) for row in whole.journal.select()] == [True]

    whole.until("it is moved", moved)
    (row,) = whole.journal.select(State.FAILED)
    whole.until("it is gone", lambda: not list(store.top.parent.iterdir()))
    # Before that DropBox is still at it, and nobody else may move it: `alone.Busy`.
    whole.until("the move has its end", lambda: not list((vault / "amy").glob(".*.lock")))
    assert _files(Path(row.path)) == there
    assert whole.dropbox.parts.quarantine.bring_back(row) == [str(store.path)]
    assert [path.name for path in Path(row.root).iterdir()] == []
    store.write("1/.zarray")
    whole.until_known(store.path)
    assert in_omero(whole, store) == [tuple(in_order(store.files))]


def _files(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())
