"""Who imports whom: the code, held against the table in floors.py."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import omero_fs_plugin

from .floors import FLOORS, GROUND, INSIDE

PACKAGE = Path(omero_fs_plugin.__file__).parent
NAME = "omero_fs_plugin"
WEB = PACKAGE.with_name("omero_fs_web")  # beside it; its modules keep its name
PURE = (
    "config.settings",
    "config.parsing",
    "config.changes",
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
    "dropbox.journal.seen",
    "dropbox.importing.lookout",
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
    "dropbox.settling.forming",
    "dropbox.settling.overdue",
    "dropbox.settling.lots",
    "dropbox.settling.neighbourhood",
    "dropbox.settling.around",
    "dropbox.settling.meeting",
    "dropbox.settling.resting",
    "dropbox.settling.underway",
    "dropbox.places",
    "dropbox.targets.targets",
    "dropbox.targets.templates",
    "dropbox.targets.sidecar",
)
HEAVY = {"Ice", "omero", "watchdog", "sqlalchemy", "lxml"}


# A fork of an interpreter that has imported nothing yet is as new as one that was started.
ONE_AFTER_THE_OTHER = """
import importlib, json, os, sys
for name in sys.argv[1:]:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        importlib.import_module(name)
        print(json.dumps([name, *sys.modules]), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, name
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    """What is in sys.modules after each pure module was imported into a process of its own."""
    names = [f"{NAME}.{module}" for module in PURE]
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: loaded for name, *loaded in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_nothing_heavy(loaded: dict[str, list[str]], module: str) -> None:
    found = loaded[f"{NAME}.{module}"]
    assert f"{NAME}.{module}" in found
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in found)


@cache
def modules() -> dict[str, Path]:
    """Every module, by its dotted name below the package; a package counts as one."""
    found = {}
    for file in [*PACKAGE.rglob("*.py"), *WEB.rglob("*.py")]:
        above = PACKAGE if file.is_relative_to(PACKAGE) else WEB.parent
        parts = file.relative_to(above).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    found.pop("")
    return found


