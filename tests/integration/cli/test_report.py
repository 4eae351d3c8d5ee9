"""`omero fs report` beside a DropBox: it agrees with the journal, the disk and OMERO."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from omero_fs_plugin.cli import report
from omero_fs_plugin.dropbox.journal.fates import ENDED
from omero_fs_plugin.dropbox.journal.states import State
from tests import broken
from tests.integration.whole import Whole

from .test_commands_on_sets import Run, run, runner
from .test_receipt import in_repository
from .test_retry import until_failed

__all__ = ["run"]  # a fixture


@pytest.fixture
def done(whole: Whole, run: Run, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A DropBox with two imported files, a copy, and one that has failed."""
    monkeypatch.setattr(report, "time", whole.clock)  # which leaps until it has failed
    failed = whole.watch_dir / "amy" / "bad.png"
    failed.write_bytes(broken.PNG)
    run("import", failed)
    until_failed(whole, failed)
    one, other = whole.drop("day 1/one.tif"), whole.drop("two.tif", user="zak")
    whole.until_known(one, other)
    copy = one.with_name("copy.tif")
    copy.write_bytes(one.read_bytes())
    whole.until_known(copy, states=(State.SKIPPED,))
    return {"failed": failed, "one": one, "two": other, "copy": copy}


def told(run: Run, *arguments: object, code: int = 0) -> Any:
    ended, lines = run("report", *arguments, "--json")
    assert ended == code, lines
    return json.JSONDecoder().raw_decode("\n".join(lines))[0]


def test_it_counts_what_the_journal_has(whole: Whole, run: Run, done: dict[str, Path]) -> None:
    found = told(run, "--since", "1h")
    assert (found["dropped"], found["imported"]) == (4, 2)
    assert (found["failed"], found["skipped"], found["open"]) == (1, 1, 0)
    assert [one["path"] for one in found["failures"]] == [str(done["failed"])]
    assert {one["user"]: one["imported"] for one in found["users"]} == {"amy": 1, "zak": 1}
    assert sum(part["imported"] for part in found["parts"]) == 2
    assert 0 < found["waits"]["median"] <= found["waits"]["longest"]
    size = sum(done[name].stat().st_size for name in ("one", "two"))
    assert found["size"] == size


def test_of_a_user_or_a_directory(whole: Whole, run: Run, done: dict[str, Path]) -> None:
    assert told(run, "--user", "zak")["dropped"] == 1
    assert told(run, done["one"].parent)["dropped"] == 2
    assert told(run, "--since", "2h", "--until", "1h")["dropped"] == 0
    code, lines = run("report", "--user", "nobody")
    assert (code, len(lines)) == (7, 1)


def test_what_does_not_agree_is_named(whole: Whole, run: Run, done: dict[str, Path]) -> None:
    assert told(run, "--verify")["disagreements"] == []
    whole.stop_dropbox()
    data = bytearray(in_repository(whole, done["two"]).read_bytes())
    data[-1] ^= 1
    in_repository(whole, done["two"]).write_bytes(data)
    done["one"].unlink()  # a file that is gone is no fault
    (wrong,) = told(run, "--verify", code=1)["disagreements"]
    assert wrong["path"] == str(done["two"]) and "checksum" in wrong["why"]
    code, lines = run("report", "--verify")
    assert code == 1 and lines[-1] == "1 file is not in OMERO as it is here"
    whole.start_dropbox()


def test_as_text_and_as_a_page(whole: Whole, run: Run, done: dict[str, Path]) -> None:
    code, lines = run("report")
    assert code == 0
    assert "4 filesets with 4 files came in; 2 were imported" in lines[1]
    assert any(line.startswith("  failed: ") and "amy/bad.png" in line for line in lines)
    code, lines = run("report", "--html")
    tree = html.fromstring("\n".join(lines))
    assert tree.xpath("//h2")[0].text_content() == "Failed: 1"
    assert len(tree.xpath("//figure")) == 2 and tree.xpath("//rect")
    assert not tree.xpath("//script | //link | //img | //@src | //@href"), "it loads nothing"


def test_what_became_of_imported_files(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_whole(afterImport="delete-after:0")
    run = runner(whole, monkeypatch)
    whole.stop_dropbox()  # which else might import them by the rules of before
    gone, kept = whole.drop("day 1/a.tif"), whole.drop("b.tif", user="zak")
    whole.start_dropbox(importUsers="amy;zak", transfer="upload;ln_s")
    whole.until_known(gone, kept)
    rows = [whole.row(path) for path in (gone, kept)]
    noted = [f"{ENDED}{row.id}" for row in rows]
    whole.until("it has ended", lambda: all(whole.journal.noted(key) for key in noted))
    found = told(run)
    assert (found["moved"], found["deleted"]) == (0, 1)
    (left,) = found["left"]
    assert left["path"] == str(kept) and "imported in place" in left["ended"]["why"]
    assert told(run, "--user", "amy")["left"] == []
    assert told(run, gone.parent)["deleted"] == 1
    _, lines = run("report")
    assert "  After their import, 0 filesets were moved and 1 deleted" in "\n".join(lines)
    assert any(f"after the import: {rows[1].id} zak/b.tif: left" in line for line in lines)
    _, lines = run("report", "--html")
    headings = [one.text_content() for one in html.fromstring("\n".join(lines)).xpath("//h2")]
    assert "Left where they are after the import: 1" in headings
    _, lines = run("explain", gone)
    assert any(line.endswith("after the import: 1 file deleted") for line in lines)
    _, lines = run("explain", kept)
    assert any("after the import: left where it is: it was imported in" in line for line in lines)
