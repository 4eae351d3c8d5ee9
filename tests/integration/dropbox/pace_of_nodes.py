"""`make bench-nodes`: imports an hour with 1, 2 and 4 machines that run DropBoxImporter.

The machines are processes of this one, on one PostgreSQL.  Each import takes a fixed time at the
sandbox, so that it is not the processor that is measured.  DropBox's own importer does not count.
Exit code 0, or 1 if a file was imported twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.sandbox import repository
from tests.integration.blitz import seed
from tests.integration.whole import Whole

from .journal.postgres import running
from .node import Elsewhere

NODES = (1, 2, 4)


def measure(url: str, nodes: int, options: argparse.Namespace) -> tuple[float, int]:
    """Imports of all nodes together in an hour, and how many files OMERO has twice."""
    place = Path(tempfile.mkdtemp(prefix="omero-fs-nodes-"))
    patch = pytest.MonkeyPatch()
    # OMERO is to be at the imports of all machines at once: it is not measured here.
    patch.setattr(repository, "WORKERS", 2 * nodes * options.importers + 4)
    whole = Whole(place, seed(place), patch, journal=url, importers="1")
    made = [
        Elsewhere(whole, url, place / f"node{number}.log", importers=options.importers)
        for number in range(nodes)
    ]
    try:
        pace = whole.blitz.sandbox.pace
        pace.prices = replace(pace.prices, imported=options.import_time)
        whole.until("all nodes are there", lambda: len(whole.journal.nodes()) == nodes)
        # Enough for the whole time, by two users in turns.
        number = int(options.seconds / options.import_time * (nodes * options.importers + 1) * 1.5)
        paths = [whole.drop(f"{n}.tif", ("amy", "zak")[n % 2]) for n in range(number)]
        whole.until(
            "each node imports",
            lambda: all(node.claims for node in whole.journal.nodes()),
            patience=60.0 + number,
        )
        time.sleep(options.import_time)  # until each is in the middle of its work
        event = whole.journal.last_event()
        time.sleep(options.seconds)
        done = sum(
            one.after == State.IMPORTED and one.who.startswith("DropBoxImporter")
            for one in whole.journal.events_after(event, 100_000)
        )
        twice = sum(len(whole.in_omero(path)) > 1 for path in paths)
        return done * 3600 / options.seconds, twice
    finally:
        for one in made:
            one.close()
        whole.close()
        patch.undo()


def main(given: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench-nodes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    parser.add_argument("--import-time", type=float, default=8.0, help="s that OMERO takes")
    parser.add_argument("--importers", type=int, default=2, help="of each machine")
    options = parser.parse_args(given)
    first, all_twice = 0.0, 0
    with running() as postgres:
        for nodes in NODES:
            rate, twice = measure(postgres.url(f"nodes{nodes}"), nodes, options)
            first, all_twice = first or rate, all_twice + twice
            ratio = f"{rate / first:.2f} times" if first else "-"
            sys.stdout.write(
                f"{nodes} nodes: {rate:,.0f} imports an hour, {ratio}, {twice} twice\n"
            )
            sys.stdout.flush()
    return 1 if all_twice else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
