"""DropBox's metrics while it works: they are those of the journal, and nothing waits for them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.metrics import publisher
from tests.integration.whole import Whole

Figures = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "INTERVAL_S", 0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def parsed(text: str) -> Figures:
    return {
        (sample.name, *(v for v in dict(sorted(sample.labels.items())).values() if v)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def curled(port: int) -> Figures:
    """As an admin looks at them."""
    command = ["curl", "--silent", "--show-error", "--fail", f"http://127.0.0.1:{port}/metrics"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return parsed(done.stdout)


def scraped(port: int) -> Figures:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return parsed(answer.read().decode())


@pytest.mark.parametrize("number", [30, pytest.param(1000, marks=pytest.mark.long)], ids=str)
def test_each_figure_is_that_of_the_journal(
    make_whole: Callable[..., Whole], tmp_path: Path, number: int
) -> None:
    port, file = free_port(), tmp_path / "omero-fs.prom"
    whole = make_whole(importers="4", metrics=f"{file},{port}")
    whole.until("it can be asked", file.exists)
    begun = scraped(port)
    seen: list[Figures] = []
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(0.05):
            seen.append(asks(port))

    asks = curled if shutil.which("curl") else scraped
    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        paths = [whole.drop(f"{n}.tif", ("amy", "zak")[n % 2]) for n in range(number)]
        whole.until_known(*paths)
        counts = whole.journal.counts()

        def told() -> bool:
            now = scraped(port)
            return all(now["omero_fs_filesets", str(s)] == counts[s] for s in State)

        whole.until("the figures are those of the journal", told)
    finally:
        over.set()
        thread.join()
    now = asks(port)
    size = sum(path.stat().st_size for path in paths)
    grown = {key: now[key] - begun.get(key, 0.0) for key in now}
    assert grown["omero_fs_imported_bytes_total",] == size
    assert grown["omero_fs_filesets_ended_total", "imported"] == number
    for stage in ("settling", "queued", "importing"):
        assert grown["omero_fs_stage_seconds_count", stage] >= number
    assert now["omero_fs_lease_held",] == 1
    assert now["omero_fs_roots",] == now["omero_fs_roots_reachable",] == 1
    assert now["omero_fs_rescans_total",] >= 1
    totals = [one["omero_fs_imported_bytes_total",] for one in seen]
    assert totals == sorted(totals), "what only grows never shrinks"
    assert parsed(file.read_text()).keys() == now.keys()


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
