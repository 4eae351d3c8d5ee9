"""How long the acceptance suite waits, and for what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.acceptance import dropping, waiting
from tests.acceptance.dropping import DropBox
from tests.acceptance.server import Server

MINE = Path("/dropbox/amy/run 1")


class Clock:
    """Time passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


def status(*rows: tuple[str, Path]) -> dict[str, Any]:
    return {"filesets": [{"state": state, "files": [str(path)]} for state, path in rows]}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    """Makes a Server whose status is each of some, and then the last again and again."""

    def make(*told: dict[str, Any]) -> Server:
        server = object.__new__(Server)
        left = list(told)
        now = lambda: left.pop(0) if len(left) > 1 else left[0]  # noqa: E731
        monkeypatch.setattr(server, "status", now, raising=False)
        monkeypatch.setattr(server, "evidence", lambda: "", raising=False)
        return server

    return make


class TestUntilIdle:
    @pytest.mark.parametrize("state", ["waiting", "queued", "importing"])
    def test_it_waits_for_what_lies_below(
        self, server: Callable[..., Server], clock: Clock, state: str
    ) -> None:
        busy, idle = status((state, MINE / "a.tif")), status(("imported", MINE / "a.tif"))
        server(busy, busy, idle).until_idle(MINE)
        assert clock.now > 0

    @pytest.mark.parametrize(
        "path", [MINE.with_name("run 10") / "a.tif", MINE.parent / "a.tif", Path("/zak/a.tif")]
    )
    def test_what_others_drop_is_not_waited_for(
        self, server: Callable[..., Server], clock: Clock, path: Path
    ) -> None:
        server(status(("queued", path), ("failed", MINE / "b.tif"))).until_idle(MINE)
        assert clock.now == 0

    def test_a_set_counts_if_one_of_its_files_lies_there(
        self, server: Callable[..., Server], clock: Clock
    ) -> None:
        told = status(("queued", Path("/elsewhere/index.xml")))
        told["filesets"][0]["files"].append(str(MINE / "a.tif"))
        server(told, status()).until_idle(MINE)
        assert clock.now > 0

    def test_it_does_not_wait_for_ever(self, server: Callable[..., Server], clock: Clock) -> None:
        with pytest.raises(pytest.fail.Exception, match=r"run 1 is waiting, queued or importing"):
            server(status(("queued", MINE / "a.tif"))).until_idle(MINE)
        assert clock.now >= waiting.PATIENCE


@pytest.mark.parametrize("number", [1, 250])
@pytest.mark.parametrize("pace", [0.01, 0.7])
def test_imports_have_a_time_that_follows_the_pace_of_the_server(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, number: int, pace: float
) -> None:
    """A server three times slower than at the start of the run passes, and a slower one fails."""
    slower = dropping._SLOWER
    paths = [MINE / f"{n}.tif" for n in range(number)]

    def run(seconds_each: float) -> None:
        clock.now = 0.0
        due = waiting.PATIENCE + seconds_each * number - 1  # after the first, all come in turn
        imported = lambda *paths: {p: [1] if clock.now >= due else [] for p in paths}  # noqa: E731
        omero = SimpleNamespace(imported_ids=imported, fileset=lambda number: number)
        server = SimpleNamespace(seconds_per_import=pace, evidence=lambda: "")
        dropbox = DropBox(server, omero, "amy", MINE, {})  # type: ignore[arg-type]
        assert len(dropbox.until_imported(*paths)) == number

    run(slower * pace)
    with pytest.raises(pytest.fail.Exception, match=f"{number} files imported"):
        run(slower * pace + 3 / number)
