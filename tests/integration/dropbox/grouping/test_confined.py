"""A file may do anything to the process that reads it: only this file suffers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from omero_fs_plugin.dropbox.confine.roots import Roots
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.grouping import confined
from omero_fs_plugin.dropbox.grouping.child import kept, process
from omero_fs_plugin.dropbox.grouping.confined import Confined, ConfinedError
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from tests import samples
from tests.children import hurry_at
from tests.clocks import Ahead
from tests.groupings import grouped

FAILING = f"{__name__.rpartition('.')[0]}.failing"
LIMIT = 1.0  # s

Make = Callable[..., Confined]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "amy"
    root.mkdir()
    return root


@pytest.fixture
def make(root: Path) -> Iterator[Make]:
    with ExitStack() as stack:
        yield lambda **given: stack.enter_context(
            Confined(**{"roots": lambda: [str(root)], "time_limit": 30.0, **given})
        )


@pytest.fixture
def failing(make: Make, monkeypatch: pytest.MonkeyPatch) -> Confined:
    """Only what hangs or spins has little time."""
    monkeypatch.setattr(confined, "_SERVED", FAILING)
    hurry_at(monkeypatch, LIMIT, hangs="hangs", spins="spins")
    return make(memory=256)


@pytest.fixture
def patient(make: Make, monkeypatch: pytest.MonkeyPatch) -> Confined:
    monkeypatch.setattr(confined, "_SERVED", FAILING)
    return make(time_limit=600.0, memory=256)


def fill(root: Path, *names: str, among: int = 40) -> list[str]:
    """TIFFs of those names, among so many others; all paths."""
    names += tuple(f"{number:03}.tif" for number in range(among))
    samples.plain_tiff(root)
    content = next(root.iterdir())
    for name in names:
        (root / name).write_bytes(content.read_bytes())
    content.unlink()
    return sorted(str(root / name) for name in names)


def refused(grouping: Grouping) -> dict[str, str]:
    return {Path(one.files[0]).name: one.refused for one in grouping.candidates if one.refused}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("spins.tif", "no answer within 1 s"),
        ("crashes.tif", "was ended by SIGABRT"),
        ("eats.tif", "it needs more memory than it may have"),
        ("raises.tif", "TypeError: a defect of ours"),
        ("silent crash.tif", "was ended by SIGABRT"),
        ("silent defect.tif", "KeyError: 7"),
        ("nonsense.tif", "its answer is not understood"),
        ("endless.tif", "ended with exit code 1: ValueError: a frame of"),
    ],
)
def test_one_file_of_a_lot_fails_and_the_others_go_on(
    failing: Confined, root: Path, name: str, says: str
) -> None:
    files = fill(root, name)
    found = grouped(failing, root, files)
    assert list(refused(found)) == [name]
    assert says in refused(found)[name] and str(root / name) in refused(found)[name]
    assert len([one for one in found.candidates if one.complete and not one.refused]) == 40
    assert not found.unreadable


def test_a_process_that_waits_for_a_disk_is_no_files_fault(failing: Confined, root: Path) -> None:
    """It does nothing, and so no file is at fault; whoever reads another root goes on."""
    files = fill(root, "hangs.tif", among=3)
    with pytest.raises(RootAway, match="does not answer"):
        failing.group(str(root), files)
    with pytest.raises(RootAway):
        failing.check(str(root), [files])
    (root / "hangs.tif").unlink()
    found = grouped(failing, root, files[:-1])
    assert not refused(found) and len(found.candidates) == 3


def test_a_root_that_others_know_not_to_answer_is_waited_for_no_longer(
    patient: Confined, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = fill(root, "spins.tif", among=0)
    monkeypatch.setattr(confined, "CALLS", SimpleNamespace(answers=lambda root: False))
    begun = time.monotonic()
    with pytest.raises(RootAway):
        patient.group(str(root), files)
    assert time.monotonic() - begun < 60


def test_all_kinds_in_one_lot(failing: Confined, root: Path) -> None:
    names = ["crashes.tif", "eats.tif", "raises.tif", "silent crash.tif", "silent defect.tif"]
    found = grouped(failing, root, fill(root, *names))
    assert sorted(refused(found)) == sorted(names)
    assert len(found.candidates) == 45


def test_what_was_refused_is_not_read_again_until_it_changes(
    failing: Confined, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = fill(root, "crashes.tif", among=2)
    found = grouped(failing, root, files)
    pid = failing.pid
    assert grouped(failing, root, files) == found and failing.pid == pid
    os.utime(root / "crashes.tif", (1, 1))
    caplog.clear()
    assert refused(grouped(failing, root, files)).keys() == {"crashes.tif"}
    assert len([one for one in caplog.messages if "was ended by SIGABRT" in one]) == 2


def test_a_companion_beside_a_lot_that_kills_hurts_no_file_of_it(
    failing: Confined, root: Path
) -> None:
    """A file is read without a question about it, because it may name files of the question."""
    files = fill(root, among=3)
    (root / "crashes.companion.ome").write_text("<OME/>")
    found = grouped(failing, root, files)
    assert not refused(found) and len(found.candidates) == 3


def test_whether_a_set_is_whole_is_asked_there_too(failing: Confined, root: Path) -> None:
    bad, good = str(root / "spins.tif"), str(root / "good.tif")
    fill(root, "spins.tif", "good.tif", among=0)
    gone = str(root / "gone.tif")
    found = failing.check(str(root), [[good], [good, bad], [gone]])
    assert [one.missing for one in found] == [(), (), (gone,)]
    assert found[0].refused == "" and "no answer within 1 s" in found[1].refused
    silent = fill(root, "silent crash.tif", among=0)
    assert "was ended by SIGABRT" in failing.check(str(root), [[good], silent])[1].refused
    assert failing.check(str(root), []) == []


def test_a_process_that_ends_between_two_questions_is_no_files_fault(
    make: Make, root: Path
) -> None:
    one = make()
    files = fill(root, among=3)
    first = grouped(one, root, files)
    killed = one.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert grouped(one, root, files) == first and one.pid != killed
    one.rest()
    assert one.pid is None
    assert grouped(one, root, files) == first


def test_a_big_file_is_no_hang(make: Make, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of time is one file's, and not that of all of them.

    Time flies from one file to the next, so all of them take much longer than the limit.
    """
    clock, over = Ahead(), process._Waiting.is_over

    def is_over(waiting: process._Waiting) -> bool:
        if waiting._pulse.beats != waiting._beats:
            clock.ahead += 20.0
        return over(waiting)

    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(process, "_LOOK_S", 0.01)
    monkeypatch.setattr(process._Waiting, "is_over", is_over)
    one, files, took = make(time_limit=30.0), fill(root, among=5000), 0.0
    while took < 60.0:  # on a busy machine all may be read between two looks
        before = clock.ahead
        assert len(grouped(one, root, files).candidates) == 5000
        took = clock.ahead - before


