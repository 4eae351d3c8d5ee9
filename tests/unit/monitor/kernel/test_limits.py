"""What an admin reads of inotify's limits, with a /proc made of files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel import limits


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Two processes with inotify instances of 3 and 2 watches, and a limit of 10."""
    for name, value in {
        "sys/fs/inotify/max_user_watches": "10",
        "sys/user/max_inotify_watches": "2147483647",
        "sys/fs/inotify/max_user_instances": "2",
        "100/fdinfo/3": "pos:\t0\ninotify wd:3 ino:1\ninotify wd:2 ino:2\ninotify wd:1 ino:3\n",
        "100/fdinfo/4": "pos:\t0\n",
        "200/fdinfo/7": "pos:\t0\ninotify wd:1 ino:1\ninotify wd:2 ino:2\n",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
    for name, target in {
        "100/fd/3": "anon_inode:inotify",
        "100/fd/4": "/dev/null",
        "200/fd/7": "anon_inode:inotify",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(target)
    (tmp_path / "300").mkdir()  # gone since it was listed
    (tmp_path / "self").mkdir()
    return tmp_path


def test_what_is_in_use(proc: Path) -> None:
    assert limits.use(proc) == limits.Use(watches=5, instances=2)
    assert limits.watches(proc) == limits.Limit("fs.inotify.max_user_watches", 10)


def test_nobody_elses_processes_count(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert limits.use(proc) == limits.Use(0, 0)


def test_the_number_needed_and_the_sysctl(proc: Path) -> None:
    assert limits.advice(errno.ENOSPC, 5000, proc) == (
        "5000 more inotify watches are needed, and this user may have 10 in all, of which 5 are "
        "seen in use: set the sysctl fs.inotify.max_user_watches=7168"
    )
    assert limits.advice(errno.EMFILE, 1, proc) == (
        "1 more inotify instance is needed, and this user may have 2, of which 2 are in use: "
        "set the sysctl fs.inotify.max_user_instances=512"
    )


def test_instances_are_left_so_it_is_the_open_files(proc: Path) -> None:
    (proc / "sys/fs/inotify/max_user_instances").write_text("128")
    told = limits.advice(errno.EMFILE, 1, proc)
    assert told is not None
    assert "ulimit -n" in told


def test_limits_that_cannot_be_read(tmp_path: Path) -> None:
    assert limits.watches(tmp_path) is None
    told = limits.advice(errno.ENOSPC, 7, tmp_path)
    assert told == "7 more inotify watches are needed: raise fs.inotify.max_user_watches"
    assert limits.warning(10**6, tmp_path) is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.ESTALE])
def test_other_errors_are_no_limit(number: int, proc: Path) -> None:
    assert limits.advice(number, 1, proc) is None


@pytest.mark.parametrize(
    ("needed", "most", "warned"),
    [(5, 10, False), (5, 6, True), (5, 5, True), (5, 1000, False)],
    ids=["half is left", "one is left", "none is left", "a small tree"],
)
def test_said_beforehand_when_few_are_left(
    proc: Path, needed: int, most: int, warned: bool
) -> None:
    (proc / "sys/fs/inotify/max_user_watches").write_text(str(most))
    told = limits.warning(needed, proc)
    assert (told is not None) == warned
    if told:
        assert "set the sysctl fs.inotify.max_user_watches=1024" in told
