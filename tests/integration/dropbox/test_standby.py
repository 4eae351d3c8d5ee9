"""A DropBox on standby, with the times that hold for people: nothing is hurried here."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, text

from omero_fs_plugin import __version__
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.schema import VERSION
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service import standby
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


def _bring_to_version(whole: Whole, version: int) -> None:
    engine = create_engine(read(whole.properties).journal_url)
    with engine.begin() as db:
        db.execute(text("UPDATE meta SET value = :v WHERE key = 'version'"), {"v": str(version)})
    engine.dispose()


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


def test_another_configuration_is_told_until_it_is_the_same(
    make_whole: Callable[..., Whole],
) -> None:
    whole = make_whole()
    whole.until_state("running")
    first = whole.properties
    whole.properties = {**first, "omero.fs.blacklist": "*.skip"}
    with whole.another() as second:

        def told() -> str:
            figures = second.figures()
            assert figures["state"] in ("starting", "waiting for the lease")
            return figures["reason"]

        words = "this one has another configuration than that one"
        whole.until("it is told", lambda: words in told())
        second.reconfigure(first)
        whole.until("it is the same", lambda: "held by" in told() and words not in told())
        whole.dropbox.reconfigure(whole.properties)
        whole.until("the first has another", lambda: words in told())
        path = whole.drop("a.tif")
        whole.until_known(path)
        whole.assert_once(path)
    whole.until_state("running")


def test_another_version_is_told(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_whole()
    whole.until_state("running")
    monkeypatch.setattr(standby, "__version__", "9.9")
    with whole.another() as second:
        words = f"that is version {__version__}, and this one is 9.9"
        whole.until("it is told", lambda: words in second.figures()["reason"])


def test_a_standby_of_an_older_version_writes_nothing_into_a_newer_journal(
    make_whole: Callable[..., Whole],
) -> None:
    """It waits since before the active one was upgraded, and brought the journal along."""
    whole = make_whole()
    path = whole.drop("a.tif")
    whole.until_known(path)
    whole.until_settled()
    with whole.another() as second:
        whole.until("it waits", lambda: "held by" in second.figures()["reason"])
        _bring_to_version(whole, VERSION + 1)
        whole.stop_dropbox()
        before = whole.journal.select(), whole.journal.lease().epoch
        whole.until("it is told", lambda: "install the release" in second.figures()["reason"])
        after = whole.journal.select(), whole.journal.lease().epoch
        assert after == before
        _bring_to_version(whole, VERSION)


@pytest.mark.parametrize("ahead", [300.0, -300.0])
def test_a_standby_whose_clock_is_off_goes_on_all_the_same(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    """No clock is compared with another: neither for the lease nor for what waits or rests."""
    whole = make_whole()
    before = whole.drop("before.tif")
    whole.until_known(before)
    whole.until_settled()
    there = Journal.__init__.__kwdefaults__
    assert there is not None
    monkeypatch.setitem(there, "clock", lambda: whole.clock.time() + ahead)
    with whole.standby() as took_over:
        during = [whole.drop(f"{number}.tif") for number in range(5)]
        whole.until_known(during[0])
        assert not took_over(), "the first is at work"
        whole.dropbox.stop()
        whole.until("the second takes over", took_over)
        after = whole.drop("after.tif")
        whole.until_known(*during, after)
        whole.until_settled()
        whole._dropbox_ice.shutdown()
    whole.until_once(before, *during, after)
    assert whole.journal.counts()[State.FAILED] == 0


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
