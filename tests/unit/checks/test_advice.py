"""How `omero fs check` names the commands that it advises."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from omero_fs_plugin.checks import directories

_PROGRAMS = (
    r"omero (?:fs|config|admin|user|group) |(?:mkdir|chmod|chown|setfacl|sysctl|mv|df) [-/\w{]"
)


def test_every_command_that_is_advised_stands_in_backquotes() -> None:
    """So it is broken nowhere on a terminal, and one sees where it ends."""
    bare = []
    for file in sorted(Path(directories.__file__).parent.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and isinstance(node.body[0], ast.Expr)
        }
        parts = {id(part) for node in ast.walk(tree) for part in getattr(node, "values", ())}
        for node in ast.walk(tree):
            whole = isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in parts
            if whole and id(node) not in documented:
                text = ast.unparse(node)
                bare += [
                    f"{file.name}:{node.lineno}: {text}"
                    for found in re.finditer(_PROGRAMS, text)
                    if text[: found.start()].count("`") % 2 == 0
                ]
    assert bare == []
