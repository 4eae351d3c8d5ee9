"""Whether there is room, and why a directory for what is temporary cannot be used."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from omero_fs_plugin import room


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_it_says_why_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    """Some file systems tell when a file is made, others when it is written, or only later."""

    class Refusing:
        def __init__(self, **_: object) -> None:
            self.reach("open")

        def reach(self, name: str) -> None:
            if name == call:
                raise OSError(code, os.strerror(code))

        def __enter__(self) -> Refusing:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def write(self, data: bytes) -> None:
            self.reach("write")

        def fileno(self) -> int:
            self.reach("fsync")
            return 2

    assert room.no_room(tmp_path) == ""
    monkeypatch.setattr(tempfile, "TemporaryFile", Refusing)
    told = room.no_room(tmp_path)
    assert told == os.strerror(code) and room.FULL.search(told)


def test_another_error_is_not_a_lack_of_room(tmp_path: Path) -> None:
    assert room.no_room(tmp_path / "nothing") == ""


def test_where_no_directory_can_be_used_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python says "no usable temporary directory", which nobody can do anything about."""
    assert room.temporary() == Path(tempfile.gettempdir())
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(file)])
    monkeypatch.setenv("TMPDIR", str(file))
    with pytest.raises(OSError, match="Not a directory"):
        room.temporary()
