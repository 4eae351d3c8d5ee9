"""A sandbox server and a user's directory, for the tests of importers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .importing import Importing


@pytest.fixture
def world(
    tmp_path: Path, seeded_once: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Importing]:
    world = Importing(tmp_path, seeded_once, monkeypatch)
    yield world
    world.close()
