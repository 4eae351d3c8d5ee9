"""The record of an audit: nothing is lost, nothing is told twice, and no other file is touched."""

from __future__ import annotations

import os
import random
import subprocess
import sys
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


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_state_is_used_as_far_as_it_is_whole(tmp_path: Path, seed: int) -> None:
    """A disk lost a part of it, or somebody edited it.  Nothing is found that nobody wrote."""
    state, chance = tmp_path / "state", random.Random(seed)
    record = Record.at(str(state), SITE, 1.0)
    for number in range(20):
        record.add(finding(number))
        record.not_seen(f"/mnt/{number}", "no answer")
        record.looked["filesets"] += 1
        record.mark("filesets", number + 1)
    record.close()
    whole = state.read_bytes()
    lines = whole.splitlines(keepends=True)
    for _ in range(100):
        damaged = list(lines)
        at = chance.randrange(len(damaged))
        damaged[at] = chance.choice(
            (
                lambda line: line[: chance.randrange(1, len(line))],  # runs into the next one
                lambda line: bytes(len(line)),
                lambda line: line.replace(b'"', b"", 1),
                lambda line: b"[]\n",
                lambda line: b'{"finding": {"kind": "ghost"}}\n',
                lambda line: b'{"finding": 1}\n',
                lambda line: b'{"finding": {"kind": "of no kind", "path": "", "why": ""}}\n',
                lambda line: b'{"position": 3}\n',
                lambda line: b'{"position": ["filesets", {}], "looked": {}}\n',
                lambda line: b'{"position": ["filesets", 3], "looked": ["x"]}\n',
                lambda line: b'{"position": [["filesets"], 3], "looked": {}}\n',
                lambda line: b'{"unseen": "x"}\n',
                lambda line: b'{"unseen": {"path": 1, "why": 2}}\n',
                lambda line: b'{"audit": 1, "of": "/opt/omero", "began": "x"}\n',
            )
        )(damaged[at])
        state.write_bytes(b"".join(damaged))
        try:
            again = Record.at(str(state), SITE, 2.0)
        except ConfigurationError:
            assert at == 0, "only the head says whether it is one"
            continue
        marks = int(again.positions.get("filesets") or 0)
        assert [one.fileset for one in again.findings()] == list(range(marks))
        assert len(list(again.all_unseen())) == again.unseen == again.looked["filesets"] == marks
        assert again.counts[Kind.GHOST] == marks >= (at - 1) // 3
        again.close()


@pytest.mark.parametrize("kept", [True, False], ids=["--state", "temporary"])
def test_no_room_for_it_is_one_line_and_it_goes_on_later(tmp_path: Path, kept: bool) -> None:
    """No file may grow over a limit, which to a process is much as a full disk."""
    state = tmp_path / "state"
    script = (
        "import resource, sys\n"
        "from omero_fs_plugin.dropbox.audit.findings import Finding, Kind\n"
        "from omero_fs_plugin.dropbox.audit.record import Record\n"
        "from omero_fs_plugin.errors import ConfigurationError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "at = sys.argv[1]\n"
        "record = Record.at(at, '/opt/omero', 1.0) if at else Record.fresh('/opt/omero', 1.0)\n"
        "try:\n"
        "    for number in range(10_000):\n"
        "        record.add(Finding(Kind.GHOST, 'x' * 100, 'why'))\n"
        "        record.mark('ghosts', number + 1)\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
        "record.close()\n"
    )
    command = [sys.executable, "-c", script, str(state) if kept else ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    where = f"--state {state}" if kept else "the audit's temporary file"
    then = "; later the same command goes on" if kept else ""
    assert (done.stdout, done.stderr) == (f"{where}: File too large{then}\n", "")
    if kept:
        again = Record.at(str(state), SITE, 2.0)
        assert again.counts[Kind.GHOST] == again.positions["ghosts"] > 10
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
