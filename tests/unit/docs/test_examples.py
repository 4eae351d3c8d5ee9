"""Every `omero` command in README and docs/ is one that the real parsers take."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from omero.cli import CLI

import omero_fs_plugin.cli as ours
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.properties import PREFIX
from tests import CHECKOUT

_DOCS = sorted(f"docs/{page.name}" for page in (CHECKOUT / "docs").glob("*.rst"))
PAGES = ("README.rst", "CONTRIBUTING.rst", *_DOCS)
# What stands for a value, and a value that may stand there.
_PLACEHOLDERS = {"N": "1", "ID": "1", "S": "1", "PORT": "4064", "TIME": "1h", "STATE": "failed"}
_ENDS = re.compile(r"\s{2,}#.*|\s#\s.*")


@dataclass(frozen=True)
class Example:
    """A command, and where it stands."""

    page: str
    line: int
    command: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.command}"


def examples(page: str, text: str) -> Iterator[Example]:
    """The commands of a page: those in literal blocks, and those between two backquotes."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        block = re.match(r"    +(?:\$ )?((?:bin/)?omero\s.*)", line)
        if block:
            yield Example(page, number, _ENDS.sub("", block[1]).strip())
    joined = re.sub(r"\n +(?=\S)", " ", text)
    for found in re.finditer(r"(?<!`)``((?:bin/)?omero (?:fs|admin|config) [^`]*)``", joined):
        yield Example(page, joined.count("\n", 0, found.start()) + 1, found[1])


EVERY = [
    one for page in PAGES for one in examples(page, (CHECKOUT / page).read_text(encoding="utf-8"))
]
# A usage has `[`, `|` or `...`; of these only the options are looked at.
USAGES = [one for one in EVERY if re.search(r"[\[\]|]|\.\.\.", re.sub(r'"[^"]*"', "", one.command))]
COMMANDS = [one for one in EVERY if one not in USAGES]


@pytest.fixture(scope="module")
def cli() -> CLI:
    made = CLI(prog="omero")
    made.loadplugins()
    return made


def words(command: str) -> list[str]:
    found = shlex.split(command.removeprefix("bin/"))[1:]
    return [_PLACEHOLDERS.get(word, word) for word in found]


def test_there_are_many() -> None:
    assert len(COMMANDS) > 60 and len(USAGES) > 5
    assert {one.page for one in COMMANDS} > {"README.rst", "docs/using.rst", "docs/operations.rst"}


@pytest.mark.parametrize("example", COMMANDS, ids=str)
def test_the_parser_takes_it(
    cli: CLI, example: Example, capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(example.command)
    if given[:2] == ["config", "set"]:
        set_value([one for one in given[2:] if one != "--"])
        return
    if given == ["fs", given[-1]] and given[-1] in ("import", "explain", "receipt", "watch"):
        return  # the command is spoken of, and not run
    try:
        cli.parser.parse_args(given)
    except SystemExit as error:
        said = capsys.readouterr().err
        spoken_of = "too few arguments" in said and len(given) == 2
        if error.code != 0 and not spoken_of:
            pytest.fail(f"{example}\n{said}", pytrace=False)


def set_value(given: list[str]) -> None:
    """What is set is a property, and its value is a right one."""
    if not given:
        return  # the command is spoken of
    name, *value = given
    if not name.startswith(PREFIX):
        return
    others = {"omero.fs.importUsers": "amy;zak;eve"} if any(";" in one for one in value) else {}
    read_as = read({"omero.data.dir": "/OMERO", **others, name: " ".join(value)})
    assert [str(one) for one in (*read_as.problems, *read_as.warnings)] == []


@pytest.mark.parametrize("example", USAGES, ids=str)
def test_the_parser_knows_its_options(
    cli: CLI, example: Example, capsys: pytest.CaptureFixture[str]
) -> None:
    given = example.command.split()
    name = given[2]
    if given[1] != "fs" or name not in {one for one, _, _ in ours.SUBCOMMANDS}:
        return
    with pytest.raises(SystemExit):
        cli.parser.parse_args(["fs", name, "--help"])
    known = capsys.readouterr().out
    for option in re.findall(r"--[a-z][a-z-]+", example.command):
        assert re.search(rf"{option}\b", known), f"{example}: no {option}"


def test_a_wrong_one_would_be_found(cli: CLI, tmp_path: Path) -> None:
    text = "Run::\n\n    omero fs status --nonsense   # shows\n\nand ``omero fs frobnicate``.\n"
    found = list(examples("x", text))
    assert [one.command for one in found] == ["omero fs status --nonsense", "omero fs frobnicate"]
    for one in found:
        with pytest.raises(SystemExit):
            cli.parser.parse_args(words(one.command))
    with pytest.raises(AssertionError):
        set_value(["omero.fs.dirImportWiat", "5"])
    with pytest.raises(AssertionError):
        set_value(["omero.fs.pathMode", "folow"])
