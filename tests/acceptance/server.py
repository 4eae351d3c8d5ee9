"""The OMERO.server under test, through its command, its directory and its processes.

Nothing here knows whether it is a sandbox.  Only the conftest knows this.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .waiting import until
from .warm import Warm, as_in

COMMAND_LIMIT = 180.0  # s for any one command; `omero admin start` of a real server is slow
LOG_LINES = 20
COMMAND = "OMERO_FS_ACCEPTANCE_OMERO"  # the environment variable
OPEN_STATES = ("waiting", "queued", "importing")
# Variables of another OMERO in the environment of the tests do not reach it.
_FOREIGN = ("OMERO_HOME", "OMERO_SESSIONDIR", "OMERO_MASTER", "OMERO_CONFIG", "ICE_CONFIG")


class Server:
    """One OMERODIR and what runs in it."""

    def __init__(
        self,
        omerodir: Path,
        *,
        omero: str,
        path: str,
        userdir: Path,
        root_password: str,
        sandbox: bool = False,
    ) -> None:
        """`omero` is the command, and `path` the PATH that the servers run with.

        A `sandbox` has the `omero` of the tests, which `ask` runs warm.
        """
        self.omerodir = omerodir
        self.root_password = root_password
        self.omero = omero
        self.seconds_per_import = 0.0  # as measured at the start of the run; for limits
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in _FOREIGN},
            "PATH": path,
            "OMERODIR": str(omerodir),
            "OMERO_USERDIR": str(userdir),  # logins of the tests are nobody else's
        }
        self._warm = Warm(as_in(omerodir, self.environment)) if sandbox else None

    # -- the command --------------------------------------------------------

    def run(
        self, *arguments: str | Path, check: bool = True, limit: float = COMMAND_LIMIT, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs `omero ARGUMENTS`; with `check` the test fails unless it ends with 0.

        `more` goes into the environment.
        """
        command = [self.omero, *map(str, arguments)]

        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit,
                env={**self.environment, **more},
            )

        return self._checked(command, run, check=check)

    def ask(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """As `run`, for what the test is not about: warm, where the server is a sandbox."""
        warm = self._warm
        if warm is None:
            return self.run(*arguments, check=check)
        words = [str(word) for word in arguments]
        return self._checked(
            [self.omero, *words], lambda: warm.run(words, limit=COMMAND_LIMIT), check=check
        )

    def close(self) -> None:
        """Ends what `ask` runs in."""
        if self._warm is not None:
            self._warm.close()

    def _checked(
        self,
        command: Sequence[str],
        run: Callable[[], subprocess.CompletedProcess[str]],
        *,
        check: bool,
    ) -> subprocess.CompletedProcess[str]:
        try:
            done = run()
        except subprocess.TimeoutExpired as late:
            pytest.fail(
                f"`{' '.join(command)}` did not end within {late.timeout:g} s\n{self.evidence()}",
                pytrace=False,
            )
        if check and done.returncode:
            pytest.fail(
                f"`{' '.join(command)}` ended with {done.returncode}:\n"
                f"{done.stdout}{done.stderr}\n{self.evidence()}",
                pytrace=False,
            )
        return done

    def run_all(
        self, commands: Mapping[str, Sequence[str | Path]], *, check: bool = True
    ) -> dict[str, subprocess.CompletedProcess[str]]:
        """Asks several things, at a time as many as there are cores.  Label -> its result.

        None may use what `omero login` has stored: OMERO's file of it is not for two at once.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ends = pool.map(lambda command: self.ask(*command, check=check), commands.values())
            return dict(zip(commands, ends, strict=True))

    def popen(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Starts `omero ARGUMENTS` with pipes for its output."""
        return subprocess.Popen(
            [self.omero, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def ice(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs `omero admin ice COMMAND`, which is icegridadmin's; several with `;` between."""
        return self.ask("admin", "ice", command, check=check)

    def config(self, key: str) -> str:
        """The value of `omero config get KEY`; empty when it is not set."""
        return self.ask("config", "get", key).stdout.strip()

    def whole_config(self) -> dict[str, str]:
        """All that `omero config get` tells."""
        lines = self.ask("config", "get").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def configure(self, key: str, value: str) -> None:
        """`omero config set`; an empty value removes the key."""
        self.ask("config", "set", key, *([value] if value else []))

    def configure_all(self, properties: Mapping[str, str]) -> None:
        """Several at once, with `omero config load`; an empty value removes the key."""
        for key in [key for key, value in properties.items() if not value]:
            self.configure(key, "")  # loaded, it would stay there as an empty entry
        with tempfile.NamedTemporaryFile("w", suffix=".properties", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in properties.items() if value)
            file.flush()
            self.ask("config", "load", "-q", file.name)

    # -- the grid -----------------------------------------------------------

    def is_running(self) -> bool:
        """Whether `omero admin status` says so."""
        return self.ask("admin", "status", "--nodeonly", check=False).returncode == 0

    def start(self) -> None:
        """`omero admin start`, until FSServer and DropBox are well."""
        self.run("admin", "start")
        self.until_healthy()

    def stop(self) -> None:
        """`omero admin stop`, until the node is gone."""
        self.run("admin", "stop", "--wait", "30")

    def status(self, *, limit: int = 0, healthy: bool = False) -> dict[str, Any]:
        """What `omero fs status --json` prints; with `healthy` empty unless it ends
        with 0 and nothing is being started."""
        servers = "config,down,journal,unwell"  # files that failed are what some tests are about
        done = self.ask(
            "fs", "status", "--json", "--limit", str(limit), "--fail-on", servers, check=False
        )
        if healthy and done.returncode:
            return {}
        try:
            status = json.loads(done.stdout)
        except ValueError:
            pytest.fail(f"not JSON, with exit code {done.returncode}: {done.stdout}{done.stderr}")
        assert isinstance(status, dict)
        return {} if healthy and status["starting"] else status

    def until_healthy(self) -> None:
        """Returns when `omero fs status` ends with 0."""
        until(
            "`omero fs status` ends with 0",
            lambda: self.status(limit=1, healthy=True),
            evidence=self.evidence,
        )

    def of_file(self, path: Path) -> list[dict[str, Any]]:
        """What `omero fs status` tells of the filesets with this file, the latest first."""
        return [f for f in self.status()["filesets"] if str(path) in f["files"]]

    def until_told(self, *paths: Path, states: Collection[str] = ()) -> list[dict[str, Any]]:
        """What a healthy `omero fs status` shows of each file's latest fileset.

        Once it tells of all, in one of `states` when some are given.
        """

        def look() -> list[dict[str, Any]]:
            filesets = self.status(healthy=True).get("filesets", [])
            latest = {file: f for f in reversed(filesets) for file in f["files"]}
            told = [latest[str(path)] for path in paths if str(path) in latest]
            found = [f for f in told if not states or f["state"] in states]
            return found if len(found) == len(paths) else []

        names = ", ".join(repr(path.name) for path in paths)
        return until(
            f"omero fs status tells of {names} {' or '.join(states)}", look, evidence=self.evidence
        )

    def until_idle(self, below: Path) -> None:
        """Returns when `omero fs status` knows of nothing below there that is to be imported.

        What others drop meanwhile is theirs.
        """

        def look() -> bool:
            return not any(
                fileset["state"] in OPEN_STATES
                and any(Path(file).is_relative_to(below) for file in fileset["files"])
                for fileset in self.status()["filesets"]
            )

        until(
            f"no fileset below {below} is waiting, queued or importing",
            look,
            evidence=self.evidence,
        )

    # -- processes ----------------------------------------------------------

    def pid(self, name: str) -> int:
        """The process that IceGrid runs as server `name`; waits until there is one.

        By the configuration file that an IceGrid node gives to each server.
        """
        mark = f"/servers/{name}/config/config"

        def look() -> int | None:
            for pid, words in command_lines().items():
                if any(str(self.omerodir) in word and word.endswith(mark) for word in words):
                    return pid
            return None

        found = until(f"{name} runs", look, evidence=self.evidence, pause=0.05)
        assert found is not None
        return found

    def kill(self, *names: str) -> None:
        """kill -9 of servers, all at once.

        They do not answer for it: what they have noted of their starts is taken away, so that
        `omero fs status` does not say that they end again and again.
        """
        pids = [self.pid(name) for name in names]
        for name in names:
            (self.omerodir / "var" / f"{name}.starts").unlink(missing_ok=True)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def processes(self) -> dict[int, str]:
        """Processes of this OMERODIR: pid -> command line.

        Those that were started with it, name it, or are in it; but for the
        tests themselves and what they were started from.
        """
        place = str(self.omerodir)
        ours = set(_ancestors(os.getpid()))
        found: dict[int, str] = {}
        for pid, words in command_lines().items():
            if pid in ours:
                continue
            process = Path("/proc") / str(pid)
            try:
                environment = (process / "environ").read_bytes().split(b"\0")
                inside = os.readlink(process / "cwd") == place  # noqa: PTH115 - as the kernel says
            except OSError:  # ended meanwhile, or another user's
                continue
            named = any(place in word for word in words)
            if inside or named or f"OMERODIR={place}".encode() in environment:
                found[pid] = " ".join(words)
        return found

    # -- when a test fails --------------------------------------------------

    def evidence(self) -> str:
        """The ends of the server's logs, and what `omero fs status` says."""
        parts = []
        for log in sorted((self.omerodir / "var" / "log").glob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
            parts.append("\n".join([f"--- var/log/{log.name}", *lines]))
        try:
            done = subprocess.run(
                [self.omero, "fs", "status"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60,
                env=self.environment,
            )
            said = f"--- omero fs status: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        except subprocess.TimeoutExpired:
            said = "--- omero fs status: did not end"
        return "\n".join([*parts, said])


def made_sandbox(omerodir: Path, users: Iterable[str] = ()) -> str:
    """Makes a sandbox there, also with these users, and returns its `omero`."""
    omero = shutil.which("omero", path=search_path())
    assert omero, "no `omero` on PATH"
    done = subprocess.run(
        [omero, "fs", "sandbox", "create", omerodir, *(f"--user={user}" for user in users)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PATH": search_path()},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(omerodir / "bin" / "omero")


def search_path() -> str:
    """PATH with the virtual environment of the tests first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def installed() -> tuple[str, str]:
    """The `omero` that is installed beside the server under test, and the PATH it runs with.

    That of OMERO_FS_ACCEPTANCE_OMERO, or the first on PATH outside of the tests' own virtual
    environment, which has another of each: the servers are to run on what was installed.  The
    `bin/omero` of an OMERODIR is not asked, for up to OMERO 5.5 that is of Python 2.
    """
    own = Path(sys.executable).parent
    rest = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part]
    path = os.pathsep.join(part for part in rest if Path(part).resolve() != own.resolve())
    found = os.environ.get(COMMAND) or shutil.which("omero", path=path)
    if not found or not os.access(found, os.X_OK):
        pytest.fail(
            f"no `omero` on PATH but that of the tests: set {COMMAND} to the one that the server "
            "under test runs with",
            pytrace=False,
        )
    return found, os.pathsep.join([str(Path(found).absolute().parent), path])


def command_lines() -> dict[int, Sequence[str]]:
    """The argument vector of every process that shows one."""
    found: dict[int, Sequence[str]] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:  # ended meanwhile
                continue
            if words:
                found[int(process.name)] = words.decode(errors="replace").rstrip("\0").split("\0")
    return found


def _ancestors(pid: int) -> Iterator[int]:
    while pid:
        yield pid
        try:
            text = (Path("/proc") / str(pid) / "stat").read_text()
        except OSError:
            return
        pid = int(text.rpartition(")")[2].split()[1])
