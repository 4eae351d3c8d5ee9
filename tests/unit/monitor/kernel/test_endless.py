"""A share that lists names for ever takes no memory without end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel import listings
from omero_fs_plugin.monitor.kernel.polling import Polling


def test_a_directory_with_too_many_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "MOST_NAMES", 3)
    disk = Polling(os.fsencode(tmp_path), lambda: None)
    try:
        for number in range(3):
            (tmp_path / str(number)).touch()
        assert len(disk.entries(os.fsencode(tmp_path), {}).names) == 3
        (tmp_path / "3").touch()
        with pytest.raises(OSError, match="more than 3 names") as told:
            disk.entries(os.fsencode(tmp_path), {})
        assert told.value.errno == errno.EOVERFLOW
    finally:
        disk.close()
