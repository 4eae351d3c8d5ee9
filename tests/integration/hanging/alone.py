"""Tests in a mount namespace of their own, as root or as who is root in a user namespace."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from tests import inner

from .server import DEVICE
from .share import TOP


def inside() -> list[str]:
    """What to put before a command."""
    alone = ["unshare", "--mount"]
    return alone if os.geteuid() == 0 else [*alone, "--user", "--map-root-user"]


@cache
def missing() -> str:
    """Why no share can be mounted here; empty when one can be."""
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    with tempfile.TemporaryDirectory() as directory:
        command = [*inside(), "mount", "-t", "tmpfs", "none", directory]
        try:
            tried = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "unshare (util-linux) is not installed"
        return tried.stderr.strip() if tried.returncode else ""


def run(module: Path, *arguments: str, patience: float, only: str = "") -> str:
    """Runs the tests of `module`, or one of them; what they print.  Fails as they do.

    After `patience`, s, they are killed, and what hangs with them.
    """
    if why := missing():
        pytest.skip(f"no share can be mounted here: {why}")
    # Before it is killed it says where each of its threads is.
    options = ("-o", f"faulthandler_timeout={patience * 0.7:g}", *arguments)
    with inner.command(*options, f"{module}::{only}" if only else str(module)) as command:
        return _run(command, patience)


def _run(command: list[str], patience: float) -> str:
    process = subprocess.Popen(
        # It is killed when this process ends, however that ends.
        [*inside(), "setpriv", "--pdeathsig", "KILL", *command],
        cwd=TOP,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGUSR1)  # it says where each of its threads is, see conftest
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=3)
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        pytest.fail(f"not done after {patience:g} s\n{printed}", pytrace=False)
    if process.returncode:
        pytest.fail(printed, pytrace=False)
    return printed
