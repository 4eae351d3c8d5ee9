"""Who imports whom: FSServer's thinking needs neither Ice nor watchdog, nor DropBox."""

from __future__ import annotations

import subprocess
import sys

import pytest

PURE = (
    "absence",
    "arrivals",
    "comparison",
    "files",
    "notices",
    "outbox",
    "picture",
    "raw",
    "record",
    "record_file",
    "record_picture",
    "requests",
    "sent",
    "telling",
    "tracker",
    "tree",
    "watches",
)
HEAVY = ("Ice", "omero", "watchdog", "sqlalchemy", "lxml")


def _imported(*modules: str) -> set[str]:
    names = ", ".join(f"omero_fs_plugin.monitor.{module}" for module in modules)
    code = f"import sys, {names}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_nothing_heavy(module: str) -> None:
    imported = _imported(module)
    assert not {name for name in imported if name.split(".")[0] in HEAVY}


def test_fsserver_does_not_know_dropbox() -> None:
    imported = _imported("server")
    assert not {name for name in imported if name.startswith("omero_fs_plugin.dropbox")}
