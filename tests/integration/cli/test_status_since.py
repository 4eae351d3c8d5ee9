"""`omero fs status --since`: what it shows, and that its numbers are those of the list."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from omero_fs_plugin.cli.moments import moment
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.sandbox.create import create
from tests.acceptance.warm import Warm

BERLIN = "Europe/Berlin"


def utc(*when: int) -> float:
    return datetime(*when, tzinfo=timezone.utc).timestamp()


class Told:
    """A journal with filesets that changed at known times, and what is told of it."""

    def __init__(self, omerodir: Path, warm: Warm) -> None:
        self.omerodir, self._warm = omerodir, warm
        self.file = omerodir / "data/omero-fs-journal.sqlite"
        for file in self.file.parent.glob(f"{self.file.name}*"):
            file.unlink()

    def changed_at(self, times: dict[str, float], *failed: str) -> None:
        root = f"{self.omerodir}/data/DropBox/amy"
        journal = Journal(f"sqlite:///{self.file}")
        for number, name in enumerate(times, 2):
            path = f"{root}/{name}"
            journal.wait("amy", root, [Found(path, FileStat(1, number, 3, 4))])
            if name in failed:
                fileset = journal.open_at([path])[path].id
                journal.move(fileset, State.WAITING, State.FAILED, "no image")
        journal.close()
        with closing(sqlite3.connect(self.file)) as opened, opened:
            for name, at in times.items():
                opened.execute(
                    "UPDATE fileset SET changed = ? WHERE path = ?", (at, f"{root}/{name}")
                )

    def run(self, *words: str, zone: str = "UTC") -> subprocess.CompletedProcess[str]:
        command = ["fs", "status", "--fail-on", "none", *words]
        return self._warm.run(command, limit=120, zone=zone)

    def names(self, *words: str, zone: str = "UTC") -> list[str]:
        """What is listed; the numbers must be those of the list."""
        done = self.run("--json", "--limit", "0", *words, zone=zone)
        assert done.returncode == 0, done
        told = json.loads(done.stdout)
        names = [Path(one["files"][0]).name for one in told["filesets"]]
        assert told["total"] == len(names)
        text = self.run("--limit", "1", *words, zone=zone).stdout
        assert f"Chosen: {len(names)}\n" in f"{text}\n"
        listed = [line for line in text.splitlines() if ".tif" in line]
        assert len(listed) == min(1, len(names)), text
        shown = re.search(r"1 of (\d+) shown", text)
        assert (shown is not None) == (len(names) > 1), text
        assert shown is None or int(shown[1]) == len(names), text
        return sorted(names)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Warm]]:
    omerodir = tmp_path_factory.mktemp("since") / "omero"
    create(omerodir)
    none = str(omerodir / "none")
    warm = Warm({**os.environ, "OMERODIR": str(omerodir), "OMERO_USERDIR": none})
    yield omerodir, warm
    warm.close()


@pytest.fixture
def told(warm: tuple[Path, Warm]) -> Told:
    return Told(*warm)


def test_some_time_ago(told: Told) -> None:
    now = time.time()
    times = {"new.tif": now - 60, "hours.tif": now - 7200, "old.tif": now - 9e5}
    told.changed_at(times, "hours.tif")
    assert told.names("--since", "30min") == ["new.tif"]
    assert told.names("--since", "3h") == ["hours.tif", "new.tif"]
    assert told.names("--since", "30d") == ["hours.tif", "new.tif", "old.tif"]
    assert told.names("--since", "3h", "--state", "failed") == ["hours.tif"]
    assert told.names("--since", "30min", "--state", "failed") == []


def test_a_day_and_a_time_in_the_zone_of_the_reader(told: Told) -> None:
    told.changed_at({"noon.tif": utc(2026, 6, 1, 12), "evening.tif": utc(2026, 6, 1, 22, 30)})
    assert told.names("--since", "2026-06-01") == ["evening.tif", "noon.tif"]
    assert told.names("--since", "2026-06-01T12:00") == ["evening.tif", "noon.tif"]
    assert told.names("--since", "2026-06-01T12:01") == ["evening.tif"]
    assert told.names("--since", "2026-06-02", zone="UTC") == []
    assert told.names("--since", "2026-06-02", zone=BERLIN) == ["evening.tif"]
    # With a zone of its own, whatever that of the reader is.
    assert told.names("--since", "2026-06-01T14:00+02:00", zone="Asia/Tokyo") == [
        "evening.tif",
        "noon.tif",
    ]
    assert told.names("--since", "2026-06-01T14:01+02:00") == ["evening.tif"]
    assert told.names("--since", "2026-06-01T12:01Z", zone=BERLIN) == ["evening.tif"]


def test_over_a_change_of_daylight_time(told: Told) -> None:
    """Berlin went from 3:00 back to 2:00 on 25 October 2026, and from 2:00 on to 3:00 in March."""
    told.changed_at(
        {
            "summer.tif": utc(2026, 10, 25, 0, 45),  # 2:45, for the first time
            "winter.tif": utc(2026, 10, 25, 1, 15),  # 2:15, for the second time
        }
    )
    both = ["summer.tif", "winter.tif"]
    # A time that came twice is the first one: nothing is left out.
    assert told.names("--since", "2026-10-25T02:30", zone=BERLIN) == both
    assert told.names("--since", "2026-10-25T02:30+01:00", zone=BERLIN) == []
    assert told.names("--since", "2026-10-25T02:15+01:00", zone=BERLIN) == ["winter.tif"]
    assert told.names("--since", "2026-10-25T03:00", zone=BERLIN) == []
    # One that never came is as long after the last one that did.
    assert told.names("--since", "2026-03-29T02:30", zone=BERLIN) == both


def test_a_time_to_come_is_refused(told: Told) -> None:
    told.changed_at({"new.tif": time.time()})
    for text in ("2999-01-01", "2999-01-01T00:00+14:00"):
        done = told.run("--since", text)
        assert done.returncode == 2, done
        assert f"--since {text}: lies in the future" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["soon", "", "-2h", "2 h", "1e3h", "2026-13-01", "2026-02-30", "24:00", "25h3", "nan", "٣h"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="must be like 30min"):
        moment(text, 1e9, "--since")
