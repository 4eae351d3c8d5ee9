"""`omero fs check` on real journals, jars and trees, without a grid."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omero.cli import NonZeroReturnCode
from omero.config import ConfigXml

from omero_fs_plugin.checks import Level, Line, Subject, inotify, java, journal, space
from omero_fs_plugin.cli import check
from omero_fs_plugin.deployment.sources import Sources
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.monitor.kernel.limits import watches
from tests import DATA
from tests.omerodirs import installed

OLD = DATA / "journal-version-1.sql"
OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR


@pytest.fixture
def omerodir(tmp_path: Path) -> Path:
    """Installed, configured, and never started; data/DropBox has amy."""
    installed(tmp_path)
    (tmp_path / "data/DropBox/amy").mkdir(parents=True)
    configure(tmp_path, {"omero.data.dir": f"{tmp_path}/data"})
    return tmp_path


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little of it there is here."""
    monkeypatch.setattr(space, "NONE", 0)


def configure(omerodir: Path, properties: Mapping[str, str]) -> None:
    written = ConfigXml(str(omerodir / "etc/grid/config.xml"))
    for key, value in properties.items():
        written[key] = value
    written.close()


def subject(omerodir: Path, **named: str) -> Subject:
    given = {"omero.data.dir": f"{omerodir}/data"}
    given |= {f"omero.fs.{name}": value for name, value in named.items()}
    return Subject(omerodir, Sources(given, {}))


# The journal


def opened(of: Subject) -> Line:
    (line,) = journal.opens(of)
    return line


def test_a_journal_that_is_not_there_yet(omerodir: Path) -> None:
    line = opened(subject(omerodir))
    assert (line.level, line.what.endswith("is made when DropBox starts")) == (OK, True)
    assert not (omerodir / "data/omero-fs-journal.sqlite").exists()


def test_a_journal_that_cannot_be_made(omerodir: Path) -> None:
    assert opened(subject(omerodir, journal="sqlite:////nowhere/at/all")).level is ERROR


def test_a_journal_that_opens(omerodir: Path) -> None:
    of = subject(omerodir)
    Journal(of.settings.journal_url, read_only=False, who="a test").close()
    line = opened(of)
    assert line.level is OK
    assert line.what.endswith(", 0 filesets")


def test_a_journal_that_opens_needs_no_sqlalchemy(omerodir: Path) -> None:
    """To load it took half of the time of `omero fs check`."""
    Journal(f"sqlite:///{omerodir}/data/omero-fs-journal.sqlite").close()
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from omero_fs_plugin.checks import Subject, journal\n"
        "from omero_fs_plugin.deployment.sources import Sources\n"
        "given = {'omero.data.dir': sys.argv[1] + '/data'}\n"
        "of = Subject(Path(sys.argv[1]), Sources(given, {}))\n"
        "print([line.what for line in journal.opens(of)])\n"
        "print('sqlalchemy' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(omerodir)], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith(", 0 filesets']\nFalse\n"), done.stdout


def test_a_journal_of_an_older_version(omerodir: Path) -> None:
    file = omerodir / "data/omero-fs-journal.sqlite"
    connection = sqlite3.connect(file)
    connection.executescript(OLD.read_text())
    connection.close()
    line = opened(subject(omerodir))
    assert line.level is WARNING
    assert "has version 1: DropBox brings it to version" in line.what


def test_a_journal_of_a_newer_version(omerodir: Path) -> None:
    of = subject(omerodir)
    Journal(of.settings.journal_url, read_only=False, who="a test").close()
    connection = sqlite3.connect(omerodir / "data/omero-fs-journal.sqlite")
    connection.execute("UPDATE meta SET value = '999' WHERE key = 'version'")
    connection.commit()
    connection.close()
    line = opened(of)
    assert line.level is ERROR
    assert "install the release that wrote it" in line.what


def test_a_file_that_is_no_journal(omerodir: Path) -> None:
    (omerodir / "data/omero-fs-journal.sqlite").write_bytes(b"no journal at all" * 100)
    assert opened(subject(omerodir)).level is ERROR


@pytest.mark.parametrize("url", ["mysql://me:secret@h/db", "postgresql://me:secret@127.0.0.1:1/db"])
def test_a_database_that_cannot_be_had(omerodir: Path, url: str) -> None:
    line = opened(subject(omerodir, journal=url))
    assert line.level is ERROR
    assert "secret" not in line.what + line.remedy


# Java


def test_bio_formats_of_the_server(omerodir: Path) -> None:
    client = omerodir / "lib/client"
    client.mkdir(parents=True)
    (client / "bioformats_package.jar").touch()
    (line,) = java.bioformats(subject(omerodir))
    assert line.level is OK
    assert str(client) in line.what


def test_bio_formats_that_is_not_there(omerodir: Path) -> None:
    (line,) = java.bioformats(subject(omerodir, bioformatsJars=str(omerodir / "none")))
    assert line.level is WARNING
    assert "omero.fs.bioformatsJars" in line.what
    assert line.remedy.startswith("set omero.fs.bioformatsJars")


def test_bio_formats_that_is_not_wanted(omerodir: Path) -> None:
    (line,) = java.bioformats(subject(omerodir, bioformatsJars="none"))
    assert line.level is OK


# inotify, on this machine


