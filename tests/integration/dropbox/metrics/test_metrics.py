"""DropBox's metrics while it works: they are those of the journal, and nothing waits for them."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.bioformats import grouper
from omero_fs_plugin.dropbox.settling.groupers import NUMBER
from omero_fs_plugin.metrics import publisher
from tests import bioformats
from tests.integration.whole import Whole
from tests.ports import reserved

from .passing import REFUSED, RESCANS, STAGES, answers, pass_through, scraped


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.2)
    monkeypatch.setattr(publisher, "_REST", 1.0)  # the machine may be slow


@pytest.mark.parametrize("number", [30, pytest.param(1000, marks=pytest.mark.long)], ids=str)
def test_each_figure_is_that_of_the_journal(
    make_whole: Callable[..., Whole], tmp_path: Path, number: int
) -> None:
    passed = pass_through(make_whole, tmp_path, number)
    assert not passed.wrong
    assert passed.figures["ended as imported"] == (number, number)
    for stage in STAGES:
        assert passed.now["omero_fs_stage_seconds_count", stage] >= number
    assert passed.figures["rescans"][1] > RESCANS
    assert passed.figures["retries"][1] >= REFUSED
    assert passed.figures["watches"][1] > 0
    assert not passed.shrunk, "what only grows never shrinks"
    assert passed.file.keys() == passed.now.keys()


def test_who_reads_them_badly_holds_up_no_import(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    """A port that is taken, a directory that is not there, clients that say nothing."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        gone = tmp_path / "gone" / "omero-fs.prom"
        whole = make_whole(metrics=f"{gone},{port}")
        whole.until_known(whole.drop("a.tif"))
        whole.until("both are told", lambda: whole.dropbox.figures()["metrics"].count(";") == 1)
        told = whole.dropbox.figures()["metrics"]
        assert f"{gone}: No such file or directory" in told
        assert f"127.0.0.1:{port}" in told
        assert whole.dropbox.figures()["state"] == "running"


def test_each_java_process_is_counted(
    make_whole: Callable[..., Whole], caplog: pytest.LogCaptureFixture
) -> None:
    """As many as the log names, also of those that were killed."""
    bioformats.installation()  # skips without one
    caplog.set_level(logging.INFO, logger=grouper.__name__)

    def logged() -> set[int]:
        told = [one.args for one in caplog.records if "runs in process" in str(one.msg)]
        return {int(words[-1]) for words in told if isinstance(words, tuple)}

    def counted() -> float:
        return scraped(port)["omero_fs_java_starts_total", "grouping"]

    port = reserved(2)
    whole = make_whole(metrics=str(port), bioformatsJars=bioformats.as_property())
    whole.until("it can be asked", lambda: answers(port))
    whole.until_known(whole.drop("0.tif"))
    whole.until("both have started", lambda: len(logged()) == NUMBER)
    whole.until("it is told", lambda: counted() >= NUMBER)
    # Other tests in this process have started some, too.
    before = counted() - NUMBER
    for number in (1, 2):
        for one in whole.dropbox.groupers._groupers:
            os.kill(one.pid, signal.SIGKILL)
        whole.until_known(whole.drop(f"{number}.tif"))
        whole.until("they are counted", lambda: counted() - before == len(logged()) > NUMBER)


def test_an_omero_that_is_away_is_counted(make_whole: Callable[..., Whole]) -> None:
    port = reserved(2)
    whole = make_whole(metrics=str(port))
    whole.until("it can be asked", lambda: answers(port))
    whole.until_known(whole.drop("a.tif"))
    whole.blitz.stop()
    whole.drop("b.tif")
    whole.until("it is told", lambda: scraped(port)["omero_fs_trouble", "omero"] == 1)
    whole.until(
        "and for how long", lambda: scraped(port)["omero_fs_trouble_seconds_total", "omero"]
    )
    assert scraped(port)["omero_fs_oldest_seconds", "queued"] >= 0
