"""Who may import whom, over the whole package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import omero_fs_plugin

PACKAGE = Path(omero_fs_plugin.__file__).parent
NAME = "omero_fs_plugin"
PURE = (
    "config.settings",
    "errors",
    "events",
    "filters",
    "config.kinds",
    "config.lists",
    "config.properties",
    "monitor.telling.absence",
    "monitor.tracking.arrivals",
    "monitor.tracking.comparison",
    "monitor.files",
    "monitor.notices",
    "monitor.telling.outbox",
    "monitor.tracking.picture",
    "monitor.kernel.raw",
    "monitor.record.record",
    "monitor.record.file",
    "monitor.record.picture",
    "monitor.requests",
    "monitor.record.sent",
    "monitor.telling.telling",
    "monitor.tracking.tracker",
    "monitor.tracking.tree",
    "monitor.tracking.watches",
    "dropbox.settling.settle",
    "dropbox.journal.states",
    "dropbox.journal.records",
    "dropbox.settling.pipeline",
    "dropbox.watching.rescan",
    "dropbox.confine",
    "dropbox.settling.writers",
    "dropbox.grouping.filesets",
    "config.readers",
    "dropbox.grouping.native.signatures",
    "dropbox.grouping.native.neighbours",
    "dropbox.grouping.formats.omexml",
    "dropbox.grouping.formats.tiff",
    "dropbox.grouping.native.grouper",
    "dropbox.settling.assembly",
    "dropbox.places",
    "dropbox.targets.targets",
    "dropbox.targets.templates",
    "dropbox.targets.sidecar",
)
HEAVY = {"Ice", "omero", "watchdog", "sqlalchemy", "lxml"}


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_nothing_heavy(module: str) -> None:
    code = f"import sys, {NAME}.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in done.stdout.split())


def _imports() -> Iterator[tuple[str, str]]:
    """(module, module of ours that it imports), wherever in it that is done."""
    for file in PACKAGE.rglob("*.py"):
        parts = (NAME, *file.relative_to(PACKAGE).with_suffix("").parts)
        importer = ".".join(parts)
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                yield from ((importer, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = parts[: len(parts) - node.level] if node.level else ()
                base = ".".join((*above, *filter(None, [node.module])))
                yield importer, base
                yield from ((importer, f"{base}.{name.name}") for name in node.names)


def _breaches(importer: str, imported: str) -> list[tuple[str, str]]:
    return [
        (a, b)
        for a, b in _imports()
        if a.startswith(f"{NAME}.{importer}") and b.startswith(f"{NAME}.{imported}")
    ]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        pytest.param("monitor.", "dropbox", id="FSServer meets DropBox over Ice"),
        pytest.param("dropbox.", "monitor", id="and DropBox FSServer"),
        pytest.param("monitor.", "sandbox", id="FSServer does not know the sandbox"),
        pytest.param("dropbox.", "sandbox", id="nor does DropBox"),
        pytest.param("monitor.", "cli", id="servers do not know the commands"),
        pytest.param("dropbox.", "cli", id="nor does DropBox know them"),
        pytest.param("sandbox.", "dropbox", id="the sandbox knows OMERO and not us"),
        pytest.param("sandbox.", "monitor", id="not even FSServer"),
    ],
)
def test_who_does_not_know_whom(importer: str, imported: str) -> None:
    assert _breaches(importer, imported) == []


def test_only_its_command_knows_the_sandbox() -> None:
    assert {
        a for a, b in _imports() if b.startswith(f"{NAME}.sandbox") and ".sandbox" not in a
    } <= {f"{NAME}.cli.sandbox"}


def test_the_look_sees_imports_at_all() -> None:
    assert _breaches("dropbox.service", "dropbox.settling.pipeline")
    assert _breaches("cli.sandbox", "sandbox")
