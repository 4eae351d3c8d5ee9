"""A store between home and quarantine: kills, retries, full disks and another quarantine, in any
order.

Rule: it lies as a whole, once, where the journal says, and whoever tries it again is told where it
is.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from omero_fs_plugin.cli.retrying import retry
from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.database import JournalAway
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, RETURNING
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.handover import Given, Left
from omero_fs_plugin.errors import ConfigurationError
from tests.rules import places_of, settings_of

from .test_quarantine_stores import Kill, Killed, World, each_change, hidden, is_whole, two_disks

__all__ = ["two_disks"]  # a fixture

LONGEST = 60  # changes of a move, and a few more
QUARANTINES = ("one", "two", "")  # below the other disk; empty: none


class Machine(World):
    """The world, and what happens in it."""

    def __init__(self, place: Path, journal: Journal, choices: random.Random) -> None:
        self.place = place
        self.choices = choices
        self.named = "one"
        self.full = ""
        self.did: list[str] = []
        super().__init__(place, journal)

    def start(self) -> None:
        directory = self.place / "failed" / self.named if self.named else None
        self.quarantine = Quarantine(directory, places_of(self.root.parent), self.journal)

    # -- what may happen ------------------------------------------------------

    def take(self, fileset: Fileset) -> None:
        if self.now(fileset).state is State.FAILED:
            self.quarantine.take(self.now(fileset))

    def retry(self, fileset: Fileset) -> None:
        """`omero fs import --retry`, and the import fails."""
        left: list[Left] = []
        settings = settings_of(
            watchDir=str(self.root.parent), quarantine=str(self.quarantine.directory or "")
        )

        def sort(given: list[Given]) -> list[Formed]:
            return [Formed(one.user, one.root, [one.found]) for one in given]

        try:
            again = retry(self.journal, [fileset.id], settings, sort, left)
        except ConfigurationError:
            return
        now = self.now(fileset)
        if now.state is not State.FAILED and now.root != str(self.root):
            assert [one.id for one in again.filesets] == [fileset.id]
            assert "in quarantine" in now.reason, f"nobody is told where it is: {now}"
        if now.state is State.FAILED:
            assert left, "nobody is told that it is not tried again"
        self.fails(fileset)

    def fails(self, fileset: Fileset) -> None:
        now = self.now(fileset)
        if now.state is State.WAITING:  # it settles where it is
            self.journal.hand_over("amy", str(self.root), *now.files)
            now = self.now(fileset)
        if now.state is State.QUEUED:
            self.journal.move(fileset.id, State.QUEUED, State.FAILED, "no image")

    def restart(self, fileset: Fileset) -> None:
        super().restart()

    def other(self, fileset: Fileset) -> None:
        self.named = self.choices.choice(QUARANTINES)
        self.start()

    def fills(self, fileset: Fileset) -> None:
        self.full = self.choices.choice([str(self.root), "vault"])

    def empties(self, fileset: Fileset) -> None:
        self.full = ""

    def dropped_again(self, fileset: Fileset) -> None:
        """The user has dropped something else of the same name, and takes it away later."""
        top = self.root / "a.zarr"
        if not top.exists() and not hidden(self.root):
            top.mkdir()
            (top / "other").write_text("other")

    def taken_away(self, fileset: Fileset) -> None:
        if (self.root / "a.zarr" / "other").exists():
            shutil.rmtree(self.root / "a.zarr")

    def forgets_no_note(self, fileset: Fileset) -> None:
        """It is tried again, and at its end the journal does not answer."""
        with self.unended(), suppress(JournalAway):
            self.retry(fileset)

    @contextmanager
    def unended(self) -> Iterator[None]:
        note = self.journal.note

        def away(key: str, value: str) -> None:
            if key.startswith(RETURNING) and not value:
                raise JournalAway("the journal does not answer")
            note(key, value)

        with mock.patch.object(self.journal, "note", away):
            yield

    def goes_on(self, fileset: Fileset) -> None:
        """Somebody looks for ways home that nobody goes on with."""
        for identifier in self.quarantine.returning():
            self.quarantine.finish(identifier)

    ACTS = (
        *(take, take, retry, retry, restart, other, fills, empties, dropped_again, taken_away),
        *(forgets_no_note, goes_on),
    )

    # ------------------------------------------------------------------------

    def go(self, patch: pytest.MonkeyPatch, fileset: Fileset) -> None:
        """One thing happens, and may be cut short by a kill."""
        act = self.choices.choice(self.ACTS)
        kill = Kill(self.choices.choice([LONGEST * 2, self.choices.randrange(LONGEST)]))
        self.did.append(f"{act.__name__} {self.full} killed before {kill.at}")

        def step(name: str, what: Any) -> None:
            kill(name, what)
            now = getattr(CALLS._mine, "call", None)
            if not self.full or now is None or name not in ("write", "mkdir", "symlink", "open"):
                return
            if (now.root == str(self.root)) == (self.full == str(self.root)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        if act in (Machine.dropped_again, Machine.taken_away, Machine.fills):
            act(self, fileset)
            return
        with suppress(Killed), each_change(patch, step):
            act(self, fileset)
        if kill.came:
            self.start()
        self.fails(fileset)
        self.check(fileset)

    def whole(self) -> list[Path]:
        tops = [self.root, *self.place.glob("failed/*/amy/*")]
        return [path for top in tops if top.is_dir() for path in top.iterdir() if is_whole(path)]

    def check(self, fileset: Fileset) -> None:
        """Nothing is lost at any moment."""
        assert self.whole(), self.did

    def check_at_rest(self, fileset: Fileset) -> None:
        """All is well by now: one whole store, where the journal says, and nothing else."""
        self.full = ""
        self.taken_away(fileset)
        self.restart(fileset)
        self.restart(fileset)
        now = self.now(fileset)
        assert [f"{path}/" for path in self.whole()] == [now.path], (self.did, now)
        assert not hidden(self.root), self.did
        assert self.journal.notes(GOES) == {} == self.journal.notes(RETURNING), self.did


def in_any_order(place: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("omero_fs_plugin.dropbox.importing.vault._SURE_S", 0.0)
    machine = Machine(place, journal, random.Random(seed))
    ROOTS.apply([str(machine.root.parent)], {})
    try:
        fileset = machine.failed()
        for _ in range(10):
            machine.go(monkeypatch, fileset)
        machine.check_at_rest(fileset)
    finally:
        ROOTS.apply([], {})


SEEDS = [*range(12), *(pytest.param(n, marks=pytest.mark.long) for n in range(12, 400))]


@pytest.mark.parametrize("seed", SEEDS)
def test_in_any_order(
    tmp_path: Path,
    journal: Journal,
    two_disks: None,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    in_any_order(tmp_path, journal, monkeypatch, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_in_any_order_on_one_disk(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    in_any_order(tmp_path, journal, monkeypatch, seed)
