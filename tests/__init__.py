"""The tests, in the rooms of what they test."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"
