"""Two paths of one directory are found in the table of mounts alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.confine.shown import Shown, shown, two_ways
from omero_fs_plugin.links import Mount, mounts

ROOT = ("1", Mount("29", "8:1", "/", "/", "ext4", "/dev/sda1"))


def bind(number: str, source_root: str, point: str, *, on: str = "29") -> tuple[str, Mount]:
    return on, Mount(number, "8:1", source_root, point, "ext4", "/dev/sda1")


def share(number: str, source: str, point: str, *, on: str = "29") -> tuple[str, Mount]:
    return on, Mount(number, "0:5", "/", point, "nfs4", source)


def seen(real: str, *table: tuple[str, Mount]) -> tuple[Shown, ...]:
    """What the nearest mount of `real` shows there."""
    entries = [ROOT, *table]
    points = [mount for _, mount in entries if f"{real}/".startswith(mount.point.rstrip("/") + "/")]
    return shown(real, max(points, key=lambda mount: len(mount.point)), entries)


def ways(one: str, other: str, *table: tuple[str, Mount]) -> tuple[str, str] | None:
    return two_ways(seen(one, *table), seen(other, *table))


@pytest.mark.parametrize(
    ("one", "other", "table", "expected"),
    [
        pytest.param(
            "/DropBox",
            "/data",
            [bind("40", "/data", "/DropBox")],
            ("/DropBox", "/data"),
            id="whole",
        ),
        pytest.param(
            "/DropBox",
            "/home/amy",
            [bind("40", "/DropBox/amy", "/home/amy")],
            ("/DropBox/amy", "/home/amy"),
            id="a part of one, at the other",
        ),
        pytest.param(
            "/DropBox",
            "/home/amy/scope",
            [bind("40", "/home/amy/scope", "/DropBox/amy/day 1")],
            ("/DropBox/amy/day 1", "/home/amy/scope"),
            id="mounted below one of them",
        ),
        pytest.param(
            "/DropBox",
            "/home/amy",
            [bind("40", "/home/amy/scope", "/DropBox/zak")],
            ("/DropBox/zak", "/home/amy/scope"),
            id="a part of one, below the other",
        ),
        pytest.param(
            "/a",
            "/b",
            [share("40", "nas:/home", "/a"), share("41", "nas:/home/amy", "/b")],
            ("/a/amy", "/b"),
            id="two mounts of a share",
        ),
        pytest.param(
            "/a",
            "/b",
            [share("40", "nas:/home/zak", "/a"), share("41", "nas:/home/amy", "/b")],
            None,
            id="two directories of a share with one device number",
        ),
        pytest.param(
            "/a",
            "/b",
            [share("40", "//nas/home", "/a"), share("41", "//nas/home", "/b")],
            ("/a", "/b"),
            id="SMB",
        ),
        pytest.param("/DropBox", "/home", [], None, id="apart"),
        pytest.param("/DropBox", "/DropBox/amy", [], None, id="one in the other by its name"),
        pytest.param(
            "/DropBox",
            "/DropBox/amy",
            [share("40", "nas:/amy", "/DropBox/amy")],
            None,
            id="a share in the other by its name",
        ),
        pytest.param(
            "/DropBox",
            "/home/amy",
            [share("40", "nas:/amy", "/DropBox/amy"), bind("41", "/DropBox/amy", "/home/amy")],
            None,
            id="what lies under a mount is not seen there",
        ),
        pytest.param(
            "/DropBox",
            "/home/amy",
            [
                bind("40", "/home/amy", "/DropBox/lab/amy"),
                share("41", "nas:/lab", "/DropBox/lab"),
            ],
            None,
            id="a mount that another one hides",
        ),
        pytest.param(
            "/DropBox",
            "/home/amy",
            [
                bind("40", "/home/amy", "/DropBox/amy"),
                share("41", "nas:/amy", "/DropBox/amy", on="40"),
            ],
            None,
            id="a mount over a mount",
        ),
    ],
)
def test_ways(
    one: str, other: str, table: list[tuple[str, Mount]], expected: tuple[str, str] | None
) -> None:
    assert ways(one, other, *table) == expected
    assert ways(other, one, *table) == (expected and expected[::-1])


def test_a_trigger_shows_nothing_itself() -> None:
    trigger = ("29", Mount("40", "0:9", "/", "/DropBox/amy", "autofs", "/etc/auto.home"))
    on_it = share("41", "nas:/amy", "/DropBox/amy", on="40")
    assert [one.at for one in seen("/DropBox", trigger, on_it)] == ["/DropBox", "/DropBox/amy"]


def test_where_the_kernel_does_not_tell_nothing_is_claimed() -> None:
    assert shown("/DropBox", None) == ()


def test_the_table_of_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "29 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        r"40 29 8:1 /home/a\040b /mnt/a\040b rw shared:7 - ext4 /dev/sda1 rw" + "\n"
        "a line of a later kernel\n"
    )
    monkeypatch.setattr("omero_fs_plugin.links._MOUNTS", str(table))
    assert list(mounts()) == [ROOT, bind("40", "/home/a b", "/mnt/a b")]
