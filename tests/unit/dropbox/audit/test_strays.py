"""Files without a row are looked for in each watched directory; what is not looked at is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.audit.findings import Kind
from omero_fs_plugin.dropbox.audit.means import Means, Pace
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.dropbox.audit.strays import look_for_strays
from omero_fs_plugin.dropbox.journal.journal import Journal

LATER_S = 30 * 86400.0


@pytest.fixture
def record() -> Iterator[Record]:
    made = Record.fresh("/opt/omero", 1.0)
    yield made
    made.close()


def look(data: Path, record: Record, later: float = LATER_S, **properties: str) -> None:
    """The whole part, so many seconds from now."""
    given = {f"omero.fs.{name}": value for name, value in properties.items()}
    settings = read({"omero.data.dir": str(data), "omero.fs.bioformatsJars": "none", **given})
    Journal(settings.journal_url).close()
    omero = cast("Any", SimpleNamespace(experimenters=lambda: {"amy": True, "zak": False}))
    look_for_strays(
        Means(
            *(omero, settings, record, Pace(1.0, sleep=lambda seconds: None)),
            passed_over=lambda path: "by name" if path.endswith(".skip") else "",
            now=lambda: time.time() + later,
        )
    )


def found(record: Record) -> list[tuple[str, str]]:
    assert all(one.kind is Kind.NO_ROW for one in record.findings())
    return [(one.path, one.why.partition(":")[0]) for one in record.findings()]


def test_each_root_is_looked_at(tmp_path: Path, record: Record) -> None:
    for name in ("amy/day 1/a.tif", "amy/x.skip", "bob/b.tif", "zak/c.tif", "zak/d.tif"):
        path = tmp_path / "DropBox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    look(tmp_path, record)
    top = f"{tmp_path}/DropBox"
    assert found(record) == [
        (f"{top}/amy/day 1/a.tif", "the journal has no row for it"),
        (f"{top}/bob", "its files wait"),
        (f"{top}/zak", "its files wait"),
    ]
    assert record.done("strays") and record.unseen == 0


def test_what_is_young_may_be_on_its_way(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "DropBox/amy/a.tif"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    look(tmp_path, record, later=600.0)
    assert found(record) == []


def test_a_watched_directory_that_is_not_there_is_told(tmp_path: Path, record: Record) -> None:
    (tmp_path / "file").write_bytes(b"x")
    own = f"{tmp_path}/none;{tmp_path}/file"
    look(tmp_path, record, importUsers="amy;zak", watchDir=own)
    assert found(record) == []
    assert {one.path: one.why for one in record.all_unseen()} == {
        f"{tmp_path}/none": "cannot be looked at: No such file or directory",
        f"{tmp_path}/file": "cannot be looked at: Not a directory",
    }


def test_a_rule_that_is_wrong_is_told(tmp_path: Path, record: Record) -> None:
    look(tmp_path, record, importers="many")
    (left, *_) = record.all_unseen()
    assert left.path == "omero.fs.importers" and "many" in left.why
