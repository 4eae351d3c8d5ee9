"""What a client may ask for, and the sentences that refuse."""

from __future__ import annotations

import ntpath
import os
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.monitor import requests
from omero_fs_plugin.monitor.requests import MonitorError, MonitorType, directory_named
from tests.requests import request_of


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"events": frozenset()}, "eTypes is empty"),
        ({"timeout": -1.0}, "timeout = -1.0"),
        ({"timeout": float("nan")}, "timeout = nan"),
        ({"timeout": float("inf")}, "timeout = inf"),
        ({"block_size": -1}, "blockSize = -1"),
        ({"type": MonitorType.INACTIVITY}, "timeout = 0"),
    ],
)
def test_impossible_arguments(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(MonitorError, match=reason):
        request_of(**changed)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty"),
        ("relative/path", "not absolute"),
        ("/no/such\0thing", "null character"),
        ("{}/missing", "No such file"),
        ("{}/file", "not a directory"),
    ],
)
def test_impossible_paths(path: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MonitorError, match=reason):
        directory_named(path.format(tmp_path))


def test_an_unreadable_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # tests may run as root
    with pytest.raises(MonitorError, match="not readable"):
        directory_named(str(tmp_path))


def test_a_directory_is_normalised_and_a_link_to_one_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert directory_named(f"{tmp_path}//real/../link/") == os.fsencode(tmp_path / "link")
    assert directory_named("//") == b"/"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("C:\\data\\in", "C:/data/in"),
        ("c:/data//in/../in/", "c:/data/in"),
        ("\\\\nas\\share\\in", "//nas/share/in"),
        ("C:\\", "C:/"),
    ],
)
def test_a_path_of_windows(path: str, expected: str) -> None:
    assert requests._normalised(path, ntpath) == expected


@pytest.mark.parametrize("path", ["\\data", "/data", "C:data", "data"])
def test_a_path_of_windows_that_is_not_absolute(path: str) -> None:
    with pytest.raises(MonitorError, match="not absolute"):
        requests._normalised(path, ntpath)
