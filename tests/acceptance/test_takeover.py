"""The campaign of takeovers in its short form; ``make torture`` has every point, and Java."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import EXTERNAL
from tests.integration.dropbox.journal.postgres import running

from .torture.grid import grid
from .torture.takeover import LEASE_S, Takeovers, every_point

USERS = ["user1", "user2"]
# Right around the moment when OMERO is told to import, and the journal of its end.
ALWAYS = ("after.verified", "before.verify", "after.verify", "after.importing-imported")
MORE = 1  # a point beside these, which the seed chooses


# `make long` has SQLite, and so has `make torture`.
@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.long), "postgresql"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
    else:
        with running() as server:
            yield server.url("takeover")


@pytest.mark.skipif(EXTERNAL in os.environ, reason="it wants a server of its own")
def test_whoever_lost_the_lease_writes_nothing_and_nothing_is_twice(
    tmp_path: Path, url: str
) -> None:
    seed = int(os.environ.get("OMERO_FS_ACCEPTANCE_SEED", random.randrange(10**6)))
    print(f"OMERO_FS_ACCEPTANCE_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    others = sorted(set(every_point()) - set(ALWAYS))
    points = [*ALWAYS, *random.Random(seed).sample(others, MORE)]
    with grid(
        tmp_path / "sandbox",
        USERS,
        quiet_period=0.5,
        journal=url,
        lease=LEASE_S,
        bioformats=False,
    ) as made:
        campaign = Takeovers(made, USERS, seed=seed, filesets=10, kills=0, say=print)
        result = campaign.run_points(points)
        evidence = "" if result.faultless else f"{result.details()}\n{made.server.evidence()}"
    print(result)  # noqa: T201
    assert result.faultless, f"{result}\n{evidence}"
    assert campaign.wrote_after == []
    assert campaign.takeovers >= len(ALWAYS)
