"""What a person is told, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.journal.outbox import ADMINS
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.letters.digest import SHOWN, Digest, is_news, is_trouble
from omero_fs_plugin.dropbox.letters.wording import subject, text
from tests.unit.dropbox.test_situation import NOW, ROOT, SETTINGS, seen


def content(*filesets: Any, person: str = "amy") -> dict[str, Any] | None:
    digest = Digest(person, SETTINGS, NOW)
    digest.add(filesets)
    return digest.content()


@pytest.mark.parametrize(
    ("after", "reason", "news", "trouble"),
    [
        ("imported", "", True, False),
        ("skipped", "a copy", True, False),
        ("failed", "no image", True, True),
        ("waiting", "", False, False),
        ("waiting", "waits for b.tif", True, True),
        ("waiting", "waits for b.tif, which is in its quiet period", False, False),
        ("queued", "", False, False),
        ("queued", "OMERO is away", True, True),
        ("importing", "", False, False),
    ],
)
def test_which_events_are_told(after: str, reason: str, news: bool, trouble: bool) -> None:
    assert (is_news(after, reason), is_trouble(after, reason)) == (news, trouble)


def test_what_is_on_its_way_is_no_letter() -> None:
    soon = "waits for b.tif, which is in its quiet period"
    assert content(seen(State.QUEUED), seen(State.IMPORTING), seen(State.WAITING, soon)) is None


def test_admins_hear_of_trouble_only_and_of_whose_it_is() -> None:
    assert content(seen(State.IMPORTED), seen(State.SKIPPED), person=ADMINS) is None
    told = content(seen(State.IMPORTED), seen(State.FAILED, "no image"), person=ADMINS)
    assert told is not None and told["arrived"] == []
    assert "  amy/a.tif\n      no image\n" in text(told, again=False)


def test_of_many_few_are_shown_and_all_are_counted() -> None:
    told = content(*(seen(State.FAILED, "no image", id=n) for n in range(1_000)))
    assert told is not None
    assert (told["counts"]["failed"], len(told["failed"])) == (1_000, SHOWN)
    assert f"and {1_000 - SHOWN} more" in text(told, again=False)
    assert subject(told) == "OMERO: 1,000 failed"


def test_names_end_no_line() -> None:
    name = f"{ROOT}/a\r\nBcc: x@example.org\u2028.tif"
    told = content(seen(State.FAILED, f"{name}: no\nimage", path=name, files=(name, "b", "c")))
    assert told is not None
    body = text(told, again=False)
    assert "  a\\r\\nBcc: x@example.org\\u2028.tif +2 files\n      no\\nimage\n" in body
    assert body.isascii() and "\r" not in body


def test_links_if_the_address_is_known() -> None:
    settings = read({"omero.fs.webAddress": "https://omero.example.org/web/"})
    digest = Digest("amy", settings, NOW)
    digest.add([seen(State.IMPORTED, images=tuple(range(1, 9)))])
    told = digest.content()
    assert told is not None
    body = text(told, again=False)
    assert "https://omero.example.org/web/webclient/?show=image-1\n" in body
    assert "and 3 more images" in body


def test_a_letter_that_may_have_come_before_says_so_first() -> None:
    told = content(seen(State.FAILED, "no image"))
    assert told is not None
    assert text(told, again=True).startswith("You may have got this before: ")
    assert text(told, again=True).endswith(text(told, again=False))
