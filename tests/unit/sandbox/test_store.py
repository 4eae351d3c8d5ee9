"""The sandbox's database: made at the first start, brought up to date at later ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from omero_fs_plugin.sandbox.store import FILE, Store, metadata


def schema(file: Path) -> dict[str, set[str]]:
    """The columns of each table."""
    engine = sa.create_engine(f"sqlite:///{file}")
    known = sa.inspect(engine)
    found = {t: {c["name"] for c in known.get_columns(t)} for t in known.get_table_names()}
    engine.dispose()
    return found


WHOLE = {table.name: {column.name for column in table.c} for table in metadata.sorted_tables}


def test_a_new_one_has_all_tables(tmp_path: Path) -> None:
    Store(tmp_path / FILE).close()

    assert schema(tmp_path / FILE) == WHOLE


def test_it_stays_itself(tmp_path: Path) -> None:
    first = Store(tmp_path / FILE)
    first.close()
    second = Store(tmp_path / FILE)
    with second.read() as db:
        kinds = [row["value"] for row in second.rows(db, "PixelsType")]
    second.close()

    assert second.uuid == first.uuid
    assert len(kinds) == len(set(kinds)) > 1


@pytest.mark.parametrize(
    "lacks",
    [
        'DROP TABLE "annotation"',
        'ALTER TABLE "image" DROP COLUMN "archived"',
        'DROP TABLE "session"; ALTER TABLE "plate" DROP COLUMN "rows"',
    ],
    ids=["a table", "a column", "both"],
)
def test_what_one_of_an_older_release_lacks_is_added(tmp_path: Path, lacks: str) -> None:
    store = Store(tmp_path / FILE)
    with store.begin() as db:
        project = store.insert(db, "Project", owner=0, group=0, name="kept")
    store.close()
    older = sqlite3.connect(tmp_path / FILE)
    older.executescript(lacks)
    older.close()
    assert schema(tmp_path / FILE) != WHOLE

    again = Store(tmp_path / FILE)
    with again.read() as db:
        kept = again.row(db, "Project", project)
    again.close()

    assert schema(tmp_path / FILE) == WHOLE
    assert kept is not None and kept["name"] == "kept"
