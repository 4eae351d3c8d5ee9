"""`omero fs import` and `omero fs status` on filesets of several files, beside a DropBox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omero.cli import NonZeroReturnCode
from omero_ext import argparse

from omero_fs_plugin.blitz import sessions
from omero_fs_plugin.cli import audit, explain, forget, import_, receipt, report, status
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.icegrid import SERVERS
from omero_fs_plugin.starts import Condition
from tests.integration.dropbox.test_sets import NAMES, reason, write_part
from tests.integration.whole import Whole
from tests.unit.cli.status_fields import assert_as_documented


class Context:
    """What a command has of omero-py's CLI; `lines` are what it printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def out(self, text: str) -> None:
        self.lines += text.splitlines()

    def die(self, code: int, text: str) -> None:
        self.lines.append(text)
        raise NonZeroReturnCode(code, text)


class Here:
    """The Site of a Whole, whose grid is this process."""

    def __init__(self, whole: Whole, properties: dict[str, str]) -> None:
        self.omerodir = whole.watch_dir.parent
        self._whole = whole
        self._properties = properties

    def settings(self) -> Any:
        return read(self._properties)

    @contextmanager
    def grid(self) -> Iterator[Any]:
        yield SimpleNamespace(
            states=lambda: dict.fromkeys(SERVERS, "active"),
            figures=lambda name: self._whole.dropbox.figures() if name == "DropBox" else {},
            condition=lambda server, state, *, answers: Condition(),
            communicator=self._whole._ice,
        )

    @contextmanager
    def journal(self, settings: Any, *, read_only: bool) -> Iterator[Journal]:
        yield self._whole.journal


Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `omero fs import` or `status`: its exit code and what it printed."""
    return runner(whole, monkeypatch)


def runner(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> Run:
    """As the fixture `run`."""
    here = Here(whole, whole.properties)
    commands = (audit, explain, forget, import_, receipt, report, status)
    named = {module.__name__.rpartition(".")[2].rstrip("_"): module for module in commands}
    for command in commands:
        monkeypatch.setattr(command, "site", lambda ctx: here)
    monkeypatch.setattr(import_, "_check_users", lambda grid, settings, names: None)
    # As DropBox itself, it enters OMERO by the door behind the router.
    monkeypatch.setattr(sessions, "Omero", type(whole._omero))

    def run(name: str, *arguments: object) -> tuple[int, list[str]]:
        command = named[name]
        parser = argparse.ArgumentParser()
        command.configure(parser.add_subparsers())
        context = Context()
        try:
            command.run(context, parser.parse_args([name, *map(str, arguments)]))
        except NonZeroReturnCode as end:
            return end.rv, context.lines
        except FsError as error:
            return error.exit_code, [*context.lines, str(error)]
        return 0, context.lines

    return run


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """A set, in no DropBox."""
    directory = tmp_path / "set"
    directory.mkdir()
    return [write_part(directory, number, NAMES) for number in range(3)]


def test_a_file_of_a_set_stands_for_the_set(whole: Whole, run: Run, parts: list[Path]) -> None:
    code, lines = run("import", parts[1], "--user", "amy", "--wait")
    (row,) = whole.journal.select()
    assert code == 0
    assert lines[0] == f"{parts[1]} is one of 3 files, imported together"
    assert lines[-2].startswith(f"{row.id} imported {parts[0]} and 2 more files Image:")
    assert lines[-1] == "1 imported"
    assert [met.path for met in row.files] == list(map(str, parts))
    assert row.reader == "loci.formats.in.OMETiffReader"

    again, said = run("import", *parts, "--user", "amy", "--wait")
    assert (again, whole.journal.select()) == (0, [row])
    assert said[-2].startswith(f"{row.id} in OMERO already ")


def test_of_a_directory_what_is_whole_is_handed_over_and_the_rest_told(
    whole: Whole, run: Run, parts: list[Path]
) -> None:
    directory = parts[0].parent
    parts[1].unlink()
    (directory / "notes.txt").write_text("taken on a Monday", encoding="ascii")
    (directory / "omero-fs.toml").write_text('tags = ["Monday"]', encoding="ascii")
    (directory / "link.tif").symlink_to(parts[0])
    (directory / "broken.tif").write_bytes(b"nothing that anybody knows")
    single = write_part(directory, 0, ["single.ome.tif"])
    code, lines = run("import", directory, "--user", "amy", "--wait")
    assert code == 1
    assert [row.path for row in whole.journal.select(State.IMPORTED)] == [str(single)]
    told = sorted(line.partition(": ")[0::2] for line in lines if "over: " in line)
    assert [(kind, rest.partition(": ")[0]) for kind, rest in told] == [
        ("not handed over", str(directory / "broken.tif")),
        ("not handed over", f"{parts[0]} and 1 more file"),
        ("passed over", str(directory / "link.tif")),
        ("passed over", str(directory / "notes.txt")),
    ]
    assert f"not handed over: {parts[0]} and 1 more file: waits for {parts[1]}" in lines
    assert lines[-1] == "2 not handed over; the reasons are above"


def test_a_part_that_failed_alone_is_tried_again_with_its_set(whole: Whole, run: Run) -> None:
    directory = whole.watch_dir / "amy" / "set"
    directory.mkdir()
    parts = [write_part(directory, number, NAMES) for number in (0, 2)]
    for part in parts:
        whole.until("it waits", lambda part=part: reason(whole, part).startswith("waits for"))
    for part in parts:  # as after omero.fs.completeTimeout
        row = whole.row(part)
        assert whole.journal.move(row.id, State.WAITING, State.FAILED, row.reason)
    identifier = whole.row(parts[0]).id
    code, lines = run("import", "--retry", identifier)
    missing = directory / NAMES[1]
    assert code == 1
    assert lines[0] == f"not handed over: {parts[0]} and 1 more file: waits for {missing}"
    assert whole.journal.counts()[State.FAILED] == 2

    whole.stop_dropbox()
    write_part(directory, 1, NAMES)
    whole.start_dropbox()
    whole.until_state("running")
    code, lines = run("import", "--all-failed", "--wait")
    assert code == 0, lines
    (row,) = whole.journal.select(State.IMPORTED)
    assert len(row.files) == 3
    # What had failed by itself has an end: it is part of the set now.
    (part,) = whole.journal.select(State.SKIPPED)
    assert part.reason == f"its files are imported with {row.path}, as fileset {row.id}"
    assert len(whole.journal.select()) == 2


def test_status_tells_of_sets_and_of_who_imports_them(
    whole: Whole, run: Run, parts: list[Path]
) -> None:
    run("import", parts[0], "--user", "amy", "--wait")
    code, lines = run("status", "--details")
    assert code == 0
    assert "grouped by file signatures: omero.fs.bioformatsJars says so" in lines
    assert any(line.startswith("  importer native: ") for line in lines)
    assert all(any(str(part) in line for line in lines) for part in parts)
    _, told = run("status", "--json")
    known = json.loads("\n".join(told))
    (fileset,) = known["filesets"]
    assert fileset["files"] == list(map(str, parts))
    assert (fileset["plate"], fileset["progress"]) == (False, None)
    assert_as_documented(known)
    assert known["watched"][0]["directory"] == str(whole.watch_dir)


def test_status_of_one_user(whole: Whole, run: Run) -> None:
    hers, his = whole.drop("hers.tif"), whole.drop("his.tif", "zak")
    whole.until_known(hers, his)
    _, lines = run("status", "--user", "zak", "--details")
    text = "\n".join(lines)
    assert str(his) in text
    assert str(hers) not in text
    assert f"watched for zak: {whole.watch_dir / 'zak'}" in lines
    assert lines[0].startswith("zak: 0 on their way, 1 imported; last import ")
