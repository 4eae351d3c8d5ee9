"""A configuration changed while everything runs: `omero config set`, then `omero fs reload`.

OMERO_FS_ACCEPTANCE_RELOAD_FILES (200) is the number of files of the burst.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import QUIET_PERIOD
from .dropping import DropBox
from .server import Server
from .waiting import until

OF_OTHERS = "omero.sessions.timeout"  # a property that Blitz reads when it starts
FILES = int(os.environ.get("OMERO_FS_ACCEPTANCE_RELOAD_FILES", "200"))


class Configuration:
    """Changes that are undone, and reloaded, at the end."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before: dict[str, str] = {}

    def set(self, **properties: str) -> None:
        given = {f"omero.fs.{name}": value for name, value in properties.items()}
        config = self._server.whole_config()
        self._before = {key: config.get(key, "") for key in given} | self._before
        self._server.configure_all(given)

    def reset(self) -> None:
        if self._before:
            self._server.configure_all(self._before)
        self._before.clear()


@pytest.fixture
def configuration(grid: Server) -> Iterator[Configuration]:
    configuration = Configuration(grid)
    yield configuration
    configuration.reset()
    grid.ask("fs", "reload")
    grid.until_healthy()


def test_watches_come_change_and_go(
    dropbox: DropBox, configuration: Configuration, watch_dir: Path
) -> None:
    server = dropbox.server
    before = server.pid("DropBox"), server.pid("FSServer")
    own = dropbox.directory / "for zak"
    own.mkdir()
    configuration.set(
        importUsers="default;zak", watchDir=f'"{watch_dir}";"{own}"', whitelist=";.tif"
    )
    done = server.run("fs", "reload")
    assert done.stdout.splitlines() == ["FSServer: taken", "DropBox: taken"]
    server.until_healthy()
    of_zak = DropBox(server, dropbox.omero, "zak", own, {})
    path = of_zak.drop("by the most specific rule.tif")
    other = dropbox.drop("of everyone.tif")
    fileset = of_zak.until_imported(path)[0]
    dropbox.until_imported(other)
    assert fileset.owner == "zak"
    of_zak.drop("not on the list.txt", b"no image")
    configuration.reset()
    server.ask("fs", "reload")
    server.until_healthy()
    later = dropbox.drop("for zak/of amy again.tif")
    assert dropbox.until_imported(later)[0].owner == "amy"
    assert (server.pid("DropBox"), server.pid("FSServer")) == before
    (own / "not on the list.txt").unlink()
    dropbox.assert_once(other, path, later)


def test_a_bad_value_is_refused_and_the_former_stays(
    dropbox: DropBox, configuration: Configuration
) -> None:
    server = dropbox.server
    configuration.set(dirImportWait="soon", pathMode="Folow", readers="/none.txt", target="X:1")
    done = server.run("fs", "reload", check=False)
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "refused, and the servers go on as before: omero.fs" in said
    assert "omero.fs.dirImportWait = 'soon'" in said
    assert "did you mean Follow?" in said
    assert "omero.fs.readers = '/none.txt'" in said
    assert "omero.fs.target = 'X:1'" in said
    assert "Traceback" not in said
    # Pushed all the same, past our own check.
    descriptor = server.omerodir / "etc" / "grid" / "default.xml"
    server.ice(f"application update -n {descriptor}")
    until(
        "status says that it was refused",
        lambda: any(
            "has not taken the changed" in said
            for done in [server.ask("fs", "status", check=False)]
            for said in (done.stdout, done.stderr)
        ),
        evidence=server.evidence,
    )
    path = dropbox.drop("as before.tif")
    dropbox.until_imported(path)
    dropbox.assert_once(path)


@pytest.mark.parametrize(
    ("name", "how"), [("watchDir", ""), ("quarantine", ""), ("afterImport", "move:")]
)
def test_a_new_directory_that_cannot_be_used_is_refused(
    grid: Server, configuration: Configuration, tmp_path: Path, name: str, how: str
) -> None:
    (tmp_path / "file").touch()
    configuration.set(**{name: f"{how}{tmp_path}/file/bad"})
    done = grid.run("fs", "reload", check=False)
    assert done.returncode == 2, done
    assert done.stderr.startswith("refused, and the servers go on as before: ")
    assert f"{tmp_path}/file" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    grid.until_healthy()


