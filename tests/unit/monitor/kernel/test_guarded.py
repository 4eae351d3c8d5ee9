"""What another account has watched may become a link to what it may not see, at any moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel.inotify import Inotify
from omero_fs_plugin.monitor.kernel.observers import AUTO, POLLING, Observer, Observing
from omero_fs_plugin.monitor.monitors import Monitors
from tests.requests import request_of
from tests.steps import before_each


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Everybody writes to `shared`, and only the server reads `secret`."""
    for name in ("shared/amy/a/b", "secret/b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret" / "b" / "name").touch()
    (tmp_path / "shared").chmod(0o777)
    return tmp_path.resolve()


@pytest.fixture(params=[AUTO, POLLING])
def disk(top: Path, request: pytest.FixtureRequest) -> Iterator[Observer]:
    observing = Observing(request.param, guarded=True)
    disk = observing.open(os.fsencode(top / "shared" / "amy"), lambda: None)
    yield disk
    disk.close()


def names(disk: Observer, path: Path) -> set[bytes]:
    listing = disk.entries(os.fsencode(path), None)
    return {name for name, _ in listing.names} | set(listing.files)


def lead_to(target: Path, path: Path) -> None:
    """A link is put in the place of a directory, which is moved away."""
    path.rename(path.with_name("former"))
    path.symlink_to(target)


def test_the_directory_itself(top: Path, disk: Observer) -> None:
    root = top / "shared" / "amy"
    disk.watch(os.fsencode(root))
    assert names(disk, root) == {b"a"}
    lead_to(top / "secret", root)
    with pytest.raises(OSError, match="is a symbolic link"):
        names(disk, root)
    if isinstance(disk, Inotify):
        with pytest.raises(OSError, match="is a symbolic link"):
            disk.watch(os.fsencode(root))


def test_a_directory_on_the_way_down(top: Path, disk: Observer) -> None:
    root = top / "shared" / "amy"
    assert names(disk, root) == {b"a"} and names(disk, root / "a") == {b"b"}
    lead_to(top / "secret", root / "a")
    with pytest.raises(FileNotFoundError):
        names(disk, root / "a" / "b")
    if isinstance(disk, Inotify):
        with pytest.raises(FileNotFoundError):
            disk.watch(os.fsencode(root / "a" / "b"))


def test_what_was_opened_is_what_is_listed(top: Path) -> None:
    root = top / "shared" / "amy" / "a"
    disk = Inotify(os.fsencode(root), guarded=True)
    try:
        with before_each([(os, "scandir")], lambda: lead_to(top / "secret", root)):
            assert names(disk, root) == {b"b"}
        with pytest.raises(OSError, match="is a symbolic link"):
            disk.watch(os.fsencode(root))
    finally:
        disk.close()


def test_a_link_of_an_admin_is_followed(top: Path) -> None:
    (top / "door").symlink_to(top / "shared" / "amy")
    disk = Inotify(os.fsencode(top / "door"), guarded=True)
    try:
        assert disk.watch(os.fsencode(top / "door")) is not None
        assert names(disk, top / "door") == {b"a"}
        assert disk.watch(os.fsencode(top / "door" / "a")) is not None
        assert names(disk, top / "door" / "a") == {b"b"}
    finally:
        disk.close()


@pytest.mark.parametrize("guest", ["account 1", ""])
def test_it_is_so_for_other_accounts(top: Path, guest: str) -> None:
    """Our own account may follow its links, as without FSServer."""
    monitors = Monitors()
    observing = monitors._observing_for(request_of(os.fsencode(top), guest=guest))
    assert (observing is not None and observing.guarded) is bool(guest)
