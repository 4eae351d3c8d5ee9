"""What unit tests of DropBox share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty journal."""
    journal = Journal(f"sqlite:///{tmp_path}/journal.sqlite")
    yield journal
    journal.close()