@pytest.mark.skipif(watches() is None, reason="no inotify here")
def test_the_limits_of_this_machine(omerodir: Path) -> None:
    lines = list(inotify.limits_of(subject(omerodir), inotify.Taken()))
    assert "directories to watch: 2 of" in lines[0].what
    assert "monitors to start: 1 of" in lines[1].what


# The command


class Context:
    def __init__(self, omerodir: Path) -> None:
        self.dir = str(omerodir)
        self.lines: list[str] = []
        self.rv = 0

    def out(self, text: str) -> None:
        self.lines += text.splitlines()

    def die(self, code: int, text: str) -> None:
        raise NonZeroReturnCode(code, text)


def run(omerodir: Path, *, timeout: float = 20.0, **options: Any) -> tuple[int, list[str]]:
    context = Context(omerodir)
    given = {
        "json": False,
        "former": None,
        "publish": False,
        "timeout": timeout,
        "fail_on": ",".join(check.KINDS),
    }
    given |= options
    try:
        check.run(context, SimpleNamespace(**given))
    except NonZeroReturnCode as ended:
        return ended.rv, context.lines
    return context.rv, context.lines


def levels(lines: list[str]) -> set[str]:
    return {line.split()[0] for line in lines}


def test_a_site_that_was_never_started(omerodir: Path) -> None:
    """Nothing is wrong with it; how much room there is here, and who listens, is not ours."""
    code, lines = run(omerodir)
    assert code == check.KINDS["down"], lines
    assert run(omerodir, fail_on="error")[0] == 0
    assert levels(lines) <= {"ok", "warning"}
    for about in ("grid", "properties", "directory of default", "journal", "mail"):
        assert any(line.startswith(f"ok      {about}: ") for line in lines), about
    (servers,) = [line for line in lines if line.startswith("warning servers: ")]
    assert servers.endswith("-> `omero admin start`")


@pytest.mark.parametrize(
    ("state", "reason", "kind"),
    [
        (State.FAILED, "no image", "failed"),
        (State.WAITING, "waits for b.tif", "stuck"),
        (State.WAITING, "", ""),
    ],
)
def test_filesets_that_need_somebody(omerodir: Path, state: State, reason: str, kind: str) -> None:
    made = Journal(f"sqlite:///{omerodir}/data/omero-fs-journal.sqlite")
    made.wait("amy", "/d/amy", [Found("/d/amy/a.tif", FileStat(1, 2, 3, 4))])
    (fileset,) = made.select()
    if state is State.FAILED:
        made.move(fileset.id, State.WAITING, state, reason)
    made.tell({fileset.id: reason})
    made.close()
    code, _ = run(omerodir, fail_on="failed,stuck")
    assert code == check.KINDS.get(kind, 0)


def test_errors_with_their_remedies(omerodir: Path) -> None:
    configure(omerodir, {"omero.fs.importUsers": "amy;zak", "omero.fs.dirImportWait": "1;soon"})
    configure(omerodir, {"omero.fs.watchDir": f"{omerodir}/none;"})
    code, lines = run(omerodir)
    assert code == 2
    errors = [line for line in lines if line.startswith("error")]
    assert len(errors) == 2
    assert "dirImportWait = 'soon' for zak" in errors[0]
    assert errors[1].startswith(f"error   directory of amy: {omerodir}/none is not there -> `mkdir")


def test_json(omerodir: Path) -> None:
    configure(omerodir, {"omero.fs.importers": "x"})
    code, lines = run(omerodir, json=True)
    told = json.loads("\n".join(lines))
    assert code == 2
    assert told["counts"]["error"] == 1
    wrong = [line for line in told["lines"] if line["level"] == "error"]
    assert wrong[0]["about"] == "properties"
    assert wrong[0]["remedy"].startswith("`omero config set -- omero.fs.importers ")


def test_a_file_that_never_answers(omerodir: Path) -> None:
    """As one on a share that is away: opening this one waits for a writer."""
    fifo = omerodir / "readers.txt"
    os.mkfifo(fifo)
    configure(omerodir, {"omero.fs.readers": str(fifo)})
    try:
        for timeout in (1.0, 4.0, 16.0, 64.0):  # a busy machine takes longer for all the others
            code, lines = run(omerodir, timeout=timeout)
            if any(line.startswith("ok      mail: ") for line in lines):
                break
        assert code == 2
        assert any(line.startswith("error   imports for default: no answer") for line in lines)
        assert any(line.startswith("ok      mail: ") for line in lines)
    finally:
        os.close(os.open(fifo, os.O_RDWR))  # lets the thread go


def test_a_configuration_that_cannot_be_read(omerodir: Path) -> None:
    (omerodir / "etc/grid/config.xml").write_text("<icegrid>")
    code, lines = run(omerodir)
    assert code == 2
    assert lines[0].startswith("ok      user: run as ")
    assert lines[1].startswith("error   configuration: ")
    assert "config.xml" in lines[1]
    assert lines[2].startswith("ok      grid: ")


def test_no_omero_server_at_all(tmp_path: Path) -> None:
    code, lines = run(tmp_path)
    assert code == 2
    assert any("OMERODIR" in line for line in lines if line.startswith("error"))


def test_who_asks_is_told_also_if_the_configuration_cannot_be_read(omerodir: Path) -> None:
    """Then it is most often the wrong account, and no other line says which is the right one."""
    config = omerodir / "etc/grid/config.xml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("<no XML")
    lines = check.collect(omerodir, 30)
    assert lines[0].about == "user"
    assert [line.level for line in lines if line.about == "configuration"] == [ERROR]
