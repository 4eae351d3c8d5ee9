"""What people do with a fileset at each step of its move into quarantine, or out of it.

DropBox moves its files; meanwhile somebody tries it again, sets it aside, or hands its files over;
or two people do.  DropBox goes on after that, or it is killed at that step and begins anew.
Whatever the step: each file lies once, with its bytes, and where somebody will look for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from omero_fs_plugin.cli import import_
from omero_fs_plugin.cli.given import files
from omero_fs_plugin.cli.retrying import retry
from omero_fs_plugin.dropbox.importing import vault
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.by_hand import Moving
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from omero_fs_plugin.dropbox.settling.handover import Given, Left
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.events import FileStat
from tests.move_steps import at_step
from tests.rules import places_of, settings_of

MOST = 40  # steps of a move, at most


class Killed(BaseException):
    """DropBox is killed here."""


class Site:
    """DropBox, with a quarantine, and a person with the command line."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.watch_dir, self.home = place / "DropBox", place / "DropBox" / "amy"
        self.settings = settings_of(watchDir=str(self.watch_dir), quarantine=str(place / "failed"))
        self.places = places_of(self.watch_dir)
        self.journal = Journal(f"sqlite:///{place}/journal.sqlite", who="DropBox")
        self.person = Journal(f"sqlite:///{place}/journal.sqlite", who="omero fs")
        self.quarantine = self.begun()

    def begun(self) -> Quarantine:
        """That of a DropBox that has just begun."""
        return Quarantine(self.settings.quarantine, self.places, self.journal)

    def close(self) -> None:
        self.journal.close()
        self.person.close()


class Failed:
    """A fileset that failed, in a directory of its own, and what a person does with it."""

    def __init__(self, site: Site, names: Sequence[str], number: int) -> None:
        self.site, self.person, self.home = site, site.person, site.home
        self.directory = f"day {number}"
        self.names = [f"{self.directory}/{name}" for name in names]
        for name in self.names:
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            (self.home / name).write_text(name)
        paths = [self.home / name for name in self.names]
        self.met = [Found(str(path), FileStat.of(path.lstat())) for path in paths]
        fileset = site.journal.hand_over("amy", str(self.home), *self.met)
        site.journal.move(fileset.id, State.QUEUED, State.FAILED, "unknown format")
        self.id = fileset.id

    @property
    def row(self) -> Fileset:
        row = self.person.get(self.id)
        assert row is not None
        return row

    # -- what people do -----------------------------------------------------

    def _sort(self, given: list[Given]) -> list[Formed]:
        if not given:
            return []
        return [Formed(given[0].user, given[0].root, [one.found for one in given])]

    def retry(self) -> None:
        """`omero fs import --retry`."""
        left: list[Left] = []
        try:
            again = retry(self.person, [self.id], self.site.settings, self._sort, left)
        except ConfigurationError:
            return  # it has not failed, by now
        import_._hand_over(self.person, again.sets, left, lambda fileset: True)

    def forget(self) -> None:
        """`omero fs forget`."""
        with suppress(Moving):
            self.person.forget(self.id, "set aside by zak")

    def hand_over(self) -> None:
        """`omero fs import PATH...` of what lies where it was dropped."""
        given: list[Given] = []
        for name in self.names:
            try:
                given += files(str(self.home / name), None, self.site.places, [])
            except ConfigurationError:
                return  # it is not there
        import_._hand_over(self.person, self._sort(given), [], lambda fileset: True)

    def hand_over_late(self) -> None:
        """The same, by somebody who has looked at the files before."""
        formed = Formed("amy", str(self.home), self.met)
        import_._hand_over(self.person, [formed], [], lambda fileset: True)

    def first_alone(self) -> None:
        """One of the files is handed over, and what belongs to it was not looked for."""
        formed = Formed("amy", str(self.home), self.met[:1])
        import_._hand_over(self.person, [formed], [], lambda fileset: True)

    def retry_twice(self) -> None:
        """Two people."""
        self.retry()
        self.retry()

    def retry_and_forget(self) -> None:
        """Two people."""
        self.retry()
        self.forget()

    def forget_and_hand_over(self) -> None:
        """Two people."""
        self.forget()
        self.hand_over_late()

    # -- what is to come of it ----------------------------------------------

    def assert_nothing_is_lost(self) -> None:
        lie = sorted(self.site.place.rglob(f"{self.directory}/*.tif"))
        assert sorted(path.read_text() for path in lie) == sorted(self.names), lie
        rows = [row for row in self.person.select() if f"/{self.directory}/" in row.path]
        for row in rows:
            if row.state in OPEN:  # an importer, or the settling, looks for it there
                assert row.root == str(self.home), (row, lie)
        away = {str(path) for path in lie if not path.is_relative_to(self.home)}
        told = {met.path for row in rows if row.state is State.FAILED for met in row.files}
        aside = {met.path for row in rows if row.state is State.SKIPPED for met in row.files}
        assert away <= told | aside, "nobody looks there"
        assert not away or away == {str(path) for path in lie}, "a set is torn apart"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


ASKED = ("note", "noted", "get", "set_out", "put_elsewhere", "bring_home", "shared")


ACTS = [
    *("retry_twice", "forget", "hand_over_late"),
    *(
        pytest.param(act, marks=pytest.mark.long)
        for act in (
            *("retry", "hand_over", "first_alone"),
            *("retry_and_forget", "forget_and_hand_over"),
        )
    ),
]


@pytest.mark.parametrize(
    "names",
    [pytest.param(("a.tif",), marks=pytest.mark.long), ("a.tif", "b.tif")],
    ids=["one", "set"],
)
@pytest.mark.parametrize("killed", [False, True], ids=["goes on", "killed"])
@pytest.mark.parametrize("way", ["out", "back"])
@pytest.mark.parametrize("act", ACTS)
def test_at_each_step(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    act: str,
    killed: bool,
    names: Sequence[str],
) -> None:
    monkeypatch.setattr(vault, "_SURE_S", 0.0)  # no time passes here
    wrong = []
    for number in range(1, MOST):
        failed = Failed(site, names, number)
        if way == "back":
            site.quarantine.take(failed.row)

        def now(failed: Failed = failed) -> None:
            if killed:
                raise Killed
            getattr(failed, act)()

        with at_step(monkeypatch, site.journal, ASKED, number, now) as steps, suppress(Killed):
            if way == "out":
                site.quarantine.take(failed.row)
            else:
                site.quarantine.bring_back(failed.row)
        if len(steps) < number:
            break
        if killed:
            getattr(failed, act)()
        site.quarantine = site.begun()
        site.quarantine.sweep()
        try:
            failed.assert_nothing_is_lost()
        except AssertionError as error:
            wrong.append(f"{act} before step {number} of {steps}: {str(error)[:900]}")
    assert not wrong, "\n".join(wrong)
    assert 6 < number < MOST - 1
