"""`omero fs explain` beside a DropBox: files of all fates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests import broken
from tests.integration.whole import Whole

from .test_commands_on_sets import Run, run
from .test_retry import until_failed

__all__ = ["run"]  # a fixture


def told(run: Run, *arguments: object) -> Any:
    code, lines = run("explain", *arguments, "--json")
    assert code == 0, lines
    return json.loads("\n".join(lines))


@pytest.fixture
def fates(whole: Whole, run: Run) -> dict[str, Path]:
    """amy's directory with files of many fates: fate -> a file."""
    home = whole.watch_dir / "amy"
    failed = home / "a.png"
    failed.write_bytes(broken.PNG)
    run("import", failed)
    until_failed(whole, failed)
    imported = whole.drop("day 1/one.tif")
    whole.until_known(imported)
    copy = whole.watch_dir / "amy" / "day 1" / "copy.tif"
    copy.write_bytes(imported.read_bytes())
    whole.until_known(copy, states=(State.SKIPPED,))
    whole.stop_dropbox()
    found = {"failed": failed, "imported": imported, "skipped": copy}
    for name in ("Thumbs.db", "link.tif", "new.tif"):
        found[name] = home / "day 1" / name
    found["Thumbs.db"].touch()
    found["link.tif"].symlink_to(imported)
    found["new.tif"].write_bytes(imported.read_bytes() + b"more")
    whole.start_dropbox(dirImportWait="3000")
    whole.until("it is met", lambda: whole.journal.open_at([str(found["new.tif"])]))
    return found


def test_a_directory_is_counted_as_the_journal_has_it(
    whole: Whole, run: Run, fates: dict[str, Path]
) -> None:
    home = whole.watch_dir / "amy"
    found = told(run, home)
    assert found["files"] == 6
    assert found["counts"] == {
        "imported": 1,
        "failed": 1,
        "skipped": 1,
        "on their way": 1,
        "passed over": 2,
    }
    assert sum(found["counts"].values()) == found["files"]
    reasons = {one["reason"]: one["for_example"] for one in found["passed_over"]}
    made = "what Windows Explorer keeps of a directory"
    assert reasons[f"a system file (omero.fs.ignoreSysFiles): {made}"] == str(fates["Thumbs.db"])
    assert [one["path"] for one in found["attention"]] == [str(fates["failed"])]
    assert told(run, "--user", "amy")["counts"] == found["counts"]
    code, lines = run("explain", home)
    assert code == 0
    first = f"{home}: 6 files: 1 imported, 1 on their way, 1 failed, 1 skipped, 2 passed over"
    assert lines[0] == first
    assert any("not imported: Thumbs.db: a system file" in line for line in lines)


def test_each_fate_says_why(whole: Whole, run: Run, fates: dict[str, Path]) -> None:
    found = {fate: told(run, path) for fate, path in fates.items()}
    assert {fate: one["stand"] for fate, one in found.items()} == {
        "failed": "failed",
        "imported": "imported",
        "skipped": "skipped",
        "Thumbs.db": "passed over",
        "link.tif": "passed over",
        "new.tif": "settling",
    }
    assert "--retry" in found["failed"]["remedy"]
    assert found["new.tif"]["next"].startswith("it is grouped when")
    assert found["link.tif"]["reason"].startswith("a symbolic link")
    history = [step["what"] for step in found["imported"]["history"]]
    assert history[0] == "met"
    assert history[-2:] == ["attempt 1 begins", "imported"]
    assert all(one["user"] == "amy" for one in found.values())
    assert all(one["rule"]["user"] == "default" for one in found.values())
    by_id = told(run, found["failed"]["id"])
    assert by_id["path"] == str(fates["failed"])
    assert whole.row(fates["new.tif"]).state is State.WAITING, "it imports nothing"


def test_images_have_their_dataset_and_project(whole: Whole, run: Run) -> None:
    whole.stop_dropbox()
    whole.start_dropbox(target="Project:name:mice/Dataset:name:{dir1}")
    path = whole.drop("day 1/a.tif")
    whole.until_known(path)
    whole.until_settled()
    (image,) = told(run, path)["images"]
    assert image["in_omero"] is True
    dataset, project = image["containers"]
    assert dataset.endswith("'day 1'") and project.endswith("'mice'")
    _, lines = run("explain", path)
    assert f"  image:    Image:{image['id']} in {dataset} in {project}" in lines


def test_a_directory_of_no_user_is_left_alone(whole: Whole, run: Run) -> None:
    path = whole.watch_dir / "eve" / "a.tif"
    path.parent.mkdir()
    path.write_bytes(b"a file that nobody imports")
    found = told(run, path)
    assert (found["stand"], found["remedy"]) == ("passed over", "see `omero fs users`")
    assert found["reason"] == "there is no OMERO user named eve"
    below = told(run, path.parent)
    assert below["counts"] == {"passed over": 1}
    assert [one["reason"] for one in below["passed_over"]] == ["there is no OMERO user named eve"]
    met = whole.watch_dir / "amy" / "new.tif"
    met.parent.mkdir(exist_ok=True)
    whole.stop_dropbox()
    met.write_bytes(b"of a user whom OMERO has")
    assert told(run, met)["stand"] == "not met"


def test_a_file_that_is_cut_short_says_what_to_do_and_until_when(whole: Whole, run: Run) -> None:
    path = whole.watch_dir / "amy" / "cut.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(broken.PNG[:-12])
    whole.until("it is held up", lambda: told(run, path)["stand"] == "held up")
    found = told(run, path)
    assert found["next"].startswith("it fails in ")
    assert found["remedy"].startswith("copy it again")


def test_what_is_unknown_is_an_error(whole: Whole, run: Run, tmp_path: Path) -> None:
    for arguments, words in (
        ([77], "no fileset has the id 77"),
        ([tmp_path / "none"], "there is no such file, and the journal does not know it"),
        (["--user", "nobody"], "no such user has a directory here"),
        ([], "give either a path or an id"),
    ):
        code, lines = run("explain", *arguments)
        assert code == 2 and words in lines[0], lines
