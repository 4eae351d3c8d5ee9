"""What administrators see of all users."""

from __future__ import annotations

from omero_fs_web.overview import overview

from .documents import NOW, document, fileset


def test_who_waits_longest_comes_first() -> None:
    found = overview(
        [
            ("amy", document(fileset(1))),
            ("zak", document(fileset(2, "settling", since=NOW - 5))),
            ("eve", document(fileset(3, "held up", since=NOW - 500), fileset(4, "queued"))),
        ],
        {},
    )
    assert [row.user for row in found.rows] == ["eve", "zak", "amy"]
    first = found.rows[0]
    assert (first.oldest_name, first.way, first.needing) == ("day/3.tif", 1, 1)


def test_equal_failures_are_counted_together() -> None:
    broken = [fileset(n, "failed", reason=f"cannot read day/{n}.tif") for n in (1, 2)]
    found = overview([("amy", document(*broken)), ("zak", document(broken[0])), ("eve", None)], {})
    assert found.reasons == [("cannot read the file", 3, 2)]
    assert found.unread == 1


def test_only_directories_in_trouble_are_told() -> None:
    roots = [{"directory": "/a", "trouble": ""}, {"directory": "/b", "trouble": "away"}]
    (row,) = overview([("amy", document(roots=roots))], {}).rows
    assert [root["directory"] for root in row.roots] == ["/b"]


def test_the_users_of_a_group_are_added_up() -> None:
    found = overview(
        [
            ("amy", document(fileset(1), fileset(2, "failed"))),
            ("zak", document(fileset(3, "settling", since=NOW - 5))),
            ("eve", document(fileset(4))),
            ("bob", document(fileset(5))),
        ],
        {"amy": "lab", "zak": "lab", "eve": "other"},
    )
    lab, *rest = found.groups
    assert (lab.name, lab.users, lab.imported, lab.way, lab.needing, lab.failed) == (
        ("lab", 2, 1, 1, 1, 1)
    )
    assert lab.oldest is not None and lab.oldest.timestamp() == NOW - 5
    assert sorted((group.name, group.users) for group in rest) == [("", 1), ("other", 1)]


def test_names_that_a_user_chose_make_no_reason_longer() -> None:
    # Each was put in for the letter "e", and "the file" has two of them: 2 ** 40 characters.
    hostile = fileset(
        1,
        "failed",
        reason="e" * 1000,
        files=["", *(f"{'e' * n}" for n in range(1, 3)), *["e"] * 40],
    )
    found = overview([("amy", document(hostile))], {})
    ((reason, failures, users),) = found.reasons
    assert len(reason) <= 400 * len("the file") and (failures, users) == (1, 1)
