"""DropBox's metrics while it works: they are those of the journal, and nothing waits for them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.metrics import publisher
from tests.integration.whole import Whole

from .passing import STAGES, free_port, pass_through, scraped


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.2)


@pytest.mark.parametrize("number", [30, pytest.param(1000, marks=pytest.mark.long)], ids=str)
def test_each_figure_is_that_of_the_journal(
    make_whole: Callable[..., Whole], tmp_path: Path, number: int
) -> None:
    passed = pass_through(make_whole, tmp_path, number)
    assert not passed.wrong
    assert passed.figures["ended as imported"] == (number, number)
    for stage in STAGES:
        assert passed.now["omero_fs_stage_seconds_count", stage] >= number
    assert passed.now["omero_fs_rescans_total",] >= 1
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


def test_an_omero_that_is_away_is_counted(make_whole: Callable[..., Whole]) -> None:
    port = free_port()
    whole = make_whole(metrics=str(port))
    whole.until_known(whole.drop("a.tif"))
    whole.blitz.stop()
    whole.drop("b.tif")
    whole.until("it is told", lambda: scraped(port)["omero_fs_trouble", "omero"] == 1)
    whole.until(
        "and for how long", lambda: scraped(port)["omero_fs_trouble_seconds_total", "omero"]
    )
    assert scraped(port)["omero_fs_oldest_seconds", "queued"] >= 0
