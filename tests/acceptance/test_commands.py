"""`omero fs import` and `omero fs watch`, while the grid runs."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from pathlib import Path

import pytest

from . import images
from .api import Omero
from .dropping import DropBox, sha1
from .server import Server
from .waiting import PATIENCE, until


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Checks that the command refused in one line that has `words`, without a traceback."""
    said = f"exit code {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
    assert done.returncode != 0, said
    assert "Traceback" not in done.stdout + done.stderr, said
    assert done.stdout.strip() == "", said
    assert len(done.stderr.strip().splitlines()) == 1, said
    assert all(word in done.stderr for word in words), said


# -- import -----------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file in no DropBox."""
    path = tmp_path / "handed over.tif"
    path.write_bytes(images.tiff())
    return path


def test_import_of_a_file_elsewhere_and_again(dropbox: DropBox, outside: Path) -> None:
    server = dropbox.server
    first = server.run("fs", "import", outside, "--user", "zak", "--wait")
    assert "imported" in first.stdout
    ((number,),) = dropbox.omero.imported_ids(outside).values()
    fileset = dropbox.omero.fileset(number)
    assert fileset.owner == "zak"
    assert [stored.sha1 for stored in fileset.files] == [sha1(outside)]
    assert f"Image:{fileset.images[0].id}" in first.stdout
    assert outside.is_file()

    again = server.ask("fs", "import", outside, "--user", "zak", "--wait")
    assert again.stdout.splitlines()[-1] == "1 in OMERO already"
    assert f"Image:{fileset.images[0].id}" in again.stdout
    dropbox.assert_once(outside)


def test_import_of_what_was_deleted_in_omero_imports_it_again(
    dropbox: DropBox, outside: Path
) -> None:
    server = dropbox.server
    server.ask("fs", "import", outside, "--user", "zak", "--wait")
    ((first,),) = dropbox.omero.imported_ids(outside).values()
    dropbox.omero.delete(first)
    again = server.ask("fs", "import", outside, "--user", "zak", "--wait")
    ((second,),) = dropbox.omero.imported_ids(outside).values()
    assert second != first
    assert f"Image:{dropbox.omero.fileset(second).images[0].id}" in again.stdout
    dropbox.assert_once(outside)


def test_import_of_a_file_in_a_users_dropbox_needs_no_user(dropbox: DropBox) -> None:
    path = dropbox.drop("image.tif")
    done = dropbox.server.ask("fs", "import", path, "--wait")
    # DropBox may have imported it by itself before.
    assert done.stdout.splitlines()[-1] in ("1 imported", "1 in OMERO already")
    ((number,),) = dropbox.omero.imported_ids(path).values()
    assert dropbox.omero.fileset(number).owner == "amy"
    dropbox.assert_once(path)  # when its quiet period is over, too: see the end of the run


def test_import_of_a_directory(dropbox: DropBox, tmp_path: Path) -> None:
    paths = [tmp_path / "one.tif", tmp_path / "inner" / "two.tif"]
    paths[1].parent.mkdir()
    for path in paths:
        path.write_bytes(images.tiff())
    dropbox.server.ask("fs", "import", tmp_path, "--user", "amy", "--wait")
    dropbox.assert_once(*paths)


def test_import_of_what_is_no_image_is_told_and_not_handed_over(
    dropbox: DropBox, tmp_path: Path
) -> None:
    path = tmp_path / "notes.tif"
    path.write_bytes(b"no image")
    done = dropbox.server.ask("fs", "import", path, "--user", "amy", "--wait", check=False)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"not handed over: {path}: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert dropbox.server.of_file(path) == []


