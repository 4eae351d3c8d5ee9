"""Files go through DropBox while its metrics are asked, as Prometheus or an admin would."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole

Figures = dict[tuple[str, ...], float]

IMPORTED_BYTES = ("omero_fs_imported_bytes_total",)
STAGES = ("settling", "queued", "importing")


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


@dataclass(frozen=True)
class Passed:
    """What was told, and what was so."""

    file: Figures  # of the file, at the end
    now: Figures  # over HTTP, at the end
    seen: list[Figures]  # meanwhile
    slowest: float  # s, of the questions meanwhile
    # A figure -> what it told, and what the journal or the disk has.
    figures: dict[str, tuple[float, float]]

    @property
    def wrong(self) -> dict[str, tuple[float, float]]:
        """Figures that are not those of the journal."""
        return {name: pair for name, pair in self.figures.items() if pair[0] != pair[1]}

    @property
    def shrunk(self) -> list[tuple[str, ...]]:
        """Totals that were smaller once than before."""
        return [
            key
            for key in self.now
            if key[0].endswith(("_total", "_count", "_sum", "_bucket"))
            and (told := [one.get(key, 0.0) for one in self.seen]) != sorted(told)
        ]


def pass_through(make_whole: Callable[..., Whole], place: Path, number: int) -> Passed:
    """So many files, of two users in turns."""
    port, file = free_port(), place / "omero-fs.prom"
    whole = make_whole(importers="4", metrics=f"{file},{port}")
    whole.until("it can be asked", file.exists)
    begun = scraped(port)
    seen: list[Figures] = []
    took: list[float] = []
    over = threading.Event()
    asks = curled if shutil.which("curl") else scraped

    def scrape() -> None:
        while not over.wait(0.05):
            before = time.perf_counter()
            seen.append(asks(port))
            took.append(time.perf_counter() - before)

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
    return Passed(
        file=parsed(file.read_text()),
        now=now,
        seen=seen,
        slowest=max(took),
        figures=_compared(whole, begun, now, paths),
    )


def _compared(
    whole: Whole, begun: Figures, now: Figures, paths: list[Path]
) -> dict[str, tuple[float, float]]:
    grown = {key: now[key] - begun.get(key, 0.0) for key in now}
    counts = whole.journal.counts()
    rows = {row.path: whole.journal.events(row.id) for row in whole.journal.select()}
    imported = [at for path in paths for at, _, after, *_ in rows[str(path)] if after == "imported"]
    begins = sum(event[2] == State.IMPORTING for path in paths for event in rows[str(path)])
    compared = {
        f"filesets {state}": (now["omero_fs_filesets", str(state)], counts[state])
        for state in State
    }
    compared |= {
        "bytes imported": (grown[IMPORTED_BYTES], sum(path.stat().st_size for path in paths)),
        "ended as imported": (grown["omero_fs_filesets_ended_total", "imported"], len(imported)),
        "imports": (grown["omero_fs_stage_seconds_count", "importing"], begins),
        "lease held": (now["omero_fs_lease_held",], bool(whole.journal.lease().holder)),
        "roots": (now["omero_fs_roots",], 1),
        "roots reachable": (now["omero_fs_roots_reachable",], 1),
        "age of the oldest that waits": (now["omero_fs_oldest_seconds", "waiting"], 0),
        "age of the oldest in the queue": (now["omero_fs_oldest_seconds", "queued"], 0),
    }
    last = now.get(("omero_fs_last_import_timestamp_seconds",))
    if last is not None:
        compared["time of the last import"] = (round(last, 2), round(max(imported), 2))
    return compared
