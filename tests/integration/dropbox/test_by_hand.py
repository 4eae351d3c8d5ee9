"""`omero fs import PATH` between any two transitions of the journal that DropBox makes of PATH."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.cli.given import files
from omero_fs_plugin.cli.import_ import _hand_over
from omero_fs_plugin.config.settings import JOURNAL_FILE
from omero_fs_plugin.dropbox.grouping.native.grouper import NativeGrouper
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Formed
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling.handover import Left, sort_out
from tests.integration.whole import Whole

from .test_sets import write_part

MOST = 40  # transactions that DropBox makes for what is dropped once, at most


class Command:
    """The command, run within DropBox's thread just before or after one of its transactions.

    So DropBox can do nothing meanwhile, and the command does all of it.
    """

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.journal = Journal(f"sqlite:///{whole.blitz.data / JOURNAL_FILE}", who="omero fs")
        self.acts: list[Callable[[], None]] = []
        self.left_until = -1  # transactions of DropBox
        self.before = False
        database = whole.dropbox.parts.journal._database
        self._writing = database.writing
        database.writing = self._watched  # type: ignore[method-assign]

    @contextmanager
    def _watched(self, **how: Any) -> Iterator[Any]:
        mine = how.get("fenced", True)
        if mine and self.before:
            self._count()
        with self._writing(**how) as connection:
            yield connection
        if mine and not self.before:
            self._count()

    def _count(self) -> None:
        self.left_until -= 1
        if self.left_until == 0:
            for act in self.acts:
                act()

    def sorted(self, path: Path) -> list[Formed]:
        """What the command makes of `path`."""
        left: list[Left] = []
        given = files(str(path), None, self.whole.dropbox.parts.places, left)
        found = sort_out(given, NativeGrouper(), readers=lambda rule: None)
        assert not left
        return list(found.formed)

    def hand_over(self, formed: list[Formed]) -> list[Left]:
        """Hands it over; what it was refused."""
        left: list[Left] = []
        _hand_over(self.journal, formed, left, lambda fileset: True)
        return left


def one_file(whole: Whole, name: str) -> list[Path]:
    return [whole.drop(f"{name}.tif")]


def a_set(whole: Whole, name: str) -> list[Path]:
    names = [f"{name}_{part}.ome.tif" for part in range(2)]
    return [write_part(whole.watch_dir / "amy", part, names) for part in range(2)]


@pytest.mark.parametrize(
    "slow",
    [
        (False,),
        (True,),
        pytest.param((True, False), marks=pytest.mark.long),
        pytest.param((False, True), marks=pytest.mark.long),
    ],
    ids=["as it is then", "as it was when dropped", "late and in time", "in time and late"],
)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("drop", "transfer"),
    [
        (one_file, "upload"),
        (a_set, "upload_rm"),
        pytest.param(one_file, "upload_rm", marks=pytest.mark.long),
        pytest.param(a_set, "upload", marks=pytest.mark.long),
    ],
)
def test_at_every_transition(
    request: pytest.FixtureRequest,
    make_whole: Callable[..., Whole],
    drop: Callable[[Whole, str], list[Path]],
    transfer: str,
    before: bool,
    slow: tuple[bool, ...],
) -> None:
    """Each is imported once, whoever was faster.

    `slow`: of each person who runs the command, whether it looked at the files long before.
    """
    whole = make_whole(duplicates="import", transfer=transfer)
    whole.until_state("running")
    command = Command(whole)
    request.addfinalizer(command.journal.close)
    command.before = before
    dropped: list[Path] = []
    handed_over = 0
    for number in range(1, MOST):
        paths = drop(whole, f"{number:02}")
        command.acts = []

        def act(path: Path, late: bool, formed: list[Formed]) -> None:
            nonlocal handed_over
            handed_over += 1
            if not late:
                formed = command.sorted(path) if path.exists() else []
            command.hand_over(formed)

        command.acts = [
            partial(act, paths[-1], late, command.sorted(paths[-1]) if late else [])
            for late in slow
        ]
        command.left_until = number
        whole.until_known(paths[0])
        whole.until_settled()
        dropped += paths
        if command.left_until > 0:
            break
    command.left_until = -1
    assert 5 <= handed_over / len(slow) < MOST - 1, (
        "met, queued, taken, verified, imported; and no more"
    )
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("last.tif"))
    whole.until_settled()
    found = {path.name: whole.in_omero(path) for path in dropped}
    assert not {name: ids for name, ids in found.items() if len(ids) != 1 or not ids[0]}
    rows = whole.journal.select()
    firsts = [row.path for row in rows if row.state is State.IMPORTED]
    assert len(firsts) == len(set(firsts))
    assert not [row for row in rows if row.state is State.FAILED]
