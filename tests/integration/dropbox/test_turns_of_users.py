"""Very many files of zak's beside one of amy's: at each step hers has its turn before most of his.

By the order in which the journal has it, and not by the clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.dropbox.scenarios import tiff
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.underway import BATCH
from tests.integration.blitz import seed
from tests.integration.whole import Whole

IMPORTERS = 2
USERS = ["amy", "zak", *(f"user{number}" for number in range(48))]


def _one_rule(place: Path) -> Mapping[str, str]:
    return {}


def _polled(place: Path) -> Mapping[str, str]:
    return {"observer": "polling", "pollInterval": "0.2"}


def _rules(place: Path) -> Mapping[str, str]:
    """Each user has one, and a directory far from the others'."""
    (place / "OMERO").mkdir(parents=True)
    seed(place / "OMERO", USERS)
    homes = [place / "OMERO" / "DropBox" / user for user in USERS]
    for home in homes:
        home.mkdir(parents=True)
    return {"importUsers": ";".join(USERS), "watchDir": ";".join(f'"{home}"' for home in homes)}


def _rules_and_polled(place: Path) -> Mapping[str, str]:
    return {**_rules(place), **_polled(place)}


@pytest.mark.parametrize("number", [4_000, pytest.param(20_000, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "site",
    [_one_rule, _polled, _rules, _rules_and_polled],
    ids=["one root", "one root that is polled", "50 rules", "50 rules, polled"],
)
def test_one_file_beside_many(
    make_whole: Callable[..., Whole],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    site: Callable[[Path], Mapping[str, str]],
    number: int,
) -> None:
    whole = make_whole(importers=str(IMPORTERS), **site(tmp_path))
    whole.until_state("running")
    heard = _heard(whole, monkeypatch)
    before = whole.drop("before.tif")
    whole.until_known(before)
    # The rescan may have met it before FSServer told of it.
    whole.until("it was heard of", lambda: str(before) in heard and not _meets(whole))
    aside = tmp_path / "OMERO" / "aside"
    for one in range(number):
        path = aside / f"{one // 1000:02}" / f"{one:05}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiff())
    lock = whole.dropbox.pipeline.files.lock
    with lock:  # nobody goes on until both are heard of
        aside.rename(whole.watch_dir / "zak" / "many")
        mine = whole.drop("mine.tif")
        whole.until("both wait for their turn", lambda: _meets(whole) >= {"amy", "zak"})
    whole.until_known(mine)
    _had_her_turns(whole, mine, number)


def _heard(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The paths that FSServer tells of and that DropBox has looked at, from now on."""
    pipeline, paths = whole.dropbox.pipeline, set[str]()
    real = pipeline.heard

    def heard(told: Sequence[str], *more: Any) -> Any:
        done = real(told, *more)
        paths.update(told)
        return done

    monkeypatch.setattr(pipeline, "heard", heard)
    return paths


def _meets(whole: Whole) -> set[str]:
    """Whose files are being met."""
    lanes = whole.dropbox.dispatch._lanes
    with lanes._news:
        at_work = {Path(lane.root).name: lane.at for lane in lanes._lanes.values()}
    return {user for user, job in at_work.items() if job is not None and job.key == "heard"}


def _had_her_turns(whole: Whole, mine: Path, number: int) -> None:
    """It is the journal's log of events that says what came before what."""
    (fileset,) = [row.id for row in whole.journal.select() if row.path == str(mine)]
    log = whole.journal.events_after(0, 10 * number)
    at: dict[str, int] = {}
    passed = dict.fromkeys(State, 0)  # how many of zak's had come to each state
    for event in log:
        if event.fileset == fileset:
            at[event.after] = passed[State(event.after)]
            taken = passed[State.IMPORTING]
            if event.after == State.QUEUED:
                at["taken when hers was queued"] = taken
            elif event.after == State.IMPORTING:
                at["taken when hers was"] = taken
                break
        elif event.user == "zak":
            passed[State(event.after)] += 1
    sys.stdout.write(f"of {number} of zak's: {at}\n")
    assert at[State.WAITING] <= 2 * BATCH, at
    assert at[State.QUEUED] < number, at
    # Those that importers had taken by then; she is next.
    assert at["taken when hers was"] - at["taken when hers was queued"] <= IMPORTERS, at
