"""A DropBox that lost the lease in the middle of a move into quarantine, or out of it, wakes up.

Meanwhile the winner has looked through the quarantine, and perhaps a person has brought the files
back.  Whatever the step: in the end each file is there, where the journal says that it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from unittest import mock

import pytest

from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.importing import vault
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import EXPIRES, Holder, Lease
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service.parts import Parts
from omero_fs_plugin.events import FileStat
from tests.move_steps import at_step
from tests.rules import places_of

MOST = 40  # steps of a move, at most


class Side:
    """One of two DropBoxes on a journal."""

    def __init__(self, place: Path, name: str) -> None:
        self.journal = Journal(f"sqlite:///{place}/journal.sqlite", who=name)
        self.lease = Lease(
            self.journal, replace(Holder.me(), host=name, boot="another", token=name)
        )
        self.quarantine = Quarantine(place / "failed", places_of(place / "DropBox"), self.journal)

    def begin(self, now: float) -> None:
        assert self.lease.hold(now)
        self.journal.work_as(self.lease.held)


class Site:
    """A set of two files that failed, the DropBox that works on it, and one that takes over."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.loser, self.winner = Side(place, "loser"), Side(place, "winner")
        self.loser.begin(0.0)
        assert not self.winner.lease.hold(0.0)
        self.home = place / "DropBox" / "amy"
        (self.home / "day 1").mkdir(parents=True)
        self.names = ["day 1/a.tif", "day 1/b.tif"]
        met = []
        for name in self.names:
            (self.home / name).write_text(name)
            met.append(Found(str(self.home / name), FileStat.of((self.home / name).lstat())))
        journal = self.loser.journal
        fileset = journal.hand_over("amy", str(self.home), *met)
        journal.move(fileset.id, State.QUEUED, State.FAILED, "unknown format")
        self.id = fileset.id

    @property
    def row(self) -> Fileset:
        row = self.winner.journal.get(self.id)
        assert row is not None
        return row

    def close(self) -> None:
        self.loser.journal.close()
        self.winner.journal.close()

    def sweep(self) -> None:
        """The winner takes over."""
        self.winner.begin(EXPIRES)
        self.winner.quarantine.sweep()

    def sweep_and_bring_back(self) -> None:
        """And a person has them tried again."""
        self.sweep()
        self.winner.quarantine.bring_back(self.row)

    def tend(self) -> None:
        """The winner goes on for some minutes."""
        quarantine, later = self.winner.quarantine, time.monotonic() + 1000.0
        with mock.patch.object(self.winner.journal, "now", lambda: time.time() + 1000.0):
            for identifier in quarantine.forsaken(later):
                quarantine.finish(identifier)
        for root, identifier in quarantine.staying.due(later).items():
            quarantine.take_again(identifier, root)

    def assert_each_is_where_the_journal_says(self) -> None:
        row = self.row
        if row.state is State.FAILED:
            known = {met.path for met in row.files}
        else:  # they wait where they were dropped, each by itself
            known = {row.path for row in self.winner.journal.select(State.WAITING)}
        lie = {str(path) for path in self.place.rglob("*.tif")}
        assert lie == known, row
        content = {path: Path(path).read_text() for path in lie}
        assert sorted(content.values()) == self.names
        assert all(path.endswith(f"/{name}") for path, name in content.items()), content


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[[], Site]]:
    sites: list[Site] = []

    def make() -> Site:
        place = tmp_path / str(len(sites))
        place.mkdir()
        sites.append(Site(place))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


# What the loser asks the journal.
ASKED = ("note", "noted", "put_elsewhere", "bring_home", "make_sure")


