"""Names of files, and texts of others, as people see them: on one line, and nothing acts on it."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.cli import run
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.names import (
    OneLine,
    encodable,
    in_shell,
    log_safely,
    printable,
    several,
    why_not_utf8,
)

HOSTILE = (
    "a\n2026-11-28 09:00:00,000 INFO  [omero_fs_plugin] fileset 7: imported\r\x1b[2J\x1b]0;x\x07"
    "\u202egpj.exe\u2028\u2066\x85\x9b31m\ud800\udcff\x00\x7f\t\u200f\ufffe.tif"
)
FORMAT = "%(asctime)s %(levelname)-5.5s [%(name)40s] (%(threadName)-10s) %(message)s"
ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
BESIDE = "    | "


def acts(text: str) -> list[str]:
    """Characters that a terminal would act on, or that stand for none."""
    return [c for c in text if not c.isprintable() and c != "\n"]


def test_what_is_shown() -> None:
    assert printable("plain é 😀 name.tif") == "plain é 😀 name.tif"
    assert printable("a\nb\x1b[1m\u202e") == r"a\nb\x1b[1m\u202e"
    assert printable("\udcff\ud800") == r"\xff\ud800"
    assert printable("") == ""


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/in/amy", "/in/amy"),
        ("/in/amy's mice", "'/in/amy'\"'\"'s mice'"),
        ("/in/\udce9t\u00e9", "$'/in/\\xe9t\u00e9'"),
        ("/in/a\nb'c\\", "$'/in/a\\x0ab\\'c\\\\'"),
    ],
)
def test_a_path_in_a_command(path: str, word: str) -> None:
    assert in_shell(path) == word


@given(st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name))
def test_bash_reads_it_as_that_path(name: bytes) -> None:
    command = f"printf %s {in_shell(os.fsdecode(name))}"
    assert command.isprintable()
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert done.stdout == name


def test_a_number_with_its_noun() -> None:
    assert several(1, "file") == "1 file" and several(0, "file") == "0 files"
    assert several(1, "file", "is", "are") == "1 file is"
    assert several(2000, "file", "is", "are") == "2,000 files are"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/in/amy/\xff.tif", ""),
        ("/in/amy/\udcff.tif", "the name is not valid UTF-8: rename the file"),
        (
            "/in/\udcff/\udcff",
            r"the name of its directory \xff is not valid UTF-8: rename the directory",
        ),
    ],
)
def test_what_is_not_utf8_is_said_with_what_to_rename(path: str, why: str) -> None:
    assert why_not_utf8(path) == why


def test_what_ice_gets_can_be_encoded_and_is_else_as_it_was() -> None:
    assert encodable("a\nb\u202e\xff") == "a\nb\u202e\xff"
    assert encodable("a\nb\udcff") == "a\nb\\xff"


@given(st.text(st.characters(codec=None)))
def test_anything_is_one_line_and_can_be_encoded(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert shown.isprintable() and printable(shown) == shown


@pytest.fixture
def log() -> Any:
    """A logger with omero-py's format, as our servers have it."""
    stream = io.StringIO()
    logger = logging.Logger("tests.names")  # of its own: nobody else is to show the names
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(FORMAT))
    logger.addHandler(handler)
    log_safely(logger)
    return SimpleNamespace(logger=logger, lines=lambda: stream.getvalue().splitlines())


def nested() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        raise KeyError(HOSTILE) from error


@pytest.mark.parametrize(
    "write",
    [
        lambda log: log.warning("%s is left alone: %s", HOSTILE, HOSTILE),
        lambda log: log.error(HOSTILE),
        lambda log: log.info("%r", HOSTILE),
        lambda log: log.info("with its stack %s", HOSTILE, stack_info=True),
        lambda log: _excepting(log),
    ],
    ids=["arguments", "the text itself", "repr", "a stack", "an exception in an exception"],
)
def test_no_name_makes_a_line_of_a_log(log: Any, write: Callable[[logging.Logger], None]) -> None:
    write(log.logger)
    first, *more = log.lines()
    assert ENTRY.match(first)
    assert all(line.startswith(BESIDE) for line in more)
    assert not acts("\n".join([first, *more]))
    assert "fileset 7: imported" in first + "".join(more)  # it is there, and plain to see


def _excepting(log: logging.Logger) -> None:
    try:
        nested()
    except KeyError:
        log.exception("reading %s failed", HOSTILE)


def test_a_handler_without_a_format_and_one_twice(log: Any) -> None:
    handler = log.logger.handlers[0]
    made = handler.formatter
    log_safely(log.logger)
    assert handler.formatter is made
    entry = logging.makeLogRecord({"msg": "a\nb"})
    assert OneLine(None).format(entry) == r"a\nb"


class Context:
    """Stands for omero-py's context."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.rv = 0
        self.dir = "."

    def out(self, text: str, newline: bool = True) -> None:
        self.said.append(text)

    err = out

    def die(self, code: int, text: str) -> None:
        self.rv = code
        self.said.append(text)

    def dbg(self, text: str) -> None:
        pass


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "act",
    [
        lambda ctx: ctx.out(f"one {HOSTILE}"),
        lambda ctx: ctx.err(f"one {HOSTILE}"),
        lambda ctx: ctx.die(1, f"one {HOSTILE}"),
        lambda ctx: _raise(ConfigurationError(HOSTILE)),
        lambda ctx: _raise(ValueError(HOSTILE)),
    ],
    ids=["out", "err", "die", "an error of ours", "an unexpected error"],
)
def test_no_name_acts_on_a_terminal(act: Callable[[Any], None]) -> None:
    ctx = Context()
    run("try", SimpleNamespace(run=lambda ctx, args: act(ctx)), ctx, None)  # type: ignore[arg-type]
    assert ctx.said and not acts("".join(ctx.said))


def test_our_own_tables_keep_their_styles() -> None:
    ctx = Context()
    table = "\x1b[1mId\x1b[0m  \x1b[2;36mUser\x1b[0m\n7   \x1b[8mhidden\x1b[0m\x1b[2J"
    module = SimpleNamespace(run=lambda ctx, args: ctx.out(table))
    run("try", module, ctx, None)  # type: ignore[arg-type]
    assert ctx.said == [
        "\x1b[1mId\x1b[0m  \x1b[2;36mUser\x1b[0m\n7   \\x1b[8mhidden\x1b[0m\\x1b[2J"
    ]


def test_what_a_command_sets_reaches_the_context() -> None:
    ctx = Context()

    def set_code(shown: Any, _: Any) -> None:
        shown.rv = 3
        assert shown.dir == "."

    run("try", SimpleNamespace(run=set_code), ctx, None)  # type: ignore[arg-type]
    assert ctx.rv == 3
