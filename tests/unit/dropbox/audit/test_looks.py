"""What an audit makes of a file at OMERO's place, and of the user's file that it leads to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.blitz.inventory import Kept
from omero_fs_plugin.dropbox.audit import looks
from omero_fs_plugin.dropbox.audit.findings import Kind
from omero_fs_plugin.dropbox.audit.looks import FINE, Source
from omero_fs_plugin.dropbox.disks.calls import Calls
from omero_fs_plugin.dropbox.journal.seen import Met

DATA = b"pixels" * 1000


def met(path: Path) -> Met:
    found = path.stat()
    return Met(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@pytest.fixture
def imported(tmp_path: Path) -> Source:
    path = tmp_path / "a.tif"
    path.write_bytes(DATA)
    os.utime(path, (1000.0, 1000.0))
    sha1 = hashlib.sha1(DATA).hexdigest()
    kept = Kept(1, 2, 3, str(path)[1:], "amy/a.tif", len(DATA), sha1, "SHA1-160")
    return Source(str(path), kept, met(path), before=2000.0)


def judge(one: Source) -> looks.Verdict:
    calls = Calls()
    root = str(Path(one.path).parent)
    with calls.at(root) as call:
        return looks.source(call, root, one)


def _rewrite(path: Path, data: bytes, at: float | None = None) -> None:
    path.write_bytes(data)
    if at is not None:
        os.utime(path, (at, at))


CHANGES: dict[str, tuple[Callable[[Path], Any], Kind | None, str]] = {
    "nothing": (lambda path: None, None, ""),
    "touched": (os.utime, None, ""),
    "written again": (lambda path: _rewrite(path, DATA), None, ""),
    "other bytes": (
        lambda path: _rewrite(path, DATA[:-1] + b"!"),
        Kind.CHANGED_TARGET,
        "its content is not",
    ),
    "older": (lambda path: _rewrite(path, DATA[:-1] + b"!", 10.0), Kind.CHANGED_TARGET, "content"),
    "shorter": (lambda path: _rewrite(path, DATA[:-1], 1000.0), Kind.CHANGED_TARGET, "bytes"),
    "gone": (lambda path: path.unlink(), Kind.BROKEN_LINK, "nothing is there"),
    "gone with its directory": (
        lambda path: path.parent.rename(path.parent.with_name("elsewhere")),
        Kind.BROKEN_LINK,
        "is not there: is its share mounted?",
    ),
    "a loop": (
        lambda path: (path.unlink(), path.symlink_to(path)),
        Kind.BROKEN_LINK,
        "nothing is there",
    ),
    "a FIFO": (
        lambda path: (path.unlink(), os.mkfifo(path)),
        Kind.CHANGED_TARGET,
        "which is no file",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_source_is_judged_by_its_bytes(imported: Source, change: str) -> None:
    act, kind, words = CHANGES[change]
    act(Path(imported.path))
    verdict = judge(imported)
    assert verdict.kind is kind and words in verdict.why
    assert (verdict == FINE) is (kind is None)


def test_a_file_of_the_same_time_is_not_read(imported: Source) -> None:
    Path(imported.path).chmod(0)
    with_bad_sum = replace(imported, kept=replace(imported.kept, hash="0" * 40))
    assert judge(with_bad_sum) == FINE


@pytest.mark.parametrize(("at", "fine"), [(1999.0, True), (2001.0, False)])
def test_without_the_journal_only_a_newer_file_is_read(
    imported: Source, at: float, fine: bool
) -> None:
    _rewrite(Path(imported.path), DATA[:-1] + b"!", at)
    verdict = judge(replace(imported, met=None))
    assert (verdict == FINE) is fine


@pytest.mark.parametrize("hasher", ["File-Size-64", "Murmur3-128", ""])
def test_what_cannot_be_compared_is_not_called_damaged(imported: Source, hasher: str) -> None:
    os.utime(imported.path)
    verdict = judge(replace(imported, kept=replace(imported.kept, hasher=hasher)))
    assert verdict.kind is None and "OMERO's checksum is" in verdict.why


def test_what_is_at_a_place(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_bytes(b"x")
    (tmp_path / "d/link").symlink_to("/in/amy/a.tif")
    (tmp_path / "d/near").symlink_to("file")
    names = ("d/file", "d/link", "d/near", "d/none", "d/file/below", "d/\0", "../up", "x/../y")
    kept = [Kept(1, 2, 3, "a", name, 1, "", "") for name in names]
    with Calls().at(str(tmp_path)) as call:
        file, link, near, *missing, up, around = looks.places(call, str(tmp_path), kept)
    assert file.stat is not None and file.stat.st_size == 1 and not file.leads_to
    assert (link.leads_to, near.leads_to) == ("/in/amy/a.tif", str(tmp_path / "d/file"))
    assert all(one.stat is None and not one.why for one in missing)
    assert "leads out of the repository" in up.why and up.why == around.why


def test_a_directory_in_the_place_of_a_file_is_closed_again(imported: Source) -> None:
    """It came just after the file was looked at."""
    found = Path(imported.path).stat()
    Path(imported.path).unlink()
    Path(imported.path).mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Calls().at("/") as call:
        verdict = looks.unchanged(call, replace(imported, met=None, before=0.0), found)
    assert verdict.kind is None and verdict.why
    assert len(list(Path("/proc/self/fd").iterdir())) == before
