"""What tests of FSServer over Ice share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .fsserver import initialize


@pytest.fixture
def clients() -> Iterator[Any]:
    """The communicator of the clients."""
    communicator = initialize()
    yield communicator
    communicator.destroy()
