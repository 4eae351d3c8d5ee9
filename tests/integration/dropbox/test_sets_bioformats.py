"""DropBox with Bio-Formats: a file that hangs, starves or kills Bio-Formats stops no other file."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats
from omero_fs_plugin.dropbox.journal.states import State
from tests import bioformats, samples
from tests.children import hurry
from tests.integration.whole import Whole

from .test_sets import NAMES, reason, write_part

LIMIT = 1.0  # s, for who hangs


@pytest.fixture
def whole(make_whole: Callable[..., Whole]) -> Whole:
    bioformats.installation()
    jars = bioformats.as_property()
    return make_whole(bioformatsJars=jars, bioformatsTimeout="60", bioformatsMemory="64")


def workers(whole: Whole) -> list[int]:
    """The processes that Bio-Formats runs in."""
    return [
        grouper.pid
        for grouper in whole.dropbox.groupers._groupers
        if isinstance(grouper, BioFormats) and grouper.pid is not None
    ]


def hungry(path: Path) -> Path:
    """A TIFF with the offsets of 300 million strips, and the room for them."""
    entries = [(256, 4, 1, 16), (257, 4, 1, 300_000_000), (258, 3, 1, 8), (262, 3, 1, 1)]
    entries += [(273, 4, 300_000_000, 1 << 20), (278, 4, 1, 1), (279, 4, 300_000_000, 1 << 20)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + b"\0" * 4)
    os.truncate(path, 3 << 30)  # a hole
    return path


def test_a_set_and_singles(whole: Whole) -> None:
    singles = [whole.drop(f"{number}.tif") for number in range(3)]
    for number in (1, 2, 0):
        write_part(whole.watch_dir / "amy", number, NAMES)
    first = whole.watch_dir / "amy" / NAMES[0]
    whole.until_known(first, *singles, states=(State.IMPORTED,))
    assert [Path(met.path).name for met in whole.row(first).files] == NAMES
    assert whole.dropbox.figures()["grouping"].startswith("Bio-Formats: found in ")
    whole.until_settled()


def test_one_that_exhausts_memory_has_failed_and_the_others_are_imported(whole: Whole) -> None:
    others = [whole.drop(f"{number}.tif") for number in range(4)]
    bad = hungry(whole.watch_dir / "amy" / "2a.tif")
    whole.until_known(*others, whole.drop("of zak.tif", user="zak"))
    whole.until_known(bad, states=(State.FAILED,))
    assert "Bio-Formats failed on it twice: needs more than 64 MiB" in whole.row(bad).reason


def test_one_whose_reader_hangs_has_failed_and_the_others_are_imported(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a FIFO, which nobody handed over: it is named by a pattern."""
    amy = whole.watch_dir / "amy"
    others = [whole.drop(f"{number}.tif") for number in range(4)]
    pattern = amy / "2a.pattern"
    hurry(monkeypatch, LIMIT, lambda _, request: request.get("path") == str(pattern))
    pattern.write_text("t<0-1>.tif", encoding="ascii")
    for t in range(2):
        os.mkfifo(amy / f"t{t}.tif")
    whole.until_known(*others, whole.drop("of zak.tif", user="zak"))
    whole.until_known(pattern, states=(State.FAILED,))
    why = f"Bio-Formats failed on it twice: no answer within {LIMIT:g} s"
    assert why in whole.row(pattern).reason


# Without DropBox, grouping/test_bioformats.py has both.
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed"),
        pytest.param(signal.SIGSTOP, id="hanging", marks=pytest.mark.long),
    ],
)
def test_a_worker_that_is_killed_or_hangs_costs_nothing_but_time(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    first = whole.drop("first.tif")
    whole.until_known(first)
    (worker, *_) = workers(whole)
    hurry(monkeypatch, LIMIT, lambda child, _: number == signal.SIGSTOP and child.pid == worker)
    others = [whole.drop(f"{n}/{n}.tif", user=user) for n in range(4) for user in ("amy", "zak")]
    with suppress(ProcessLookupError):
        os.kill(worker, number)
    whole.until_known(*others)
    whole.assert_once(first, *others)


def test_a_rest_and_a_stop_leave_no_process(whole: Whole) -> None:
    whole.until_known(whole.drop("a.tif"))
    started = workers(whole)
    assert started
    whole.stop_dropbox()
    for worker in started:
        whole.until("it has ended", lambda worker=worker: not Path(f"/proc/{worker}").exists())
    whole.start_dropbox()


def test_names_that_cannot_be_written_fail_their_own_sets_and_no_other(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, DropBox asked about the whole directory again every minute, for ever."""
    amy = whole.watch_dir / "amy"
    endless = str(amy / "c" / "x.pattern")  # a million names
    hurry(monkeypatch, LIMIT, lambda _, request: request.get("path") == endless)
    others = [whole.drop(f"{number}.tif") for number in range(4)]
    header = "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 16 16\nencoding: raw\ndata file: NAME\n\n"
    bad = {
        amy / "a.nhdr": header.encode().replace(b"NAME", b"\xff\xfe.raw"),
        amy / "b" / "metadata.txt": b'{"Summary": {}, "F": {"FileName": "\\ud800.tif"}}',
        amy / "c" / "x.pattern": b"t<001-999999>.tif",
        amy / "d" / "x.companion.ome": b"<OME/>",
    }
    for path, content in bad.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    whole.until_known(*others, whole.drop("of zak.tif", user="zak"))
    ended = (State.FAILED, State.SKIPPED, State.WAITING)
    whole.until_known(*bad, states=ended)
    whole.until("nothing is queued", lambda: not whole.journal.counts()["queued"])
    assert {str(whole.row(path).state) for path in others} == {"imported"}
    for path in bad:
        whole.row(path).reason.encode()
    assert not whole.dropbox.groupers.trouble


def test_a_time_lapse_whose_pauses_are_long_is_one_fileset(whole: Whole) -> None:
    """Micro-Manager goes on after twice the quiet period; the last brace comes at the end."""
    directory = whole.watch_dir / "amy" / "lapse"
    directory.mkdir()
    made = directory.parent / "made elsewhere"
    made.mkdir()
    samples.micromanager(made)
    metadata = (made / "metadata.txt").read_text("utf-8")
    frames = sorted(path.name for path in made.glob("*.tif"))
    images = {name: (made / name).read_bytes() for name in frames}
    for path in (*made.iterdir(),):
        path.unlink()
    first_frame = metadata.index('"FrameKey-1')
    (directory / "metadata.txt").write_text(metadata[:first_frame], "utf-8")
    (directory / frames[0]).write_bytes(images[frames[0]])
    first = directory / frames[0]
    whole.until("it says why", lambda: "no end yet" in reason(whole, first))
    other = whole.drop("other.tif")
    whole.until_known(other)
    assert whole.in_omero(first) == []
    (directory / frames[1]).write_bytes(images[frames[1]])
    second = directory / frames[1]
    whole.until("that waits too", lambda: "no end yet" in reason(whole, second))
    (directory / "metadata.txt").write_text(metadata, "utf-8")
    whole.until_known(first)
    assert {Path(met.path).name for met in whole.row(first).files} == {*frames, "metadata.txt"}
    whole.until_settled()
    assert len(whole.in_omero(first)) == 1
    assert whole.journal.counts()[State.FAILED] == 0
