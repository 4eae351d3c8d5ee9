"""A rule is taken away, or taken away and added again, at each step of an import of its user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole

from .test_changes_in_mid_import import STEPS, Once, _in_a_test_s_time, at, sha1, write
from .test_given_to_another import imported_for

__all__ = ["_in_a_test_s_time"]  # a fixture


@pytest.mark.parametrize("added_again", [True, False], ids=["added again", "taken away"])
@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=() if step == "before verify" else (pytest.mark.long,))
        for step in STEPS
    ],
)
def test_the_import_ends_once(
    make_whole: Callable[..., Whole],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    added_again: bool,
) -> None:
    amys, zaks = tmp_path / "amys", tmp_path / "zaks"
    amys.mkdir()
    zaks.mkdir()
    whole = make_whole(importUsers="amy;zak", watchDir=f"{amys};{zaks}", transfer="upload_rm")
    both = whole.properties
    one = {**both, "omero.fs.importUsers": "zak", "omero.fs.watchDir": str(zaks)}
    whole.until_state("running")

    def reload() -> None:
        whole.dropbox._change(read(one))
        if added_again:
            whole.dropbox._change(read(both))

    once = Once(reload)
    at(step, once, monkeypatch)
    path = amys / "a.tif"
    write(tmp_path / "new.tif")
    (tmp_path / "new.tif").rename(path)
    whole.until_known(path)
    # What is recorded is seen before that step has ended.
    whole.until("it is reloaded", lambda: once.done)
    whole.dropbox.rescanner.ask()
    zak_s = zaks / "b.tif"
    write(tmp_path / "new.tif")
    (tmp_path / "new.tif").rename(zak_s)
    whole.until_known(zak_s)
    whole.until_settled()
    whole.until("it is removed", lambda: not path.exists())
    for user, file in (("amy", path), ("zak", zak_s)):
        found = whole._omero.filesets(whole._omero.user(user), str(file)[1:])
        assert [bool(there.images) for there in found] == [True], user
    assert {row.state for row in whole.journal.select()} == {State.IMPORTED}


@pytest.mark.parametrize("comes", [True, False], ids=["comes", "goes"])
@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=() if step == "while OMERO imports" else (pytest.mark.long,))
        for step in STEPS
    ],
)
def test_a_rule_within_the_directory_of_another_user(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch, step: str, comes: bool
) -> None:
    """amy's subdirectory becomes zak's, or zak's becomes amy's: one of them has it, once.

    What is imported already, or just now, is not imported again because a rule has changed.
    """
    whole = make_whole()
    inner = whole.watch_dir / "amy" / "scope"
    inner.mkdir()
    apart = dict(whole.properties)
    nested = {**apart, "omero.fs.importUsers": "default;zak", "omero.fs.watchDir": f";{inner}"}
    before, after = (apart, nested) if comes else (nested, apart)
    whole.until_state("running")
    whole.dropbox._change(read(before))
    once = Once(lambda: whole.dropbox._change(read(after)))
    at(step, once, monkeypatch)
    path = inner / "a.tif"
    write(path)
    first = sha1(path)
    whole.until("it is done", lambda: once.done)
    for number in range(2):
        whole.dropbox.rescanner.ask()
        whole.until_known(whole.drop(f"marker {number}.tif", user="zak"))
        whole.until_settled()
    found = [*imported_for(whole, "amy"), *imported_for(whole, "zak")]
    assert found.count(first) == 1, found
    assert "half" not in found
    assert not whole.journal.counts()[State.FAILED]
