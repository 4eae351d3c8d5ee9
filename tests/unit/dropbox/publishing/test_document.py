"""A user's document: what is in it, how large it may be, and when it counts as changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.publishing import document
from omero_fs_plugin.dropbox.publishing.document import Facts, changed, compose, parsed

ROOT = "/OMERO/DropBox/amy"
SETTINGS = read({"omero.fs.completeTimeout": "1000"})
NOW = 2_000.0


def seen(identifier: int = 7, **other: Any) -> Seen:
    known: dict[str, Any] = {
        "user": "amy",
        "root": ROOT,
        "path": f"{ROOT}/a.tif",
        "state": State.IMPORTED,
        "reason": "",
        "attempts": 0,
        "refusals": 0,
        "images": (51,),
        "server_fileset": 9,
        "reader": "",
        "plate": False,
        "revision_of": None,
        "duplicate_of": None,
        "created": 1_000.0,
        "changed": 1_990.0,
        "waited": 0.0,
        "files": (f"{ROOT}/a.tif",),
        "size": 12,
    }
    return Seen(id=identifier, **{**known, **other})


def facts(*latest: Seen, **other: Any) -> Facts:
    known: dict[str, Any] = {"held": 0, "roots": {ROOT: ""}, "progress": {}}
    counts = {State.IMPORTED: len(latest)}
    return Facts(**{"user": "amy", "counts": counts, "latest": latest, **known, **other})


def test_it_says_what_became_of_each_fileset() -> None:
    waits = seen(
        8, state=State.WAITING, reason=f"waits for {ROOT}/sub/b.tif", images=(), waited=100.0
    )
    content = compose(facts(waits, seen(), held=1, roots={ROOT: "it hangs"}), SETTINGS, NOW)
    first, second = content["filesets"]
    assert first["files"] == ["a.tif"]
    assert first["reason"] == "waits for sub/b.tif"
    assert first["stand"] == "held up"
    assert first["until"] == 3_000.0
    assert (second["images"], second["fileset"], second["since"]) == ([51], 9, 1_990.0)
    assert content["held_up"] == 1
    assert content["roots"] == [{"directory": ROOT, "trouble": "it hangs"}]


def test_what_says_the_same_is_not_written_again() -> None:
    first = changed(compose(facts(seen()), SETTINGS, NOW), "", NOW)
    assert first is not None
    assert changed(compose(facts(seen()), SETTINGS, NOW + 60), first, NOW + 60) is None
    other = facts(seen(state=State.FAILED, reason="no image"))
    second = changed(compose(other, SETTINGS, NOW + 60), first, NOW + 60)
    assert second is not None
    assert json.loads(first)["revision"] == 1
    assert json.loads(second)["revision"] == 2


def test_the_progress_of_an_import_is_news() -> None:
    importing = seen(state=State.IMPORTING, images=())
    before = changed(compose(facts(importing), SETTINGS, NOW), "", NOW)
    assert before is not None
    after = compose(facts(importing, progress={7: "3 of 5 bytes"}), SETTINGS, NOW)
    text = changed(after, before, NOW)
    assert text is not None
    assert json.loads(text)["filesets"][0]["progress"] == "3 of 5 bytes"


@pytest.mark.parametrize("name", ["n" * 255, "\N{GRINNING FACE}" * 60, "\u202eabc", '"><img>'])
def test_it_is_bounded(name: str) -> None:
    path = "/".join([ROOT, *[name] * 12])
    many = [seen(n, files=(path,) * 500, reason="why " * 9999) for n in range(1000)]
    content = compose(
        facts(*many, roots={path * n: "why" * 9999 for n in range(99)}), SETTINGS, NOW
    )
    text = changed(content, "", NOW)
    assert text is not None
    assert len(text.encode()) <= document.MOST_BYTES + 100  # and the revision
    found = parsed(text)
    assert found is not None
    assert [one["id"] for one in found["filesets"]] == list(range(len(found["filesets"])))
    assert 0 < len(found["filesets"]) <= document.FILESETS
    assert found["filesets"][0]["more_files"] == 480
    assert changed(content, text, NOW + 1) is None  # what was left out is not news


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_garbage_is_no_document(text: str) -> None:
    assert parsed(text) is None
    written = changed(compose(facts(seen()), SETTINGS, NOW), text, NOW)
    assert written is not None
    assert json.loads(written)["revision"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 2**53},
        {"revision": True},
        {"revision": "1"},
        {"format": 2},
        {"filesets": {}},
        {"filesets": [{}]},
        {"counts": {}},
        {"held_up": None},
        {"written": "now"},
        {"written": 1e300},
        {"written": float("nan")},
        {"roots": 7},
        {"roots": [7]},
        {"roots": [{"directory": "/d", "trouble": []}]},
    ],
    ids=str,
)
def test_what_a_user_has_changed_is_no_document(change: dict[str, Any]) -> None:
    text = changed(compose(facts(seen()), SETTINGS, NOW), "", NOW)
    assert text is not None
    assert parsed(text) is not None
    assert parsed(json.dumps({**json.loads(text), **change})) is None


def test_deeply_nested_text_is_no_document() -> None:
    assert parsed("[" * 500_000) is None


def test_only_the_latest_filesets_are_told() -> None:
    many = [replace(seen(), id=number) for number in range(document.FILESETS + 1)]
    content = compose(facts(*many), SETTINGS, NOW)
    assert [one["id"] for one in content["filesets"]] == list(range(document.FILESETS))
