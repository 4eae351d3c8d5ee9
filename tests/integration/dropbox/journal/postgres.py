"""A PostgreSQL of the tests' own: Debian's programs, a new cluster, one socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

_USER = "fs"


class Postgres:
    """A running server that forgets everything; `stop` and `start` it as you like."""

    def __init__(self, directory: Path, *, inside: Sequence[str] = ()) -> None:
        """`inside`, before each command, puts it into another network, where it listens."""
        self._directory = directory
        self._listens = "*" if inside else ""
        self._data = directory / "data"
        self._programs = _programs()
        # initdb refuses root, who lends the directory to somebody else.
        self._as = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(directory, "nobody")
        self._as = [*inside, *self._as]
        self._run("initdb", "-D", self._data, "-U", _USER, "-A", "trust", "-E", "UTF8", "-N")
        if inside:
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all 0.0.0.0/0 trust\n")

    def start(self) -> None:
        # No waiting for disks that nobody will ask, and no TCP but in a network of its own.
        options = f"-c listen_addresses={self._listens} -c fsync=off -k {self._directory}"
        if self._listens:
            options += " -c max_connections=400"
        self._run(
            *("pg_ctl", "-D", self._data, "-w", "-o", options),
            *("-l", self._directory / "log", "start"),
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def url(self, schema: str) -> str:
        """Of a new schema, which is as good as a database of its own."""
        with psycopg.connect(host=str(self._directory), user=_USER, dbname="postgres") as db:
            db.execute(f'CREATE SCHEMA "{schema}"')  # type: ignore[call-overload]
        return (
            f"postgresql://{_USER}@/postgres?host={self._directory}"
            f"&options=-csearch_path%3D{schema}"
        )

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [*self._as, str(self._programs / program), *map(str, arguments)]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _programs() -> Path:
    """Debian keeps them off PATH, in a directory for each release."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    on_path = shutil.which("initdb")
    assert found or on_path, "no initdb: install PostgreSQL (Debian: postgresql)"
    return found[-1].parent if found else Path(str(on_path)).parent


@contextmanager
def running(inside: Sequence[str] = ()) -> Iterator[Postgres]:
    """`inside`: see `Postgres`."""
    # The path of a socket may have 107 bytes, and pytest's directories are deep.
    directory = Path(tempfile.mkdtemp(prefix="omero-fs-pg-"))
    try:
        server = Postgres(directory, inside=inside)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)
