"""The sign of life: what is read back, and when it is late."""

from __future__ import annotations

import json

import pytest

from omero_fs_plugin import __version__
from omero_fs_plugin.dropbox.publishing.heartbeat import Heard, heard, sign


def test_what_is_written_is_read() -> None:
    assert heard(sign(1000.04, 15)) == Heard(1000.0, 15, __version__)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "[]",
        "[" * 5000,
        json.dumps({"format": 2, "at": 1, "every": 1}),
        json.dumps({"format": 1, "at": "1", "every": 1}),
        json.dumps({"format": 1, "at": True, "every": 1}),
        json.dumps({"format": 1, "at": float("nan"), "every": 1}),
        json.dumps({"format": 1, "at": 1e300, "every": 1}),
        json.dumps({"format": 1, "at": 1}),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_none_of_ours(text: str) -> None:
    assert heard(text) is None


@pytest.mark.parametrize(
    ("now", "silent"), [(1000, False), (1045, False), (1045.1, True), (0, False)]
)
def test_late_is_silent(now: float, silent: bool) -> None:
    assert Heard(1000, 15).silent(now) == silent
