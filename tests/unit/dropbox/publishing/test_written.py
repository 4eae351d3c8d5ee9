"""What OMERO.fs wrote into OMERO, and what others wrote there: read by one rule."""

from __future__ import annotations

import json
from typing import Any

import pytest

from omero_fs_plugin.dropbox.publishing import checked, document, heartbeat
from omero_fs_plugin.dropbox.publishing.written import content_of, is_newer, is_time

NONE_OF_OURS = [
    "",
    "garbage",
    "\0" * 100,
    "[" * 50_000,
    "{" * 50_000,
    "null",
    "[]",
    "1",
    "{}",
    '{"format": true}',
    '{"format": 1.0}',
    '{"format": "1"}',
    '{"format": null}',
    '{"format": NaN}',
    '{"format": 1',
    '{"format": 0}',
    '{"format": ' + "1" * 5000 + "}",
]


@pytest.mark.parametrize("text", NONE_OF_OURS, ids=lambda text: ascii(text)[:20])
def test_none_of_ours_is_nothing_to_any_reader(text: str) -> None:
    assert content_of(text, 1) is None
    assert not is_newer(text, 1)
    readers: list[Any] = [checked.parsed, document.parsed, heartbeat.heard]
    assert [read(text) for read in readers] == [None] * 3


def test_a_newer_one_is_not_read_and_known_as_such() -> None:
    text = json.dumps({"format": 2, "at": 1.0, "every": 15.0, "revision": 1})
    assert content_of(text, 1) is None and is_newer(text, 1)
    assert not is_newer(text, 2) and content_of(text, 2) is not None


@pytest.mark.parametrize("half", ["\\ud800", "\\udcff", "\\uDfff"])
def test_half_a_character_can_be_sent_on(half: str) -> None:
    found = content_of(f'{{"format": 1, "a{half}": ["b{half}"]}}', 1)
    assert found is not None
    json.dumps(found, ensure_ascii=False).encode()  # Ice ends the process for less


@pytest.mark.parametrize("value", [None, True, "1", -1, 1e300, float("nan"), float("inf"), []])
def test_what_is_no_time(value: Any) -> None:
    assert not is_time(value)
