"""The names that docs and docstrings use: those of the tree as it is now."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import omero_fs_plugin

PACKAGE = Path(omero_fs_plugin.__file__).parent
CHECKOUT = Path(__file__).parents[2]
# Rooms of many modules of one kind.  Each module says for itself what it is for.
OF_A_KIND = ("checks", "cli", "sandbox")
ROOMS = sorted(
    str(init.parent.relative_to(PACKAGE))
    for init in PACKAGE.rglob("__init__.py")
    if init.parent != PACKAGE
)
WEB = "omero_fs_web"  # beside the package
PROSE = (
    *CHECKOUT.glob("*.rst"),
    *CHECKOUT.glob("docs/*.rst"),
    *PACKAGE.rglob("*.py"),
    *(CHECKOUT / "tests").rglob("*.py"),
)


def docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text())) or ""


@pytest.mark.parametrize("room", [*ROOMS, WEB])
def test_a_room_says_what_each_of_its_modules_is_for(room: str) -> None:
    inside = CHECKOUT / WEB if room == WEB else PACKAGE / room
    said = docstring(inside / "__init__.py")
    assert said
    modules = {file.stem for file in inside.glob("*.py")} - {"__init__"}
    modules |= {init.parent.name for init in inside.glob("*/__init__.py")}
    if room in OF_A_KIND:
        silent = [name for name in modules if not docstring(_source(inside, name))]
    else:
        silent = sorted(modules - set(re.findall(r"\w+", said)))
    assert not silent, f"{room}/__init__.py does not say what these are for: {silent}"


def _source(room: Path, name: str) -> Path:
    file = room / f"{name}.py"
    return file if file.exists() else room / name / "__init__.py"


def test_every_test_module_that_is_named_is_there() -> None:
    there = {file.name for file in (CHECKOUT / "tests").rglob("test_*.py")}
    assert there
    gone = {
        f"{file.relative_to(CHECKOUT)}: {name}"
        for file in PROSE
        for name in re.findall(r"\btest_\w+\.py\b", file.read_text())
        if name not in there
    }
    assert not gone
