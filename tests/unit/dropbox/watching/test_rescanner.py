"""A directory that could not be looked at is looked at again."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.dropbox.confine.trees import stat_of
from omero_fs_plugin.dropbox.disks.calls import Calls
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.settling.left_alone import LeftAlone
from omero_fs_plugin.dropbox.watching import owners, rescan
from omero_fs_plugin.dropbox.watching import rescanner as rescanner_module
from omero_fs_plugin.dropbox.watching.rescanner import Rescanner
from omero_fs_plugin.dropbox.watching.rounds import LONGEST_S, Late
from omero_fs_plugin.errors import JournalError
from tests.clocks import Ahead
from tests.rules import places_of


class Pipeline:
    """As much of one as a rescanner asks; the journal is down."""

    def __init__(self, top: Path) -> None:
        self.places = places_of(top)
        self.outside: Any = SimpleNamespace()
        self.files: Any = SimpleNamespace(
            unsure=set(),
            unrecorded=False,
            unowned={},
            left_alone=LeftAlone(),
            leave_alone=lambda path, why: None,
            not_seen=lambda path, why: None,
        )

    def looked_at(self, files: object, stores: object, now: float) -> None:
        raise JournalError("the disk is full")


@pytest.fixture
def failed() -> threading.Event:
    return threading.Event()


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    (tmp_path / "amy").mkdir()
    return Pipeline(tmp_path)


@pytest.fixture
def rescanner(pipeline: Any, failed: threading.Event) -> Rescanner:
    users: Any = SimpleNamespace(is_user=lambda name: True)
    lanes = Lanes(lambda root, error: failed.set(), calls=Calls(time.monotonic))
    return Rescanner(pipeline, users, lanes, lambda: 0.0)


def test_one_whose_files_cannot_be_recorded(
    pipeline: Pipeline, rescanner: Rescanner, failed: threading.Event, tmp_path: Path
) -> None:
    rescanner.look_at(f"{tmp_path}/amy")
    assert failed.wait(10)
    assert pipeline.files.unsure == {f"{tmp_path}/amy"}


def test_one_that_cannot_be_listed_for_a_moment(
    pipeline: Pipeline, rescanner: Rescanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{tmp_path}/amy"
    done = threading.Event()
    pipeline.looked_at = lambda files, stores, now: None  # type: ignore[method-assign]
    pipeline.revisit = lambda now, owner: None  # type: ignore[attr-defined]
    pipeline.ask_all = lambda now, root: done.set()  # type: ignore[attr-defined]
    pipeline.files.unsure.add(root)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as away:
        away.setattr(rescan, "listing", fail)
        rescanner.look_at(root)
        assert done.wait(10)
    assert pipeline.files.unsure == {root}
    done.clear()
    rescanner.look_at(root)
    assert done.wait(10)
    assert pipeline.files.unsure == set()


def test_one_that_is_nobodys_asks_for_one_rescan_and_not_for_one_each_minute(
    pipeline: Pipeline, rescanner: Rescanner
) -> None:
    pipeline.files.unsure.add("")
    rescanner.look_at("")
    assert rescanner._asked.is_set()
    assert pipeline.files.unsure == set()


def test_one_that_a_round_did_not_wait_for_and_that_fails_is_looked_at_again(
    pipeline: Pipeline, rescanner: Rescanner, tmp_path: Path
) -> None:
    rescanner._caught_up(f"{tmp_path}/amy", None, False)
    assert pipeline.files.unsure == {f"{tmp_path}/amy"}


def test_what_came_while_a_directory_was_listed_slowly_asks_for_a_rescan_once(
    pipeline: Pipeline, rescanner: Rescanner, tmp_path: Path
) -> None:
    (rule,) = pipeline.places.rules
    rescanner._owners._tops[rule] = ["amy"]
    rescanner._owners._top_caught_up(str(tmp_path), {rule: ["amy"]})
    assert not rescanner._asked.is_set()
    rescanner._owners._top_caught_up(str(tmp_path), {rule: ["amy", "zak"]})
    assert rescanner._asked.is_set()
    rescanner._asked.clear()
    rescanner._owners._top_caught_up(str(tmp_path), {rule: ["amy", "zak"]})
    assert not rescanner._asked.is_set()


@pytest.mark.parametrize("known", [True, False])
def test_a_watched_directory_that_is_listed_slowly_holds_up_no_other(
    pipeline: Pipeline,
    rescanner: Rescanner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    """Its users are those of the last time."""
    (rule,) = pipeline.places.rules
    clock, go, begun = Ahead(), threading.Event(), threading.Event()
    rescanner._late = Late(clock)
    if known:
        rescanner._owners._tops[rule] = ["kim"]

    def listed(*_: object) -> tuple[list[str], list[object]]:
        clock.ahead += LONGEST_S
        begun.set()
        assert go.wait(20)
        return ["amy"], []

    monkeypatch.setattr(owners, "tops", listed)
    expected = [("kim", f"{tmp_path}/kim")] if known else []
    assert rescanner._owners.listed(rescanner._round) == expected
    assert begun.is_set()
    pipeline.looked_at = lambda files, stores, now: None  # type: ignore[method-assign]
    go.set()
    assert rescanner._lanes.stop(time.monotonic() + 20)
    assert rescanner._asked.is_set()
    assert rescanner._owners._tops[rule] == ["amy"]


@pytest.mark.parametrize(
    ("number", "revisited"), [(errno.EIO, True), (errno.ENOTCONN, False)], ids=["one", "all of it"]
)
def test_what_waits_on_a_share_that_is_not_there_is_not_looked_at_one_by_one(
    pipeline: Pipeline,
    rescanner: Rescanner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    revisited: bool,
) -> None:
    looked_at: list[object] = []
    pipeline.looked_at = lambda files, stores, now: None  # type: ignore[method-assign]
    pipeline.revisit = lambda now, owner: looked_at.append(owner)  # type: ignore[attr-defined]

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(rescan, "listing", fail)
    assert rescanner._walk("amy", f"{tmp_path}/amy", hasty=True) == 0
    assert bool(looked_at) == revisited
    assert pipeline.files.unsure == {f"{tmp_path}/amy"}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("mended", [True, False])
def test_what_could_not_be_seen_is_looked_at_when_its_rights_are_mended(
    pipeline: Pipeline, rescanner: Rescanner, tmp_path: Path, mended: bool
) -> None:
    """An empty directory too: it is not looked at again and again."""
    shut, below = tmp_path / "amy/shut", tmp_path / "amy/other/a.tif"
    shut.mkdir()
    below.parent.mkdir()
    below.write_text("")
    told, looked = pipeline.files.left_alone, []
    for path in (shut, below):
        told.note(f"{tmp_path}/amy", str(path), "cannot be listed", unseen=True)
    told.note(f"{tmp_path}/amy", f"{tmp_path}/amy/link.tif", "a link")
    pipeline.files.no_longer_left = told.forget
    rescanner.look_at = looked.append  # type: ignore[method-assign]
    for directory in (shut, below.parent):
        directory.chmod(0)
    try:
        if mended:
            shut.chmod(0o755)
        rescanner._see_again(f"{tmp_path}/amy", told.unseen())
        assert looked == ([f"{tmp_path}/amy"] if mended else [])
        assert set(told.unseen()) == {str(below)} | (set() if mended else {str(shut)})
        assert set(told) == {f"{tmp_path}/amy/link.tif", *told.unseen()}
    finally:
        for directory in (shut, below.parent):
            directory.chmod(0o755)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_store_with_a_shut_directory_is_not_taken_for_mended(
    pipeline: Pipeline, rescanner: Rescanner, tmp_path: Path
) -> None:
    """Its top can be listed.  Else all that its user has would be looked at every five seconds."""
    shut = tmp_path / "amy/a.zarr/0"
    shut.mkdir(parents=True)
    store = f"{tmp_path}/amy/a.zarr/"
    told, looked = pipeline.files.left_alone, []
    told.note(f"{tmp_path}/amy", store, "cannot be looked at", unseen=True)
    pipeline.files.no_longer_left = told.forget
    pipeline.outside.stat = lambda path: stat_of(f"{tmp_path}/amy", path)
    rescanner.look_at = looked.append  # type: ignore[method-assign]
    shut.chmod(0)
    try:
        rescanner._see_again(f"{tmp_path}/amy", told.unseen())
        assert looked == [] and told.unseen() == [store]
    finally:
        shut.chmod(0o755)
    rescanner._see_again(f"{tmp_path}/amy", told.unseen())
    assert looked == [f"{tmp_path}/amy"] and told.unseen() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_one_that_may_be_listed_and_not_entered_is_not_taken_for_mended(
    pipeline: Pipeline, rescanner: Rescanner, tmp_path: Path
) -> None:
    """Else all that its user has would be looked at every five seconds."""
    shut = tmp_path / "amy/shut"
    shut.mkdir()
    told, looked = pipeline.files.left_alone, []
    told.note(f"{tmp_path}/amy", str(shut), "cannot be listed", unseen=True)
    pipeline.files.no_longer_left = told.forget
    rescanner.look_at = looked.append  # type: ignore[method-assign]
    shut.chmod(0o444)
    try:
        rescanner._see_again(f"{tmp_path}/amy", told.unseen())
        assert looked == [] and told.unseen() == [str(shut)]
    finally:
        shut.chmod(0o755)
    rescanner._see_again(f"{tmp_path}/amy", told.unseen())
    assert looked == [f"{tmp_path}/amy"] and told.unseen() == []


def test_one_with_a_backslash_in_its_name_is_looked_at_again(
    pipeline: Pipeline, rescanner: Rescanner, tmp_path: Path
) -> None:
    r"""It is no byte that is shown as \xff.  On a share from Windows there are such names."""
    done = threading.Event()
    mended = tmp_path / "amy/day\\two"
    mended.mkdir()
    told = pipeline.files.left_alone
    told.note(f"{tmp_path}/amy", str(mended), "cannot be listed", unseen=True)
    told.note(f"{tmp_path}/amy", f"{tmp_path}/amy/\\xff", "cannot be listed", unseen=True)
    pipeline.files.no_longer_left = told.forget
    rescanner.look_at = lambda root: done.set()  # type: ignore[method-assign]
    rescanner._look_at_unseen()
    assert done.wait(10)
    assert told.unseen() == [f"{tmp_path}/amy/\\xff"], "nobody knows what it is called"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_large_store_with_a_shut_directory_is_no_load_for_ever(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """A look at all that is in it may take long, and others are on the same disk."""
    clock = Ahead()
    users: Any = SimpleNamespace(is_user=lambda name: True)
    taken: Any = pipeline
    rescanner = Rescanner(taken, users, Lanes(calls=Calls(clock)), lambda: 0.0)
    shut = tmp_path / "amy/a.zarr/0"
    shut.mkdir(parents=True)
    store = f"{tmp_path}/amy/a.zarr/"
    told, spent = pipeline.files.left_alone, 0.0
    told.note(f"{tmp_path}/amy", store, "cannot be looked at", unseen=True)
    pipeline.files.no_longer_left = told.forget
    rescanner.look_at = lambda root: None  # type: ignore[method-assign]

    def look(path: str) -> object:
        nonlocal spent
        clock.ahead += 1.0
        spent += 1.0
        return stat_of(f"{tmp_path}/amy", path)

    pipeline.outside.stat = look
    shut.chmod(0)
    began = clock()
    try:
        while clock() < began + 500.0:
            rescanner._see_again(f"{tmp_path}/amy", told.unseen())
            clock.ahead += 5.0
    finally:
        shut.chmod(0o755)
    assert 0.0 < spent / (clock() - began) < 0.06
    assert told.unseen() == [store]
    clock.ahead += 100.0
    rescanner._see_again(f"{tmp_path}/amy", told.unseen())
    assert told.unseen() == []


def test_what_is_left_alone_is_told_no_more_when_it_is_gone(
    pipeline: Pipeline, rescanner: Rescanner, tmp_path: Path
) -> None:
    """A link in a user's directory, a file in nobody's, and names that are no paths or odd."""
    link, loose, stays = tmp_path / "amy/link.tif", tmp_path / "loose.tif", tmp_path / "amy/a.tif"
    link.symlink_to("nowhere")
    loose.write_text("")
    stays.symlink_to("nowhere")
    told, none_left = pipeline.files.left_alone, threading.Event()
    for path in (*map(str, (link, loose, stays)), "nobody", f"{tmp_path}/amy/\\xff.tif"):
        told.note(str(tmp_path), path, "why")
    pipeline.files.no_longer_left = lambda path: (told.forget(path), none_left.set())
    rescanner._users.unknown = dict  # type: ignore[method-assign]
    rescanner.besides.clear()
    rescanner._look_up_unknown()
    link.unlink()
    loose.unlink()
    deadline = time.monotonic() + 10
    while {str(link), str(loose)} & told.keys():
        assert time.monotonic() < deadline
        rescanner._look_up_unknown()
        none_left.wait(0.05)  # it may have come before this look
        none_left.clear()
    assert set(told) == {str(stays), "nobody", f"{tmp_path}/amy/\\xff.tif"}


def test_an_error_between_two_rescans_is_not_the_end_of_them(
    rescanner: Rescanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an OMERO that answers what nobody understands."""
    errors: list[Exception] = [ZeroDivisionError("x"), JournalError("away")]
    rescanned = threading.Event()

    def unknown() -> dict[str, str]:
        raise errors.pop(0)

    monkeypatch.setattr(rescanner_module, "_UNKNOWN_S", 0.0)
    monkeypatch.setattr(rescanner_module, "_UNSEEN_S", 0.001)
    rescanner._users.unknown = unknown  # type: ignore[method-assign]
    rescanner._rescan = lambda *, hasty: rescanned.set()  # type: ignore[method-assign]
    rescanner.start()
    until = time.monotonic() + 20
    while errors:
        assert time.monotonic() < until
        time.sleep(0.005)
    rescanner.ask()
    assert rescanned.wait(20)
    assert rescanner.stop(time.monotonic() + 20)
