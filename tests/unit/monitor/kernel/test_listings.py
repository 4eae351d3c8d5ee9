"""Of a file that is as it is known a listing gives no more than that."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel import listings
from omero_fs_plugin.monitor.kernel.entries import Identity, Kind
from omero_fs_plugin.monitor.kernel.polling import Polling


def _identity(file: Path) -> Identity:
    found = file.lstat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("known", "same"),
    [
        (None, {b"a", b"b", b"c"}),
        ([], set()),
        (["a", "c"], {b"a", b"c"}),
        (["link", "d"], set()),
    ],
    ids=["nobody knows any", "none is as known", "two are", "others than regular files"],
)
def test_files_that_are_as_known_have_no_entry(
    tree: Path, known: list[str] | None, same: set[bytes]
) -> None:
    disk = Polling(os.fsencode(tree), lambda: None)
    try:
        given = None if known is None else {n.encode(): _identity(tree / n) for n in known}
        listing = disk.entries(os.fsencode(tree), given)
    finally:
        disk.close()
    assert dict(listing.files) == {name: _identity(tree / name.decode()) for name in same}
    kinds = {name: entry.kind for name, entry in listing.names}
    assert kinds.keys() == {b"a", b"b", b"c", b"d", b"link"} - same
    assert (kinds[b"d"], kinds[b"link"]) == (Kind.DIRECTORY, Kind.OTHER)
    for name, entry in listing.names:
        assert entry.identity == _identity(tree / name.decode())


def test_a_file_that_has_changed_has_an_entry(tree: Path) -> None:
    known = {b"a": _identity(tree / "a"), b"b": _identity(tree / "b")}
    (tree / "a").write_text("longer")
    disk = Polling(os.fsencode(tree), lambda: None)
    try:
        listing = disk.entries(os.fsencode(tree), known)
    finally:
        disk.close()
    assert listing.files == {b"b": known[b"b"]}
    assert dict(listing.names)[b"a"].identity == _identity(tree / "a")


@pytest.mark.parametrize("mode", [stat.S_IFREG, stat.S_IFIFO], ids=["file", "pipe"])
@pytest.mark.parametrize(
    ("now", "changed", "quiet"),
    [(100, 40, 60.0), (100, 160, 0.0), (0, 40, 0.0), (0, -11_644_473_600, 0.0)],
    ids=["a minute ago", "its clock is ahead", "no clock", "no clock, and no time either"],
)
def test_silence_is_what_the_disks_own_clock_says(
    mode: int, now: float, changed: int, quiet: float
) -> None:
    found = os.stat_result((mode | 0o644, 7, 1, 1, 0, 0, 5, changed, changed, changed))
    names, _, _ = listings.sorted_out([(b"a", found)], {}, now, None)
    assert [entry.quiet for _, entry in names] == [quiet]
    assert names == [(b"a", listings.entry_of(found, now))]