def test_import_of_a_file_of_a_set_is_that_of_the_set(dropbox: DropBox, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    first, *others = images.ome_tiff_set(whole, ["t0.ome.tif", "t1.ome.tif", "t2.ome.tif"])
    (whole / "notes.txt").write_text("taken on a Monday", encoding="ascii")
    (whole / "omero-fs.toml").write_text('description = "mitosis"', encoding="ascii")
    done = dropbox.server.ask("fs", "import", others[0], "--user", "amy", "--wait")
    assert f"{others[0]} is one of 3 files" in done.stdout
    assert f"imported {first} and 2 more files" in done.stdout
    ((number,),) = dropbox.omero.imported_ids(first).values()
    fileset = dropbox.omero.fileset(number)
    assert sorted(stored.sha1 for stored in fileset.files) == sorted(map(sha1, [first, *others]))

    again = dropbox.server.ask("fs", "import", whole, "--user", "amy", "--wait")
    assert f"passed over: {whole / 'notes.txt'}: " in again.stdout
    assert "omero-fs.toml" not in again.stdout
    dropbox.assert_once(first)


def test_import_of_a_set_with_a_file_missing(dropbox: DropBox, tmp_path: Path) -> None:
    first, missing, last = images.ome_tiff_set(tmp_path, ["a.ome.tif", "b.ome.tif", "c.ome.tif"])
    missing.unlink()
    done = dropbox.server.ask("fs", "import", tmp_path, "--user", "amy", check=False)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line == f"not handed over: {first} and 1 more file: waits for {missing}"
    assert dropbox.server.of_file(last) == []


REFUSED = {  # how it is called -> words of the one line that refuses it
    "a missing path": ("missing.tif",),
    "an unknown user": ("nobody-at-all", "omero user list"),
    "a file elsewhere without a user": ("image.tif", "--user"),
    "a link": ("link.tif", "regular file"),
    "a directory without files": ("no files", "empty"),
}


@pytest.fixture(scope="module")
def refused(
    grid: Server, omero_api: Omero, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, subprocess.CompletedProcess[str]]:
    """How `omero fs import` ended in each of these cases."""
    there = tmp_path_factory.mktemp("refused")
    image, link, empty = there / "image.tif", there / "link.tif", there / "empty"
    image.write_bytes(images.tiff())
    link.symlink_to(image)
    empty.mkdir()
    arguments: dict[str, list[str | Path]] = {
        "a missing path": [there / "missing.tif", "--user", "amy"],
        "an unknown user": [image, "--user", "nobody-at-all"],
        "a file elsewhere without a user": [image],
        "a link": [link, "--user", "amy"],
        "a directory without files": [empty, "--user", "amy"],
    }
    commands = {case: ["fs", "import", *given] for case, given in arguments.items()}
    return grid.run_all(commands, check=False)


@pytest.mark.parametrize("case", REFUSED)
def test_import_refuses(refused: dict[str, subprocess.CompletedProcess[str]], case: str) -> None:
    assert_one_line(refused[case], *REFUSED[case])


# -- watch ------------------------------------------------------------------


def test_watch_sees_a_created_file(grid: Server, tmp_path: Path) -> None:
    watch = grid.popen("fs", "watch", tmp_path, "--json", "--count", "1", "--timeout", "60")
    try:
        assert watch.stderr is not None
        said = _first_line_with(watch, "watching")
        assert said is not None, f"never said that it watches\n{grid.evidence()}"
        created = tmp_path / "created é.tif"
        created.write_bytes(images.tiff())
        out, err = watch.communicate(timeout=PATIENCE)
    finally:
        watch.kill()
        watch.communicate()
    assert watch.returncode == 0, err
    (line,) = out.splitlines()
    event = json.loads(line)
    assert event["type"] in ("Create", "Modify")
    assert event["path"] == str(created)


def _first_line_with(process: subprocess.Popen[str], word: str) -> str | None:
    """The first line on its stderr with `word`; None when it ends without, or takes too long."""
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        assert process.stderr is not None
        return next((line for line in process.stderr if word in line), None)
    finally:
        timer.cancel()


def test_watch_that_sees_nothing_in_time_ends_and_leaves_no_monitor(
    grid: Server, tmp_path: Path
) -> None:
    done = grid.run("fs", "watch", tmp_path, "--count", "1", "--timeout", "0.5", check=False)
    assert done.returncode == 1
    # The time may be over before it watches: tests/integration/cli/test_watch.py has each of both.
    assert re.search("0 of 1 events|not all directories below", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    until(
        "its monitor is gone",
        lambda: str(tmp_path) not in [m["path"] for m in grid.status(limit=1)["monitors"]],
        evidence=grid.evidence,
    )


def test_a_watch_that_was_killed_leaves_no_monitor(grid: Server, tmp_path: Path) -> None:
    def monitors() -> list[str]:
        return [one["path"] for one in grid.status(limit=1)["monitors"]]

    watch = grid.popen("fs", "watch", tmp_path)
    try:
        assert _first_line_with(watch, "watching") is not None, grid.evidence()
        assert str(tmp_path) in monitors()
    finally:
        watch.kill()
        watch.communicate()
    until(
        "its monitor is given up",
        lambda: str(tmp_path) not in monitors(),
        evidence=grid.evidence,
    )


def test_watch_of_a_missing_directory(grid: Server, tmp_path: Path) -> None:
    done = grid.run("fs", "watch", tmp_path / "missing", "--timeout", "1", check=False)
    assert_one_line(done, "missing")
