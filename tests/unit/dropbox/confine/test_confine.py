"""Confinement: only regular files below the user's directory, over no link."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.confine import check_file, open_beneath, parts_beneath
from omero_fs_plugin.dropbox.confine.roots import RootMissing
from omero_fs_plugin.errors import ImportRefused


@pytest.fixture
def amy(tmp_path: Path) -> Path:
    root = tmp_path / "amy"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.tif").write_bytes(b"data")
    (tmp_path / "secret").write_bytes(b"zak's")
    return root


def test_a_file_below_is_opened(amy: Path) -> None:
    descriptor = open_beneath(str(amy), str(amy / "sub" / "a.tif"))
    with os.fdopen(descriptor, "rb") as source:
        assert source.read() == b"data"


def test_the_root_itself_may_be_reached_over_a_link(amy: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(amy)
    root = str(tmp_path / "link")
    os.close(open_beneath(root, f"{root}/sub/a.tif"))


def test_a_link_to_a_file_is_refused(amy: Path, tmp_path: Path) -> None:
    (amy / "out.tif").symlink_to(tmp_path / "secret")
    with pytest.raises(ImportRefused, match="symbolic link"):
        open_beneath(str(amy), str(amy / "out.tif"))


def test_a_linked_directory_on_the_way_is_refused(amy: Path, tmp_path: Path) -> None:
    (amy / "door").symlink_to(tmp_path)
    with pytest.raises(ImportRefused, match="symbolic link"):
        open_beneath(str(amy), str(amy / "door" / "secret"))


def test_a_fifo_is_refused_at_once(amy: Path) -> None:
    os.mkfifo(amy / "pipe.tif")
    with pytest.raises(ImportRefused, match="not a regular file"):
        open_beneath(str(amy), str(amy / "pipe.tif"))


def test_a_directory_is_refused(amy: Path) -> None:
    with pytest.raises(ImportRefused):
        open_beneath(str(amy), str(amy / "sub"))


def test_what_is_gone_is_told_from_what_is_refused(amy: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_beneath(str(amy), str(amy / "sub" / "gone.tif"))


@pytest.mark.parametrize(
    "path", ["/elsewhere/a", "{root}", "{root}/../secret", "{root}/sub/../../x"]
)
def test_paths_that_leave_the_root_are_refused(amy: Path, path: str) -> None:
    with pytest.raises(ImportRefused):
        parts_beneath(str(amy), path.format(root=amy))


@pytest.mark.parametrize("below", ["sub/a.tif", "sub//a.tif", "./sub/a.tif", "sub/./a.tif"])
@pytest.mark.parametrize("root", ["/in/amy", "/in/amy/", "/in//amy"])
def test_a_way_written_otherwise_is_the_same_way(root: str, below: str) -> None:
    assert parts_beneath(root, f"{root}/{below}") == ("sub", "a.tif")


@pytest.mark.parametrize("path", ["secret", "sub/a.tif"])
def test_no_descriptor_is_left_open(amy: Path, path: str) -> None:
    before = _descriptors()
    with contextlib.suppress(FileNotFoundError):
        os.close(open_beneath(str(amy), str(amy / path)))
    assert _descriptors() == before


def _descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


class TestHardLinks:
    """A second name for somebody's file; only root can make the files of others."""

    @pytest.fixture
    def linked(self, amy: Path) -> os.stat_result:
        os.link(amy / "sub" / "a.tif", amy / "second.tif")
        return (amy / "second.tif").stat()

    def test_to_a_file_of_the_same_owner_is_as_good_as_a_file(
        self, amy: Path, linked: os.stat_result
    ) -> None:
        assert linked.st_nlink == 2
        os.close(open_beneath(str(amy), str(amy / "second.tif")))

    def test_to_a_file_of_another_owner_is_refused(self, linked: os.stat_result) -> None:
        with pytest.raises(ImportRefused, match="hard link to a file of another owner") as told:
            check_file("/amy/second.tif", linked, owner=linked.st_uid + 1)
        assert told.value.final

    def test_a_file_that_another_owner_put_here_is_none(self, amy: Path) -> None:
        found = (amy / "sub" / "a.tif").stat()
        check_file("/amy/sub/a.tif", found, owner=found.st_uid + 1)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_really(self, amy: Path, linked: os.stat_result) -> None:
        os.chown(amy / "second.tif", 12345, 12345)
        with pytest.raises(ImportRefused, match="uid 12345"):
            open_beneath(str(amy), str(amy / "second.tif"))


def test_a_root_that_is_away_is_not_the_files_fault(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match="away is not there"):
        open_beneath(str(tmp_path / "away"), str(tmp_path / "away" / "a.tif"))


def test_an_error_of_the_disk_is_not_the_files_fault(
    amy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def failing(path: str, flags: int, **how: int) -> int:
        if path == "a.tif":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, **how)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(OSError, match="Input/output error"):
        open_beneath(str(amy), str(amy / "sub" / "a.tif"))
