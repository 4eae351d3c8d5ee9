"""The whole DropBox, and an OMERO that takes minutes, or acts when nobody waits any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omero_fs_plugin.dropbox.importing import activity, leftovers, tidying
from omero_fs_plugin.dropbox.importing.importers import native
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.sandbox.pace import SAVE
from tests.integration import whole as whole_module
from tests.integration.whole import Whole


def test_an_import_that_lasts_outlives_dropbox_and_is_found(whole: Whole) -> None:
    gate = whole.blitz.sandbox.pace.hold(SAVE)
    path = whole.drop("plate.tif")
    whole.until("OMERO imports it", gate.reached.is_set)
    whole.stop_dropbox()
    whole.start_dropbox()
    whole.until(
        "its state is told",
        lambda: "OMERO may still be importing it as Fileset:" in whole.row(path).reason,
    )
    assert whole.in_omero(path) == [()]
    whole.blitz.sandbox.pace.let_pass()
    other = whole.drop("small.tif")
    whole.until_known(other)
    assert whole.row(path).state in (State.QUEUED, State.IMPORTING), "it holds up nobody"
    gate.release()
    whole.until_known(path)
    whole.assert_once(path, other)


def test_a_server_that_dies_takes_its_import_along(whole: Whole) -> None:
    gate = whole.blitz.sandbox.pace.hold(SAVE)
    path = whole.drop("plate.tif")
    whole.until("OMERO imports it", gate.reached.is_set)
    whole.blitz.stop()
    whole.blitz.start()
    whole.until_known(path)
    whole.assert_once(path)


def test_a_call_that_is_carried_out_late_leaves_no_half_fileset(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(whole_module._ICE, "Ice.Default.InvocationTimeout", "3000")
    monkeypatch.setattr(native, "patience_ms", lambda *_: 3000)
    monkeypatch.setattr(tidying, "SWEEP_S", 0.2)
    monkeypatch.setattr(leftovers, "LATE_S", 60.0)
    for name in ("START_S", "FILE_S", "LATE_S", "WATCH_S"):
        monkeypatch.setattr(activity, name, 1.0)
    whole = make_whole()
    gate = whole.blitz.sandbox.pace.hold("ManagedRepository.importFileset")
    path = whole.drop("a.tif")
    whole.until("OMERO is asked for it", gate.reached.is_set)
    whole.blitz.sandbox.pace.let_pass()  # for whoever comes next
    whole.until_known(path)
    assert len(whole.filesets(path)) == 1
    gate.release()
    whole.until("the late one is there", lambda: len(whole.filesets(path)) == 2)
    whole.until("and gone", lambda: len(whole.filesets(path)) == 1)
    whole.assert_once(path)
