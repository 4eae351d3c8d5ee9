"""Looking at files, never outside the directories being watched."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.files import LARGEST_BLOCK, FileError, Files, Root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.tif").write_bytes(b"0123456789")
    (root / "sub" / "b.dcm").write_bytes(b"b")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(b"secret")
    (tmp_path / "rootless").write_bytes(b"beside")
    (root / "link").symlink_to(tmp_path / "secret" / "key")
    (root / "way-out").symlink_to(tmp_path / "secret")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def files(root: Path) -> Files:
    return Files(lambda: [Root(os.fsencode(root), deep=True)])


def test_listing(files: Files, root: Path) -> None:
    assert files.names(str(root)) == ["a.tif", "dangling", "link", "pipe", "sub", "way-out"]
    assert files.names(f"{root}/", "*.tif") == ["a.tif"]
    assert files.names(str(root), "*") == files.names(str(root))
    assert files.names(str(root), "[as]*") == ["a.tif", "sub"]
    kinds = {one.base_name: one.type for one in files.all_stats(str(root))}
    assert kinds == {
        "a.tif": "File",
        "dangling": "Link",
        "link": "Link",
        "pipe": "Unknown",
        "sub": "Dir",
        "way-out": "Link",
    }


def test_stats(files: Files, root: Path) -> None:
    stats = files.stats(f"{root}/a.tif")
    found = (root / "a.tif").stat()
    assert (stats.base_name, stats.size, stats.type) == ("a.tif", 10, "File")
    assert (stats.mtime, stats.ctime) == (found.st_mtime, found.st_ctime)
    assert stats.owner == (root / "a.tif").owner()
    assert files.stats(str(root)).base_name == "root"
    assert files.stats(f"{root}/sub/").type == "Dir"


def test_content(files: Files, root: Path) -> None:
    path = f"{root}/a.tif"
    assert files.sha1(path) == hashlib.sha1(b"0123456789").hexdigest()
    assert files.block(path, 2, 3) == b"234"
    assert files.block(path, 8, 100) == b"89"
    assert files.block(path, 100, 5) == b""
    assert files.block(path, 0, 0) == b""


@pytest.mark.parametrize(
    ("offset", "size", "reason"),
    [(-1, 1, "offset = -1"), (0, -1, "size = -1"), (0, LARGEST_BLOCK + 1, "size = ")],
)
def test_blocks_are_bounded(files: Files, root: Path, offset: int, size: int, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        files.block(f"{root}/a.tif", offset, size)


def test_exists(files: Files, root: Path) -> None:
    assert files.exists(f"{root}/a.tif")
    assert files.exists(f"{root}/dangling")
    assert not files.exists(f"{root}/none")
    assert not files.exists(f"{root}/none/below")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("{}/../secret/key", r"'\.\.' is not allowed"),
        ("{}/sub/../a.tif", r"'\.\.' is not allowed"),
        ("{}less", "not in a directory that is being watched"),
        ("/etc/passwd", "not in a directory that is being watched"),
        ("a.tif", "not an absolute path"),
        ("{}/a\0", "null character"),
        ("{}/way-out/key", "symbolic link"),
    ],
)
@pytest.mark.parametrize("call", ["exists", "stats", "sha1", "names", "all_stats", "block"])
def test_nothing_outside(files: Files, root: Path, path: str, reason: str, call: str) -> None:
    arguments = (0, 1) if call == "block" else ()
    with pytest.raises(FileError, match=reason):
        getattr(files, call)(path.format(root), *arguments)


@pytest.mark.parametrize("name", ["link", "pipe", "sub", "socket"])
def test_only_regular_files_are_opened(files: Files, root: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # A short name: a socket's path is limited.
        before = Path.cwd()
        os.chdir(root)
        try:
            listener.bind("socket")
        finally:
            os.chdir(before)
    with pytest.raises(FileError, match="not a regular file"):
        files.sha1(f"{root}/{name}")
    with pytest.raises(FileError, match="not a regular file"):
        files.block(f"{root}/{name}", 0, 1)


@pytest.mark.parametrize("name", ["way-out", "a.tif"])
def test_only_directories_are_listed(files: Files, root: Path, name: str) -> None:
    with pytest.raises(FileError, match=name):
        files.names(f"{root}/{name}")


def test_what_is_gone(files: Files, root: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        files.stats(f"{root}/none")


def test_a_flat_monitors_directory_is_not_entered(root: Path) -> None:
    files = Files(lambda: [Root(os.fsencode(root), deep=False)])
    assert files.exists(f"{root}/sub")
    with pytest.raises(FileError, match="not in a directory"):
        files.exists(f"{root}/sub/b.dcm")


def test_a_root_behind_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    files = Files(lambda: [Root(os.fsencode(tmp_path / "alias"), deep=True)])
    assert files.block(f"{tmp_path}/alias/a.tif", 0, 1) == b"0"


def test_nothing_when_nothing_is_watched(root: Path) -> None:
    with pytest.raises(FileError, match="not in a directory"):
        Files(lambda: []).exists(str(root))


def test_a_name_that_is_not_utf8_is_shown_escaped(files: Files, root: Path) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff.tif"))).touch()
    assert "\\xff.tif" in files.names(str(root))


def test_no_descriptor_is_left(files: Files, root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        files.block(f"{root}/sub/b.dcm", 0, 1)
        files.names(f"{root}/sub")
        with pytest.raises(FileError):
            files.sha1(f"{root}/way-out/key")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
