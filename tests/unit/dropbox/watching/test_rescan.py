"""The look at the whole tree: what it finds, and what it says of the rest."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.watching.rescan import oddity_at, top, walk


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "amy"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.tif").write_bytes(b"a")
    (root / "sub" / "deep" / "b.tif").write_bytes(b"b")
    (root / ".hidden").write_bytes(b"h")
    (root / ".sync").mkdir()
    (root / ".sync" / "c.tif").write_bytes(b"c")
    return root


def test_every_regular_file_once_and_no_dot_file(tree: Path) -> None:
    assert sorted(met.path for met in walk(str(tree))) == [
        str(tree / "a.tif"),
        str(tree / "sub" / "deep" / "b.tif"),
    ]


def test_what_is_no_file_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "pipe.tif")
    (tree / "link.tif").symlink_to(tree / "a.tif")
    (tree / "door").symlink_to(tree / "sub")
    monkeypatch.chdir(tree)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.tif")
        told: dict[str, str] = {}
        found = [Path(met.path).name for met in walk(str(tree), told.__setitem__)]
    assert sorted(found) == ["a.tif", "b.tif"]
    assert {Path(path).name: why.split(",")[0] for path, why in told.items()} == {
        "pipe.tif": "not a file",
        "socket.tif": "not a file",
        "link.tif": "a symbolic link",
        "door": "a symbolic link",
    }
    assert {path: oddity_at(path) for path in told} == told


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_cannot_be_listed_is_told(tree: Path) -> None:
    (tree / "sub").chmod(0)
    told: dict[str, str] = {}
    assert [met.path for met in walk(str(tree), told.__setitem__)] == [str(tree / "a.tif")]
    assert told == {str(tree / "sub"): "cannot be listed: Permission denied"}
    (tree / "sub").chmod(0o755)


def test_a_listing_that_breaks_off_is_told_and_closed(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a share that goes away in the middle: the rest of the tree is looked at."""
    real, closed = os.scandir, []

    class Broken:
        def __init__(self, directory: int) -> None:
            self._entries = real(directory)
            self._breaks = Path(f"/proc/self/fd/{directory}").readlink().name == "sub"

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()
            closed.append(self)

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            yield from self._entries
            if self._breaks:
                raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "scandir", Broken)
    (tree / "sub" / "deep" / "b.tif").rename(tree / "sub" / "b.tif")
    told: dict[str, str] = {}
    found = sorted(Path(met.path).name for met in walk(str(tree), told.__setitem__))
    assert found == ["a.tif", "b.tif"]
    assert told == {str(tree / "sub"): "cannot be listed: Stale file handle"}
    assert len(closed) == 3


def test_one_who_stops_looking_leaves_no_directory_open(tree: Path) -> None:
    def open_directories() -> list[str]:
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return [link for link in map(os.readlink, links) if link.startswith(str(tree))]

    looking = walk(str(tree))
    next(looking)
    looking.close()
    assert open_directories() == []


def test_nothing_is_odd_about_files_directories_and_what_is_not_there(tree: Path) -> None:
    assert [oddity_at(str(tree / name)) for name in ("a.tif", "sub", "gone")] == ["", "", ""]


def test_the_top_has_directories_and_strays(tree: Path) -> None:
    (tree / "link").symlink_to(tree / "sub")
    names, strays = top(str(tree))
    assert names == ["sub"]
    assert [met.path for met in strays] == [str(tree / "a.tif")]


def test_a_directory_that_is_away_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        top(str(tmp_path / "unmounted"))
