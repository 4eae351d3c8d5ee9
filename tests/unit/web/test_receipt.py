"""Which filesets a receipt is of, and the table that it makes."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime

import pytest

from omero_fs_web.receipt import COLUMNS, Line, as_csv, chosen

from .documents import NOW, document, fileset

TODAY = date.fromtimestamp(NOW)


@pytest.mark.parametrize(
    ("day", "below", "ids"),
    [
        (None, "", [1, 2, 3]),
        (TODAY, "", [1, 2]),
        (None, "day", [1, 3]),
        (None, "/day/", [1, 3]),
        (None, "da", []),
        (None, "day/1.tif", [1]),
        (TODAY, "day", [1]),
    ],
)
def test_of_a_day_or_a_directory(day: date | None, below: str, ids: list[int]) -> None:
    told = document(
        fileset(1),
        fileset(2, files=["else/2.tif"]),
        fileset(3, since=NOW - 3 * 86400),
        fileset(4, "failed"),
        fileset(5, fileset=None),
        fileset(6, fileset="x"),
    )
    assert [one["id"] for one in chosen(told, day=day, below=below)] == ids


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", 'a"b', "a,b", "a\nb", "ä"])
def test_a_table_that_calculates_nothing(name: str) -> None:
    line = Line(name, 1, "ab", "SHA1-160", datetime.fromtimestamp(NOW).astimezone(), (1, 2), 7)
    head, row = csv.reader(io.StringIO(as_csv([line]), newline=""))
    assert tuple(head) == COLUMNS
    assert row[0] == (f"'{name}" if name[0] in "=+-@\t" else name)
    assert row[5] == "1 2"
