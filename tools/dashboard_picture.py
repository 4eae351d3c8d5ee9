"""The picture of docs/metrics.rst: the dashboard with the numbers of a real run.

    python -m tools.dashboard_picture FILE.svg [--minutes 20]

A sandbox runs, people drop files, OMERO's disk is slow for a while, and some files fail or wait.
A real Prometheus scrapes DropBox and FSServer.  Grafana itself is not needed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy
import tifffile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omero_fs_plugin.sandbox import moods
from tests.acceptance import images
from tools import dashboard, demo
from tools.prometheus import NoAnswer, free_port, scraping

_EVERY_S = 15  # between two scrapes, as the servers collect their figures
_SLOW_S = 4.0  # of OMERO's disk, for each MiB


def _drop(path: Path, chance: random.Random) -> None:
    side = chance.choice((128, 256, 512, 1024))
    pixels = numpy.frombuffer(chance.randbytes(side * side), "uint8").reshape(side, side)
    tifffile.imwrite(path, pixels, photometric="minisblack")


def _people(sandbox: Path, omero: Path, seconds: float) -> None:
    """What happens: the second third has three times as many files, and a slow disk of OMERO."""
    chance = random.Random(15)
    begin, number = time.monotonic(), 0
    dropbox, data = sandbox / "data/DropBox", sandbox / "data"
    movie = dropbox / "amy/movie"
    movie.mkdir()
    members = images.ome_tiff_set(movie, [f"time {number}.ome.tif" for number in (1, 2, 3)])
    members[1].unlink()
    slow = False
    while (at := (time.monotonic() - begin) / seconds) < 1.0:
        busy = 1 / 3 < at < 2 / 3
        if busy != slow:
            slow = busy
            moods.write(data, moods.Moods(disk=_SLOW_S if slow else 0.0))
        number += 1
        _drop(dropbox / chance.choice(("amy", "zak")) / f"image {number}.tif", chance)
        if number == 20:
            (dropbox / "zak/refused.tif").write_bytes(images.refused())
        if number == 40:
            moods.write(data, moods.Moods(database=moods.AWAY))
            time.sleep(min(60.0, seconds / 10))
            moods.write(data)
            slow = False
        time.sleep(chance.uniform(1, 4) if busy else chance.uniform(3, 12))
    moods.write(data)


def main(file: Path, minutes: float) -> int:
    """Makes the run and writes the picture."""
    with tempfile.TemporaryDirectory(
        prefix="omero-fs-dashboard-", ignore_cleanup_errors=True
    ) as scratch:
        sandbox = Path(scratch) / "OMERO-sandbox"
        omero = sandbox / "bin/omero"
        os.environ["OMERO_USERDIR"] = str(Path(scratch) / "omero")  # not ~/omero
        port = free_port()
        demo.run("omero", "fs", "sandbox", "create", sandbox)
        demo.run(omero, "config", "set", "omero.fs.dirImportWait", "5")
        demo.run(omero, "config", "set", "omero.fs.metrics", str(port))
        with (
            demo.running_grid(omero, sandbox),
            scraping(Path(scratch) / "prometheus", (port, port + 1), _EVERY_S) as prometheus,
        ):
            start = time.time()
            _people(sandbox, omero, minutes * 60)
            end = time.time()
            step = max(_EVERY_S, (end - start) / 200)
            found = [
                (panel, panel.lines(lambda asked: prometheus.over_time(asked, start, end, step)))
                for panel in dashboard.panels()
            ]
            up = prometheus.targets()
        file.write_text(dashboard.drawn(found, start, end), encoding="utf-8")
        sys.stdout.write(f"{file}: {up}\n")
        for panel, lines in found:
            told = {line.name: line.series.points[-1][1] for line in lines}
            sys.stdout.write(f"{panel.title}: {told or 'no data'}\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    given = parser.parse_args()
    try:
        sys.exit(main(given.file, given.minutes))
    except (demo.DemoFailed, NoAnswer) as failure:
        sys.stderr.write(f"dashboard: {failure}\n")
        sys.exit(1)
