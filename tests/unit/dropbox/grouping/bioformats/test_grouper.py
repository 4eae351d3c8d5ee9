"""The supervisor, over a process that does what the test says."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omero_fs_plugin.dropbox.grouping.bioformats import grouper as bioformats
from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats, BioFormatsError
from omero_fs_plugin.dropbox.grouping.bioformats.jars import Installation
from omero_fs_plugin.dropbox.grouping.bioformats.process import jvm_options
from omero_fs_plugin.dropbox.grouping.child.frames import Frame, decode, encode
from omero_fs_plugin.dropbox.grouping.child.process import ChildDied
from omero_fs_plugin.dropbox.grouping.completeness import Findings, check
from omero_fs_plugin.dropbox.grouping.confined import Confined
from omero_fs_plugin.errors import ConfigurationError

Answers = Callable[[Frame], Frame]


def identity(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino


class Worker:
    """Stands for the child that process.start gives."""

    started = 0
    answers: Answers

    def __init__(
        self,
        installation: Installation,
        roots: tuple[str, ...],
        more: tuple[str, ...],
        **limits: float,
    ) -> None:
        Worker.started += 1
        self.pid = Worker.started
        self.ready = {"version": "0"}
        self.asked_roots = roots
        self.roots = {path: identity(path) for path in roots}
        self.running = True

    def ask(self, request: Frame, limit: float, **_: object) -> Frame:
        try:
            return Worker.answers(request)
        except ChildDied:
            self.running = False
            raise

    def alive(self) -> bool:
        return self.running

    def kill(self) -> None:
        self.running = False

    close = kill


class Here:
    """Stands for Confined: says whether sets are whole, in this process."""

    def check(self, root: str, sets: Sequence[Sequence[str]]) -> list[Findings]:
        return [check(root, files) for files in sets]

    def rest(self) -> None:
        pass

    ready = close = rest


@pytest.fixture
def grouper(monkeypatch: pytest.MonkeyPatch) -> BioFormats:
    monkeypatch.setattr(bioformats, "start", Worker)
    monkeypatch.setattr(Worker, "started", 0)
    installation = Installation(("x.jar",), "somewhere", "libjvm.so")
    return BioFormats(installation, time_limit=7, roots=lambda: ["/"], parsers=Here())  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / name).touch()
    return tmp_path


def single(request: Frame) -> Frame:
    return {"files": [request["path"]], "reader": "R", "plate": False}


def dies(on: str, times: int) -> Answers:
    """A worker that dies so often when asked for the file `on`."""
    left = [times]

    def answers(request: Frame) -> Frame:
        if request["path"].endswith(on) and left[0]:
            left[0] -= 1
            raise ChildDied("it broke")
        return single(request)

    return answers


def group(grouper: BioFormats, root: Path) -> tuple[list[str], dict[str, str]]:
    found = grouper.group(str(root), [str(root / name) for name in "cab"])
    told = [Path(c.files[0]).name for c in found.candidates]
    return told, {Path(path).name: why for path, why in found.unreadable.items()}


def test_a_file_that_ends_a_worker_once_is_read_by_the_next(
    grouper: BioFormats, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Worker.answers = dies("b", 1)
    assert group(grouper, root) == (["a", "b", "c"], {})
    assert Worker.started == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == f"Bio-Formats, asked for {root}/b (1 of 2): it broke"


def test_one_that_ends_two_is_unreadable_and_the_rest_goes_on(
    grouper: BioFormats, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker.answers = dies("b", 3)
    expected = (["a", "c"], {"b": "Bio-Formats failed on it twice: it broke"})
    assert group(grouper, root) == expected
    started = Worker.started
    # It is not read again as long as it is the same ...
    assert group(grouper, root) == expected and Worker.started == started
    # ... but when it is another, ...
    (root / "b").write_text("changed")
    assert group(grouper, root)[0] == ["a", "b", "c"]
    # ... or after an hour: the machine may have been at fault.
    Worker.answers = dies("b", 2)
    assert group(grouper, root) == expected
    monkeypatch.setattr(bioformats, "_VERDICT_S", 0.0)
    Worker.answers = dies("c", 2)
    assert group(grouper, root)[0] == ["a"]
    assert group(grouper, root)[0] == ["a", "c"]


def test_a_worker_that_ended_while_idle_is_no_files_fault(grouper: BioFormats, root: Path) -> None:
    Worker.answers = dies("a", 1)
    grouper.version()
    assert grouper._kept.child is not None
    grouper._kept.child.kill()
    assert group(grouper, root) == (["a", "b", "c"], {})
    assert Worker.started == 3


def test_it_is_started_by_the_first_call_and_again_after_a_rest(
    grouper: BioFormats, root: Path
) -> None:
    Worker.answers = single
    assert (Worker.started, grouper.pid) == (0, None)
    group(grouper, root)
    group(grouper, root)
    assert (Worker.started, grouper.pid) == (1, 1)
    grouper.rest()
    assert grouper.pid is None
    group(grouper, root)
    assert Worker.started == 2


def test_closed_it_stays_closed(grouper: BioFormats, root: Path) -> None:
    Worker.answers = single
    with grouper:
        group(grouper, root)
    for _ in range(2):
        grouper.close()
        with pytest.raises(BioFormatsError, match="was closed"):
            group(grouper, root)
    assert Worker.started == 1


def test_closed_while_it_starts(
    grouper: BioFormats, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def slow(*given: Any, **limits: float) -> Worker:
        grouper.close()
        started.append(Worker(*given, **limits))
        return started[0]

    monkeypatch.setattr(bioformats, "start", slow)
    with pytest.raises(BioFormatsError, match="was closed"):
        group(grouper, root)
    assert not started[0].running and grouper.pid is None


def test_a_start_that_fails_is_nobodys_fault(
    grouper: BioFormats, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: Any, **limits: float) -> Worker:
        raise ChildDied("could not be started: no room")

    monkeypatch.setattr(bioformats, "start", fails)
    with pytest.raises(BioFormatsError, match=r"\(somewhere\): could not be started: no room"):
        group(grouper, root)


NO_ROOM = pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])


@NO_ROOM
@pytest.mark.parametrize("how", ["an error of the reader", "the worker dies"])
def test_no_room_for_temporary_files_is_no_files_fault(
    grouper: BioFormats, root: Path, monkeypatch: pytest.MonkeyPatch, how: str, code: int
) -> None:
    """Readers write some, and Java does.  All files wait, and are grouped when there is room."""
    words = os.strerror(code)

    def fails(request: Frame) -> Frame:
        if how == "the worker dies":
            raise ChildDied("was ended by SIGBUS")
        return {"error": f"IOException: {words}"}

    monkeypatch.setattr(bioformats, "no_room", lambda place: words)
    Worker.answers = fails
    with pytest.raises(BioFormatsError, match=f"somewhere.*{tempfile.gettempdir()}: {words}"):
        group(grouper, root)
    monkeypatch.undo()
    monkeypatch.setattr(bioformats, "start", Worker)
    Worker.answers = single
    assert group(grouper, root) == (["a", "b", "c"], {})


def test_a_file_that_only_says_so_is_not_believed(grouper: BioFormats, root: Path) -> None:
    """Readers repeat what a file says, and its user must not hold up all others."""

    def says(request: Frame) -> Frame:
        if request["path"].endswith("b"):
            return {"error": f"FormatException: tag {os.strerror(errno.ENOSPC)}"}
        return single(request)

    Worker.answers = says
    assert group(grouper, root) == (["a", "b", "c"], {}), "b waits, as one that is not whole"


def test_readers_are_asked_for_once(grouper: BioFormats, root: Path) -> None:
    asked = []

    def answers(request: Frame) -> Frame:
        asked.append(request)
        return {"absent": ["Gone"]} if "check" in request else single(request)

    Worker.answers = answers
    path = str(root / "a")
    with pytest.raises(ConfigurationError, match="no such reader: Gone"):
        grouper.group(str(root), [path], ["R", "Gone"])
    grouper.group(str(root), [path], ["R"])
    assert asked == [{"check": ["R", "Gone"]}, {"path": path, "readers": ["R"], "anew": True}]


def test_each_call_has_directories_listed_anew(grouper: BioFormats, root: Path) -> None:
    asked = []

    def answers(request: Frame) -> Frame:
        asked.append((Path(request["path"]).name, request["anew"]))
        return single(request)

    Worker.answers = answers
    group(grouper, root)
    group(grouper, root)
    assert asked == 2 * [("a", True), ("b", False), ("c", False)]


def test_frames_come_in_pieces() -> None:
    data = encode({"a": "é"}) + encode({"b": 1})
    received = bytearray()
    frames = []
    for byte in data:
        received.append(byte)
        if (frame := decode(received)) is not None:
            frames.append(frame)
    assert frames == [{"a": "é"}, {"b": 1}] and not received


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\1[", b"\0\0\0\2[]"])
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(bytearray(data))


def test_memory_is_limited() -> None:
    assert "-Xmx512m" in jvm_options(512) and "-XX:+ExitOnOutOfMemoryError" in jvm_options(512)


@pytest.mark.parametrize("make", ["its own", "that of the parsers"])
def test_the_number_of_a_process_that_is_let_rest_just_then_hurts_nobody(
    grouper: BioFormats, make: str
) -> None:
    """Whoever asks is another thread."""

    children = [SimpleNamespace(pid=7)]

    class Kept:
        @property
        def child(self) -> Any:
            return children.pop() if children else None

    one: Any = grouper if make == "its own" else Confined()
    one._kept = Kept()
    assert one.pid == 7
    assert one.pid is None
