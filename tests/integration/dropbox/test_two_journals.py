"""Two DropBoxes with two journals on one OMERO: neither waits for the other, so people are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.attempts import Attempt
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.publishing import publisher
from omero_fs_plugin.dropbox.service.figures import troubles
from tests.integration.whole import PATIENCE_S, Whole


def test_who_meets_what_the_other_has_imported_tells_of_it(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/second.sqlite"
    before = whole.drop("before.tif")
    whole.until_known(before)
    whole.properties |= {"omero.fs.journal": url, "omero.fs.clientIdString": "Second"}
    ice, second = whole._another()
    other, go, real = Journal(url), threading.Event(), Attempt.prepare

    def slow(self: Attempt, *arguments: Any) -> State | None:
        if self.journal is second.journal:
            assert go.wait(PATIENCE_S)
        return real(self, *arguments)

    def known(path: Path) -> bool:
        return str(path) in {row.path for row in other.select(State.IMPORTED)}

    try:
        go.set()
        whole.until("it knows what was imported before it began", lambda: known(before))
        assert second.importers.beside == {}
        go.clear()
        monkeypatch.setattr(Attempt, "prepare", slow)
        path = whole.drop("a.tif")
        whole.until_known(path)
        go.set()
        whole.until("the second has it too", lambda: known(path))
        whole.assert_once(path)
        assert "another DropBox has just imported it" in second.figures()[f"left.{path}"]
        told = troubles(second.parts, second.subscriptions, second.configuration)
        assert "stop one of the two" in told["another DropBox"]
        assert str(path) in second.figures()["beside"], "`omero fs check` reads it there"
    finally:
        go.set()
        other.close()
        second.stop()
        ice.destroy()


def test_each_sees_the_signs_of_life_of_the_other_before_a_file_is_dropped(
    make_whole: Callable[..., Whole], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "EVERY_S", 0.2)
    whole = make_whole(publishInterval="1")
    whole.until_state("running")
    assert whole.dropbox.figures()["beside"] == ""
    url = f"sqlite:///{tmp_path}/second.sqlite"
    whole.properties |= {"omero.fs.journal": url, "omero.fs.clientIdString": "Second"}
    ice, second = whole._another()
    try:
        for one in (whole.dropbox, second):
            whole.until("it sees the other", lambda one=one: one.figures()["beside"])
            told = troubles(one.parts, one.subscriptions, one.configuration)
            assert "does not have our journal" in told["another DropBox"]
            assert "another DropBox, on " in one.figures()["left.OMERO"]
    finally:
        second.stop()
        ice.destroy()


def test_a_standby_that_takes_over_is_no_other(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "EVERY_S", 0.2)
    whole = make_whole(publishInterval="1")
    whole.until_state("running")
    whole.stop_dropbox()
    whole.start_dropbox()
    whole.until_known(whole.drop("a.tif"))
    signed = whole.dropbox.parts.publisher._signed
    whole.until("it has left signs", lambda: whole.dropbox.parts.publisher._signed > signed + 2.5)
    assert whole.dropbox.figures()["beside"] == ""
