"""Makes a sandbox: an OMERODIR that `omero admin` runs, with a stand-in server in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.deployment.installation import install
from omero_fs_plugin.errors import ConfigurationError

from . import accounts, ports
from .pace import Prices
from .ports import Ports
from .store import FILE, Store

TEMPLATES = Path(__file__).parent / "templates"
USERS = ("amy", "zak")
ROOT_PASSWORD = "omero"


@dataclass(frozen=True)
class Made:
    """A sandbox that was made, and not started."""

    directory: Path
    ports: Ports


def create(
    directory: Path,
    *,
    users: Sequence[str] = (),
    root_password: str = ROOT_PASSWORD,
    prefix: int | None = None,
    with_fs: bool = True,
    prices: Prices | None = None,
) -> Made:
    """Makes a sandbox in `directory`, an absolute path.

    `users` are added to amy and zak.  Each user has the name as password, a group of its own
    and a directory in the DropBox.  `prefix` goes before the ports; None reserves the first
    free ones.  `prices` are what calls, imports and uploads cost.  Raises ConfigurationError, and
    then leaves nothing behind.
    """
    names = list(dict.fromkeys([*USERS, *users]))
    _check(directory, names, root_password)
    made = not directory.exists()
    try:
        directory.mkdir(exist_ok=True)
        reserved = ports.reserve(directory, prefix)
        _fill(directory, reserved, prices or Prices())
        _people(directory, names, root_password)
        _certificates(directory)
        if with_fs:
            install(directory)
    except BaseException as error:
        for path in directory.iterdir() if directory.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with suppress(ConfigurationError, OSError):  # the first error is the one to tell
            ports.release(directory)
        if made:
            with suppress(OSError):
                directory.rmdir()
        if isinstance(error, OSError):
            raise ConfigurationError(
                f"cannot make a sandbox in {directory}: {error.strerror}"
            ) from error
        raise
    return Made(directory, reserved)


def _check(directory: Path, names: Sequence[str], root_password: str) -> None:
    if os.geteuid() == 0:
        raise ConfigurationError(
            "a sandbox is not made by root, whom `omero` refuses to serve: run this as the user "
            "who is to run it, or `make sandbox DIR=...`, which makes and uses omero-server"
        )
    if not root_password:
        raise ConfigurationError("--root-password: must not be empty")
    for name in names:
        try:
            accounts.check_name("user", name)
        except accounts.Taken as error:
            raise ConfigurationError(f"--user: {error}") from error
        if name in ("root", "guest"):
            raise ConfigurationError(f"--user {name}: every OMERO has one")
    parent = directory.parent
    if any(c.isspace() or c in "\"'<>&$@:;#=\\" for c in str(directory)):
        raise ConfigurationError(f"{directory}: IceGrid cannot do with this name; use a plain path")
    try:
        if not parent.is_dir():
            raise ConfigurationError(f"{parent} is not there: make it first, or choose another DIR")
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise ConfigurationError(f"{directory} is there and not empty: choose another DIR")
    except PermissionError as error:
        raise ConfigurationError(
            f"{directory} cannot be reached as this user ({error.filename}: permission denied)"
        ) from error
    if not os.access(directory if directory.exists() else parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{directory} cannot be written to as this user")


def _fill(directory: Path, reserved: Ports, prices: Prices) -> None:
    from omero.config import ConfigXml

    shutil.copytree(TEMPLATES, directory, dirs_exist_ok=True)
    for name in ("etc/grid", "lib", "var/log", "data/DropBox"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "data").chmod(0o750)
    wrapper = directory / "bin" / "omero"
    text = wrapper.read_text().replace("@PYTHON_BIN@", str(Path(sys.executable).parent))
    wrapper.write_text(text)
    for script in wrapper.parent.iterdir():
        script.chmod(0o755)
    config = ConfigXml(str(directory / "etc/grid/config.xml"))
    for key, value in {
        "omero.data.dir": str(directory / "data"),
        "omero.db.poolsize": "10",
        "omero.jvmcfg.strategy": "manual",
        **reserved.properties(),
        **prices.properties(),
        "omero.upgrades.url": "",
    }.items():
        config[key] = value
    config.close()


def _people(directory: Path, names: Sequence[str], root_password: str) -> None:
    store = Store(directory / "data" / FILE)
    try:
        accounts.seed(store, root_password)
        with store.begin() as db:
            for name in names:
                group = accounts.create_group(store, db, f"{name}_group")
                accounts.create_user(store, db, name, name, [group, accounts.USER_GROUP])
                (directory / "data/DropBox" / name).mkdir()
    finally:
        store.close()


def _certificates(directory: Path) -> None:
    """Makes certificates as an admin does, with omero-certificates.  It does not check them."""
    program = (  # in a process of its own, because openssl writes to the terminal
        "import sys; from omero_certificates.certificates import create_certificates; "
        "create_certificates(sys.argv[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode or not (directory / "data/certs/server.p12").is_file():
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise ConfigurationError(
            f"cannot make certificates: {said} (needed: the Python package omero-certificates, "
            "which `pip install omero-fs-plugin[sandbox]` brings, and the command openssl)"
        )
