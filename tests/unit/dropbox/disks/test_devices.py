"""Which directories lie on one disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.disks.devices import Devices, disk
from omero_fs_plugin.filesystems import Mount

TABLE = """\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 8:17 / /srv rw - xfs /dev/sdb1 rw
31 21 8:17 /deep /home rw - xfs /dev/sdb1 rw
40 21 0:51 / /home/zak rw - nfs4 nas:/home/zak rw
41 21 0:52 / /home/zoe rw - nfs4 nas:/home/zoe rw
42 21 0:53 / /home/kim rw - cifs //win/kim rw
43 21 0:54 / /home/a\\040b rw - fuse.sshfs ann@other:/a\\040b rw
44 21 0:55 / /home/hung rw - fuse hanging rw
"""


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/var/amy", "8:1"),
        ("/srv/amy", "8:17"),
        ("/home/amy", "8:17"),  # another part of the same one
        ("/home/zak/day", "nas"),
        ("/home/zoe", "nas"),
        ("/home/kim", "win"),
        ("/home/a b", "ann@other"),
        ("/home/hung", "0:55"),
    ],
)
def test_of(tmp_path: Path, directory: str, name: str) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert Devices(str(table)).of(directory) == name


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("nas:/home", "nas"),
        ("[fe80::1]:/home", "[fe80::1]"),
        ("//nas/home", "nas"),
        ("10.0.0.1:6789,10.0.0.2:6789:/", "10.0.0.1"),
        ("none", "0:9"),
    ],
)
def test_disk_of_a_share(source: str, name: str) -> None:
    assert disk(Mount(1, b"/", "nfs", "0:9", source)) == name


def test_a_disk_of_the_machine_has_no_server() -> None:
    assert disk(Mount(1, b"/", "zfs", "0:9", "//odd/pool")) == "0:9"


def test_this_machine() -> None:
    assert Devices().of("/") != ""
