"""What `omero fs status` prints for people: in a terminal of 80 columns, and in a pipe."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from omero_fs_plugin.cli.status_facts import _bytes
from omero_fs_plugin.cli.status_text import fitting, picture, render
from tests.statuses import EVERYONES, a_fileset, a_status, on_a_terminal

LONG = "/OMERO/DropBox/amy/2026-11-28 mice/a very long name of a file that no column can hold.tif"


SEVERAL = (
    a_fileset(id=1, stand="failed", files=[LONG], reason=f"{LONG}: no reader takes it",
              remedy="`omero fs import --retry 1`, or `omero fs forget 1`", age=7300.0),
    a_fileset(id=2, stand="held up", reason="waits for /OMERO/DropBox/amy/b.tif",
              deadline=86000.0, remedy="copy the missing files there"),
    a_fileset(id=3, progress={"done": 250_000, "total": 1_000_000, "rate": 20_833.0, "left": 36.0}),
    a_fileset(id=4, stand="settling", reason="until it has been quiet for 60 s"),
    a_fileset(id=5, stand="imported", images=[11, 12, 13, 14]),
)  # fmt: skip


def test_at_a_glance_on_a_terminal() -> None:
    assert on_a_terminal(a_status(*SEVERAL, dropbox={}, watched=[EVERYONES])) == [
        "2 need attention (1 failed, 1 held up), 2 on their way, 1 imported; last import",
        "12 s ago",
        "",
        "Need attention",
        "     1  a very long name of a ...that no column can hold.tif      failed 2 h ago",
        "        no reader takes it",
        "        -> `omero fs import --retry 1`, or `omero fs forget 1`",
        "     2  amy/a.tif                                               held up for 12 s",
        "        waits for b.tif",
        "        fails in 24 h if nothing comes: copy the missing files there",
        "",
        "On their way",
        "     3  amy/a.tif                  importing 25% of 1.0 MB, 20.8 kB/s, 36 s left",
        "     4  amy/a.tif           settling for 12 s (until it has been quiet for 60 s)",
        "",
        "Newest",
        "     5  amy/a.tif                                    Image:11,12,13,... 12 s ago",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_broken(width: int) -> None:
    text = "\n".join(on_a_terminal(a_status(*SEVERAL), width, details=True, bars=True))
    for word in ("attention", "importing", "settling", "copy", "missing"):
        assert word in text


def test_when_omero_has_all_of_it_nobody_knows_how_long_it_takes() -> None:
    far = {"done": 1_000_000, "total": 1_000_000, "rate": 250_000.0, "left": 0.0}
    text = "\n".join(on_a_terminal(a_status(a_fileset(id=3, progress=far))))
    assert "importing 100% of 1.0 MB, OMERO reads it" in text


def test_a_bar_in_a_terminal_that_is_watched() -> None:
    assert "━━━━━╌" in "\n".join(on_a_terminal(a_status(SEVERAL[2]), bars=True))


def test_in_a_pipe_each_fileset_is_one_line_with_whole_paths() -> None:
    lines = render(a_status(*SEVERAL)).splitlines()
    (failed,) = [line for line in lines if LONG in line]
    assert failed.count(LONG) == 1
    for part in ("amy", "failed 2 h ago", "no reader takes it", "-> `omero fs import --retry 1`"):
        assert part in failed
    assert "\x1b" not in "".join(lines)


def test_colours_on_a_terminal_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;31m" in render(a_status(*SEVERAL))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in render(a_status(*SEVERAL))


def test_there_is_no_identifier_and_no_path_of_the_server_at_the_head() -> None:
    lines = on_a_terminal(a_status(*SEVERAL, dropbox={}))
    assert not any("m1" in line or "native" in line for line in lines)


def test_what_is_shown_of_all_is_told() -> None:
    assert "1 of 3,016 shown; --limit 0 shows all" in on_a_terminal(
        a_status(SEVERAL[4], total=3016)
    )


def test_who_is_watched_for_and_what_imports_it() -> None:
    lines = render(a_status(), details=True).splitlines()
    assert "not watched: /home/amy: is not there" in lines
    at = lines.index("watched for amy: /home/amy (is not there)")
    assert lines[at + 1 : at + 4] == [
        "  importer java: omero.fs.importer says so",
        "  changes nothing: --report: omero fs status tells of failures",
        "watched for default: /OMERO/DropBox",
    ]
    assert "grouped by Bio-Formats: found in lib/client" in lines
    assert "monitor m1: started, /OMERO, 3 events told" in lines


def test_one_user_sees_what_concerns_that_user() -> None:
    text = render(a_status(user="zak", watched=[EVERYONES]), details=True)
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
    head = "\n".join(on_a_terminal(a_status(a_fileset(files=files))))
    assert (f"+{number - 1} file" in head) == (number > 1)


def test_names_are_no_markup_and_nothing_a_terminal_acts_on() -> None:
    status = a_status(a_fileset(files=["/OMERO/DropBox/amy/[red]\x1b[2J.tif"]))
    for text in (render(status), "\n".join(on_a_terminal(status))):
        assert "[red]" in text
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("3 of 5 bytes", {"done": 3, "total": 5, "rate": 1.5, "left": 1.3}),
        ("0 of 5 bytes", {"done": 0, "total": 5, "rate": 0.0, "left": None}),
        ("", None),
    ],
    ids=["under way", "just begun", "nothing told"],
)
def test_bytes_as_dropbox_tells_them(told: str, known: dict[str, Any] | None) -> None:
    assert _bytes(told, 2.0) == known


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
    lines = render(status, details=True).splitlines()
    assert "users' files are read by processes that ...\\x1b[2J" in lines


def test_importers_of_other_machines_are_named_with_what_they_do_not_see() -> None:
    node = {"host": "node2", "process": 12, "claims": 3, "state": "running", "reason": ""}
    node |= {"importers": 4, "left": {"/data/amy": "a.tif is not there on node2"}}
    shown = render(a_status(nodes=[node]), details=True)
    name = "DropBoxImporter on node2 (process 12)"
    assert f"{name}: running, at 3 filesets, 4 importers" in shown
    assert f"left to others by {name}: /data/amy: a.tif is not there on node2" in shown
    away = node | {"state": "waiting for OMERO", "reason": "no answer"}
    assert f"{name} is waiting for OMERO: no answer" in render(a_status(nodes=[away]))


def test_letters_that_wait_are_told_with_the_reason() -> None:
    letters = {"waiting": 2, "age": 300.0, "reason": "the mail server a:25: Connection refused"}
    told = "2 letters wait to be sent, for 5 min: the mail server a:25: Connection refused"
    assert told in render(a_status(letters=letters))
    assert "letter" not in render(a_status(letters=letters, user="amy"))


@pytest.mark.parametrize("height", [12, 20, 24, 40, 440])
@pytest.mark.parametrize("details", [False, True])
def test_as_many_filesets_as_the_terminal_has_lines_for(height: int, details: bool) -> None:
    """The head and the last line stay in sight, however many lines each fileset has."""
    from rich.console import Console

    reason = "the file ends in the middle of a strip, which its tags say is whole " * 2
    many = [
        a_fileset(id=number, stand=stand, state=stand, reason=reason, remedy="do this or that " * 9)
        for number, stand in enumerate(["failed", "held up", "importing", "imported"] * 20)
    ]
    status = a_status(*many, dropbox={}, watched=[], total=90)
    cut = fitting(status, width=80, height=height, details=details)
    console = Console(file=io.StringIO(), width=80, height=height)
    lines = console.render_lines(picture(cut, width=80, details=details, bars=True))
    least = 1 + 3 * 3 + 2 * 5 + 2 + 2 + details * 4  # one fileset of each part
    assert len(lines) <= max(height, least)
    assert len(cut["attention"]) >= 1
    text = "\n".join("".join(part.text for part in line).rstrip() for line in lines)
    assert text.startswith("40 need attention") and " of 90 shown" in text
    if height == 440:
        assert len(cut["attention"]) == 40


def test_the_newest_image_stays_in_sight_beside_what_has_failed_since() -> None:
    """It is what somebody looks for who asks where an image is."""
    reason = "the file ends in the middle of a strip, which its tags say is whole " * 2
    failed = [
        a_fileset(id=number, stand="failed", reason=reason, remedy="do this or that " * 9)
        for number in range(9, 3, -1)
    ]
    imported = a_fileset(id=2, stand="imported", state="imported", images=[11])
    status = a_status(*failed, imported, dropbox={}, watched=[])
    for height in (14, 22, 30, 40):
        lines = on_a_terminal(fitting(status, width=80, height=height))
        assert len(lines) <= height
        assert any("Image:11" in line for line in lines), lines
    # Where there is room for one more of one part alone, it is shown.
    assert sum("failed" in line for line in lines[1:]) == 5, lines


@pytest.mark.parametrize("number", [0, 3, 9, 300])
def test_what_is_left_alone_pushes_nothing_out_of_sight(number: int) -> None:
    """Anybody may drop any number of links, and make directories of no user."""
    left = {f"left./OMERO/DropBox/amy/{at:03}.tif": "a symbolic link" for at in range(number)}
    status = a_status(*SEVERAL, dropbox=left, watched=[EVERYONES])
    cut = fitting(status, width=80, height=22)
    lines = on_a_terminal(cut)
    assert len(lines) <= 22
    shown = [line for line in lines if line.startswith("left alone: ")]
    assert len(shown) == min(number, 3)
    if number > 3:
        assert f"and {number - 3} more are left alone; --limit 0 shows all" in lines
    assert lines[0].startswith("2 need attention")
    for word in ("Need attention", "On their way", "Newest"):
        assert word in lines
    assert len(cut["attention"]) == 2
