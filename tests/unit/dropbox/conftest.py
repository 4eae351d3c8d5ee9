"""What unit tests of DropBox share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from tests.memory import MEMORY


@pytest.fixture
def journal() -> Iterator[Journal]:
    """An empty journal."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        journal = Journal(f"sqlite:///{directory}/journal.sqlite")
        yield journal
        journal.close()
