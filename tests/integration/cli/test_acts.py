"""What people do with filesets: forget, try again, try dry, and wait."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests import broken
from tests.integration.whole import Whole

from .test_commands_on_sets import Run, run
from .test_retry import until_failed

__all__ = ["run"]  # a fixture


@pytest.fixture
def failed(whole: Whole, run: Run) -> Path:
    """A file that has failed: its name and its first bytes promise a PNG."""
    path = whole.watch_dir / "amy" / "a.png"
    path.write_bytes(broken.PNG)
    code, lines = run("import", path)
    assert code == 0, lines
    until_failed(whole, path)
    return path


class TestForget:
    def test_by_its_id(self, whole: Whole, run: Run, failed: Path) -> None:
        before = whole.row(failed)
        code, lines = run("forget", before.id)
        assert (code, lines) == (0, [f"{before.id} set aside: {failed}"])
        row = whole.row(failed)
        assert row.state is State.SKIPPED
        assert row.reason.startswith("set aside by ") and row.reason.endswith(before.reason)
        assert State.FAILED in [after for _, _, after, _, _ in whole.journal.events(row.id)]

    def test_by_a_directory_and_it_stays_so_after_a_rescan(
        self, whole: Whole, run: Run, failed: Path
    ) -> None:
        code, _ = run("forget", failed.parent)
        assert code == 0
        whole.stop_dropbox()
        whole.start_dropbox()
        whole.until_known(whole.drop("later.tif"))
        assert whole.row(failed).state is State.SKIPPED
        assert failed.exists()

    def test_all_or_nothing(self, whole: Whole, run: Run, failed: Path) -> None:
        identifier = whole.row(failed).id
        code, lines = run("forget", identifier, 77, "/nowhere")
        assert code == 2
        assert lines[0].startswith("no fileset has the id 77; /nowhere: no failed fileset")
        assert whole.row(failed).state is State.FAILED


class TestRetry:
    def test_an_unknown_id_and_one_that_has_not_failed(self, whole: Whole, run: Run) -> None:
        path = whole.drop("a.tif")
        whole.until_known(path)
        identifier = whole.row(path).id
        code, lines = run("import", "--retry", 77, "--retry", identifier)
        assert code == 2
        told = f"no fileset has the id 77; fileset {identifier} is imported, not failed"
        assert lines[0].startswith(told)

    def test_all_failed_with_none_says_so(self, run: Run) -> None:
        code, lines = run("import", "--all-failed")
        assert (code, lines) == (0, ["no fileset has failed: there is nothing to try again"])


class TestWait:
    def test_what_omero_has_already_counts_as_imported(
        self, whole: Whole, run: Run, tmp_path: Path
    ) -> None:
        dropped = whole.drop("a.tif")
        whole.until_known(dropped)
        copy = tmp_path / "copy.tif"
        shutil.copy(dropped, copy)
        new = tmp_path / "new.tif"
        shutil.copy(whole.drop("b.tif", "zak"), new)
        code, lines = run("import", dropped, "--wait")
        assert code == 0
        assert lines[0].startswith(f"{whole.row(dropped).id} in OMERO already {dropped} Image:")
        assert lines[-1] == "1 in OMERO already"
        code, lines = run("import", copy, new, "--user", "amy", "--wait")
        assert code == 0, lines
        assert whole.row(copy).state is State.SKIPPED
        assert lines[-1] == "1 imported, 1 in OMERO already"

    def test_a_failure_is_told_with_its_reason_and_the_number(
        self, run: Run, tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad.png"
        bad.write_bytes(broken.PNG)
        code, lines = run("import", bad, "--user", "amy", "--wait")
        assert code == 1
        assert " failed " in lines[-2]
        assert lines[-1] == "1 failed: not all are in OMERO; the reasons are above"


class TestDryRun:
    def test_it_shows_filesets_and_targets_and_hands_over_nothing(
        self, whole: Whole, run: Run
    ) -> None:
        there = whole.drop("there.tif")
        whole.until_known(there)
        directory = there.parent / "later"
        directory.mkdir()
        (directory / "omero-fs.toml").write_text('target = "Dataset:name:{dir1}"\n')
        whole.stop_dropbox()
        new = whole.drop("later/new.tif")
        (directory / "link.tif").symlink_to(there)
        whole.start_dropbox()
        before = len(whole.journal.select())
        code, lines = run("import", "--dry-run", new, there)
        assert code == 0, lines
        (of_new,) = [line for line in lines if str(new) in line]
        (of_there,) = [line for line in lines if str(there) in line]
        assert "a fileset of 1 file for amy" in of_new
        assert "to Dataset 'later'" in of_new
        assert "to no dataset (no target is set) (in OMERO already)" in of_there
        assert lines[-1].startswith("a dry run, so nothing was handed over: 1 to import, 1 in")
        assert len(whole.journal.select()) in (before, before + 1), "at most DropBox met it"

    def test_its_exit_code_is_that_of_the_real_run(
        self, whole: Whole, run: Run, tmp_path: Path
    ) -> None:
        """Of each directory: what it has, the exit code, and the end of what is said."""
        image = whole.drop("a.tif").read_bytes()
        cases = {
            "whole": ({"a.tif": image}, 0, "1 to import, 0 in OMERO already, 0 left out"),
            "with notes": ({"a.tif": image, "notes.txt": b"x"}, 0, "1 left out"),
            "notes alone": ({"notes.txt": b"x"}, 1, "nothing would be handed over; the reasons"),
            "wrong sidecar": (
                {"a.tif": image, "omero-fs.toml": b"tagz = []\n"},
                1,
                "1 would not be handed over; the reasons are above",
            ),
            "cut short": ({"a.tif": image, "b.png": b"\x89PNG\r\n\x1a\n"}, 1, "would not be"),
        }
        for name, (files, code, end) in cases.items():
            directory = tmp_path / name
            directory.mkdir()
            for file, content in files.items():
                (directory / file).write_bytes(content)
            dry, lines = run("import", "--dry-run", directory, "--user", "amy")
            assert (dry, end in lines[-1]) == (code, True), (name, lines)
            assert any("so nothing was handed over" in line for line in lines)
            real, told = run("import", directory, "--user", "amy")
            assert real == dry, (name, told)

    def test_it_goes_with_paths_alone(self, run: Run) -> None:
        code, lines = run("import", "--dry-run", "--all-failed")
        assert code == 2 and "--dry-run goes with PATHs" in lines[0]


def test_a_broken_sidecar_is_told_at_the_hand_over(whole: Whole, run: Run, tmp_path: Path) -> None:
    directory = tmp_path / "some"
    directory.mkdir()
    (directory / "omero-fs.toml").write_text("tagz = []\n")
    path = directory / "a.tif"
    shutil.copy(whole.drop("a.tif", "zak"), path)
    code, lines = run("import", directory, "--user", "amy")
    assert code == 1
    assert lines[0].startswith(f"not handed over: {path}: ")
    assert "unknown key 'tagz'" in lines[0]
    assert all(row.path != str(path) for row in whole.journal.select())


def test_a_path_stands_once_in_a_line(whole: Whole, run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"II*\0\xff\xff\xff\x7f and nothing there")
    code, lines = run("import", bad, "--user", "amy")
    assert code == 1
    assert lines[0].count(str(bad)) == 1, lines
