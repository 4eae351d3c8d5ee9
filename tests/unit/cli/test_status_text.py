"""What `omero fs status` prints for people."""

from __future__ import annotations

from typing import Any

import pytest

from omero_fs_plugin.cli.status import _bytes
from omero_fs_plugin.cli.status_text import render

EVERYONES = {
    "user": "default",
    "directory": "/OMERO/DropBox",
    "problem": "",
    "importer": "native: nothing in omero.fs.importArgs needs Java",
    "ignored": "",
}
AMYS = {
    "user": "amy",
    "directory": "/home/amy",
    "problem": "is not there",
    "importer": "java: omero.fs.importer says so",
    "ignored": "--report: omero fs status tells of failures",
}


def a_fileset(**other: Any) -> dict[str, Any]:
    return {
        "id": 7,
        "user": "amy",
        "files": ["/OMERO/DropBox/amy/a.tif"],
        "state": "importing",
        "reason": "",
        "images": [],
        "changed": "2026-03-04T05:06:07+00:00",
        "plate": False,
        "progress": None,
    } | other


def a_status(*filesets: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {
        "user": None,
        "servers": {"DropBox": "active"},
        "monitors": [{"id": "m1", "state": "started", "path": "/OMERO", "events": "3"}],
        "dropbox": {
            "left./OMERO/DropBox/zak/link.tif": "a symbolic link",
            "left./OMERO/DropBox/amy/fifo.tif": "not a file",
            "left.nobody": "no OMERO user",
        },
        "watched": [AMYS, EVERYONES],
        "grouping": "Bio-Formats: found in lib/client",
        "counts": {"importing": len(filesets)},
        "filesets": list(filesets),
    } | other


def test_who_is_watched_for_and_what_imports_it() -> None:
    lines = render(a_status()).splitlines()
    at = lines.index("watched for amy: /home/amy (is not there)")
    assert lines[at + 1 : at + 4] == [
        "  importer java: omero.fs.importer says so",
        "  changes nothing: --report: omero fs status tells of failures",
        "watched for default: /OMERO/DropBox",
    ]
    assert "grouped by Bio-Formats: found in lib/client" in lines
    assert "monitor m1: started, /OMERO, 3 events told" in lines


def test_one_user_sees_what_concerns_that_user() -> None:
    text = render(a_status(user="zak", watched=[EVERYONES]))
    assert "watched for zak: /OMERO/DropBox/zak" in text.splitlines()
    assert "link.tif" in text
    assert "fifo.tif" not in text
    assert "nobody" not in text
    assert "monitor" not in text


@pytest.mark.parametrize(
    ("number", "shown"),
    [pytest.param(1, 1, id="one"), pytest.param(4, 4, id="four"), pytest.param(5, 3, id="five")],
)
def test_of_many_files_the_first_few(number: int, shown: int) -> None:
    files = [f"/OMERO/DropBox/amy/{n}.tif" for n in range(number)]
    text = render(a_status(a_fileset(files=files)))
    assert [file for file in files if file in text] == files[:shown]
    assert (f"and {number - shown} more" in text) == (number > shown)


def test_a_plate_and_how_far_it_is() -> None:
    fileset = a_fileset(plate=True, progress={"done": 3, "total": 5}, reason="tried again")
    text = render(a_status(fileset))
    assert text.splitlines()[-1].endswith("a plate; 3 of 5 bytes; tried again")


def test_names_are_no_markup_and_nothing_a_terminal_acts_on() -> None:
    text = render(a_status(a_fileset(files=["/OMERO/DropBox/amy/[red]\x1b[2J.tif"])))
    assert "[red]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("told", "known"),
    [("3 of 5 bytes", {"done": 3, "total": 5}), ("", None)],
    ids=["under way", "nothing told"],
)
def test_bytes_as_dropbox_tells_them(told: str, known: dict[str, int] | None) -> None:
    assert _bytes(told) == known


def test_a_disk_that_does_not_answer_is_told_to_those_whose_files_wait_for_it() -> None:
    why = "its disk does not answer, since 12 s ago"
    status = a_status(dropbox={"away./OMERO/DropBox/zak": why})
    line = f"waits: /OMERO/DropBox/zak: {why}"
    assert line in render(status).splitlines()
    assert line in render(status | {"user": "zak"}).splitlines()
    assert line not in render(status | {"user": "amy"}).splitlines()


def test_what_readers_are_kept_from_is_told_in_one_line() -> None:
    status = a_status()
    status["dropbox"]["reading"] = "users' files are read by processes that ...\x1b[2J"
    lines = render(status).splitlines()
    assert "users' files are read by processes that ...\\x1b[2J" in lines
