"""Runs shares.py."""

from __future__ import annotations

from pathlib import Path

from . import alone


def test_shares_that_hang() -> None:
    alone.run(Path(__file__).with_name("shares.py"), patience=300)
