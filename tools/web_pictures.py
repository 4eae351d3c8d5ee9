"""The pictures of docs/web.rst: My drops and the pages for administrators, from a sandbox.

    python tools/web_pictures.py DIRECTORY

writes web-360.png and web-1920.png there, with a drop in every state: imported, failed, with a
wrong sidecar, incomplete, held up, being imported, queued, and still being written.  Others are
web-again-*, after `Try again`; web-fsserver-* and web-dropbox-*, while that server is down; and
web-all-* and web-check-*, for administrators.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from omero_fs_plugin.sandbox import moods
from tests.acceptance import images
from tools import browser, demo, web

_PATIENCE = 180.0  # s
_LARGE = 6  # files; imports that wait for OMERO's disk let others begin
_SIZE = 3500  # pixels, of a side of a file that takes its time
_SLOW_S = 8.0  # for each MiB
_SEEN = (  # what is on the page, each of them by a part of its text
    "Some files of this set are missing: ",
    "Its sidecar omero-fs.toml is wrong.",
    "OMERO cannot read this file.",
    "The server may not read the file.",
    "waits for its turn",
    "waits until nobody writes to it any more",
    "is being imported",
    "Open image",
)
_AGAIN = "notes.tif"  # what is tried again
_COLOURS = 64  # of a picture, which is half as large then
_TOP = 700  # px: the part of a page in which all is that a picture is to show
_DRAWN = "return [...document.images].every((one) => one.complete && one.naturalWidth > 0)"
# Whether a bar of progress is neither empty nor full.
_MOVES = "return [...document.querySelectorAll('progress')].some((one) => one.value > 9)"

# Writes each key of the argument as its value, wherever the page has it.
_RENAME = """
const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (all.nextNode())
  for (const [from, to] of Object.entries(arguments[0]))
    all.currentNode.data = all.currentNode.data.replaceAll(from, to);
"""


def until(what: str, holds: Callable[[], Any], evidence: Callable[[], str]) -> None:
    """Returns when it `holds`.  Raises DemoFailed."""
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise demo.DemoFailed(f"not {what}:\n{evidence()}")
        time.sleep(1.0)


def drop_early(day: Path) -> None:
    """What has its end, or waits for people, before the pictures are taken."""
    for name in ("beads.ome.tiff", "embryo 1.ome.tiff", "embryo 2.ome.tiff"):
        demo.write_ome_tiff(day / name)
    (day / "notes.tif").write_bytes(b"this is no image")
    (day / "unknown.tif").write_bytes(images.refused())
    plate = day / "plate 7"
    plate.mkdir()
    (plate / "omero-fs.toml").write_text('dataset = ["not", "one"\n')
    demo.write_ome_tiff(plate / "well A1.ome.tiff")
    movie = day / "movie"
    movie.mkdir()
    members = images.ome_tiff_set(movie, [f"time {number}.ome.tif" for number in (1, 2, 3)])
    members[1].unlink()
    closed = day / "someone else's.ome.tiff"
    demo.write_ome_tiff(closed)
    closed.chmod(0)


def drop_large(day: Path) -> None:
    """More than are imported at a time, and OMERO's disk is slow."""
    noise = numpy.random.default_rng(1)
    for number in range(_LARGE):
        pixels = noise.integers(0, 250, size=(_SIZE, _SIZE)).astype(numpy.uint8)
        tifffile.imwrite(day / f"overview {number}.tif", pixels, photometric="minisblack")


@contextmanager
def written(path: Path) -> Iterator[None]:
    """A program writes the file until the end of it."""
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.5):
            with path.open("ab") as out:
                out.write(bytes(4096))

    program = threading.Thread(target=write)
    program.start()
    try:
        yield
    finally:
        stop.set()
        program.join()


def take(driver: Any, place: Path, name: str, *, width: int, dark: bool, most: int = 0) -> None:
    """The picture of the whole page at this width, or of its first `most` px."""
    driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    browser.resize(driver, width)
    browser.colours(driver, dark=dark)
    height = driver.execute_script("return document.documentElement.scrollHeight")
    browser.resize(driver, width, height + 200)  # all is seen, so thumbnails are loaded
    until("all thumbnails are drawn", lambda: driver.execute_script(_DRAWN), lambda: driver.title)
    height = driver.execute_script("return document.getElementById('main').scrollHeight + 80")
    browser.resize(driver, width, min(height, most or height))
    path = place / f"{name}-{width}.png"
    driver.save_screenshot(str(path))
    with Image.open(path) as taken:
        few = taken.convert("RGB").quantize(_COLOURS)
    few.save(path, optimize=True)


