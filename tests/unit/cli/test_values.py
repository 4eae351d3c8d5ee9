"""What is said of a wrong value of an option: the same words everywhere, on one line."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from omero.cli import CLI, ArgumentTypeError, Parser

import omero_fs_plugin.cli as ours
from omero_fs_plugin.cli import values

from .test_plugin import Stock, cli_with

NUMBERS = (values.amount, values.count, values.positive, values.seconds)


def typed() -> list[tuple[str, Any]]:
    """(subcommand, argument) of each argument whose value is read by a function."""
    found = []
    for name, _, module in ours.SUBCOMMANDS:
        parser = Parser(prog=name)
        importlib.import_module(f"{ours.__name__}.{module}").configure(ours._Sub(name, parser))
        found += [(name, action) for action in parser._actions if action.type is not None]
    return found


def typed_options() -> list[Any]:
    """(subcommand, option) of each option that takes a number."""
    return [
        pytest.param(name, action.option_strings[0], id=f"{name} {action.option_strings[0]}")
        for name, action in typed()
        if action.type in NUMBERS
    ]


def test_no_command_takes_an_empty_path(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty one would mean the directory that the command is called in."""
    commands = {name for name, action in typed() if action.type is values.some_path}
    assert commands == {"explain", "forget", "import", "receipt", "report", "watch"}
    for name in commands:
        cli = cli_with(Stock)
        cli.invoke(["fs", name, ""])
        assert cli.rv == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert "must be a path, and is empty: is a variable of the shell not set?" in said


@pytest.mark.parametrize("given", ["", "a\udcff"])
def test_no_command_asks_for_a_user_whom_omero_cannot_have(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = {name for name, action in typed() if action.type is values.user_name}
    assert commands == {"config", "explain", "import", "report", "status"}
    for name in commands:
        cli = cli_with(Stock)
        cli.invoke(["fs", name, f"--user={given}"])
        assert cli.rv == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert "argument --user: must be the name of an OMERO user, not " in said


def test_a_number_that_python_does_not_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cli = cli_with(Stock)
    cli.invoke(["fs", "status", "--limit", "9" * 5000])
    assert cli.rv == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "argument --limit: must be a whole number, 0 or more" in said


@pytest.mark.parametrize("text", ["x", "-1", "1e99", "nan", ""])
@pytest.mark.parametrize(("name", "option"), typed_options())
def test_a_wrong_number_is_told_on_one_line(
    name: str, option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = cli_with(Stock)
    cli.invoke(["fs", name, f"{option}={text}"])
    assert cli.rv == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1, said
    assert said[0].startswith(f"omero fs {name}: argument {option}: must be a ")
    assert f"not {text!r}" in said[0]


def test_the_program_is_named_without_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    """omero-py takes the path of its executable, up to the first dash in it."""
    cli = CLI(prog="/srv/omero")
    ours.extend(cli)
    cli.register_only("fs", Stock, "Filesystem utilities")
    cli.configure_plugins()
    cli.invoke(["fs", "status", "-h"])
    cli.invoke(["fs", "-h"])
    cli.invoke(["fs", "nothing"])
    told = "".join(capsys.readouterr())
    assert "usage: omero fs status " in told and "usage: omero fs " in told
    assert "/srv" not in told


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (values.count, "0", 0),
        (values.positive, "12", 12),
        (values.seconds, "0.5", 0.5),
    ],
)
def test_a_right_number_is_taken(read: Any, text: str, value: float) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "allowed"),
    [
        (values.count, "2147483648", "from 0 to 2,147,483,647"),
        (values.positive, "99999999999", "from 1 to 2,147,483,647"),
        (values.seconds, "1e9", "above 0 and below 1,000,000,000"),
        (values.amount, "1e9", "above 0 and below 1,000,000,000"),
    ],
)
def test_a_number_that_is_too_large_is_not_asked_to_be_larger(
    read: Any, text: str, allowed: str
) -> None:
    with pytest.raises(ArgumentTypeError, match=allowed):
        read(text)
