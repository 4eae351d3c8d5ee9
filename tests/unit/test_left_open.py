"""A connection that a test leaves open is told on every Python."""

from __future__ import annotations

import gc
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("by", ["sqlite3", "sqlalchemy"])
def test_it_is_told_with_the_test_that_opened_it(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda what: told.append(str(what.exc_value)))
    if by == "sqlite3":
        sqlite3.connect(tmp_path / "file.sqlite").execute("select 1")
    else:
        engine = create_engine(f"sqlite:///{tmp_path / 'file.sqlite'}")
        engine.connect().close()
        del engine
    gc.collect()
    assert any("left open by tests/unit/test_left_open.py" in line for line in told), told


def test_one_that_is_closed_is_not_told(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with closing(sqlite3.connect(tmp_path / "file.sqlite")) as connection:
        connection.execute("select 1")
    del connection
    gc.collect()
    assert not recwarn.list
