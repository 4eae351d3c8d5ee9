"""The pictures of docs/web.rst: the page My drops at both widths, from a sandbox.

    python tools/web_pictures.py DIRECTORY

writes web-360.png and web-1920.png there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tools import browser, demo, web

_PATIENCE = 120.0  # s


def until(what: str, omero: Path, holds: Any) -> None:
    """Returns when the status `holds`."""
    deadline = time.monotonic() + _PATIENCE
    while not holds(demo.status_of(omero)["counts"]):
        if time.monotonic() > deadline:
            raise demo.DemoFailed(f"not {what}")
        time.sleep(1.0)


def main(place: Path) -> int:
    """Makes the sandbox, drops files of all kinds, and takes the pictures."""
    with tempfile.TemporaryDirectory(prefix="omero-fs-web-", ignore_cleanup_errors=True) as scratch:
        sandbox = Path(scratch) / "OMERO-sandbox"
        omero = sandbox / "bin/omero"
        os.environ["OMERO_USERDIR"] = str(Path(scratch) / "omero")  # not ~/omero
        demo.run("omero", "fs", "sandbox", "create", sandbox)
        demo.run(omero, "config", "set", "omero.fs.dirImportWait", "2")
        demo.run(omero, "config", "set", "omero.fs.publishInterval", "1")
        day = sandbox / "data/DropBox/amy/monday"
        day.mkdir()
        with demo.running_grid(omero, sandbox):
            for name in ("beads.ome.tiff", "embryo 1.ome.tiff", "embryo 2.ome.tiff"):
                demo.write_ome_tiff(day / name)
            (day / "notes.tif").write_bytes(b"this is no image")
            until("all have an end", omero, lambda n: n["imported"] == 3 and n["failed"] == 1)
            (day / "late.tif").touch()  # empty: it waits for its content
            until("one waits", omero, lambda n: n["waiting"] == 1)
            time.sleep(3.0)  # omero.fs.publishInterval, and OMERO's time
            router = int(demo.router_port(sandbox))
            with web.serving(sandbox / "web", router=router) as address:
                for width, height, dark in ((360, 1500, False), (1920, 900, True)):
                    driver = browser.opened(width, height, dark=dark)
                    try:
                        browser.log_in(driver, address, "amy", "amy")
                        time.sleep(5.0)  # thumbnails are loaded when they are seen
                        driver.save_screenshot(str(place / f"web-{width}.png"))
                    finally:
                        driver.quit()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except (demo.DemoFailed, web.WebFailed, subprocess.CalledProcessError) as failure:
        sys.stderr.write(f"web-pictures: {failure}\n")
        sys.exit(1)
