"""DropBox as a whole, beside a real FSServer and a sandbox server in this process."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.importing.workers import Importers
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Held
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.service import service
from omero_fs_plugin.dropbox.service.parts import Parts
from omero_fs_plugin.dropbox.settling.groupers import Groupers
from omero_fs_plugin.dropbox.watching.rescanner import Rescanner
from omero_fs_plugin.dropbox.watching.subscriptions import Subscriptions
from tests.integration.whole import PATIENCE_S, Whole


class TestDuplicates:
    def test_a_copy_is_skipped_and_says_of_what(self, whole: Whole) -> None:
        first = whole.drop("a.tif")
        whole.until_known(first)
        second = first.with_name("b.tif")
        second.write_bytes(first.read_bytes())
        whole.until_known(second, states=(State.SKIPPED,))
        row = whole.row(second)
        assert row.duplicate_of == whole.row(first).id
        assert row.reason.startswith(f"the same content as {first}, imported as Fileset:")
        assert whole.in_omero(second) == []

    def test_of_copies_dropped_at_once_one_is_imported(self, whole: Whole) -> None:
        content = whole.drop("a.tif", user="zak").read_bytes()
        copies = [whole.watch_dir / "amy" / f"{n}.tif" for n in range(6)]
        for path in copies:
            path.write_bytes(content)
        whole.until_known(*copies, states=(State.SKIPPED, State.IMPORTED))
        assert sum(len(whole.in_omero(path)) for path in copies) == 1
        whole.until_settled()
        assert len(whole.in_omero(whole.watch_dir / "zak" / "a.tif")) == 1, "zak's is zak's"

    def test_all_are_imported_where_an_admin_wants_that(
        self, make_whole: Callable[..., Whole]
    ) -> None:
        whole = make_whole(duplicates="import")
        first = whole.drop("a.tif")
        second = first.with_name("b.tif")
        second.write_bytes(first.read_bytes())
        whole.until_known(first, second)
        whole.assert_once(first, second)

    def test_other_content_under_the_name_is_a_revision(self, whole: Whole) -> None:
        path = whole.drop("a.tif")
        whole.until_known(path)
        former = whole.row(path)
        whole.drop("a.tif")
        whole.until("it is imported again", lambda: whole.row(path).id != former.id)
        whole.until_known(path)
        whole.until_settled()
        assert whole.row(path).revision_of == former.id


class TestQuarantine:
    def test_a_failed_file_is_moved_and_retried_from_there(
        self, make_whole: Callable[..., Whole], tmp_path: Path
    ) -> None:
        whole = make_whole(quarantine=str(tmp_path / "bad"))
        path = whole.watch_dir / "amy" / "notes.tif"
        path.write_text("no image", encoding="ascii")
        good = whole.drop("good.tif")

        def failed() -> bool:
            whole.clock.pass_by(1)
            return bool(whole.journal.counts()[State.FAILED])

        whole.until("it has failed", failed)
        (row,) = whole.journal.select(State.FAILED)
        there = tmp_path / "bad" / "amy" / str(row.id) / "notes.tif"
        whole.until("it is moved", lambda: there.exists() and not path.exists())
        whole.until_known(there, states=(State.FAILED,))
        assert there.read_text(encoding="ascii") == "no image"
        whole.until_known(good)
        assert whole.journal.retry(row.id)
        whole.until("it has failed again", lambda: failed() and whole.row(there).attempts == 3)
        assert there.exists()


def test_a_second_dropbox_waits_for_the_lease(whole: Whole) -> None:
    first, first_ice = whole.dropbox, whole._dropbox_ice
    whole.until_state("running")
    whole.start_dropbox()
    try:
        whole.until("it waits", lambda: "held by process" in whole.dropbox.figures()["reason"])
        path = whole.drop("a.tif")
        whole.until_known(path)
        assert whole.dropbox.figures()["state"] == "waiting for the lease"
    finally:
        first.stop()
        first_ice.destroy()
    whole.until_state("running")
    later = whole.drop("b.tif")
    whole.until_known(later)
    whole.until_settled()
    whole.assert_once(path, later)


def test_a_begin_that_outlasts_the_lease_imports_nothing(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another DropBox takes over while the first sweeps up, and imports what is queued."""
    whole.until_state("running")
    whole.stop_dropbox()
    real, started = Parts.sweep, threading.Event()

    def sweep(parts: Parts) -> None:
        real(parts)
        there = whole.journal.lease()
        other = Held("elsewhere boot pids 1 then token", 1, there.epoch + 1)
        while not whole.journal.set_lease(whole.journal.lease(), other):
            pass  # the first renewed it at this very moment

    with monkeypatch.context() as patched:
        patched.setattr(Parts, "sweep", sweep)
        patched.setattr(Importers, "start", lambda importers: started.set())
        # It writes as well, and may be the first to hear of it.
        patched.setattr(Subscriptions, "apply", lambda *_, **__: None)
        whole.start_dropbox()
        whole.until("it has ended its begin", lambda: whole.dropbox._stopping.is_set())
        whole.dropbox._beginner.join(PATIENCE_S)
        assert not whole.dropbox._beginner.is_alive()
        assert not started.is_set()
        whole.stop_dropbox()
    left = whole.journal.lease()
    assert left.holder.startswith("elsewhere"), "a loser releases nothing"
    assert whole.journal.set_lease(left, replace(left, holder=""))
    whole.start_dropbox()  # which `close` stops
    whole.until_state("running")


