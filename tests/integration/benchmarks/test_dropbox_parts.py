"""Each part of `make bench-dropbox` runs, at its smallest.

Those that need no grid of their own share one.  `beside` has a test of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from benchmarks.dropbox import client, grid, idle, profile, scenarios, start
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import Outcome

pytestmark = pytest.mark.skipif(os.geteuid() == 0, reason="`omero` refuses to run as root")

QUIET_S = 1.0
CHEAP = {"omero.fs.bioformatsJars": "none"}  # a Java takes seconds of a processor to start


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a start costs is part of no figure here."""
    configure = Grid.configure
    monkeypatch.setattr(
        grid.Grid, "configure", lambda self, some: configure(self, {**CHEAP, **some})
    )
    for module in (scenarios, client, start):
        monkeypatch.setattr(module, "quiet_down", lambda grid: None)


def test_parts_in_one_sandbox(tmp_path: Path) -> None:
    told = tmp_path / "profile.json"
    with Grid(tmp_path, {"omero.fs.dirImportWait": f"{QUIET_S:g}"}) as one:
        profile.sampled_in(one, told)
        one.start()
        assert one.journal.exists()  # who looks into it next need not wait
        some = [
            scenarios.delay_in(one, 2, QUIET_S),
            scenarios.throughput_in(one, 4, 2),
            profile.profile_in(one, told, 10, 2),
            idle.idle_in(one, 0.5),
        ]
        answers = client.answers(one, 0.3)
        last = scenarios.fairness_in(one, 60, 1)
    assert _faults(some) == [] and min(answers) > 0
    # So few files of the other may all be imported by then.
    assert [fault for fault in last.faults if "none was left" not in fault] == []
    assert all(outcome.figures for outcome in (*some, last))
    rate = next(figure for figure in some[1].figures if figure.text == "imports an hour")
    assert rate.value > 0


def test_rescan(tmp_path: Path) -> None:
    outcome = start.rescan(tmp_path, 40)
    assert _faults([outcome]) == []
    assert outcome.figures


@pytest.mark.long  # it starts twice
def test_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "UNDER_WAY", 1)
    outcome = client.client(tmp_path, 60, 0.3)
    # So few files may all be imported by then.
    assert [fault for fault in outcome.faults if "over too early" not in fault] == []
    assert [figure.value > 0 for figure in outcome.figures if figure.unit] == [True] * 6


# It starts four times, and takes more than 15 s.
@pytest.mark.long
def test_backlog(tmp_path: Path) -> None:
    outcome = scenarios.backlog(tmp_path, 4)
    assert _faults([outcome]) == []
    assert outcome.figures


def _faults(outcomes: Iterable[Outcome]) -> list[str]:
    return [fault for outcome in outcomes for fault in outcome.faults]
