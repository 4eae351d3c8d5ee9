"""Each command on files with names that hurt: a clear end, and nothing a terminal acts on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole

from .test_commands_on_sets import Run, run

__all__ = ["run"]  # a fixture

ALONE = {  # below the watch directory -> what `explain` says of it
    b"amy/\xff.tif": "passed over: the name is not valid UTF-8: rename the file",
    b"amy/\xff/in.tif": r"the name of its directory \xff is not valid UTF-8",
    b"\xff/in.tif": r"the name of its directory \xff is not valid UTF-8",
}
IMPORTED = (
    b"amy/new\nline.tif",
    b"amy/\x1b[2J\x1b]0;x\x07.tif",
    "amy/\u202egpj.exe.tif".encode(),
    b"amy/" + b"n" * 251 + b".tif",
    b"amy/-dash.tif",
)


@pytest.fixture
def files(whole: Whole) -> dict[bytes, Path]:
    """A file of each of these names; those that can be are imported."""
    whole.until_known(content := whole.drop("one.tif"))
    made = {}
    for number, name in enumerate((*ALONE, *IMPORTED)):
        made[name] = path = whole.watch_dir / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.read_bytes() + b"\0" * (number + 1))
    whole.until_known(*(made[name] for name in IMPORTED))
    return made


def test_every_command_on_every_name(whole: Whole, run: Run, files: dict[bytes, Path]) -> None:
    for name, path in files.items():
        good = name in IMPORTED
        codes = {
            ("explain", path): 0,
            ("receipt", path): 0 if good else 1,
            ("report", path): 2,
            ("report", path.parent): 0,
            ("forget", path): 2,
            ("import", path, "--dry-run", "--user", "amy"): 0 if good else 2,
        }
        for command, code in codes.items():
            ended, lines = run(*map(str, command))
            told = "\n".join(lines)
            assert ended == code, (command, told)
            told.encode()
            assert all(line.isprintable() for line in lines), (command, told)
        if not good:
            _, lines = run("explain", path)
            assert ALONE[name] in "\n".join(lines)
    _, lines = run("explain", whole.watch_dir)
    assert any(r"not imported: \xff.tif: the name is not valid UTF-8" in one for one in lines)
    ended, lines = run("receipt", whole.watch_dir)
    assert ended == 1 and lines[-1] == "3 of 9 files are not safe to delete"
    ended, lines = run("audit", "--pace", "0.01")
    assert ended in (0, 1) and "\n".join(lines).encode()
    assert len(whole.journal.select(State.IMPORTED)) == 1 + len(IMPORTED)
    assert r"\xff" in "\n".join(whole.dropbox.figures())
