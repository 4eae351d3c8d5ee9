"""The record: a file that is broken, newer, not there, or of another FSServer."""

from __future__ import annotations

import logging
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.record import file as record_file
from omero_fs_plugin.monitor.record.file import RecordError
from omero_fs_plugin.monitor.record.record import Record, open_record

from .records import CLIENT, _execute, begun, request


def corrupt(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * 4096)


def truncated(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def not_a_database(file: Path) -> None:
    file.write_bytes(b"something else" * 1000)


def newer(file: Path) -> None:
    _execute(file, f"PRAGMA user_version = {record_file.VERSION + 1}")


def foreign(file: Path) -> None:
    file.unlink()
    _execute(file, "CREATE TABLE something_else (x)")


def without_sense(file: Path) -> None:
    _execute(file, 'UPDATE monitor SET request = \'{"type": "Eternal"}\'')


def a_directory(file: Path) -> None:
    file.unlink()
    (file / "sub").mkdir(parents=True)


@pytest.mark.parametrize(
    "damage", [corrupt, truncated, not_a_database, newer, foreign, without_sense, a_directory]
)
def test_a_file_that_cannot_be_used_is_set_aside(
    file: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    first = Record(file)
    begun(first, "one", {b"/data/%05d" % number: (1, 1, 1) for number in range(2000)})
    first.close()
    damage(file)
    caplog.set_level(logging.ERROR)
    record = open_record(file)
    assert record is not None
    assert record.saved() == []
    record.create("two", request(), CLIENT)
    record.close()
    (line,) = [one.getMessage() for one in caplog.records]
    (aside,) = [one for one in file.parent.iterdir() if ".bad-" in one.name]
    assert str(file) in line and aside.name in line and "make them again" in line
    assert "\n" not in line
    again = open_record(file)
    assert again is not None
    assert [saved.identifier for saved in again.saved()] == ["two"]
    again.close()


def test_a_newer_version_is_kept_as_it_is(file: Path) -> None:
    Record(file).close()
    newer(file)
    before = file.read_bytes()
    record = open_record(file)
    assert record is not None
    record.close()
    (aside,) = file.parent.glob("*.bad-*")
    assert aside.read_bytes() == before


def test_two_set_aside_in_one_second(file: Path) -> None:
    for text in ("one", "two", "three"):
        file.write_text(text)
        record_file.set_aside(file)
    assert sorted(one.read_text() for one in file.parent.iterdir()) == ["one", "three", "two"]


def test_there_is_no_place_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    assert open_record(tmp_path / "none" / "record.sqlite") is None
    (line,) = [one.getMessage() for one in caplog.records]
    assert "monitors end with this FSServer" in line and str(tmp_path / "none") in line


def test_another_fsserver_has_it(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_file, "_BUSY", 0.1)
    caplog.set_level(logging.ERROR)
    code = (
        "import sys, pathlib; from omero_fs_plugin.monitor.record.record import Record;"
        "r = Record(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read();"
        "r.close()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        assert open_record(file) is None
        (line,) = [one.getMessage() for one in caplog.records]
        assert "another FSServer uses it" in line
        assert [one for one in file.parent.iterdir() if ".bad-" in one.name] == []
        assert other.stdin is not None
        other.stdin.close()
        other.wait(20)
    record = open_record(file)
    assert record is not None
    record.close()


def failing(record: Record) -> None:
    """As a disk that is full, from the next transaction on."""

    def full(db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    done = threading.Event()
    record.writer.post(full, done.set)
    assert done.wait(10)


def test_it_fails_on_the_way(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = Record(file)
    picture = begun(record, "one", {b"/data/a": (1, 1, 1)})
    failing(record)
    failing(record)
    (line,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert "disk is full" in line and "monitors go on" in line
    picture.write({b"/data/b": (1, 1, 1)})
    record.create("two", request(), CLIENT)  # returns
    record.forget("two")
    with pytest.raises(RecordError, match="was set aside"):
        record.saved()
    with pytest.raises(RecordError, match="was set aside"):
        dict(picture.load())
    record.close()
    assert not file.exists()  # nothing that is not true any more is believed later


def test_a_transaction_is_whole_or_not_at_all(file: Path) -> None:
    record = Record(file)
    picture = begun(record, "one", {b"/data/a": (1, 1, 1)})
    picture.write({b"/data/a": None, b"/data/b": (1, 1, 1)})
    failing(record)
    record.close()
    (aside,) = file.parent.glob("*.bad-*")
    if (wal := Path(f"{aside}-wal")).exists():
        assert stat.S_IMODE(wal.stat().st_mode) == 0o600
    db = sqlite3.connect(aside)
    paged, known = (db.execute(f"SELECT * FROM {table}").fetchall() for table in ("page", "known"))
    assert (len(paged), len(known)) in ((1, 0), (0, 1))
    db.close()
