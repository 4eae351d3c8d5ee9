"""`omero fs import --retry`, beside a DropBox: what failed, and what lies in quarantine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image

from omero_fs_plugin.dropbox.journal.states import State
from tests import broken
from tests.integration.dropbox.test_second_chances import Incomplete
from tests.integration.dropbox.test_sets import NAMES, reason, write_part
from tests.integration.whole import Whole

from .test_commands_on_sets import Run, parts, run, runner

__all__ = ["parts", "run"]  # fixtures


def until_failed(whole: Whole, path: Path) -> int:
    """The id of the fileset of `path`, once it has failed."""

    def failed() -> bool:
        whole.clock.pass_by(1)
        return whole.row(path).state is State.FAILED

    whole.until("it has failed", failed)
    return whole.row(path).id


class TestWhatWasHandedOver:
    """Nobody watches it settle, so that it is what it is when it is tried again."""

    def test_is_imported_when_it_was_mended(self, whole: Whole, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(broken.PNG)
        code, lines = run("import", path, "--user", "amy")
        assert code == 0, lines
        identifier = until_failed(whole, path)
        Image.fromarray(numpy.zeros((4, 4), "uint8")).save(path)
        code, lines = run("import", "--retry", identifier, "--wait")
        assert code == 0, lines
        assert lines[-2].startswith(f"{identifier} imported {path} Image:")

    def test_is_imported_when_it_was_written_during_its_import(
        self, whole: Whole, run: Run, tmp_path: Path
    ) -> None:
        """It has failed for that, and is whole by now."""
        path = tmp_path / "a.tif"
        shutil.copy(whole.drop("one.tif", "zak"), path)
        gate = whole.blitz.sandbox.pace.hold("ManagedRepository.importFileset")
        run("import", path, "--user", "amy")
        whole.until("OMERO is asked for it", gate.reached.is_set)
        shutil.copy(whole.drop("two.tif", "zak"), path)
        whole.blitz.sandbox.pace.let_pass()
        gate.release()
        identifier = until_failed(whole, path)
        assert "changed" in whole.row(path).reason
        code, lines = run("import", "--retry", identifier, "--wait")
        assert code == 0, lines
        whole.until_known(path)

    def test_a_set_is_imported_when_one_of_it_has_changed(
        self, whole: Whole, run: Run, parts: list[Path]
    ) -> None:
        gate = whole.blitz.sandbox.pace.hold("ManagedRepository.importFileset")
        run("import", *parts, "--user", "amy")
        whole.until("OMERO is asked for it", gate.reached.is_set)
        write_part(parts[1].parent, 1, NAMES)
        whole.blitz.sandbox.pace.let_pass()
        gate.release()
        identifier = until_failed(whole, parts[0])
        code, lines = run("import", "--retry", identifier, "--wait")
        assert code == 0, lines
        assert len(whole.row(parts[0]).files) == 3


class TestWhatLiesInQuarantine:
    @pytest.fixture
    def incomplete(self, make_whole: Callable[..., Whole], tmp_path: Path) -> Incomplete:
        place = tmp_path / "bad"
        return Incomplete(make_whole(quarantine=str(place), completeTimeout="200"), place)

    @pytest.fixture
    def retry(self, incomplete: Incomplete, monkeypatch: pytest.MonkeyPatch) -> Run:
        return runner(incomplete.whole, monkeypatch)

    def test_a_set_comes_back_and_waits_for_what_it_lacks(
        self, incomplete: Incomplete, retry: Run
    ) -> None:
        (row,) = incomplete.rows()
        code, lines = retry("import", "--retry", row.id)
        assert code == 0, lines
        assert lines == [f"{row.id} waiting {incomplete.first}"]
        assert incomplete.first.exists() and incomplete.last.exists()
        assert incomplete.lying() == []
        whole, first = incomplete.whole, incomplete.first
        whole.until("it waits", lambda: reason(whole, first) == f"waits for {incomplete.missing}")
        write_part(incomplete.directory, 1, NAMES)
        incomplete.assert_imported_as_one()

    def test_a_set_is_imported_where_what_it_lacked_came_unseen(
        self, incomplete: Incomplete, retry: Run
    ) -> None:
        """Moved to beside its other parts, into the quarantine itself."""
        (row,) = incomplete.rows()
        code, lines = retry("import", "--all-failed")
        assert code == 0, lines
        write_part(incomplete.directory, 1, NAMES)
        incomplete.assert_imported_as_one()
        assert row.id in {one.id for one in incomplete.whole.journal.select()}

    def test_a_set_stays_where_the_user_has_put_something_else(
        self, incomplete: Incomplete, retry: Run
    ) -> None:
        (row,) = incomplete.rows()
        lying = incomplete.lying()
        again = write_part(incomplete.directory, 0, ["t0.ome.tif"])
        bytes_of_it = again.read_bytes()
        retry("import", "--retry", row.id)
        assert again.read_bytes() == bytes_of_it, "nothing is overwritten"
        assert set(lying) <= set(incomplete.lying())
