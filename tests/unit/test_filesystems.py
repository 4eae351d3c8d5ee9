"""What is mounted where, from lines as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.filesystems import Mount, Mounts, parse

TABLE = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
60 27 0:50 / /OMERO rw,relatime shared:7 master:3 - nfs4 nas:/omero rw,vers=4.2
61 60 0:51 / /OMERO/DropBox/amy rw - cifs //nas/amy rw
62 27 0:52 / /mnt/with\040space\134\011\012 rw - fuse.sshfs host: rw
63 27 254:1 / /mnt/stick rw - fuseblk /dev/sdb1 rw
64 27 0:53 / /mnt/old rw - nfs nas:/old rw
65 27 254:2 / /mnt/old rw - xfs /dev/vdc rw
this is no line
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Mounts:
    file = tmp_path / "mountinfo"
    file.write_bytes(TABLE)
    found = Mounts(str(file))
    # A file is always readable at once, and no sign of a change.
    found.close()
    return found


@pytest.mark.parametrize(
    ("path", "point", "share"),
    [
        (b"/", b"/", None),
        (b"/home/amy", b"/", None),
        (b"/OMERO", b"/OMERO", "nfs4"),
        (b"/OMEROlike", b"/", None),
        (b"/OMERO/DropBox/zak/a.tif", b"/OMERO", "nfs4"),
        (b"/OMERO/DropBox/amy/d", b"/OMERO/DropBox/amy", "cifs"),
        (b"/mnt/with space\\\t\n/d", b"/mnt/with space\\\t\n", "fuse.sshfs"),
        (b"/mnt/stick/d", b"/mnt/stick", None),
        (b"/mnt/old/d", b"/mnt/old", None),
    ],
)
def test_the_mount_that_holds_a_path(
    mounts: Mounts, path: bytes, point: bytes, share: str | None
) -> None:
    found = mounts.holding(path)
    assert found is not None
    assert found.point == point
    assert mounts.share(path) == share
    assert mounts.is_point(path) == (path == point)


@pytest.mark.parametrize(
    ("kind", "shared"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre")),
        *((kind, True) for kind in ("fuse", "fuse.sshfs", "fuse.glusterfs", "autofs")),
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk")),
    ],
)
def test_which_file_systems_are_shares(kind: str, shared: bool) -> None:
    assert Mount(1, b"/", kind).shared == shared


def test_lines_that_are_none() -> None:
    assert list(parse(b"\n1 2 3\nx 2 0:1 / /a rw - ext4 d rw\n1 2 0:1 / /a rw ext4 d rw\n")) == []


def test_without_a_table_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = Mounts(str(tmp_path / "none"))
    monkeypatch.setattr("sys.platform", "darwin")
    for mounts in (none, Mounts()):
        assert mounts.holding(b"/a") is None
        assert mounts.share(b"/a") is None
        assert not mounts.known
        assert mounts.changed() == set()
        mounts.close()


def test_the_kernel_is_asked_again_when_an_answer_is_too_old(
    mounts: Mounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    refresh = mounts.refresh
    monkeypatch.setattr(mounts, "refresh", lambda: (asked.append(now), refresh()))
    for now in (100.0, 100.5, 101.5):  # noqa: B007 - the clock has it
        assert set(mounts.below(b"/OMERO", within=1.0)) == {b"/OMERO/DropBox/amy"}
    assert asked == [100.0, 101.5]
    mounts.below(b"/OMERO")
    assert asked == [100.0, 101.5, 101.5]
