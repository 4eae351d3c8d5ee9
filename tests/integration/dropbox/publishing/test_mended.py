"""A broken file that was mended, and a request to try it again: in any order, imported once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omero.model import CommentAnnotationI
from omero.rtypes import rstring

from omero_fs_plugin.blitz import publications
from omero_fs_plugin.blitz.publications import GROUP, REQUEST
from tests.acceptance import images
from tests.integration.whole import Whole


def _document(whole: Whole, name: str = "amy") -> Any:
    user = whole._omero.user(name)
    text = whole._omero._ask("reading", lambda services: publications.read(services, user.id))
    return json.loads(text) if text else {"filesets": [], "answers": []}


def _row(whole: Whole, path: Path) -> Any:
    """What the document says of the fileset of `path`; empty if nothing."""
    name = str(path.relative_to(whole.watch_dir / "amy"))
    found = [one for one in _document(whole)["filesets"] if one["files"][0] == name]
    return found[0] if found else {}


def _asks(whole: Whole, *texts: str) -> None:
    user = whole._omero.user("amy")
    session = whole._omero.session_for(type(user)(user.id, "amy", GROUP))
    try:
        for text in texts:
            row = CommentAnnotationI()
            row.ns, row.textValue = rstring(REQUEST), rstring(text)
            session.services.getUpdateService().saveObject(row)
    finally:
        session.close()


def _answer(whole: Whole, fileset: int) -> str:
    return {one["id"]: one["answer"] for one in _document(whole)["answers"]}.get(fileset, "")


@pytest.fixture
def broken(make_whole: Callable[..., Whole]) -> tuple[Whole, Path, int]:
    """A file of amy's that failed, as her document tells; and its id."""
    whole = make_whole(publishInterval="1")
    path = whole.watch_dir / "amy" / "broken.tif"
    path.write_bytes(images.refused())
    whole.until("it is told", lambda: _row(whole, path).get("state") == "failed")
    return whole, path, _row(whole, path)["id"]


def test_mended_it_comes_by_itself_and_a_late_wish_changes_nothing(
    broken: tuple[Whole, Path, int],
) -> None:
    whole, path, number = broken
    path.write_bytes(images.tiff())
    whole.until("it is told", lambda: _row(whole, path).get("state") == "imported")
    assert _row(whole, path)["id"] == number  # the row of the failed one is this one
    _asks(whole, f"try again {number}", f"try again {number}")
    whole.until("it is answered", lambda: _answer(whole, number))
    assert _answer(whole, number) == "it had not failed any more"
    whole.until_settled()
    whole.assert_once(path)


@pytest.mark.parametrize("heard", [True, False], ids=["FSServer tells", "FSServer is down"])
def test_mended_and_asked_for_at_once(broken: tuple[Whole, Path, int], heard: bool) -> None:
    whole, path, number = broken
    if not heard:
        whole._fsserver.stop()
    path.write_bytes(images.tiff())
    _asks(whole, f"try again {number}", f"try again {number}")
    whole.until("it is told", lambda: _row(whole, path).get("state") == "imported")
    whole.until("it is answered", lambda: _answer(whole, number))
    assert _answer(whole, number) in ("it is tried again", "it had not failed any more")
    whole.until_settled()
    whole.assert_once(path)


def test_asked_for_while_dropbox_is_down(broken: tuple[Whole, Path, int]) -> None:
    whole, path, number = broken
    whole.stop_dropbox()
    _asks(whole, f"try again {number}")
    path.write_bytes(images.tiff())
    whole.start_dropbox()
    whole.until("it is told", lambda: _row(whole, path).get("state") == "imported")
    whole.until("it is read", lambda: not whole._omero.requests())
    whole.until("it is answered", lambda: _answer(whole, number))
    assert _answer(whole, number) in ("it is tried again", "it had not failed any more")
    whole.until_settled()
    whole.assert_once(path)


def test_asked_for_with_the_file_gone(broken: tuple[Whole, Path, int]) -> None:
    whole, path, number = broken
    path.unlink()
    _asks(whole, f"try again {number}")
    whole.until("it is answered", lambda: _answer(whole, number))
    whole.until_settled()
    whole.until("it is told", lambda: _row(whole, path).get("state") == "skipped")
    assert _row(whole, path)["reason"] == "removed or renamed before it was imported"
    path.write_bytes(images.tiff())
    whole.until_known(path)
    whole.assert_once(path)


@pytest.mark.parametrize("heard", [True, False], ids=["FSServer tells", "FSServer is down"])
def test_a_set_with_one_member_mended(
    make_whole: Callable[..., Whole], tmp_path: Path, heard: bool
) -> None:
    whole = make_whole(publishInterval="1")
    made = images.ome_tiff_set(tmp_path, ["a.ome.tif", "b.ome.tif", "c.ome.tif"])
    place = whole.watch_dir / "amy" / "set"
    place.mkdir()
    first, *others = (place / one.name for one in made)
    good = made[0].read_bytes()
    first.write_bytes(good.replace(b'Type="uint8"', b'Type="weird"'))
    for path, one in zip(others, made[1:], strict=True):
        path.write_bytes(one.read_bytes())
    whole.until("it is told", lambda: _row(whole, first).get("state") == "failed")
    number = _row(whole, first)["id"]
    assert len(whole.row_of(number).files) == 3
    if not heard:
        whole._fsserver.stop()
    first.write_bytes(good)
    _asks(whole, f"try again {number}")
    whole.until("it is told", lambda: _row(whole, first).get("state") == "imported")
    whole.until_settled()
    assert len(whole.row(first).files) == 3
    whole.until("it is answered", lambda: _answer(whole, number))
    assert _answer(whole, number) in ("it is tried again", "it had not failed any more")
    whole.assert_once(first)
    assert [whole.filesets(path)[0].id for path in others] == [whole.filesets(first)[0].id] * 2