def imports(file: Path) -> Iterator[str]:
    """The modules of ours that a module imports, wherever that is done, or names in a text."""
    known = modules()
    package = file.relative_to(PACKAGE.parent).parent.parts
    itself = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            # `from room import module` is an import of the module, not of the room.
            names = [f"{base}.{alias.name}" for alias in node.names]
            names = [n if n.removeprefix(f"{NAME}.") in known else base for n in names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # What `importlib` is given, or another process: "omero_fs_plugin.room.module:function".
            names = [node.value.partition(":")[0]]
            names = [n for n in names if n.removeprefix(f"{NAME}.") in known and n != itself]
        else:
            continue
        for name in names:
            if name.startswith(f"{NAME}."):
                yield name.removeprefix(f"{NAME}.")
            elif name == WEB.name or name.startswith(f"{WEB.name}."):
                yield name


def room_of(module: str, rooms: dict[str, str] | tuple[str, ...]) -> str | None:
    """The room that a module is in, or is."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in rooms), None)


def breaches(of: dict[str, list[str]], floors: dict[str, str], ground: tuple[str, ...]) -> set[str]:
    """What the table does not allow, one line each; `of` has the imports of each module."""
    found = set()
    for module, imported in of.items():
        room = room_of(module, floors)
        allowed = {*floors[room].split(), *ground} if room else set(ground)
        for other in imported:
            its = room_of(other, floors) or room_of(other, ground)
            if its is None:
                found.add(f"{other} is in no room")
            elif its not in {room, *allowed} and module not in ground:
                found.add(f"{module} uses {other}: {room} does not stand on {its}")
    return found


def unused(of: dict[str, list[str]], floors: dict[str, str]) -> set[str]:
    """What the table allows and the code does not do."""
    done = {(room_of(m, floors), room_of(other, floors)) for m, us in of.items() for other in us}
    return {
        f"{room} does not use {below}"
        for room, rooms in floors.items()
        for below in rooms.split()
        if (room, below) not in done
    }


def upwards(floors: dict[str, str]) -> set[str]:
    """Rooms that use what stands above them in the table."""
    order = list(floors)
    return {
        f"{room} stands below {other}, or {other} is no room"
        for room, rooms in floors.items()
        for other in rooms.split()
        if other not in order or order.index(other) <= order.index(room)
    }


@cache
def all_imports() -> dict[str, list[str]]:
    """The imports of every module; they are read when a test asks for them, not at collection."""
    return {module: list(imports(file)) for module, file in modules().items()}


# Packages with rooms of their own have nothing but a docstring.
HALLS = {"monitor", "dropbox"}


def inside(hall: str) -> dict[str, list[str]]:
    """The imports within one room, by names that begin in it."""
    start = f"{hall}."
    return {
        module.removeprefix(start): [
            other.removeprefix(start) for other in imported if other.startswith(start)
        ]
        for module, imported in all_imports().items()
        if module.startswith(start)
    }


def test_every_import_leads_downstairs() -> None:
    assert (
        breaches(all_imports(), FLOORS, GROUND) - {f"{hall} is in no room" for hall in HALLS}
        == set()
    )
    assert {
        m for m in all_imports() if not room_of(m, FLOORS) and m not in {*GROUND, *HALLS}
    } == set()


@pytest.mark.parametrize("hall", INSIDE)
def test_and_so_inside_a_room(hall: str) -> None:
    assert breaches(inside(hall), INSIDE[hall], ()) == set()
    assert unused(inside(hall), INSIDE[hall]) == set()


@pytest.mark.parametrize("floors", [FLOORS, *INSIDE.values()], ids=["all", *INSIDE])
def test_the_table_has_the_upper_floors_first(floors: dict[str, str]) -> None:
    assert upwards(floors) == set()


def test_the_table_allows_nothing_that_is_not_done() -> None:
    assert unused(all_imports(), FLOORS) == set()


def test_the_ground_stands_on_nothing_else() -> None:
    assert {other for module in GROUND for other in all_imports()[module]} <= set(GROUND)


def test_no_module_is_in_a_circle() -> None:
    TopologicalSorter({m: set(us) - {m} for m, us in all_imports().items()}).prepare()


def test_who_meets_over_ice_never_imports_the_other() -> None:
    """The sandbox, which stands in for OMERO, knows neither of them."""
    for one, others in {
        "monitor": ("dropbox", "sandbox", "cli"),
        "dropbox": ("monitor", "sandbox", "cli"),
        "sandbox": ("monitor", "dropbox", "cli"),
    }.items():
        used = {
            u.partition(".")[0] for m, us in all_imports().items() if m.startswith(one) for u in us
        }
        assert used.isdisjoint(others)


def test_only_its_command_knows_the_sandbox() -> None:
    users = {m for m, us in all_imports().items() if any(u.startswith("sandbox") for u in us)}
    assert {m for m in users if not m.startswith("sandbox")} == {"cli.sandbox"}


def test_the_check_sees_a_breach() -> None:
    wrong = {
        **all_imports(),
        "monitor.kernel.limits": ["monitor.record.file"],
        "config.lists": ["cli"],
    }
    assert breaches(wrong, FLOORS, GROUND) >= {
        "monitor.kernel.limits uses monitor.record.file: "
        "monitor.kernel does not stand on monitor.record",
        "config.lists uses cli: config does not stand on cli",
    }
    assert upwards({**FLOORS, "config": "cli"})
    assert unused(all_imports(), {**FLOORS, "config": "deployment"})


def test_the_check_sees_an_import_by_name() -> None:
    """`confined` has `served` run in another process, and gives that only its name."""
    assert "dropbox.grouping.served" in all_imports()["dropbox.grouping.confined"]