def take_both(driver: Any, place: Path, name: str, *, wide_dark: bool, most: int = 0) -> None:
    """Two pictures of the page as it is: one of the two is dark."""
    for width, dark, longer in ((1920, wide_dark, 1), (360, not wide_dark, 2)):
        take(driver, place, name, width=width, dark=dark, most=longer * most)


def take_for_users(driver: Any, place: Path, omero: Path, address: str) -> None:
    """My drops with a drop in every state, and after `Try again`, and while servers are down."""

    def text() -> str:
        return str(driver.execute_script("return document.getElementById('main').innerText"))

    def all_seen() -> bool:
        shown = text()
        return all(one in shown for one in _SEEN) and driver.execute_script(_MOVES)

    browser.log_in(driver, address, "amy", "amy")
    until("all is seen", all_seen, text)
    take_both(driver, place, "web", wide_dark=True)
    driver.find_element(
        "css selector", f"button[name=try_again][aria-label$={json.dumps(_AGAIN)}]"
    ).click()
    until("it is answered", lambda: "DropBox answered: it is tried again" in text(), text)
    take_both(driver, place, "web-again", wide_dark=False, most=_TOP)
    for name in ("FSServer", "DropBox"):
        demo.run(omero, "admin", "ice", f"server disable {name}; server stop {name}")
        until(f"{name} is missed", lambda name=name: f"{name} has not been heard" in text(), text)
        take_both(driver, place, f"web-{name.lower()}", wide_dark=name == "DropBox", most=_TOP)
        demo.run(omero, "admin", "ice", f"server enable {name}; server start {name}")
        until(f"{name} is heard", lambda: "has not been heard" not in text(), text)


def take_for_administrators(driver: Any, place: Path, omero: Path, address: str) -> None:
    """All users, and what the check found.

    The check names this host and its directories.  The pictures show a server's usual ones.
    """
    demo.run(omero, "fs", "check", "--publish", "--fail-on", "none")
    browser.log_in(driver, address, "root", "omero")
    names = {
        str(omero.parent.parent): "/opt/omero/server/OMERO.server",
        f"Made on {socket.gethostname()} ": "Made on omero-host ",
    }
    for page, name, dark in (("everybody", "web-all", False), ("check", "web-check", True)):
        driver.get(f"{address}/omero_fs_web/{page}/")
        driver.execute_script(_RENAME, names)
        take_both(driver, place, name, wide_dark=dark, most=2 * _TOP)


def main(place: Path) -> int:
    """Makes the sandbox, drops files of all kinds, and takes the pictures."""
    with tempfile.TemporaryDirectory(prefix="omero-fs-web-", ignore_cleanup_errors=True) as scratch:
        sandbox = Path(scratch) / "OMERO-sandbox"
        omero = sandbox / "bin/omero"
        os.environ["OMERO_USERDIR"] = str(Path(scratch) / "omero")  # not ~/omero
        demo.run("omero", "fs", "sandbox", "create", sandbox)
        demo.run(omero, "config", "set", "omero.fs.dirImportWait", "2")
        demo.run(omero, "config", "set", "omero.fs.publishInterval", "1")
        demo.run(omero, "config", "set", "omero.fs.importers", "1")
        day = sandbox / "data/DropBox/amy/monday"
        day.mkdir()
        with demo.running_grid(omero, sandbox):
            drop_early(day)

            def early() -> bool:
                counts = demo.status_of(omero)["counts"]
                return counts["imported"] == 3 and counts["failed"] >= 3

            until("all have an end", early, lambda: str(demo.status_of(omero)))
            moods.write(sandbox / "data", moods.Moods(disk=_SLOW_S))
            drop_large(day)
            router = int(demo.router_port(sandbox))
            with (
                written(day / "being written.tif"),
                web.serving(sandbox / "web", router=router) as address,
            ):
                for does in (take_for_users, take_for_administrators):
                    driver = browser.opened(1920)
                    try:
                        does(driver, place, omero, address)
                    finally:
                        driver.quit()
            moods.write(sandbox / "data")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except (demo.DemoFailed, web.WebFailed, subprocess.CalledProcessError) as failure:
        sys.stderr.write(f"web-pictures: {failure}\n")
        sys.exit(1)
