"""Whether anybody has a file open for writing."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel import writers

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases are Linux'")


def written(path: bytes) -> bool | None:
    is_written, found = writers.written(path)
    assert (found is not None) == (is_written is False)
    assert found is None or os.path.samestat(found, os.lstat(path))
    return is_written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.tif"
    path.write_bytes(b"abc")
    if written(os.fsencode(path)) is None:
        pytest.skip("this file system has no leases")
    return path


def test_a_file_that_was_closed_is_not_written(path: Path) -> None:
    assert written(os.fsencode(path)) is False


@pytest.mark.parametrize("mode", ["r+b", "ab"])
def test_one_that_somebody_has_open_for_writing_is(path: Path, mode: str) -> None:
    with path.open(mode):
        assert written(os.fsencode(path)) is True
    assert written(os.fsencode(path)) is False


def test_readers_do_not_count(path: Path) -> None:
    with path.open("rb"):
        assert written(os.fsencode(path)) is False


def test_who_maps_it_writes_it(path: Path) -> None:
    with path.open("r+b") as stream:
        mapped = mmap.mmap(stream.fileno(), 3)
    with mapped:
        assert written(os.fsencode(path)) is True
    assert written(os.fsencode(path)) is False


def test_of_what_is_no_file_of_ours_nothing_is_said(tmp_path: Path, path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for name in ("none", "link", "pipe/below"):
        assert written(os.fsencode(tmp_path / name)) is None
    assert written(os.fsencode(tmp_path / "pipe")) is not True  # and it does not block


def test_nobody_is_kept_from_writing_and_nobody_is_ended(path: Path) -> None:
    """Another process opens it for writing all the time, which ends our lease by a signal."""
    code = (
        "import os, sys\nfor _ in range(5000):\n    os.close(os.open(sys.argv[1], os.O_WRONLY))\n"
    )
    before = signal.getsignal(signal.SIGURG)
    with subprocess.Popen([sys.executable, "-c", code, path]) as writer:
        answers = set()
        while writer.poll() is None:
            answers.add(written(os.fsencode(path)))
    assert writer.returncode == 0
    assert answers <= {True, False}
    assert signal.getsignal(signal.SIGURG) is before
