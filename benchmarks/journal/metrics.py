"""The page of the metrics over a journal with very many filesets, asked as Prometheus asks."""

from __future__ import annotations

import socket
import sqlite3
import time
import urllib.request
from contextlib import closing
from pathlib import Path

from benchmarks.dropbox.scenarios import Figure, Outcome
from omero_fs_plugin.config.outlets import Outlets
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.metrics.families import Families, Now
from omero_fs_plugin.metrics.publisher import Publisher

ROWS = 1_000_000
TEXT = "metrics of a journal with very many filesets"
_SCRAPES = 100
_TARGET_MS = 50.0
_USERS = 50
_AWAY_S = 300.0  # after that the page counts as not there
_STATES = "CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 10 = 0 THEN 'skipped' ELSE 'imported' END"
_FILL = f"""
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)
INSERT INTO fileset (user, root, path, state, reason, origin, attempts, refusals, verified, images,
  created, changed)
SELECT 'user' || (n % {_USERS}), '/w/user' || (n % {_USERS}),
  '/w/user' || (n % {_USERS}) || '/' || n, {_STATES}, '', 'dropbox', 0, 0, 0, '', n, n FROM number
"""


def measure(scratch: Path, *, less: int) -> Outcome:
    """`less` divides the number of filesets."""
    rows = ROWS // less
    file = scratch / "metrics.sqlite"
    url = f"sqlite:///{file}"
    Journal(url, who="a benchmark").close()
    with closing(sqlite3.connect(file, isolation_level=None)) as sql:
        sql.execute("PRAGMA synchronous=OFF")
        sql.execute(_FILL, [rows])
    families, took = Families(users=lambda: False), []

    def collect() -> bytes:
        began = time.perf_counter()
        with glance(url) as look:
            text = families.collect(look, Now(), time.monotonic())
        took.append(time.perf_counter() - began)
        return text

    collect()
    first = took.pop()
    port = _free_port()
    publisher = Publisher(Outlets(address=("127.0.0.1", port)), collect)
    publisher.start()
    scrapes: list[float] = []
    try:
        last = _scraped(port, until=time.monotonic() + _AWAY_S)[1]
        for _ in range(_SCRAPES):
            seconds, last = _scraped(port)
            scrapes.append(seconds)
    finally:
        publisher.stop(10.0)
    told = sum(
        float(line.rpartition(b" ")[2])
        for line in last.splitlines()
        if line.startswith(b"omero_fs_filesets{")
    )
    outcome = Outcome(TEXT.capitalize())
    outcome.figures += [
        Figure(f"{rows:,} filesets: the first count, at a start", first, "s"),
        Figure("each collection after that", sorted(took)[len(took) // 2] * 1000, "ms"),
        Figure(
            f"a scrape over HTTP, the slowest of {_SCRAPES}",
            max(scrapes) * 1000,
            "ms",
            _TARGET_MS if less == 1 else None,
        ),
    ]
    if told != rows:
        outcome.faults.append(f"the page tells of {told:,.0f} filesets of {rows:,}")
    return outcome


def _scraped(port: int, until: float = 0.0) -> tuple[float, bytes]:
    """How long one scrape takes (s), and the text.  `until` (s, monotonic) the page may not be
    there yet.  Raises OSError."""
    while True:
        began = time.perf_counter()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                text = answer.read()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
            continue
        if text or time.monotonic() > until:
            return time.perf_counter() - began, text
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
