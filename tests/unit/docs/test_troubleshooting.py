"""The headings of docs/troubleshooting.rst are messages that the code has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import CHECKOUT

_GAP = "\0"  # what stands for a value in a message


def headings(page: str) -> list[str]:
    """Those of the page's sections, but the first: that one is no message."""
    return re.findall(r"^(\S.*)\n-{3,}$", page, re.MULTILINE)[1:]


def messages(source: str) -> Iterator[str]:
    """Every string of a module that is not a docstring, with a gap for each value."""
    tree = ast.parse(source)
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else _GAP for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def is_said(heading: str, said: str) -> bool:
    """Whether a message has the heading's words, with values where the heading has ``...``."""
    parts = [re.escape(part) for part in heading.split("...")]
    return re.search(f"[^{_GAP}]*{_GAP}[^{_GAP}]*".join(parts), said) is not None


@pytest.fixture(scope="module")
def said() -> list[str]:
    files = sorted((CHECKOUT / "omero_fs_plugin").rglob("*.py"))
    return [one for file in files for one in messages(Path(file).read_text(encoding="utf-8"))]


HEADINGS = headings((CHECKOUT / "docs/troubleshooting.rst").read_text(encoding="utf-8"))


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_is_a_message(heading: str, said: list[str]) -> None:
    assert any(is_said(heading, one) for one in said), f"no message has {heading!r}"


def test_a_heading_that_no_message_has_is_found() -> None:
    found = list(messages('"""a docstring"""\nx = f"the journal {y} is " "corrupt"\n'))
    assert is_said("the journal ... is corrupt", found[0])
    assert not any(is_said("the journal is corrupt", one) for one in found)
    assert not any(is_said("a docstring", one) for one in found)
    assert len(HEADINGS) > 20
