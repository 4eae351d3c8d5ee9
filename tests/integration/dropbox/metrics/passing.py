"""Files go through DropBox while its metrics are asked, as Prometheus or an admin would."""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.watching import rescanner
from omero_fs_plugin.sandbox.moods import Fault, Moods, write
from tests.integration.whole import Whole
from tests.ports import reserved

Figures = dict[tuple[str, ...], float]

IMPORTED_BYTES = ("omero_fs_imported_bytes_total",)
STAGES = ("settling", "queued", "importing")


REFUSED = 2  # imports, once each; three refusals of one file would be a failure
RESCANS = 2  # beside the first one


def parsed(text: str) -> Figures:
    return {
        (sample.name, *(v for v in dict(sorted(sample.labels.items())).values() if v)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def curled(port: int) -> Figures:
    """As an admin looks at them."""
    command = ["curl", "--silent", "--show-error", "--fail", f"http://127.0.0.1:{port}/metrics"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return parsed(done.stdout)


def scraped(port: int) -> Figures:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return parsed(answer.read().decode())


def answers(port: int) -> bool:
    """Whether figures are shown there by now."""
    with suppress(OSError):  # nobody listens yet, or nothing is collected
        scraped(port)
        return True
    return False


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


class _Rescans(logging.Handler):
    """Counts those that the log tells of."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.number += record.getMessage().startswith("rescan:")


@contextmanager
def _rescans() -> Iterator[_Rescans]:
    logger, counted = rescanner.log, _Rescans()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(counted)
    try:
        yield counted
    finally:
        logger.removeHandler(counted)
        logger.setLevel(level)


def _watches() -> int:
    """Those of this process, of which FSServer is a part, as the kernel has them."""
    found = 0
    for one in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):
            found += one.read_bytes().count(b"inotify wd:")
    return found


def pass_through(make_whole: Callable[..., Whole], place: Path, number: int) -> Passed:
    """So many files, of two users in turns.  OMERO refuses some once, and rescans are asked for."""
    watched = _watches()
    with _rescans() as rescans:
        return _passed(make_whole, place, number, rescans, watched)


def _passed(
    make_whole: Callable[..., Whole], place: Path, number: int, rescans: _Rescans, watched: int
) -> Passed:
    port, file = reserved(2), place / "omero-fs.prom"
    whole = make_whole(importers="4", metrics=f"{file},{port}")
    fault = Fault(r"ManagedRepository\.importFileset", "ResourceError", "refused", times=REFUSED)
    write(whole.blitz.data, Moods(faults=(fault,)))
    whole.until("it can be asked", lambda: file.exists() and answers(port))
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
        for _ in range(RESCANS):
            before = rescans.number
            whole.dropbox.rescanner.ask()
            whole.until("a rescan has ended", lambda then=before: rescans.number > then)
        counts = whole.journal.counts()

        def told() -> bool:
            now = scraped(port)
            same = all(now["omero_fs_filesets", str(s)] == counts[s] for s in State)
            return same and now["omero_fs_rescans_total",] == rescans.number

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
        figures=_compared(whole, begun, now, paths)
        | {
            "rescans": (now["omero_fs_rescans_total",], rescans.number),
            "watches": (scraped(port + 1)["omero_fs_inotify_watches",], _watches() - watched),
        },
    )


def _compared(
    whole: Whole, begun: Figures, now: Figures, paths: list[Path]
) -> dict[str, tuple[float, float]]:
    grown = {key: now[key] - begun.get(key, 0.0) for key in now}
    counts = whole.journal.counts()
    rows = {row.path: whole.journal.events(row.id) for row in whole.journal.select()}
    imported = [at for path in paths for at, _, after, *_ in rows[str(path)] if after == "imported"]
    steps = [(before, after) for path in paths for _, before, after, *_ in rows[str(path)]]
    begins = sum(after == State.IMPORTING for _, after in steps)
    compared = {
        f"filesets {state}": (now["omero_fs_filesets", str(state)], counts[state])
        for state in State
    }
    compared |= {
        "bytes imported": (grown[IMPORTED_BYTES], sum(path.stat().st_size for path in paths)),
        "ended as imported": (grown["omero_fs_filesets_ended_total", "imported"], len(imported)),
        "retries": (
            grown["omero_fs_retries_total",],
            steps.count((State.IMPORTING, State.QUEUED)),
        ),
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