def test_a_new_directory_that_is_another_ones_is_refused(
    grid: Server, configuration: Configuration, dropbox: DropBox
) -> None:
    """One that the servers have already: a second path to it is not taken."""
    link = grid.omerodir / "etc" / "linked"
    link.symlink_to(dropbox.directory)
    try:
        configuration.set(importUsers="default;zak", watchDir=f";{link}")
        done = grid.run("fs", "reload", check=False)
    finally:
        link.unlink()
    assert done.returncode == 2, done
    assert "needs a directory of its own" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    grid.until_healthy()


def test_only_who_may_configure_may_reload(grid: Server) -> None:
    config = grid.omerodir / "etc" / "grid" / "config.xml"
    mode = config.stat().st_mode
    config.chmod(0o400)
    try:
        done = grid.run("fs", "reload", check=False)
    finally:
        config.chmod(mode)
    assert done.returncode == 2, done
    assert done.stderr.startswith("refused: only who may write ")


def test_a_shorter_quiet_period_reaches_files_that_wait(
    dropbox: DropBox, configuration: Configuration
) -> None:
    server = dropbox.server
    configuration.set(dirImportWait="3000")
    server.ask("fs", "reload")
    path = dropbox.drop("waits.tif")
    server.until_told(path, states=("waiting",))
    configuration.reset()
    server.ask("fs", "reload")
    dropbox.until_imported(path)
    dropbox.assert_once(path)


def test_what_is_undone_leaves_no_empty_entry(grid: Server) -> None:
    keys = ("omero.fs.blockSize", "omero.fs.blacklist")
    before = grid.whole_config()
    assert not set(keys) & set(before)
    configuration = Configuration(grid)
    configuration.set(blockSize="7", blacklist=".none")
    configuration.reset()
    assert grid.whole_config() == before


def test_what_needs_a_restart_is_named(grid: Server, configuration: Configuration) -> None:
    """And the restart of one server is enough; OMERO goes on."""
    configuration.set(importers="3", pollInterval="20")
    grid.configure(OF_OTHERS, "500")
    try:
        done = grid.run("fs", "reload")
    finally:
        grid.configure(OF_OTHERS, "")
    assert done.stdout.splitlines() == [
        "FSServer: taken; these need `omero admin ice server stop FSServer`: omero.fs.pollInterval",
        "DropBox: taken; these need `omero admin ice server stop DropBox`: omero.fs.importers",
        f"OMERO's other servers: not taken, as these need `omero admin restart`: {OF_OTHERS}",
    ]
    try:
        _start_dropbox_again(grid)
        assert grid.run("fs", "reload").stdout.splitlines()[1] == "DropBox: taken"
    finally:
        configuration.reset()
        grid.ask("fs", "reload")  # a server starts with what IceGrid was told last
        _start_dropbox_again(grid)


def _start_dropbox_again(grid: Server) -> None:
    pid = grid.pid("DropBox")
    grid.ice("server stop DropBox")
    until("IceGrid starts it", lambda: grid.pid("DropBox") != pid, evidence=grid.evidence)
    grid.until_healthy()


def test_a_reload_during_a_burst_loses_none_and_imports_none_twice(
    new_dropbox: Callable[..., DropBox], configuration: Configuration
) -> None:
    dropbox = new_dropbox("amy", "burst")
    server = dropbox.server
    paths: list[Path] = []

    def burst() -> None:
        for number in range(FILES):
            paths.append(dropbox.drop(f"{number // 100:03}/{number:05}.tif"))

    dropping = threading.Thread(target=burst)
    dropping.start()
    for wait, block in (("1", "7"), (str(QUIET_PERIOD), "0")):
        configuration.set(dirImportWait=wait, blockSize=block, blacklist=".none")
        server.run("fs", "reload")
    dropping.join()
    configuration.reset()
    server.ask("fs", "reload")
    dropbox.until_imported(*paths)
    dropbox.until_settled()
    dropbox.assert_once(*paths)
