"""kill -9, at any moment: every file is imported, and none twice.

That nothing comes a second time later on is seen at the end of the run, of
every file a test here answered for.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from omero_fs_plugin.icegrid import SERVERS
from omero_fs_plugin.starts import BEGAN, ENDS

from .dropping import DropBox, sha1
from .server import Server
from .waiting import until


def test_fsserver_killed(dropbox: DropBox) -> None:
    earlier = dropbox.drop("earlier.tif")
    dropbox.until_imported(earlier)
    killed = dropbox.server.pid("FSServer")
    dropbox.server.kill("FSServer")
    during = dropbox.drop("during.tif")  # while nobody watches
    until(
        "another FSServer",
        lambda: dropbox.server.pid("FSServer") != killed,
        evidence=dropbox.server.evidence,
    )
    after = dropbox.drop("new directory/after.tif")
    dropbox.until_imported(during, after)
    dropbox.assert_once(earlier, during, after)


def test_dropbox_killed_in_the_middle_of_the_quiet_period(dropbox: DropBox) -> None:
    with dropbox.held("image.tif") as path:  # so it is not over before the kill
        dropbox.server.until_told(path, states=("waiting",))
        killed = dropbox.server.pid("DropBox")
        dropbox.server.kill("DropBox")
        assert dropbox.omero.fileset_ids(path) == {path: []}
    (fileset,) = dropbox.until_imported(path)
    assert dropbox.server.pid("DropBox") != killed
    assert [stored.sha1 for stored in fileset.files] == [sha1(path)]
    dropbox.assert_once(path)


def test_both_killed_right_after_a_drop(dropbox: DropBox) -> None:
    paths = dropbox.drop_many(5)
    dropbox.server.kill("FSServer", "DropBox")
    late = dropbox.drop("while/both are down.tif")
    dropbox.until_imported(*paths, late)
    dropbox.assert_once(*paths, late)


KILLS = 4  # at most; there may be nothing left to be interrupted
FILES = 20


def test_dropbox_killed_again_and_again_while_it_imports(dropbox: DropBox) -> None:
    seed = int(os.environ.get("OMERO_FS_ACCEPTANCE_SEED", random.randrange(10**6)))
    chance = random.Random(seed)
    print(f"OMERO_FS_ACCEPTANCE_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    paths = dropbox.drop_many(FILES)

    def done() -> int:
        return sum(map(bool, dropbox.omero.imported_ids(*paths).values()))

    def begun() -> int:
        return sum(map(len, dropbox.omero.fileset_ids(*paths).values()))

    kills = 0
    while kills < KILLS:
        # The next import was begun since the last kill.
        before = begun()
        until(
            "another import begins",
            lambda before=before: begun() > before or done() == FILES,
            evidence=dropbox.server.evidence,
            pause=0.01,
        )
        if done() == FILES:
            break
        time.sleep(chance.uniform(0, 0.2))
        dropbox.server.kill("DropBox")
        kills += 1
    assert kills >= 2, "too fast to be interrupted: more or larger files are needed"
    dropbox.until_imported(*paths)
    dropbox.assert_once(*paths)
    names = {str(path) for path in paths}
    told = [f for f in dropbox.server.status()["filesets"] if names & set(f["files"])]
    assert [f["state"] for f in told] == ["imported"] * FILES


def test_dropbox_told_to_end_while_it_imports(dropbox: DropBox) -> None:
    paths = dropbox.drop_many(FILES)
    until(
        "the first import begins",
        lambda: any(dropbox.omero.fileset_ids(*paths).values()),
        evidence=dropbox.server.evidence,
        pause=0.01,
    )
    os.kill(dropbox.server.pid("DropBox"), 15)
    dropbox.until_imported(*paths)
    dropbox.assert_once(*paths)


@pytest.mark.parametrize(
    ("name", "other"),
    [pytest.param("FSServer", "DropBox", marks=pytest.mark.long), ("DropBox", "FSServer")],
)
def test_one_that_ends_again_and_again_is_told_so(grid: Server, name: str, other: str) -> None:
    """IceGrid starts it each time, and each time it is well for a moment."""
    notes = grid.omerodir / "var" / f"{name}.starts"
    notes.unlink(missing_ok=True)
    grid.until_healthy()
    told = ""

    def starts() -> int:
        # Not all notes: a process may note that it is ready just before it is killed.
        return notes.read_text().count(f" {BEGAN} ") if notes.exists() else 0

    for ends in range(ENDS + 1):
        before = starts()
        os.kill(grid.pid(name), 9)
        until("it begins anew", lambda before=before: starts() > before, evidence=grid.evidence)
        done = grid.run("fs", "status", "--fail-on", "config,down,journal", check=False)
        told = done.stdout + done.stderr
        # The first process has noted nothing: its notes were taken away.
        assert done.returncode == (3 if ends >= ENDS else 0), told
    assert f"{name} ends again and again (3 times in 2 minutes)" in told
    assert f"{other} ends" not in told
    checked = grid.run("fs", "check", "--fail-on", "down", check=False)
    assert f"{name} ends again and again" in checked.stdout + checked.stderr
    assert checked.returncode == 3
    notes.unlink()
    grid.until_healthy()


@pytest.mark.parametrize("name", SERVERS)
def test_one_that_was_stopped_is_being_started(grid: Server, name: str) -> None:
    """IceGrid starts it again at once: nothing is wrong, whenever one looks."""
    grid.until_healthy()
    before = grid.pid(name)
    grid.ice(f"server stop {name}", check=False)
    told, conditions = "", "config,down,journal"
    while grid.status(healthy=True) == {} or grid.pid(name) == before:
        done = grid.run("fs", "status", "--fail-on", conditions, check=False)
        told = done.stdout + done.stderr
        assert done.returncode == 0 or f"{name} is deactivating" in told, told
    grid.until_healthy()
