"""How our subcommands join `omero fs`, and how each of them ends."""

from __future__ import annotations

import errno
import os
import pwd
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from omero.cli import CLI, BaseControl, NonZeroReturnCode, Parser

import omero_fs_plugin.cli as ours
from omero_fs_plugin import errors


class Stock(BaseControl):
    """Stands for omero-py's own FsControl."""

    def _configure(self, parser: Any) -> None:
        sub = parser.sub()
        parser.add(sub, self.repos)

    def repos(self, args: Any) -> None:
        "lists repositories"
        self.ctx.out("repositories")


class Bare(BaseControl):
    """A Control for `fs` that has no subcommands at all."""

    def _configure(self, parser: Any) -> None:
        parser.set_defaults(func=lambda args: self.ctx.out("bare"))


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A subcommand `example` in a module of its own, and no other of ours."""
    module = ModuleType("omero_fs_plugin.cli.example")

    def configure(sub: Any) -> None:
        parser = sub.add_parser("example", description="what example is for")
        parser.add_argument("--count", type=int, default=1, help="how many")
        sub.add_parser("other").add_argument("--other")

    def run(ctx: Any, args: Any) -> None:
        ctx.out(f"count {args.count}")

    module.configure = configure  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setattr(ours, "SUBCOMMANDS", (("example", "shows", "example"),))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def cli_with(control: type) -> CLI:
    cli = CLI(prog="omero")
    ours.extend(cli)
    cli.register_only("fs", control, "Filesystem utilities")
    cli.configure_plugins()
    return cli


@pytest.mark.parametrize("control", [Stock, Bare])
def test_ours_run_beside_the_others(
    control: type, example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = cli_with(control)

    cli.invoke(["fs", "example", "--count", "3"], strict=True)

    assert capsys.readouterr().out == "count 3\n"


def test_the_others_stay(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    cli = cli_with(Stock)

    cli.invoke(["fs", "repos"], strict=True)

    assert capsys.readouterr().out == "repositories\n"
    assert cli.controls["fs"].get_subcommands() == ["repos", "example"]


def test_a_subcommands_module_is_loaded_when_it_is_used(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured: list[object] = []
    monkeypatch.setattr(example, "configure", configured.append)
    monkeypatch.setattr(example, "run", lambda ctx, args: None)
    cli = cli_with(Stock)

    cli.invoke(["fs", "-h"])
    assert "shows" in capsys.readouterr().out
    assert configured == []

    cli.invoke(["fs", "example"], strict=True)
    assert len(configured) == 1


def test_help_of_a_subcommand_is_complete(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    cli_with(Stock).invoke(["fs", "example", "-h"])

    text = capsys.readouterr().out
    assert "what example is for" in text
    assert "--count" in text
    assert "--other" not in text


def test_extending_twice_is_extending_once(example: ModuleType) -> None:
    """The plugin file may lie in two directories that omero-py searches."""
    cli = CLI(prog="omero")
    ours.extend(cli)
    ours.extend(cli)
    cli.register_only("fs", Stock, "Filesystem utilities")
    cli.configure_plugins()

    assert cli.controls["fs"].get_subcommands() == ["repos", "example"]


def test_other_commands_are_not_touched(example: ModuleType) -> None:
    cli = CLI(prog="omero")
    ours.extend(cli)
    cli.register("other", Stock, "something else")

    assert type(cli.controls["other"]) is Stock
    assert "fs" not in cli.controls


def test_a_module_that_cannot_be_loaded_says_so(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ours, "SUBCOMMANDS", (("gone", "shows", "gone"),))
    cli = cli_with(Stock)

    cli.invoke(["fs", "gone"])

    assert cli.rv == 1
    assert "omero fs gone cannot be loaded" in capsys.readouterr().err


def test_every_subcommand_is_there() -> None:
    for name, _, module in ours.SUBCOMMANDS:
        parser = Parser(prog=name)
        late = ours._Sub(name, parser)
        ours.importlib.import_module(f"omero_fs_plugin.cli.{module}").configure(late)
        assert parser.description, name


class Context:
    """What a subcommand sees of omero-py's CLI, and how it ended."""

    def __init__(self) -> None:
        self.rv = 0
        self.lines: list[str] = []
        self.debug = ""

    def dbg(self, text: str) -> None:
        self.debug += text

    def die(self, code: int, text: str) -> None:
        self.rv = code
        self.lines.append(text)
        raise NonZeroReturnCode(code, text)


def ended(error: BaseException) -> Context:
    def raising(ctx: Any, args: Any) -> None:
        raise error

    context = Context()
    with pytest.raises(NonZeroReturnCode):
        ours.run("example", SimpleNamespace(run=raising), context, None)  # type: ignore[arg-type]
    return context


def all_errors() -> list[type[errors.FsError]]:
    return [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]


@pytest.mark.parametrize("error", all_errors(), ids=lambda e: e.__name__)
def test_an_error_of_ours_is_one_line_and_its_exit_code(error: type[errors.FsError]) -> None:
    context = ended(error("what\n  where, what to do"))

    assert context.rv == error.exit_code
    assert context.lines == ["what where, what to do"]
    assert "Traceback" in context.debug


@pytest.mark.parametrize("error", all_errors(), ids=lambda e: e.__name__)
def test_every_exit_code_is_in_the_help(error: type[errors.FsError]) -> None:
    assert f"\n  {error.exit_code}  " in ours.EXIT_CODES


def test_an_unexpected_error_names_itself_and_how_to_see_more() -> None:
    context = ended(ZeroDivisionError("by\nzero"))

    assert context.rv == 1
    (line,) = context.lines
    assert "unexpected ZeroDivisionError: by zero" in line
    assert "omero --debug=debug fs example" in line
    assert "Traceback" in context.debug


def test_an_interrupt_ends_with_130() -> None:
    context = ended(KeyboardInterrupt())

    assert (context.rv, context.lines) == (130, ["interrupted"])


def test_what_a_subcommand_decided_itself_stands() -> None:
    assert ended(NonZeroReturnCode(42, "")).lines == []


def test_a_reader_that_went_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `omero fs status | head -1`."""

    def raising(ctx: Any, args: Any) -> None:
        raise BrokenPipeError

    read_end, write_end = os.pipe()
    os.close(read_end)
    context = Context()
    with os.fdopen(write_end, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        ours.run("example", SimpleNamespace(run=raising), context, None)  # type: ignore[arg-type]
        stdout.write("into the void")

    assert context.rv == 141


@pytest.mark.parametrize("owned", [True, False], ids=["the owner", "another account"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.JournalError("the journal /j.sqlite: Permission denied"), 4),
        (PermissionError(errno.EACCES, "Permission denied", "/drop/amy/a\nb.tif"), 2),
    ],
    ids=["ours", "of the system"],
)
def test_whoever_may_not_is_told_whom_to_be(
    example: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: Exception,
    code: int,
    owned: bool,
) -> None:
    (tmp_path / "etc").mkdir()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me if owned else me + 1)

    def run(ctx: object, args: object) -> None:
        raise error

    example.run = run  # type: ignore[attr-defined]
    cli = cli_with(Stock)
    cli.dir = tmp_path
    cli.invoke(["fs", "example"])
    said = capsys.readouterr().err
    assert cli.rv == code
    assert said.count("\n") == 1 and "Permission denied" in said
    name = pwd.getpwuid(me).pw_name
    assert (f"run this as {name}, the user that OMERO.server runs as" in said) is not owned
