"""The record of an audit: nothing is lost, nothing is told twice, and no other file is touched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.audit.findings import WORDS, Finding, Kind
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.errors import ConfigurationError

SITE = "/opt/omero"


def finding(number: int, kind: Kind = Kind.GHOST) -> Finding:
    return Finding(kind, f"/in/\udcff{number}\n.tif", "why", "amy", number, None)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to("/etc/passwd"), "Too many levels of symbolic links"),
        (lambda path: os.mkfifo(path), "must be a file of your own"),
        (lambda path: path.write_text("my thesis\n"), "is not the state of an audit"),
        (lambda path: path.write_bytes(b"\xff\x00"), "is not the state of an audit"),
        (lambda path: path.write_text('["audit"]\n'), "is not the state of an audit"),
        (
            lambda path: path.write_text('{"audit": 1, "of": "/other", "began": 1.0}\n'),
            "is the state of an audit of /other",
        ),
    ],
    ids=["directory", "link", "fifo", "text", "bytes", "JSON", "another site"],
)
def test_a_file_that_is_no_state_stays_as_it_is(
    tmp_path: Path, make: Callable[[Path], Any], words: str
) -> None:
    state = tmp_path / "state"
    make(state)
    before = state.read_bytes() if state.is_file() else b""
    with pytest.raises(ConfigurationError, match=words):
        Record.at(str(state), SITE, 1.0)
    if before:
        assert state.read_bytes() == before


def test_it_goes_on_after_its_last_position(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    record = Record.at(state, SITE, 1.0)
    record.add(finding(1))
    record.not_seen("/mnt/\udcfe", "no answer")
    record.looked["filesets"] += 7
    record.mark("filesets", 12)
    record.add(finding(2))  # its page was not done
    record.not_seen("/mnt/b", "no answer")
    record.close()
    whole = Path(state).read_bytes()
    for cut in range(len(whole) - 1, len(whole) - 60, -1):  # killed while it wrote
        Path(state).write_bytes(whole[:cut])
        again = Record.at(state, SITE, 2.0)
        assert again.resumed and again.began == 1.0
        assert (again.positions, again.looked["filesets"]) == ({"filesets": 12}, 7)
        assert (dict(again.counts), again.unseen) == ({Kind.GHOST: 1}, 1)
        again.add(finding(3, Kind.NO_ROW))
        assert list(again.findings()) == [finding(1), finding(3, Kind.NO_ROW)]
        assert list(again.findings(Kind.NO_ROW)) == [finding(3, Kind.NO_ROW)]
        assert [one.path for one in again.all_unseen()] == ["/mnt/\udcfe"]
        again.close()


def test_after_its_end_it_begins_anew(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    record = Record.at(state, SITE, 1.0)
    record.add(finding(1))
    record.mark("filesets", None)
    assert record.done("filesets") and not record.done("ghosts")
    record.end()
    assert list(record.findings()) == [finding(1)], "it can be read after its end"
    record.close()
    again = Record.at(state, SITE, 2.0)
    assert (again.began, again.resumed, list(again.findings())) == (2.0, False, [])
    assert not again.done("filesets")
    again.close()


def test_two_audits_do_not_share_a_file(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    first = Record.at(state, SITE, 1.0)
    with pytest.raises(ConfigurationError, match="another audit is working with it"):
        Record.at(state, SITE, 1.0)
    assert Path(state).stat().st_mode & 0o777 == 0o600
    first.close()
    Record.at(state, SITE, 1.0).close()


def test_without_a_file_nothing_is_left() -> None:
    record = Record.fresh(SITE, 1.0)
    record.add(finding(1))
    assert list(record.findings()) == [finding(1)]
    record.close()


def test_every_kind_has_its_words() -> None:
    assert set(WORDS) == set(Kind)
