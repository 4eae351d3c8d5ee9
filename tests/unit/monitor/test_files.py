"""Looking at files, never outside the directories being watched."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from omero_fs_plugin.monitor import files as files_module
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


# Swapped between check and use


@pytest.mark.parametrize(
    ("call", "victim", "path"),
    [
        ("block", "sub", "sub/b.dcm"),
        ("sha1", "sub", "sub/b.dcm"),
        ("stats", "sub", "sub/b.dcm"),
        ("exists", "sub", "sub/b.dcm"),
        ("names", "sub", "sub/deep"),
        ("names", "sub", "sub"),
        ("all_stats", "sub", "sub"),
        ("block", "a.tif", "a.tif"),
        ("sha1", "a.tif", "a.tif"),
    ],
)
def test_a_link_put_in_its_place_at_any_moment_leads_nowhere(
    files: Files,
    root: Path,
    tmp_path: Path,
    call: str,
    victim: str,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before each system call in turn, what the path leads over becomes a link out."""
    secret = tmp_path / "secret"
    (secret / "deep").mkdir()
    for name in ("b.dcm", "deep/told"):
        (secret / name).write_bytes(b"secret")
    target = secret / "key" if victim == "a.tif" else secret
    arguments = (0, 100) if call == "block" else ()
    real_open, real_stat = os.open, os.stat
    expected = repr(getattr(files, call)(f"{root}/{path}", *arguments))
    for moment in range(6):
        calls = 0

        def swap(moment: int = moment) -> None:
            nonlocal calls
            if calls == moment and not (root / victim).is_symlink():
                (root / victim).rename(tmp_path / "aside")
                (root / victim).symlink_to(target)
            calls += 1

        def opening(*given: object, **how: object) -> int:
            swap()
            return real_open(*given, **how)  # type: ignore[arg-type]

        def looking(*given: object, **how: object) -> os.stat_result:
            if "dir_fd" in how:
                swap()
            return real_stat(*given, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", opening)
        monkeypatch.setattr(os, "stat", looking)
        try:
            told = repr(getattr(files, call)(f"{root}/{path}", *arguments))
        except FileError as error:
            told = str(error)
        finally:
            monkeypatch.setattr(os, "open", real_open)
            monkeypatch.setattr(os, "stat", real_stat)
        assert "secret" not in told.replace(str(tmp_path), "")
        assert "key" not in told.replace("b.dcm", "")
        refusals = ("symbolic link", "not a regular file", "Not a directory", "Too many levels")
        assert told == expected or any(reason in told for reason in refusals)
        if (root / victim).is_symlink():
            (root / victim).unlink()
            (tmp_path / "aside").rename(root / victim)


def test_a_root_of_the_admins_is_as_one_that_is_watched(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    files = Files(lambda: [Root(os.fsencode(tmp_path / "link") + b"/", deep=True)])
    assert files.names(f"{tmp_path}/link/sub") == ["b.dcm", "deep"]
    with pytest.raises(FileError, match="not in a directory"):
        files.names(str(root))


def test_the_nearest_of_overlapping_roots_is_taken(root: Path) -> None:
    """A way over a link is open where the link is the root, and no other."""
    (root / "in").symlink_to("sub")
    outer, inner = Root(os.fsencode(root), deep=True), Root(os.fsencode(root / "in"), deep=True)
    assert Files(lambda: [outer, inner]).exists(f"{root}/in/b.dcm")
    with pytest.raises(FileError, match="symbolic link"):
        Files(lambda: [outer]).exists(f"{root}/in/b.dcm")


def test_a_file_system_that_does_not_answer_is_not_asked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(lambda: [Root(os.fsencode(root), deep=True, hanging=True)])
    monkeypatch.setattr(os, "open", None)
    with pytest.raises(FileError, match="does not answer"):
        files.names(str(root))


def test_a_file_that_never_ends_is_not_hashed_for_ever() -> None:
    # As on a share that lies about sizes: Linux says that such a file has 0 bytes.
    files = Files(lambda: [Root(os.fsencode(f"/proc/{os.getpid()}"), deep=True)])
    with pytest.raises(FileError, match="longer than its size says"):
        files.sha1(f"/proc/{os.getpid()}/status")


def test_a_directory_that_never_ends_is_not_listed_for_ever(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "LONGEST_LISTING", 3)
    many = root / "many"
    many.mkdir()
    for number in range(3):
        (many / str(number)).touch()
    assert files.names(str(many)) == ["0", "1", "2"]
    (many / "3").touch()
    for call in (files.names, files.all_stats):
        with pytest.raises(FileError, match="more than 3 names"):
            call(str(many))
