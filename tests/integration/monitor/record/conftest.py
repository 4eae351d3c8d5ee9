"""A record of monitors in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.record.record import Record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "record.sqlite"


@pytest.fixture
def record(file: Path) -> Iterator[Record]:
    record = Record(file)
    yield record
    record.close()
