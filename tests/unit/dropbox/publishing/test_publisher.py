"""Whose documents are written, in which order, and when OMERO is not asked at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.publishing import heartbeat
from omero_fs_plugin.dropbox.publishing.publisher import Publisher
from omero_fs_plugin.dropbox.publishing.ration import Ration
from omero_fs_plugin.dropbox.watching.rescan import walk
from tests.rules import settings_of

USERS = ("amy", "bob", "zak")
INTERVAL_S = 5.0
NOW = 1_000_000.0


class Omero:
    """What a Publisher asks of OMERO."""

    def __init__(self) -> None:
        self.asked: list[str] = []  # users
        self.documents: dict[str, str] = {}
        self.sign = ""

    def publish(self, user: str, change: Callable[[str], str | None]) -> None:
        self.asked.append(user)
        self.documents[user] = change(self.documents.get(user, "")) or self.documents[user]

    def show_sign(self, text: str) -> str:
        self.sign = text
        return ""

    def requests(self) -> dict[str, list[tuple[int, str]]]:
        return {}


class Site:
    """Three users, each with a file that waits; the thread is this one."""

    def __init__(self, place: Path) -> None:
        self.file = place / "journal.sqlite"
        self.journal = Journal(f"sqlite:///{self.file}")
        for user in USERS:
            home = place / user
            home.mkdir()
            (home / "a.tif").touch()
            self.journal.wait(user, str(home), list(walk(str(home))))
        self.omero, self.unwatched = Omero(), ""
        settings = settings_of(
            watchDir=str(place),
            publishInterval=f"{INTERVAL_S:g}",
            journal=f"sqlite:///{self.file}",
        )
        self._publisher = Publisher(
            self.journal,
            self.omero,  # type: ignore[arg-type]
            settings=lambda: settings,
            progress=dict,
            trouble_at=lambda _: "",
            unwatched=lambda: self.unwatched,
        )

    def look(self, after: float) -> list[str]:
        """The users whose documents OMERO is asked for so many s later."""
        self.omero.asked.clear()
        self._publisher.look(NOW + after)
        return list(self.omero.asked)

    def move(self, user: str, *states: str, reason: str = "") -> None:
        with closing(sqlite3.connect(self.file)) as journal, journal:
            for state in states:
                journal.execute(
                    'UPDATE fileset SET state = ?, reason = ? WHERE "user" = ?',
                    (state, reason, user),
                )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(Ration, "may", True)  # however busy the tests are
    made = Site(tmp_path)
    yield made
    made.journal.close()


def test_only_what_has_changed_is_asked_for(site: Site) -> None:
    assert sorted(site.look(0)) == [*USERS]
    assert site.look(INTERVAL_S) == []
    site.move("bob", "queued")
    assert site.look(2 * INTERVAL_S) == ["bob"]


def test_what_says_the_same_is_not_asked_for(site: Site) -> None:
    site.look(0)
    site.move("bob", "waiting")  # an event, and no change
    site.move("amy", "queued", "waiting")
    assert site.look(INTERVAL_S) == []


@pytest.mark.parametrize(
    ("states", "reason"),
    [(("queued", "importing", "failed"), "no image"), (("waiting",), "b.tif: it is empty")],
    ids=["failed", "held up"],
)
def test_who_may_have_to_do_something_comes_first(
    site: Site, states: tuple[str, ...], reason: str
) -> None:
    site.look(0)
    site.move("amy", "queued")
    site.move("bob", "queued")
    site.move("zak", *states, reason=reason)
    assert site.look(INTERVAL_S) == ["zak", "amy", "bob"]
    site.move("zak", "queued")
    site.move("amy", "importing")
    assert site.look(2 * INTERVAL_S) == ["amy", "zak"]


def test_who_does_not_get_one_now_gets_it_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [2]

    def may(_: Ration) -> bool:
        left[0] -= 1
        return left[0] >= 0

    monkeypatch.setattr(Ration, "may", property(may))
    first = site.look(0)
    left[0] = 9
    assert len(first) == 2
    assert sorted([*first, *site.look(INTERVAL_S)]) == [*USERS]


def test_the_sign_says_since_when_fsserver_is_not_heard(site: Site) -> None:
    def since() -> float | None:
        told = heartbeat.heard(site.omero.sign)
        assert told is not None
        return told.unwatched

    site.look(0)
    assert since() is None
    site.unwatched = "it does not answer"
    site.look(1)
    site.look(100)
    assert since() == NOW + 1
    site.unwatched = ""
    site.look(101)
    assert since() is None