@pytest.mark.parametrize(
    ("owner", "step"),
    [
        (Journal, "work_as"),
        (Parts, "apply"),
        (Subscriptions, "apply"),
        (Parts, "sweep"),
        (Journal, "owners_waiting"),
        (Journal, "make_sure"),
        (Groupers, "start"),
        (Rescanner, "start"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
@pytest.mark.parametrize("answer", ["goes on", "fails"])
def test_a_stop_at_any_step_of_the_begin_ends_it(
    whole: Whole,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: type,
    step: str,
    answer: str,
) -> None:
    """An error of a thread that outlives the stop would fail the test as well."""
    whole.until_state("running")
    whole.stop_dropbox()
    at_step, started = threading.Event(), threading.Event()
    real = getattr(owner, step)

    def held(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread().name == "begin":
            at_step.set()
            assert started.wait(PATIENCE_S)  # until then `whole.dropbox` is the former one
            assert whole.dropbox._stopping.wait(PATIENCE_S)
            if answer == "fails":
                raise OSError(errno.EIO, "I/O error")
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, held)
        for limit in ("_STOP_S", "_LEASE_S", "_STORY_S", "_METRICS_S", "_LETTER_S", "_PUBLISH_S"):
            patched.setattr(service, limit, PATIENCE_S)  # the step is what is tried here
        whole.start_dropbox()
        started.set()
        assert at_step.wait(PATIENCE_S)
        caplog.clear()
        begin = whole.dropbox._beginner
        whole.stop_dropbox()
    assert whole.dropbox.ended
    assert not begin.is_alive()
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
    whole.start_dropbox()  # which `close` stops


@pytest.mark.parametrize("when", ["before OMERO was told", "after OMERO was told"])
def test_a_stop_does_not_wait_for_an_import_that_omero_holds(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    held, go_on = threading.Event(), threading.Event()
    name = "_verify" if when == "before OMERO was told" else "_await"
    real = getattr(NativeImport, name)

    def hold(self: NativeImport, *arguments: Any) -> Any:
        held.set()
        assert go_on.wait(2 * PATIENCE_S)
        return real(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(NativeImport, name, hold)
        path = whole.drop("a.tif")
        assert held.wait(PATIENCE_S)
    whole.dropbox.stop()
    assert not whole.dropbox.ended
    row = whole.row(path)
    assert (row.state, row.reason) == (State.QUEUED, "stopped; OMERO will be asked")
    go_on.set()


def test_links_and_devices_are_told_and_others_imported(whole: Whole, tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    secret.write_bytes(b"another's")
    amy = whole.watch_dir / "amy"
    (amy / "link.tif").symlink_to(secret)
    os.mkfifo(amy / "pipe.tif")
    good = whole.drop("good.tif")
    whole.until_known(good)
    whole.dropbox.rescanner.ask("a rescan, please")

    def left() -> dict[str, str]:
        figures = whole.dropbox.figures()
        return {Path(key).name: why for key, why in figures.items() if key.startswith("left.")}

    told: dict[str, str] = {}  # while a rescan goes on, they are told one after the other

    def both() -> bool:
        told.update(left())
        return {"link.tif", "pipe.tif"} <= set(told)

    whole.until("both are told", both)
    assert told["link.tif"].startswith("a symbolic link")
    assert told["pipe.tif"].startswith("not a file")
    assert [f.path for f in whole.journal.select()] == [str(good)]


def test_a_file_held_open_by_a_writer_waits(whole: Whole) -> None:
    path = whole.drop("a.tif")
    with path.open("ab") as writer:
        other = whole.drop("b.tif")
        whole.until_known(other)
        whole.clock.pass_by(60)
        third = whole.drop("c.tif")
        whole.until_known(third)
        assert whole.row(path).state is State.WAITING
        writer.write(b"\0")
    whole.until_known(path)
    whole.assert_once(path, other, third)
