"""The tests, in the rooms of what they test."""

from __future__ import annotations

import os
from pathlib import Path

# Else hypothesis imports trio, which came with selenium, in each of the 40 processes of pytest.
os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")

CHECKOUT = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"
