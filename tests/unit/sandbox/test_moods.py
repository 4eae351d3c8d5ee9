"""Moods: what the file may say, which calls need the database, and what they meet then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import Ice
import pytest

import omero
from omero_fs_plugin.sandbox import moods
from omero_fs_plugin.sandbox.moods import Fault, Mood, Moods, needs_database, parse, write


@pytest.mark.parametrize(
    "call",
    [
        "ServiceFactory.keepAlive",
        "ServiceFactory.getQueryService",
        "ServiceFactory.submit",
        "RawFileStore.write",
        "ImportProcess.getUploader",
        "Handle.getResponse",
        "IConfig.getConfigValue",
    ],
)
def test_what_blitz_answers_from_memory_needs_no_database(call: str) -> None:
    assert not needs_database(call)


@pytest.mark.parametrize(
    "call",
    [
        "IQuery.projection",
        "IAdmin.lookupExperimenter",
        "ISession.createSessionWithTimeouts",
        "ManagedRepository.importFileset",
        "RawFileStore.setFileId",
        "RawFileStore.save",
        "RawFileStore.close",
        "ImportProcess.verifyUpload",
        "ImportRequest.begin",
        "Delete2.begin",
    ],
)
def test_what_reads_or_writes_rows_needs_it(call: str) -> None:
    assert needs_database(call)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "an object is wanted"),
        ("{", "Expecting"),
        ('{"databse": "away"}', "no such mood: databse"),
        ('{"database": "gone"}', "database: gone: one of away, busy, hung is wanted"),
        ('{"logins": "late"}', "logins: late: one of refused, null, denied is wanted"),
        ('{"faults": [{"call": "x"}]}', "call"),
        ('{"faults": [{"calls": "x", "raises": "Nonsense"}]}', "Nonsense: not an exception"),
    ],
)
def test_what_is_no_mood_is_told(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_a_file_that_means_nothing_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, Moods(database="busy"))
    mood = Mood(tmp_path)
    (tmp_path / moods.FILE).write_text("{")
    assert mood.current() == Moods()
    write(tmp_path, Moods(database="busy"))
    assert mood.current() == Moods(database="busy")
    (tmp_path / moods.FILE).write_text('{"database": "bu')
    assert mood.current() == Moods(database="busy")
    (tmp_path / moods.FILE).unlink()
    assert mood.current() == Moods()


@pytest.mark.parametrize(
    ("database", "raised"),
    [("away", omero.InternalException), ("busy", omero.DatabaseBusyException)],
)
def test_the_database_is_away_or_busy_behind_a_living_blitz(
    tmp_path: Path, database: str, raised: type[Exception]
) -> None:
    mood = Mood(tmp_path)
    write(tmp_path, Moods(database=database))
    mood.meet("ServiceFactory.keepAlive")
    with pytest.raises(raised):
        mood.meet("IQuery.projection")
    assert mood.login() == moods.REFUSED and not mood.knows_passwords()
    write(tmp_path)
    mood.meet("IQuery.projection")
    assert mood.login() == moods.WELL and mood.knows_passwords()


def test_a_slow_disk_is_met_by_what_is_written_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(moods.time, "sleep", slept.append)
    mood = Mood(tmp_path)
    write(tmp_path, Moods(disk=3.0, slow=1.0))
    for call, takes in (
        ("RawFileStore.write", [3.0]),
        ("RawFileStore.size", []),
        ("IUpdate.x", [1.0]),
    ):
        slept.clear()
        mood.meet(call)
        assert slept == takes, call


def test_a_fault_is_met_so_often(tmp_path: Path) -> None:
    mood = Mood(tmp_path)
    write(tmp_path, Moods(faults=(Fault(r"IQuery\..*", "ResourceError", "No room", times=2),)))
    for _ in range(2):
        with pytest.raises(omero.ResourceError) as met:
            mood.meet("IQuery.projection")
        assert met.value.message == "No room"
    mood.meet("IQuery.projection")
    mood.meet("IUpdate.saveObject")


@pytest.mark.parametrize("name", ["UnknownException", "TimeoutException"])
def test_a_fault_may_be_of_ice(tmp_path: Path, name: str) -> None:
    assert type(moods.exception(name, "why")) is getattr(Ice, name)


def test_logins_are_refused_for_a_while_after_the_start(tmp_path: Path) -> None:
    time = [100.0]
    now: Callable[[], float] = lambda: time[0]  # noqa: E731
    write(tmp_path, Moods(late=5.0))
    mood = Mood(tmp_path, now)
    assert mood.login() == moods.REFUSED
    time[0] += 5
    assert mood.login() == moods.WELL


def test_a_fault_may_come_before_a_call_or_after_it(tmp_path: Path) -> None:
    before, after = (Fault("IUpdate.saveArray", times=1, after=late) for late in (False, True))
    mood = Mood(tmp_path)
    write(tmp_path, Moods(faults=(before, after)))
    for meets in (mood.meet, mood.answer):
        meets("IUpdate.saveObject")
        with pytest.raises(omero.InternalException):
            meets("IUpdate.saveArray")
        meets("IUpdate.saveArray")
