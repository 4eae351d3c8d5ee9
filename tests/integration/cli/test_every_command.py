"""Every command in every place: one clear line, the documented code, and never a traceback.

The commands are the real `omero`, on a sandbox that was never started: warm in the table, where
there are some fifty, and in processes of their own on a terminal.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from omero_fs_plugin.cli import SUBCOMMANDS
from omero_fs_plugin.sandbox.create import create
from tests.acceptance.warm import Warm
from tests.terminals import Terminal

PATIENCE_S = 60.0
OMERO = str(Path(sys.executable).with_name("omero"))
FILE = "{data}/DropBox/amy/a.tif"


@dataclass(frozen=True)
class Case:
    """One call of a command, and how it ends."""

    command: str  # after `omero fs`; {data} is omero.data.dir
    code: int
    words: str  # in the one line that says why; empty: it works
    place: str = "stopped"

    def __str__(self) -> str:
        return f"{self.place}: {self.command}"


# Where no server runs and nobody is logged in.
STOPPED = [
    Case("install", 0, ""),
    Case("install --check", 0, ""),
    Case("config", 0, ""),
    Case("status", 3, "not healthy: the OMERO server was never started here"),
    Case("status --json", 3, "not healthy: the OMERO server was never started here"),
    Case("status --fail-on none", 0, ""),
    Case("status --user amy", 7, "the journal has no file of such a user"),
    Case("check", 3, "0 errors, "),
    Case(
        "check --publish", 3, "what was found is not in OMERO: the OMERO server was never started"
    ),
    Case("uninstall --data", 3, "the OMERO server was never started here"),
    Case(f"import {FILE}", 3, "the OMERO server was never started here"),
    Case(f"import --dry-run {FILE}", 3, "the OMERO server was never started here"),
    Case("import --retry 5", 3, "the OMERO server was never started here"),
    Case("forget 5", 4, "there is no journal at"),
    # Without a journal nothing is known yet; no command leaves an empty one.
    Case("explain 5", 2, "no fileset has the id 5"),
    Case(f"explain {FILE}", 0, ""),
    Case(f"receipt {FILE}", 3, "the OMERO server was never started here"),
    Case("report", 4, "there is no journal"),
    Case("audit", 4, "there is no journal"),
    Case("journal copy sqlite:////tmp/no/where.sqlite", 4, "there is no journal at"),
    Case("report --verify --html", 4, "there is no journal"),
    Case("reload", 3, "the OMERO server was never started here"),
    Case("users", 3, "the OMERO server was never started here"),
    Case("watch {data} --timeout 1", 3, "the OMERO server was never started here"),
    Case("sandbox create {data}", 2, "is there and not empty"),
]
# A user who may not read OMERO.server's files is told whom to be.
OTHERS = [
    Case(command, 2, "run this as ", "another user")
    for command in (
        *("status", "config", "check", f"import {FILE}", "forget 5", "reload", "users"),
        *("explain 5", f"receipt {FILE}", "report", "audit"),
    )
]
WRONG = [
    Case(command, 2, words, "a bad argument")
    for command, words in (
        ("statsu", "there is no subcommand statsu: did you mean status?"),
        ("sttus --limit 3", "did you mean status?"),
        ("nonsense", "there is no subcommand nonsense: `omero fs -h` lists all"),
        ("--nonsense status", "--nonsense"),
        ("status --limit x", "--limit: must be a whole number"),
        ("status --state gone", "invalid choice"),
        ("status --since soon", "must be like 30min"),
        ("status --fail-on dwon", "some of config, down, journal"),
        ("status --watch", "--watch needs a terminal"),
        ("check --timeout 0", "--timeout: must be a number of seconds"),
        ("check --fail-on x", "some of error, down"),
        ("check --from /none.xml", "/none.xml"),
        ("check --publish --from /none.xml", "--publish and --from do not go together"),
        ("import", "give either PATHs"),
        ("import /none", "there is no such file or directory"),
        ("import --retry x", "--retry: must be a whole number"),
        ("import --dry-run --all-failed", "--dry-run goes with PATHs"),
        ("forget", "too few arguments"),
        ("explain --user", "expected one argument"),
        ("explain", "give either a path or an id"),
        ("receipt", "too few arguments"),
        ("report --since soon", "--since soon: must be like"),
        ("report --until x", "--until x: must be like"),
        ("report --since 1h --until 2h", "--until must be later than --since"),
        ("report --json --html", "not allowed with argument"),
        ("audit --pace 0", "--pace: must be a number of seconds above 0"),
        ("audit --yes", "--yes goes with --repair"),
        ("receipt /none", "there is no such file or directory"),
        ("receipt / --csv --json", "not allowed with argument"),
        ("reload --no", "unrecognized arguments"),
        ("users --no", "unrecognized arguments"),
        ("watch", "too few arguments"),
        ("watch /none --count 0", "--count: must be a whole number"),
        ("install --no", "unrecognized arguments"),
        ("uninstall --no", "unrecognized arguments"),
        ("config --no", "unrecognized arguments"),
        ("sandbox make {data}", "invalid choice"),
        ("journal", "too few arguments"),
        ("journal move x", "invalid choice"),
        ("journal copy", "too few arguments"),
        ("journal copy nonsense", "TO is not a database URL: postgresql://"),
    )
]
CASES = [*STOPPED, *OTHERS, *WRONG]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def omerodir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sandbox") / "omero"
    create(directory)
    (directory / "data/DropBox/amy/a.tif").write_bytes(b"II*\0\0\0\0\0")
    done = run(directory, "config")
    assert done.code == 0, done
    subprocess.run(
        [OMERO, "config", "set", "omero.fs.dirImportWait", "5"],
        env=environment(directory),
        check=True,
        timeout=PATIENCE_S,
    )
    return directory


def environment(directory: Path) -> dict[str, str]:
    return {**os.environ, "OMERODIR": str(directory), "OMERO_USERDIR": str(directory / "none")}


@pytest.fixture(scope="module")
def warm(omerodir: Path) -> Iterator[Warm]:
    warm = Warm(environment(omerodir))
    yield warm
    warm.close()


def run_warm(warm: Warm, directory: Path, command: str) -> Ended:
    words = command.format(data=directory / "data").split()
    done = warm.run(["fs", *words], limit=PATIENCE_S)
    return Ended(done.returncode, done.stdout, done.stderr)


def run(directory: Path, command: str) -> Ended:
    words = command.format(data=directory / "data").split()
    done = subprocess.run(
        [OMERO, "fs", *words],
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def ended(omerodir: Path, warm: Warm) -> dict[Case, Ended]:
    """How each case ended."""
    return {
        case: run_shut(warm, omerodir, case)
        if case in OTHERS
        else run_warm(warm, omerodir, case.command)
        for case in CASES
    }


def run_shut(warm: Warm, omerodir: Path, case: Case) -> Ended:
    """As a user who may not read the configuration."""
    config = omerodir / "etc/grid/config.xml"
    mode = config.stat().st_mode
    config.chmod(0)
    try:
        return run_warm(warm, omerodir, case.command)
    finally:
        config.chmod(mode)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_ends_with_its_code_and_one_line(ended: dict[Case, Ended], case: Case) -> None:
    if case in OTHERS and os.geteuid() == 0:
        pytest.skip("root may read everything")
    done = ended[case]
    assert "Traceback" not in done.out + done.err, done
    assert done.code == case.code, done
    if not case.words:
        assert done.err == "", done
        return
    told = done.err if case.words in done.err else done.out
    assert len([one for one in told.splitlines() if case.words in one]) == 1, done
    if told == done.err:
        assert len(done.err.splitlines()) == 1, done


def test_every_command_is_in_the_table() -> None:
    for name, _, _ in SUBCOMMANDS:
        if name != "uninstall":
            assert any(case.command.split()[0] == name for case in STOPPED), name
        assert any(case.command.split()[0] == name for case in WRONG), name


def on_a_terminal(directory: Path, command: str, **more: str) -> tuple[int, str]:
    """The command on a terminal of 80 columns and 24 lines: its code, and what it writes."""
    words = [OMERO, "fs", *command.format(data=directory / "data").split()]
    with Terminal(words, {**environment(directory), **more}) as terminal:
        return terminal.wait(), terminal.bytes.decode()


@pytest.mark.parametrize(
    ("command", "code"), [("status", 3), ("check", 3), ("config", 0), ("status --limit x", 2)]
)
def test_on_a_terminal(omerodir: Path, command: str, code: int) -> None:
    ended, shown = on_a_terminal(omerodir, command)
    assert ended == code, shown
    assert "Traceback" not in shown


def test_status_without_the_grid_shows_the_journal(omerodir: Path) -> None:
    from omero_fs_plugin.dropbox.journal.journal import Journal
    from omero_fs_plugin.dropbox.journal.records import Found
    from omero_fs_plugin.dropbox.journal.states import State
    from omero_fs_plugin.events import FileStat

    file = omerodir / "data/omero-fs-journal.sqlite"
    root = f"{omerodir}/data/DropBox/amy"
    journal = Journal(f"sqlite:///{file}")
    try:
        journal.wait("amy", root, [Found(f"{root}/a.tif", FileStat(1, 2, 3, 4))])
        (one,) = journal.select()
        journal.move(one.id, State.WAITING, State.FAILED, f"{root}/a.tif: no image")
        done = run(omerodir, "status")
        assert done.code == 3
        assert done.out.splitlines()[0].startswith("1 needs attention (1 failed)")
        assert "a.tif  no image  -> `omero fs import --retry" in done.out
        assert run(omerodir, "status --user amy --fail-on failed").code == 8
        code, shown = on_a_terminal(omerodir, "status --fail-on failed")
        assert code == 8
        lines = shown.replace("\r", "").splitlines()
        assert "\x1b[" in shown and "amy/a.tif" in shown and root not in shown
        _, plain = on_a_terminal(omerodir, "status", NO_COLOR="1")
        assert "31m" not in plain
        assert len(lines) <= 24
    finally:
        journal.close()
        for path in file.parent.glob(f"{file.name}*"):
            path.unlink()
