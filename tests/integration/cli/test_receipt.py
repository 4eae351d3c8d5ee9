"""`omero fs receipt`: no file counts as safe that OMERO does not have, whole, now."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lxml import html

from omero_fs_plugin.cli import receipt as receipt_
from omero_fs_plugin.cli import report
from omero_fs_plugin.dropbox.importing.importers.answers import delete_filesets
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.receipts import proof
from tests.integration.dropbox.test_sets import NAMES, write_part
from tests.integration.whole import Whole

from .test_commands_on_sets import Run, run, runner

__all__ = ["run"]  # a fixture


def receipt(run: Run, *paths: object) -> tuple[int, dict[str, Any]]:
    """The exit code, and by path what the receipt says of a file."""
    code, lines = run("receipt", *paths, "--json")
    text = "\n".join(lines)
    told, end = json.JSONDecoder().raw_decode(text)
    unsafe = sum(not one["safe"] for one in told["files"])
    assert code == (1 if unsafe else 0)
    assert told["safe"] is (code == 0)
    verb = "is" if unsafe == 1 else "are"
    said = f"{unsafe} of {len(told['files'])} files {verb} not safe to delete" if unsafe else ""
    if unsafe and len(told["files"]) == 1:
        said = "the file is not safe to delete"
    assert text[end:].strip() == said
    return code, {one["path"]: one for one in told["files"]}


def in_repository(whole: Whole, path: Path) -> Path:
    """OMERO's copy of an imported file."""
    (found,) = (whole.watch_dir.parent / "ManagedRepository").rglob(path.name)
    return found


def imported(whole: Whole, name: str = "day 1/a.tif") -> Path:
    path = whole.drop(name)
    whole.until_known(path)
    whole.until_settled()
    return path


def test_an_imported_file_is_safe_to_delete(whole: Whole, run: Run) -> None:
    path = imported(whole)
    code, told = receipt(run, path)
    said = told[str(path)]
    row = whole.row(path)
    assert code == 0
    assert said["sha1"] == hashlib.sha1(path.read_bytes()).hexdigest()
    assert said["size"] == path.stat().st_size
    assert (said["fileset"], said["images"]) == (row.server_fileset, list(row.images))
    _, lines = run("receipt", path)
    assert lines[0].startswith("The file is safe to delete (")
    assert lines[2] == f"  {path}"


