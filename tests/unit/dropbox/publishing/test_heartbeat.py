"""The sign of life: what is read back, and when it is late."""

from __future__ import annotations

import json

import pytest

from omero_fs_plugin import __version__
from omero_fs_plugin.dropbox.publishing.heartbeat import EVERY_S, Heard, Others, heard, sign


def test_what_is_written_is_read() -> None:
    assert heard(sign(1000.04, 15)) == Heard(1000.0, 15, __version__)
    assert heard(sign(1000.04, 15, "host a")) == Heard(1000.0, 15, __version__, "host a")
    told = heard(sign(1000.0, 15, "host a", ("amy",), unwatched=900.04))
    assert told == Heard(1000.0, 15, __version__, "host a", frozenset(("amy",)), 900.0)


def test_a_wrong_time_of_fsserver_is_none() -> None:
    told = heard(json.dumps({"format": 1, "at": 1, "every": 1, "unwatched": "soon"}))
    assert told is not None and told.unwatched is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "[]",
        "[" * 5000,
        json.dumps({"format": 2, "at": 1, "every": 1}),
        json.dumps({"format": 1, "at": "1", "every": 1}),
        json.dumps({"format": 1, "at": True, "every": 1}),
        json.dumps({"format": 1, "at": float("nan"), "every": 1}),
        json.dumps({"format": 1, "at": 1e300, "every": 1}),
        json.dumps({"format": 1, "at": 1}),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_none_of_ours(text: str) -> None:
    assert heard(text) is None


@pytest.mark.parametrize(
    ("now", "silent"), [(1000, False), (1045, False), (1045.1, True), (0, False)]
)
def test_late_is_silent(now: float, silent: bool) -> None:
    assert Heard(1000, 15).silent(now) == silent


class TestOthers:
    """Who leaves its sign, and finds those of another process."""

    def told(self, *before: str, late: float = 0.0) -> str:
        """Of a DropBox that found these, each when it left its own."""
        others, now = Others("me 1"), 0.0
        for text in before:
            others.found(text, now)
            now += EVERY_S
        return others.told(now + late)

    def test_another_at_work_is_told_of(self) -> None:
        mine, other = (sign(0.0, 15, who) for who in ("me 1", "scope 2"))
        assert "another DropBox, on scope," in self.told("", other, other)
        assert self.told("", other, mine, other), "it is slower"
        assert self.told("", *[sign(1e6, 15, "me 2")] * 2), "on this machine, its clock is wrong"

    @pytest.mark.parametrize(
        ("ours", "theirs", "told"),
        [
            ((), (), True),
            ((), ("zak",), True),
            (("amy",), (), True),
            (("amy", "zak"), ("zak",), True),
            (("amy",), ("zak",), False),
            (("amy",), tuple(map(str, range(101))), True),
        ],
        ids=["all", "all and one", "one and all", "one of them", "others", "too many to name"],
    )
    def test_for_the_same_users(
        self, ours: tuple[str, ...], theirs: tuple[str, ...], told: bool
    ) -> None:
        others = Others("me 1")
        for now in (0.0, 15.0, 30.0):
            others.found(sign(now, 15, "scope 2", theirs), now, ours)
        assert bool(others.told(30.0)) == told

    def test_one_alone_is_not(self) -> None:
        mine = sign(0.0, 15, "me 1")
        assert not self.told("", mine, mine)
        assert not self.told(sign(0.0, 15, "scope 2"), mine, mine), "we took over from it"
        assert not self.told(*[sign(0.0, 15)] * 3), "an older version does not say who it is"
        assert not self.told(*["garbage"] * 3)

    def test_one_that_lost_its_lease_leaves_one_more(self) -> None:
        mine, loser = (sign(0.0, 15, who) for who in ("me 1", "scope 2"))
        assert not self.told(loser, loser, mine, mine)

    def test_two_standbys_after_each_other_are_no_other(self) -> None:
        mine, one, two = (sign(0.0, 15, who) for who in ("me 1", "scope 2", "scope 3"))
        assert not self.told(mine, one, two, mine)

    def test_one_that_was_stopped_is_forgotten(self) -> None:
        other = sign(0.0, 15, "scope 2")
        assert self.told("", other, other, late=30.0)
        assert not self.told("", other, other, late=80.0)
