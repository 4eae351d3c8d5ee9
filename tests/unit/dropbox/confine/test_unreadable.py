"""What a reason says of a file that the server may not read."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.confine import MAY_READ, UNREADABLE
from omero_fs_plugin.dropbox.confine.unreadable import named


@pytest.mark.parametrize(
    ("reason", "path"),
    [
        (f"/r/a: {UNREADABLE}: Permission denied: {MAY_READ}", "/r/a"),
        (f"/r/a: b: {UNREADABLE}: Permission denied", "/r/a: b"),
        (f"cannot be read now: {UNREADABLE}", ""),
        (f"the OMERO log: {UNREADABLE}: Permission denied", ""),
        ("no reader takes it", ""),
        ("", ""),
    ],
)
def test_a_reason_names_the_file(reason: str, path: str) -> None:
    assert named(reason) == path