def test_it_says_where_the_images_are(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_whole(target="Project:name:mice/Dataset:name:{dir1}")
    path = imported(whole)
    _, told = receipt(runner(whole, monkeypatch), path)
    dataset, _, project = told[str(path)]["in"].partition(" in ")
    assert dataset.endswith("'day 1'") and project.endswith("'mice'")


def _one_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _same_time(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        before = path.stat()
        change(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return changed


HERE: dict[str, tuple[Callable[[Path], None], str]] = {
    "one byte": (_same_time(_one_byte), "changed after the import"),
    "shorter": (_same_time(lambda path: os.truncate(path, 100)), "changed after the import"),
    "empty": (lambda path: os.truncate(path, 0), "changed after the import"),
    "a link": (lambda path: (path.rename(f"{path}.old"), path.symlink_to("a.tif.old")), "link"),
    "unreadable": (lambda path: path.chmod(0), "it cannot be read: Permission denied"),
    "a fifo": (lambda path: (path.unlink(), os.mkfifo(path)), "no regular file"),
}
THERE: dict[str, tuple[Callable[[Path], None], str]] = {
    "one byte": (_one_byte, "its checksum differs"),
    "shorter": (lambda path: os.truncate(path, 100), "its checksum differs"),
    "gone": (lambda path: path.unlink(), "OMERO cannot read its copy"),
}


@pytest.mark.parametrize("change", HERE)
def test_a_file_that_is_not_what_was_imported_is_not_safe(
    whole: Whole, run: Run, change: str
) -> None:
    path = imported(whole)
    whole.stop_dropbox()
    act, words = HERE[change]
    act(path)
    code, told = receipt(run, path)
    assert (code, told[str(path)]["safe"]) == (1, False)
    assert words in told[str(path)]["why_not"]


@pytest.mark.parametrize("change", THERE)
def test_a_copy_that_is_not_what_was_imported_makes_nothing_safe(
    whole: Whole, run: Run, change: str
) -> None:
    path, other = imported(whole), imported(whole, "day 1/b.tif")
    act, words = THERE[change]
    act(in_repository(whole, path))
    code, told = receipt(run, path.parent)
    assert code == 1
    assert words in told[str(path)]["why_not"]
    assert told[str(other)]["safe"], "only that one is at fault"


def test_a_set_is_safe_only_as_a_whole(whole: Whole, run: Run) -> None:
    parts = [write_part(whole.watch_dir / "amy", number, NAMES) for number in range(3)]
    whole.until_known(parts[0])
    whole.until_settled()
    assert receipt(run, *parts)[0] == 0
    _one_byte(in_repository(whole, parts[2]))
    code, told = receipt(run, parts[0], parts[1])
    assert code == 1
    assert all("its checksum differs" in one["why_not"] for one in told.values())


def test_images_deleted_in_omero_make_nothing_safe(whole: Whole, run: Run) -> None:
    path = imported(whole)
    session = whole._omero.session_for(whole._omero.user("amy"))
    delete_filesets(session, [whole.row(path).server_fileset or 0])
    session.close()
    _, told = receipt(run, path)
    assert told[str(path)]["why_not"] == "OMERO has no images of it any more"


@pytest.mark.parametrize("transfer", ["ln_s", "ln"])
def test_after_an_in_place_import_the_file_is_omeros_data(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch, transfer: str
) -> None:
    whole = make_whole(transfer=transfer)
    path = imported(whole)
    _, told = receipt(runner(whole, monkeypatch), path)
    assert told[str(path)]["why_not"].startswith("it was imported in place (")


def test_a_copy_of_an_imported_file_is_safe_too(whole: Whole, run: Run) -> None:
    path = imported(whole)
    copy = path.with_name("copy.tif")
    copy.write_bytes(path.read_bytes())
    whole.until_known(copy, states=(State.SKIPPED,))
    assert receipt(run, path.parent)[0] == 0


def test_every_file_below_a_directory_counts(whole: Whole, run: Run) -> None:
    path = imported(whole)
    whole.stop_dropbox()
    for name in ("Thumbs.db", ".hidden", "notes.txt"):
        path.with_name(name).write_text("x")
    code, told = receipt(run, path.parent)
    assert code == 1 and len(told) == 4
    assert told[str(path)]["safe"]
    assert "a system file" in told[str(path.with_name("Thumbs.db"))]["why_not"]
    assert told[str(path.with_name("notes.txt"))]["why_not"] == "DropBox has not met it yet"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_directory_that_cannot_be_listed_is_not_safe(whole: Whole, run: Run) -> None:
    path = imported(whole)
    closed = path.parent / "closed"
    closed.mkdir()
    (closed / "only-here.tif").write_bytes(b"x")
    whole.stop_dropbox()
    closed.chmod(0)
    try:
        code, told = receipt(run, path.parent)
        _, lines = run("explain", path.parent)
        wrong, said = run("receipt", closed / "only-here.tif")
    finally:
        closed.chmod(0o755)
        whole.start_dropbox()
    assert code == 1 and told[str(path)]["safe"]
    assert "cannot be listed: Permission denied" in told[str(closed)]["why_not"]
    assert any("closed: a directory that cannot be listed" in line for line in lines), lines
    assert wrong == 2 and said[0].endswith("only-here.tif: Permission denied"), said


def test_a_fileset_that_is_on_its_way_keeps_its_files(whole: Whole, run: Run) -> None:
    path = imported(whole)
    whole.stop_dropbox()
    whole.start_dropbox(dirImportWait="3000")
    new = whole.drop("day 1/new.tif")
    whole.until("it is met", lambda: whole.journal.open_at([str(new)]))
    _, told = receipt(run, path.parent)
    assert told[str(path)]["safe"] and not told[str(new)]["safe"]
    assert told[str(new)]["why_not"] == "it is not imported yet"


def test_a_server_that_is_away_gives_no_receipt(whole: Whole, run: Run) -> None:
    path = imported(whole)
    whole.blitz.stop()
    code, lines = run("receipt", path)
    assert code == 5 and len(lines) == 1


def test_the_table_and_the_page_say_the_same(whole: Whole, run: Run) -> None:
    path = imported(whole)
    whole.stop_dropbox()
    odd = path.with_name('<b>"x",y\n.tif')
    odd.write_text("x")
    _, told = receipt(run, path.parent)
    code, lines = run("receipt", path.parent, "--csv")
    rows = list(csv.DictReader([f"{line}\n" for line in lines[:-1]]))
    assert code == 1
    assert [row["safe"] for row in rows] == ["no", "yes"], "what is not safe comes first"
    assert {row["path"] for row in rows} == set(told)
    assert rows[1]["sha1"] == told[str(path)]["sha1"]
    _, lines = run("receipt", path.parent, "--html")
    tree = html.fromstring("\n".join(lines[:-1]))
    cells = [[cell.text_content() for cell in row.iter("td")] for row in tree.iter("tr")][1:]
    assert [row[0] for row in cells] == ["NOT safe", "safe"]
    assert cells[0][1] == str(odd).replace("\n", "\\n")
    assert not tree.xpath("//b | //script | //@src | //link"), "a name is text, and it is one file"


def test_what_is_not_there_is_an_error(whole: Whole, run: Run, tmp_path: Path) -> None:
    code, (line,) = run("receipt", tmp_path / "none")
    assert code == 2 and line.endswith("none: there is no such file or directory")
    (tmp_path / "empty").mkdir()
    code, (line,) = run("receipt", tmp_path / "empty")
    assert code == 2 and line.startswith("no files in ")


@pytest.mark.parametrize(
    ("command", "arguments"), [(receipt_, ()), (report, ("--verify",))], ids=["receipt", "report"]
)
def test_the_journal_is_left_before_files_are_read(
    whole: Whole,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    command: ModuleType,
    arguments: tuple[str, ...],
) -> None:
    """To read them may take hours, and a database must not keep its state for so long."""
    path = imported(whole)
    looking: list[bool] = []
    glance = command.glance
    sums = proof._read

    @contextmanager
    def looked(url: str) -> Iterator[object]:
        looking.append(True)
        with glance(url) as look:
            yield look
        looking.clear()

    def read(*of: Any, **how: Any) -> Any:
        assert not looking
        read_files.append(of[0])
        return sums(*of, **how)

    read_files: list[str] = []
    monkeypatch.setattr(command, "glance", looked)
    monkeypatch.setattr(proof, "_read", read)
    name = command.__name__.rpartition(".")[2]
    code, lines = run(name, path if command is receipt_ else path.parent, *arguments)
    assert code == 0, lines
    assert read_files == [str(path)]
