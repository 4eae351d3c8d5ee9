"""What the page says of a document."""

from __future__ import annotations

from typing import Any

import pytest

from omero_fs_plugin.dropbox.publishing.heartbeat import Heard
from omero_fs_web.page import IMPORTED, NEEDS, page_of, sentence

from .documents import NOW, document, fileset

ALIVE = Heard(NOW - 5, 15)


def page(*filesets: dict[str, Any], **more: Any) -> Any:
    return page_of(document(*filesets), ALIVE, now=NOW, **more)


@pytest.mark.parametrize(
    ("stands", "said"),
    [
        ([], "You have dropped nothing yet."),
        (["imported"], "1 drop, and it is done."),
        (["imported", "imported"], "2 of your 2 drops are in OMERO; nothing is on its way."),
        (["importing"], "It is still on the way."),
        (["failed"], "It needs you."),
        (["imported", "queued"], "1 of your 2 drops is still on the way; nothing needs you."),
        (["imported", "failed"], "None of your 2 drops is still on the way; 1 needs you."),
        (
            ["settling", "queued", "importing", "failed", "held up", "imported"],
            "3 of your 6 drops are still on the way; 2 need you.",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_one_sentence_first(stands: list[str], said: str) -> None:
    assert sentence(document(*(fileset(n, s) for n, s in enumerate(stands, 1)))) == said


def test_what_needs_the_user_comes_first_and_what_failed_before_what_waits() -> None:
    found = page(fileset(1), fileset(2, "held up"), fileset(3, "failed"), fileset(4, "queued"))
    assert [one.id for one in found.needs] == [3, 2]
    assert [one.id for one in found.under_way] == [4]
    assert [one.id for one in found.today] == [1]


@pytest.mark.parametrize(
    ("reason", "says", "todo"),
    [
        (
            "waits for day/b.tif",
            "Some files of this set are missing: day/b.tif",
            "Copy the missing",
        ),
        ("day/omero-fs.toml: line 3", "sidecar", "Mend omero-fs.toml"),
        ("a.tif is cut short", "not whole", "Copy it again"),
        ("its reader: FormatException: Invalid TIFF", "cannot read", "Is it an image"),
        ("error-on-init: a.tif: no pixel type float16", "cannot read", "Is it an image"),
        ("import-request-failure: a.tif", "cannot read", "Copy a good one over it"),
        ("Permission denied", "may not read", "administrator"),
        ("No space left on device", "no room", "administrator"),
        ("what nobody has met", "could not be imported", "technical reason"),
    ],
    ids=lambda value: value[:20],
)
def test_a_reason_in_words_for_a_microscopist(reason: str, says: str, todo: str) -> None:
    (one,) = page(fileset(1, "failed", reason=reason)).needs
    assert says in one.says and todo in one.todo
    assert one.reason == reason  # behind a click


def test_todays_end_at_midnight() -> None:
    found = page(fileset(1, since=NOW - 14 * 3600), fileset(2, since=NOW - 16 * 3600))
    assert [one.id for one in found.today] == [1]
    assert [one.id for one in found.earlier] == [2]


@pytest.mark.parametrize(
    ("told", "age", "percent", "left"),
    [
        ("", 60, None, ""),
        ("25 of 100 bytes", 60, 25, "about 3 min left"),
        ("50 of 100 bytes", 30, 50, "about 30 s left"),
        ("0 of 100 bytes", 60, 0, ""),
        ("100 of 100 bytes", 60, 100, ""),
        ("7 of 0 bytes", 60, None, ""),
        ("1 of 100 bytes", 2, 1, ""),
        ("2000 of 100 bytes", 60, 100, ""),
        ("garbage", 60, None, ""),
    ],
)
def test_progress_and_an_estimate(told: str, age: float, percent: int | None, left: str) -> None:
    (one,) = page(fileset(1, "importing", progress=told, since=NOW - age)).under_way
    assert (one.percent, one.left) == (percent, left)


@pytest.mark.parametrize(
    ("query", "ids"),
    [("", [1, 2]), ("CELLS", [1]), ("nothing", []), (" b.tif ", [1, 2]), ("[", [])],
)
def test_the_search_looks_at_all_names(query: str, ids: list[int]) -> None:
    found = page(
        fileset(1, files=["day/cells.tif", "day/b.tif"]), fileset(2, files=["b.tif"]), query=query
    )
    assert [one.id for one in found.today] == ids
    assert found.shown == len(ids) and found.known == 2
    assert found.asked == bool(query)


@pytest.mark.parametrize(("show", "shown"), [(NEEDS, 1), (IMPORTED, 2), ("", 4)])
def test_one_kind_alone(show: str, shown: int) -> None:
    found = page(fileset(1), fileset(2), fileset(3, "failed"), fileset(4, "skipped"), show=show)
    assert found.shown == shown


@pytest.mark.parametrize(
    ("sign", "silent"),
    [
        (Heard(NOW, 15), False),
        (Heard(NOW - 44, 15), False),
        (Heard(NOW - 46, 15), True),
        (Heard(NOW + 100, 15), False),  # the clocks of two hosts
        (Heard(NOW - 300, 600), False),
        (None, True),
    ],
)
def test_since_when_nothing_was_heard(sign: Heard | None, silent: bool) -> None:
    said = page_of(document(fileset(1)), sign, now=NOW).heard
    assert said.startswith("DropBox has not been heard since 29 November, ") == silent
    assert bool(said) == silent


def test_since_when_dropbox_has_not_heard_fsserver() -> None:
    here = page_of(document(fileset(1)), Heard(NOW, 15, unwatched=NOW - 300), now=NOW).heard
    assert here.startswith("FSServer has not been heard since 29 November, 14:55:00.")
    down = Heard(NOW - 600, 15, unwatched=NOW - 900)
    assert page_of(document(), down, now=NOW).heard.startswith("DropBox has not been heard")


def test_requests_and_answers_are_at_their_fileset() -> None:
    told = document(fileset(1, "failed"), fileset(2, "failed"), answers=[{"id": 2, "answer": "no"}])
    found = page_of(told, ALIVE, now=NOW, asked={1: "forget"})
    assert {one.id: (one.asked, one.answer) for one in found.needs} == {
        1: ("forget", ""),
        2: ("", "no"),
    }


@pytest.mark.parametrize("until", [None, "x", -1, 1e300, float("nan"), True, []])
def test_a_time_that_is_none_is_not_told(until: Any) -> None:
    (one,) = page(fileset(1, "held up", until=until)).needs
    assert one.until is None


@pytest.mark.parametrize("more", [{"more_images": "x"}, {"fileset": "x"}, {"fileset": True}])
def test_what_a_user_wrote_into_the_own_document_breaks_nothing(more: dict[str, Any]) -> None:
    assert page(fileset(1, **more)).shown == 1
