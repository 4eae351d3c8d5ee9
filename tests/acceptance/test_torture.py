"""The kill -9 campaign in its short form; ``make torture`` runs it at full size.

Here files are grouped without Java, which forty DropBoxes would start twice each.
test_kill.py kills one that has it, and so does ``make torture``.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import TRANSITIONS
from tests.conftest import EXTERNAL

from .torture.campaign import Campaign
from .torture.faults import VERIFIED
from .torture.grid import grid

USERS = [f"user{n}" for n in range(1, 6)]
KILLS = 4  # at random, beside those at the points

# Transitions that are legal and that no code of DropBox makes.
NOBODYS = {"waiting-failed", "queued-waiting", "queued-skipped", "queued-failed", "failed-skipped"}
# Made by `omero fs import`, in its own process: tests/integration/cli/test_command_killed.py.
OF_THE_COMMAND = {"skipped-queued", "failed-queued"}


def test_every_transition_has_its_fault_points() -> None:
    legal = {f"{old}-{new}" for old, news in TRANSITIONS.items() for new in news} | {"-waiting"}
    points = set(Campaign.PROVOKED) - {VERIFIED}
    assert points | NOBODYS | OF_THE_COMMAND == legal
    assert not points & (NOBODYS | OF_THE_COMMAND)


# `make test` kills on one side of each point, and each run chooses others.
@pytest.mark.parametrize(
    ("both_sides", "filesets"),
    [(False, 24), pytest.param(True, 40, marks=pytest.mark.long)],
    ids=["one side", "both sides"],
)
@pytest.mark.skipif(EXTERNAL in os.environ, reason="it wants a server of its own")
def test_killed_again_and_again_every_fileset_is_imported_once(
    tmp_path: Path, both_sides: bool, filesets: int
) -> None:
    if os.geteuid() == 0:
        pytest.fail("`omero` refuses to run as root: `make test` runs the tests as omero-server")
    seed = int(os.environ.get("OMERO_FS_ACCEPTANCE_SEED", random.randrange(10**6)))
    print(f"OMERO_FS_ACCEPTANCE_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    with grid(tmp_path / "sandbox", USERS, quiet_period=0.7, bioformats=False) as made:
        result = Campaign(
            made,
            USERS,
            seed=seed,
            filesets=filesets,
            kills=KILLS,
            both_sides=both_sides,
            say=print,
        ).run()
        evidence = "" if result.faultless else f"{result.details()}\n{made.server.evidence()}"
    print(result)  # noqa: T201
    assert result.faultless, f"{result}\n{evidence}"
    assert result.kills.total() >= KILLS + (1 + both_sides) * len(Campaign.PROVOKED)
