"""The full example of OMERO's documentation of OMERO.fs, for two users, as it is written there.

Paths aside, and the time: the quiet period of 60 s is that of the tests unless
OMERO_FS_ACCEPTANCE_EXAMPLE_WAIT says otherwise.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import images
from .api import Omero
from .conftest import QUIET_PERIOD
from .dropping import DropBox
from .server import Server

WAIT = os.environ.get("OMERO_FS_ACCEPTANCE_EXAMPLE_WAIT", str(QUIET_PERIOD))
NAMES = ("importUsers", "watchDir", "eventTypes", "pathMode", "whitelist", "blacklist", "timeout")
MORE = ("blockSize", "ignoreSysFiles", "ignoreDirEvents", "dirImportWait", "readers", "importArgs")


@pytest.fixture
def homes(watch_dir: Path, run_name: str) -> Iterator[Path]:
    """Where the users have their directories."""
    homes = watch_dir.parent / f"homes-{run_name}"
    (homes / "amy" / "myData").mkdir(parents=True)
    (homes / "zak" / "work" / "data").mkdir(parents=True)
    yield homes
    shutil.rmtree(homes)


def test_the_full_example(grid: Server, omero_api: Omero, homes: Path) -> None:
    readers = homes / "amy" / "my_readers.txt"
    readers.write_text("loci.formats.in.TiffReader  # and no other\n", encoding="ascii")
    example = {
        "importUsers": "amy;zak",
        "watchDir": f"{homes}/amy/myData;{homes}/zak/work/data",
        "eventTypes": "Creation,Modification;Creation,Modification",
        "pathMode": "Follow;Follow",
        "whitelist": ";",
        "blacklist": ";",
        "timeout": "0.0;0.0",
        "blockSize": "0;0",
        "ignoreSysFiles": "True;True",
        "ignoreDirEvents": "True;True",
        "dirImportWait": f"{WAIT};{WAIT}",
        "readers": f"{readers};",
        "importArgs": "-report;-report -send",
    }
    assert tuple(example) == NAMES + MORE
    config = grid.whole_config()
    before = {f"omero.fs.{name}": config.get(f"omero.fs.{name}", "") for name in example}
    try:
        grid.configure_all({f"omero.fs.{name}": value for name, value in example.items()})
        # As an admin has to, for a value that begins with a dash.
        grid.run("config", "set", "--", "omero.fs.importArgs", example["importArgs"])
        grid.run("fs", "reload")
        grid.until_healthy()
        amy = DropBox(grid, omero_api, "amy", homes / "amy" / "myData", {})
        zak = DropBox(grid, omero_api, "zak", homes / "zak" / "work" / "data", {})
        whose = {
            amy.drop("of amy.tif"): "amy",
            amy.drop("day 1/also.tif"): "amy",
            zak.drop("of zak.tif"): "zak",
            zak.drop("of zak.png", images.png()): "zak",
        }
        not_listed = amy.drop("of amy.png", images.png())
        for path, user in whose.items():
            place = amy if user == "amy" else zak
            (fileset,) = place.until_imported(path)
            assert fileset.owner == user
        (told,) = grid.until_told(not_listed, states=("skipped", "failed", "imported"))
        assert told["state"] == "skipped"
        assert omero_api.fileset_ids(not_listed) == {not_listed: []}
        amy.assert_once(*(path for path, user in whose.items() if user == "amy"))
        zak.assert_once(*(path for path, user in whose.items() if user == "zak"))
        figures = grid.status()["dropbox"]
        assert "`omero fs status` shows failures" in figures["ignored.1"]
        assert "-send" in figures["ignored.2"]
    finally:
        grid.configure_all(before)
        grid.ask("fs", "reload")
        grid.until_healthy()
