"""What the page asks OMERO of filesets, after real imports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from omero_fs_web import older
from omero_fs_web.older import before_these
from omero_fs_web.origin import origin_of
from tests.integration.whole import Whole


@pytest.fixture
def services(whole: Whole) -> Callable[[str], Any]:
    """The session of a user."""
    return whole.services


def test_the_origin_of_an_image(whole: Whole, services: Callable[[str], Any]) -> None:
    began = datetime.now(timezone.utc).replace(microsecond=0)
    path = whole.drop("day 1/cells.tif")
    whole.until_known(path)
    row = whole.row(path)
    origin = origin_of(services("amy"), row.images[0])
    assert origin is not None
    assert (origin.fileset, origin.files, origin.images) == (row.server_fileset, 1, 1)
    assert origin.ours and not origin.in_place
    assert origin.dropped is not None and began <= origin.dropped <= origin.imported
    (line,) = origin.lines
    assert (line.file, line.size) == (str(path), path.stat().st_size)
    assert (
        line.checksum == hashlib.sha1(path.read_bytes()).hexdigest() and line.images == row.images
    )


def test_of_another_in_a_private_group_nothing_is_told(
    whole: Whole, services: Callable[[str], Any]
) -> None:
    path = whole.drop("cells.tif")
    whole.until_known(path)
    (image,) = whole.row(path).images
    assert origin_of(services("zak"), image) is None
    assert origin_of(services("amy"), image + 1000) is None


def test_links_are_told_from_copies(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(transfer="ln_s")
    path = whole.drop("cells.tif")
    whole.until_known(path)
    origin = origin_of(whole.services("amy"), whole.row(path).images[0])
    assert origin is not None and origin.in_place


def test_older_ones_come_page_by_page(
    whole: Whole, services: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(older, "PAGE", 2)
    paths = [whole.drop(f"{number}.tif") for number in range(5)]
    whole.until_known(*paths)
    whole.until_known(whole.drop("zaks.tif", user="zak"))
    rows = sorted((whole.row(path) for path in paths), key=lambda row: row.server_fileset or 0)
    newest = rows[-1].server_fileset
    root = str(whole.watch_dir / "amy")
    amys = whole._omero.user("amy").id
    told = {
        "filesets": [{"fileset": newest}],
        "counts": {"imported": 5},
        "roots": [{"directory": root, "trouble": ""}],
    }
    before = before_these(told)
    assert before == newest
    found, pages = [], 0
    while before is not None:
        some = older.older(services("amy"), amys, told, before)
        found += some.filesets
        before, pages = some.before, pages + 1
    assert pages == 2
    wanted = [(row.server_fileset, row.path.rpartition("/")[2], row.images[0]) for row in rows[:-1]]
    assert [(one.fileset, one.name, one.image) for one in found] == wanted[::-1]
    # What a user writes into the document leads to nobody else's.
    forged = json.loads(json.dumps(told).replace("amy", "zak"))
    assert older.older(services("amy"), amys, forged, newest + 100).filesets == ()
