"""docs/fsserver.rst: its example is run, and it leaves nothing out."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import omero_FS_ice  # noqa: F401 - defines omero.grid.monitors
import pytest
from omero.grid import monitors as slice_

from omero_fs_plugin.config.properties import PROPERTIES
from omero_fs_plugin.monitor import servants
from omero_fs_plugin.monitor.files import LARGEST_BLOCK
from omero_fs_plugin.monitor.notices import Notice
from omero_fs_plugin.monitor.telling import gathering, outbox
from omero_fs_plugin.monitor.telling.keeper import EVERY
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from omero_fs_plugin.monitor.tracking.racy import CONFIRM_ALONE
from omero_fs_plugin.monitor.tracking.rescans import LONGEST_OVERFLOW
from tests import CHECKOUT

from .test_restart import Process

TEXT = (CHECKOUT / "docs" / "fsserver.rst").read_text(encoding="utf-8")


def code(after: str) -> str:
    """The first block of code after these words."""
    block = TEXT[TEXT.index(after) + len(after) :].split("\n\n", 1)[1]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line.removeprefix("    "))
    return "\n".join(lines)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "data").mkdir()
    process = Process(tmp_path / "data")
    yield process
    process.end()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    file = tmp_path / "client.py"
    file.write_text(code(".. code-block:: python"))
    return file


def _run(example: Path, process: Process, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, example, f"MonitorServer:{process.endpoint}", directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_example(example: Path, process: Process, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with _run(example, process, root) as running:
        assert running.stdout is not None and running.stdin is not None
        lines = iter(running.stdout.readline, "")
        assert next(lines) == f"watching {root}\n"
        (root / "notes.txt").write_text("x")
        (root / "a.TIF").write_text("x")
        assert next(lines) == f"Create {root}/a.TIF\n"
        process.end(signal.SIGTERM)
        (root / "b.tiff").write_text("x")
        process.start()
        assert next(lines).startswith(f"System restarted: {root}: ")
        assert next(lines) == f"Create {root}/b.tiff\n"
        running.stdin.close()
        assert running.wait(30) == 0
        assert running.stderr is not None and running.stderr.read() == ""


def test_the_example_says_what_is_wrong(example: Path, process: Process, tmp_path: Path) -> None:
    with _run(example, process, tmp_path / "none") as running:
        _, said = running.communicate(timeout=30)
    assert running.returncode == 1
    assert said == f"pathString '{tmp_path}/none': No such file or directory\n"


def test_the_example_says_that_nobody_listens(
    example: Path, process: Process, tmp_path: Path
) -> None:
    process.end(signal.SIGKILL)
    with _run(example, process, tmp_path) as running:
        _, said = running.communicate(timeout=30)
    assert running.returncode == 1
    assert said == "FSServer is not reached: ConnectionRefusedException\n"


def test_its_length() -> None:
    assert len(code(".. code-block:: python").split("\n")) <= 40


@pytest.mark.parametrize(
    "name",
    [b"/plain", b"/a: b", b"/\xff\n\\x41", "/ä".encode()],
    ids=["plain", "colon", "odd", "ä"],
)
def test_how_a_system_event_is_taken_apart(name: bytes) -> None:
    class Event:
        fileId = Notice.UNREACHABLE.tell(name, "it: is gone").path.decode()

    found: dict[str, Any] = {"event": Event, "re": re}
    exec(code("In Python::"), found)
    assert (found["word"], found["name"]) == ("unreachable", name)
    assert found["sentence"] == "it, is gone"


def test_every_word_is_explained() -> None:
    assert set(re.findall(r"^``(\w+)``  ", TEXT.split("System events\n---")[1], re.M)) >= {
        one.value for one in Notice
    }


@pytest.mark.parametrize("interface", [slice_.MonitorServerPrx, slice_.FileServerPrx])
def test_every_operation_is_explained(interface: type) -> None:
    for name in vars(interface):
        if name.startswith("begin_"):
            assert re.search(rf"``{name.removeprefix('begin_')}\b", TEXT), name


def test_every_property_is_explained() -> None:
    for known in PROPERTIES:
        if known.of == "FSServer":
            assert re.search(rf"``omero\.fs\.{known.name}`` +\S*{known.default}", TEXT), known.name


def test_its_numbers() -> None:
    timing = Timing()
    for number in (
        f"wait {timing.hold:g} s for their rename",
        f"for no longer than {timing.hold:g} s",
        f"with a temporary name within {timing.hold:g} s",
        f"not changed for {timing.silence:g} s, if",
        f"not changed for {timing.found:g} s.",
        f"{timing.burst_gap:g} s after the last of them",
        f"every {timing.burst_longest:g} s in a burst",
        f"fewer than about {gathering.FEW:g} files a second",
        f"the moment is {gathering.FIRST * 1000:g} ms",
        f"up to {gathering.LONGEST * 1000:g} ms from one look to the next",
        f"up to {gathering.AMONG * 1000:g} ms.",
        f"about {gathering.MANY:g} files a second or more",
        f"FSServer looks each {gathering.WRITES:g} s",
        f"closed within {gathering.PAUSE * 1000:g} ms after a look",
        f"told just before: the last {CONFIRM_ALONE + EVERY:g} s, and",
        f"A rescan follows after {timing.overflow:g} s",
        f"as long as that took, of at most {LONGEST_OVERFLOW:g} s",
        f"``omero.fs.pollInterval``          {timing.poll:g} s",
        f"within {servants.NOTIFY_TIMEOUT_MS / 1000:g} s",
        f"after {outbox.FIRST_RETRY:g} s",
        f"up to {outbox.LONGEST_RETRY:g} s",
        f"more than {outbox.CAPACITY:,} events",
        f"delivered for {outbox.PATIENCE:g} s",
        f"up to {outbox.NOTIFICATION_EVENTS:,} or {outbox.NOTIFICATION_SIZE // 1024} KiB",
        f"Up to {LARGEST_BLOCK // 2**20} MiB",
    ):
        assert number in re.sub(r"\n *", " ", TEXT) or number in TEXT, number
    assert outbox.CAPACITY * outbox.TOO_MANY == 1_000_000