def test_other_directories_are_watched_now(tmp_path: Path) -> None:
    """As a reload changes the rules, and as a directory that somebody hands over."""
    amy, zak, handed = tmp_path / "amy", tmp_path / "zak", tmp_path / "elsewhere"
    for one in (amy, zak, handed):
        one.mkdir()
    watched = [str(amy)]
    with Confined(roots=lambda: watched) as one:
        assert len(one.group(str(amy), fill(amy, among=1)).candidates) == 1
        first = one.pid
        watched[:] = [str(zak)]
        for place in (zak, handed):
            found = one.group(str(place), fill(place, among=1))
            assert [c.complete for c in found.candidates] == [True]
        assert one.pid != first
        second = one.pid
        assert one.group(str(zak), fill(zak, among=1)).candidates and one.pid == second


def test_a_directory_that_was_taken_anew_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload takes it; until then nobody reads another that is in its place."""
    amy = tmp_path / "amy"
    amy.mkdir()
    roots = Roots()
    monkeypatch.setattr(kept, "ROOTS", roots)
    roots.apply([str(amy)], {})
    with Confined(roots=lambda: [str(amy)]) as one:
        files = fill(amy, among=1)
        assert one.group(str(amy), files).candidates[0].complete
        first = one.pid
        amy.rename(tmp_path / "before")
        amy.mkdir()
        fill(amy, among=1)
        (waits,) = one.group(str(amy), files).candidates
        assert "another directory is there" in waits.incomplete and one.pid == first
        assert "another directory" in one.check(str(amy), [files])[0].incomplete
        roots.apply([str(amy)], {})
        assert one.group(str(amy), files).candidates[0].complete and one.pid != first
        # One that is a link by now, to what another user has.
        amy.rename(tmp_path / "and before")
        amy.symlink_to(tmp_path / "before")
        assert one.group(str(amy), files).candidates[0].incomplete


def test_closing_ends_a_question_in_another_thread(patient: Confined, root: Path) -> None:
    files = fill(root, "hangs.tif", among=0)
    patient.ready()
    raised: list[BaseException] = []

    def ask() -> None:
        try:
            patient.group(str(root), files)
        except ConfinedError as error:
            raised.append(error)

    thread = threading.Thread(target=ask, name="ask")
    thread.start()
    patient.close()
    thread.join(30)
    assert not thread.is_alive() and "were closed" in str(raised[0])
    with pytest.raises(ConfinedError, match="were closed"):
        patient.group(str(root), files)


def test_it_ends_with_who_started_it(root: Path) -> None:
    code = (
        "import sys\n"
        "from omero_fs_plugin.dropbox.grouping.confined import Confined\n"
        f"one = Confined(roots=lambda: [{str(root)!r}])\n"
        "one.ready()\n"
        "print(one.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    while _runs(child):
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """A zombie does not: whoever adopted it may take its time."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
