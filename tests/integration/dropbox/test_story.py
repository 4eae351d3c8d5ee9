"""The log of a DropBox: the story of each file, whoever did it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from tests.integration.whole import Whole

NAME = "omero_fs_plugin.dropbox.journal.story"


def story(caplog: pytest.LogCaptureFixture, path: Path) -> list[str]:
    """What the log tells of a file, in order."""
    lines = [record.getMessage() for record in caplog.records if record.name == NAME]
    return [one.partition(": ")[2] for one in lines if f"{path.name}: " in one]


def test_the_way_of_a_file_is_in_the_log(whole: Whole, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        path = whole.drop("day 1/a.tif")
        whole.until_known(path)
        row = whole.row(path)
        whole.until("it is told", lambda: len(story(caplog, path)) == 4)
        whole.stop_dropbox()
        whole.start_dropbox()
    (image,) = row.images
    assert story(caplog, path) == [
        "met",
        "at rest and whole, grouped by MinimalTiffReader: queued"
        if not row.reader
        else f"at rest and whole, grouped by {row.reader.rpartition('.')[2]}: queued",
        "attempt 1 begins",
        f"imported as Fileset:{row.server_fileset}, Image:{image}",
    ], "and nothing of it again after a restart"


def test_what_another_process_writes_is_told_too(
    make_whole: Callable[..., Whole], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        whole = make_whole()
        # The story tells what happens from the start of the work on.
        whole.until("DropBox has begun", lambda: "files are grouped by" in caplog.text)
        path = whole.watch_dir / "amy" / "a.tif"
        path.write_bytes(b"no image")
        # As `omero fs import` does it, with a journal of its own.
        found = Found(str(path), FileStat.of(path.lstat()))
        whole.journal.hand_over("amy", str(path.parent), found)
        whole.until("it has ended", lambda: whole.row(path).state is State.FAILED)
        whole.until("it is told", lambda: "failed" in "".join(story(caplog, path)[-1:]))
    told = story(caplog, path)
    assert told[0] == "handed over"
    (failed,) = [one for one in caplog.records if one.name == NAME and one.levelname == "WARNING"]
    assert failed.getMessage().partition(": ")[2] == told[-1]


def test_files_alike_in_a_directory_are_told_of_once(
    make_whole: Callable[..., Whole], caplog: pytest.LogCaptureFixture
) -> None:
    whole = make_whole()
    with caplog.at_level(logging.WARNING):
        for directory in ("a", "b"):
            (whole.watch_dir / "amy" / directory).mkdir()
            for number in range(5):
                path = whole.watch_dir / "amy" / directory / f"{number}.tif"
                path.symlink_to("/etc/passwd")
        whole.until(
            "all are left alone",
            lambda: sum(key.startswith("left.") for key in whole.dropbox.figures()) == 10,
        )
    told = [one for one in caplog.messages if "left alone" in one]
    assert len(told) == 2 and "a symbolic link" in told[0]
