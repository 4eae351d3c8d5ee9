"""`make demo`: two users drop microscope files, and they become images in OMERO.

Each step prints one line: what it does, and with which command.  The same
commands work on a real server.  At the end the grid is stopped and everything
is removed, also after an error.

Exit code 0 and the line "demo: 2 of 2 filesets imported"; or 1, after the
last lines of the servers' logs; or 130 if it was interrupted.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy
import tifffile
from pydicom.data import get_testdata_file

QUIET_PERIOD = 2  # s; omero.fs.dirImportWait, 60 unless set
FILES = 2  # dropped, each a fileset of its own
PATIENCE = 90  # s for the servers to be up, and for both files to be images
COMMAND_LIMIT = 120  # s for any one command
LOG_LINES = 25  # of each log, when something failed


class DemoFailed(Exception):
    """A step failed.  The text says which."""


def say(text: str) -> None:
    """Prints one line at once, because output of the servers comes between the lines."""
    sys.stdout.write(f"demo: {text}\n")
    sys.stdout.flush()


def run(*command: str | Path, show: bool = False) -> str:
    """Runs a command and returns its standard output.  With `show` it prints this, too."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        raise DemoFailed(f"`{' '.join(words)}` took more than {COMMAND_LIMIT} s") from error
    if done.returncode:
        raise DemoFailed(
            f"`{' '.join(words)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    if show:
        for line in done.stdout.splitlines():
            sys.stdout.write(f"    {line}\n")
        sys.stdout.flush()
    return done.stdout


def write_ome_tiff(path: Path) -> None:
    """An OME-TIFF of 2 channels and 3 focal planes, each 128 by 96 pixels."""
    z, y, x = numpy.mgrid[0:3, 0:96, 0:128]
    beads = 1000 + 500 * (numpy.sin(x / 9) * numpy.cos(y / 7) + z)
    pixels = numpy.stack([beads, beads[:, ::-1]]).astype(numpy.uint16)
    tifffile.imwrite(
        path,
        pixels,
        ome=True,
        photometric="minisblack",
        metadata={"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}, "PhysicalSizeX": 0.1},
    )


def someone_elses_dicom() -> Path:
    """A CT slice from a hospital's scanner, which pydicom ships for its own tests."""
    found = get_testdata_file("CT_small.dcm", download=False)
    if not found:
        raise DemoFailed("pydicom came without its CT_small.dcm")
    return Path(str(found))


def router_port(omerodir: Path) -> str:
    """Where clients log in; `omero admin start` writes it."""
    return (omerodir / "etc" / "ice.config").read_text().partition("omero.port=")[2].split()[0]


def stop_grid(omero: Path, omerodir: Path) -> None:
    """`omero admin stop`.  If that fails, it ends the node, and all servers end with it."""
    say("stopping the grid: omero admin stop")
    try:
        run(omero, "admin", "stop", "--wait", "60")
    except DemoFailed:
        node = omerodir / "var" / "master" / "master.pid"
        if node.exists():
            os.kill(int(node.read_text()), signal.SIGTERM)
        raise


@contextmanager
def running_grid(omero: Path, omerodir: Path) -> Iterator[None]:
    """`omero admin start`, and at the end the stop of the grid, whatever happens between."""
    try:
        run(omero, "admin", "start")
        yield
    except BaseException:
        with suppress(DemoFailed):  # the first failure is the one to report
            stop_grid(omero, omerodir)
        raise
    stop_grid(omero, omerodir)


def drop(source: Path, directory: Path) -> None:
    """Does what a user does: copies a file into the directory of that user's name."""
    shutil.copyfile(source, directory / source.name)


def status_of(omero: Path) -> dict[str, Any]:
    """What `omero fs status --json` says.  `healthy`: and whether all is up."""
    answer = subprocess.run(
        [str(omero), "fs", "status", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT,
    )
    try:
        status: dict[str, Any] = json.loads(answer.stdout)
    except ValueError:
        raise DemoFailed(f"omero fs status said: {answer.stdout}{answer.stderr}") from None
    status["healthy"] = answer.returncode == 0 and not status["starting"]
    return status


def wait_until(what: str, omero: Path, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The status once it `holds`.

    Raises DemoFailed, with the status, if a fileset failed or PATIENCE is over.
    """
    say(f"waiting until {what}")
    deadline = time.monotonic() + PATIENCE
    while True:
        status = status_of(omero)
        if holds(status):
            return status
        if status["counts"]["failed"] or status["counts"]["skipped"] or time.monotonic() > deadline:
            raise DemoFailed(f"not {what}; omero fs status said:\n{json.dumps(status, indent=2)}")
        time.sleep(0.5)


def show_logs(omerodir: Path) -> None:
    """The last lines of the logs.  They help to find out what went wrong."""
    for log in sorted((omerodir / "var" / "log").glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        sys.stderr.write("\n".join([f"--- {log.name}", *lines, ""]))


def demonstrate(scratch: Path) -> None:
    """The whole of it, below `scratch`."""
    omerodir = scratch / "OMERO-sandbox"
    omero = omerodir / "bin" / "omero"
    dropbox = omerodir / "data" / "DropBox"
    os.environ["OMERO_USERDIR"] = str(scratch / "omero")  # not ~/omero, which may be in use
    try:
        say("making a sandbox, no real OMERO: omero fs sandbox create DIR")
        run("omero", "fs", "sandbox", "create", omerodir)

        say(f"shortening the quiet period: omero config set omero.fs.dirImportWait {QUIET_PERIOD}")
        run(omero, "config", "set", "omero.fs.dirImportWait", str(QUIET_PERIOD))

        say("starting the grid: omero admin start")
        with running_grid(omero, omerodir):
            wait_until("FSServer and DropBox are up", omero, lambda status: status["healthy"])

            beads = scratch / "beads.ome.tiff"
            write_ome_tiff(beads)
            scan = someone_elses_dicom()
            say(f"amy drops {beads.name} into DropBox/amy (an OME-TIFF of 6 planes)")
            drop(beads, dropbox / "amy")
            say(f"zak drops {scan.name} into DropBox/zak (DICOM, from a CT scanner)")
            drop(scan, dropbox / "zak")

            status = wait_until(
                f"both have been quiet for {QUIET_PERIOD} s and are imported",
                omero,
                lambda status: status["counts"]["imported"] == FILES,
            )

            say("what became of them: omero fs status")
            run(omero, "fs", "status", show=True)

            amys = next(fileset for fileset in status["filesets"] if fileset["user"] == "amy")
            image = f"Image:{amys['images'][0]}"
            say(f"the image as amy sees it: omero obj get {image}")
            login = ["-s", f"localhost:{router_port(omerodir)}", "-u", "amy", "-w", "amy"]
            run(omero, *login, "obj", "get", image, show=True)
    except Exception:
        show_logs(omerodir)
        raise
    say(f"{status['counts']['imported']} of {FILES} filesets imported")


def main() -> int:
    """Runs the demo in a directory of its own; the exit code."""
    # After a `kill`, as after an error, the grid is stopped before the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(
        prefix="omero-fs-demo-", ignore_cleanup_errors=True
    ) as scratch:
        try:
            demonstrate(Path(scratch))
        except DemoFailed as error:
            sys.stderr.write(f"demo: failed: {error}\n")
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("demo: interrupted\n")
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
