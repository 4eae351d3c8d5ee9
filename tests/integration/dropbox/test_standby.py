"""A DropBox on standby, with the times that hold for people: nothing is hurried here."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.whole import Whole

from .journal.postgres import Postgres
from .journal.test_journal import postgres

__all__ = ["postgres"]  # a fixture

_numbers = itertools.count()
# A DropBox on another machine, as far as the lease tells.
_OTHER = """
import sys, time
from dataclasses import replace
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.keeper import LeaseKeeper
from omero_fs_plugin.dropbox.journal.lease import Holder, Lease
elsewhere = replace(Holder.me(), host="elsewhere", boot="another")
LeaseKeeper(
    Lease(Journal(sys.argv[1]), elsewhere),
    gained=lambda: print("gained", flush=True),
    lost=lambda why: print(why, flush=True),
).start()
time.sleep(600)
"""


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.url(f"standby{next(_numbers)}")


@pytest.fixture
def active(url: str) -> Iterator[subprocess.Popen[str]]:
    """It has the lease, and renews it."""
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, url], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "gained\n"
            yield process
        finally:
            process.kill()


@pytest.mark.long
def test_a_standby_imports_within_half_a_minute(
    active: subprocess.Popen[str], url: str, make_whole: Callable[..., Whole]
) -> None:
    whole = make_whole(journal=url)
    whole.until_state("waiting for the lease")
    path = whole.drop("a.tif")
    active.kill()
    killed = time.monotonic()
    whole.until(
        "it is at work", lambda: whole.dropbox.figures()["state"] == "running", patience=60.0
    )
    took = time.monotonic() - killed
    print(f"at work after {took:.1f} s")  # noqa: T201 - pytest -s shows it
    assert took <= 30
    whole.until_known(path)
    whole.assert_once(path)