@pytest.mark.parametrize("last", ["sweep", "tend"])
@pytest.mark.parametrize("way", ["out", "back"])
@pytest.mark.parametrize("act", ["sweep", "sweep_and_bring_back"])
def test_at_each_step(
    make_site: Callable[[], Site], monkeypatch: pytest.MonkeyPatch, way: str, act: str, last: str
) -> None:
    """`last`: what ends it: the next start, or the winner by itself."""
    monkeypatch.setattr(vault, "_SURE_S", 0.0)  # no time passes here
    for number in range(1, MOST):
        site = make_site()
        if way == "back":
            site.loser.quarantine.take(site.row)
        loser = site.loser.quarantine
        with at_step(monkeypatch, site.loser.journal, ASKED, number, getattr(site, act)) as steps:
            if way == "out":
                loser.take(site.row)
            else:
                loser.bring_back(site.row)
        if len(steps) < number:
            break
        if last == "sweep":
            site.winner.quarantine.sweep()
        else:
            site.tend()
        try:
            site.assert_each_is_where_the_journal_says()
        except AssertionError as error:
            raise AssertionError(f"{act} before step {number} of {steps}") from error
    assert 6 < number < MOST - 1


def test_the_sweep_at_a_start_finishes_both_ways(
    make_site: Callable[[], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One set was on its way home when its DropBox was killed; another was not moved yet."""
    site = make_site()
    site.loser.quarantine.take(site.row)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(site.loser.journal, "bring_home", mock.Mock(side_effect=KeyboardInterrupt))
        site.loser.quarantine.bring_back(site.row)
    late = site.home / "late.tif"
    late.write_text("late")
    met = Found(str(late), FileStat.of(late.lstat()))
    other = site.loser.journal.hand_over("amy", str(site.home), met).id
    site.loser.journal.move(other, State.QUEUED, State.FAILED, "unknown format")
    site.winner.begin(EXPIRES)
    assert [due.id for due, _ in site.winner.quarantine.due()] == [other], (
        "one finds the other at it"
    )
    lanes, heard = Lanes(), threading.Event()
    back: list[str] = []

    def hear(paths: Sequence[str], now: float) -> None:
        back.extend(paths)
        heard.set()

    parts = Parts(
        **{one.name: mock.Mock() for one in fields(Parts)}
        | {"quarantine": site.winner.quarantine, "lanes": lanes}
        | {"pipeline": mock.Mock(heard=hear)}
    )
    parts.sweep()
    assert heard.wait(10.0)
    done = threading.Event()
    lanes.do(str(site.home), done.set, beside="quarantine")  # after the others in that lane
    assert done.wait(10.0)
    assert lanes.stop(time.monotonic() + 10.0)
    assert back == [str(site.home / name) for name in site.names]
    now = site.winner.journal.get(other)
    assert now is not None and now.root == str(site.place / "failed" / "amy" / str(other))
    assert Path(now.path).read_text() == "late"
    assert not late.exists()
    late = Path(now.path).rename(site.place / "late")  # the rest is as ever
    site.assert_each_is_where_the_journal_says()
    assert site.winner.quarantine.returning() == {}


def test_whoever_tends_does_not_wait_for_the_journal(
    make_site: Callable[[], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut off; the same thread hands out what is heard of the disks."""
    site = make_site()
    site.loser.quarantine.take(site.row)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(site.loser.journal, "bring_home", mock.Mock(side_effect=KeyboardInterrupt))
        site.loser.quarantine.bring_back(site.row)
    site.winner.begin(EXPIRES)
    lanes, asked, answers = Lanes(), threading.Event(), threading.Event()
    notes, back = site.winner.journal.notes, threading.Event()

    def cut_off(prefix: str) -> dict[str, str]:
        asked.set()
        assert answers.wait(20.0)
        return notes(prefix)

    monkeypatch.setattr(site.winner.journal, "notes", cut_off)
    monkeypatch.setattr(site.winner.journal, "now", lambda: time.time() + 1000.0)
    monkeypatch.setattr(site.winner.quarantine._forsaken, "looks", lambda now: True)
    parts = Parts(
        **{one.name: mock.Mock() for one in fields(Parts)}
        | {"quarantine": site.winner.quarantine, "lanes": lanes}
        | {"pipeline": mock.Mock(heard=lambda paths, now: back.set())}
    )
    ended = threading.Thread(target=parts.tend)
    ended.start()
    assert asked.wait(10.0)
    ended.join(10.0)
    stuck = ended.is_alive()
    answers.set()
    ended.join(10.0)
    assert not stuck
    assert back.wait(10.0), "what is forsaken is finished, as soon as the journal answers"
    assert lanes.stop(time.monotonic() + 10.0)
    assert site.winner.quarantine.returning() == {}
