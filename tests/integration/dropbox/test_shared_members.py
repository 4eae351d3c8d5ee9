"""Two sets that claim the same images: one import, whichever comes first, and however far it is."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import tifffile

from omero_fs_plugin.dropbox.importing.importers.native import NativeImport
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.sandbox import pixels
from tests import bioformats, samples
from tests.integration.whole import Whole

SUMMARY = {
    "Width": 16, "Height": 16, "Channels": 1, "Slices": 1, "Positions": 1, "PixelType": "GRAY8",
    "ChNames": ["GFP"], "PixelSize_um": 1, "z-step_um": 1, "Interval_ms": 1, "BitDepth": 8,
    "SlicesFirst": True, "TimeFirst": False,
}  # fmt: skip


def metadata_of(path: Path, *names: str, frames: int) -> None:
    """What Micro-Manager writes beside its images."""
    told: dict[str, Any] = {"Summary": {**SUMMARY, "Frames": frames, "MicroManagerVersion": "2.0"}}
    for t in range(frames):
        told[f"FrameKey-{t}-0-0"] = {
            "FileName": names[t % len(names)], "Frame": t, "FrameIndex": t, "Slice": 0,
            "ChannelIndex": 0, "PixelSizeUm": 1, "Exposure-ms": 1, "Channel": "GFP",
        }  # fmt: skip
    path.write_text(json.dumps(told, indent=1))


def stack(to: Path) -> tuple[list[Path], list[Path]]:
    """The images of Micro-Manager in an OME-TIFF, and its metadata."""
    image, metadata = to / "x_MMStack_Pos0.ome.tif", to / "x_MMStack_Pos0_metadata.txt"
    planes = numpy.frombuffer(numpy.random.bytes(512), "uint8").reshape(2, 16, 16)
    tifffile.imwrite(image, planes, metadata={"axes": "TYX"})
    metadata_of(metadata, image.name, frames=2)
    return [image], [metadata]


def companion(to: Path) -> tuple[list[Path], list[Path]]:
    """A companion with its images, and another index of these."""
    samples.ome_companion_plain(to)
    images = sorted(to.iterdir())
    metadata_of(to / "metadata.txt", *(p.name for p in images[1:]), frames=len(images) - 1)
    return images, [to / "metadata.txt"]


def index(to: Path) -> tuple[list[Path], list[Path]]:
    """The index with its images, and the companion later."""
    images, other = companion(to)
    return [*images[1:], *other], images[:1]


def _named_first(path: Path) -> list[pixels.Series]:
    told = json.loads(path.read_text())
    return pixels.read_series(path.parent / told["FrameKey-0-0-0"]["FileName"])


@pytest.fixture
def whole(make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch) -> Whole:
    """Its server reads Micro-Manager's metadata, as one with Bio-Formats does."""
    reader = (lambda head: head.startswith(b"{"), _named_first)
    monkeypatch.setattr(pixels, "READERS", (reader, *pixels.READERS))
    bioformats.installation()
    whole = make_whole(bioformatsJars=bioformats.as_property(), duplicates="import")
    whole.until_state("running")
    return whole


@pytest.fixture
def halt(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While it is not set, an import is not at its end."""
    go = threading.Event()
    go.set()
    real = NativeImport._await

    def waiting(*arguments: Any, **more: Any) -> Any:
        assert go.wait(60)
        return real(*arguments, **more)

    monkeypatch.setattr(NativeImport, "_await", waiting)
    yield go
    go.set()


_SETS = (stack, companion, index)
_WHEN = (None, State.QUEUED, State.IMPORTING, State.IMPORTED)
# `make test` has each of the sets, and each state, once; `make long` has all pairs.
_SHORT = {
    (stack, None),
    (companion, State.IMPORTING),
    (index, State.QUEUED),
    (stack, State.IMPORTED),
}


@pytest.mark.parametrize(
    ("make", "when"),
    [
        pytest.param(
            *pair,
            marks=() if pair in _SHORT else pytest.mark.long,
            id=f"{pair[0].__name__}-{pair[1]}",
        )
        for pair in itertools.product(_SETS, _WHEN)
    ],
)
def test_one_import(
    whole: Whole,
    tmp_path: Path,
    halt: threading.Event,
    make: Callable[[Path], tuple[list[Path], list[Path]]],
    when: State | None,
) -> None:
    """`when`: the state of the first set when the rest comes; None: all comes at once."""
    aside, amy = tmp_path / "aside", whole.watch_dir / "amy"
    aside.mkdir()
    first, then = make(aside)

    def drop(paths: list[Path]) -> list[Path]:
        with whole.clock.halted():  # they come together
            return [Path(shutil.move(path, amy / path.name)) for path in paths]

    if when is State.QUEUED:
        whole.blitz.stop()
    elif when is State.IMPORTING:
        halt.clear()
    dropped = drop(first)
    if when is not None:
        whole.until(
            f"the first is {when}",
            lambda: [row for row in whole.journal.select(when) if row.path in map(str, dropped)],
        )
    dropped += drop(then)
    late = amy / then[0].name
    whole.until(
        "the rest was met",
        lambda: any(str(late) in [m.path for m in row.files] for row in whole.journal.select()),
    )
    whole.clock.sleep(1)  # it comes to rest, and is grouped, or waits
    if when is State.QUEUED:
        whole.blitz.start()
    halt.set()
    # One thing after the other: the second set is asked about again when the first has its end.
    whole.until("one is imported", lambda: whole.journal.select(State.IMPORTED))
    whole.until_settled()
    whole.dropbox.rescanner.ask()
    other = whole.drop("other.tif", user="zak")  # beside metadata.txt it would belong to that
    whole.until_known(other)
    whole.until_settled()
    rows = whole.journal.select()
    assert {str(path) for path in dropped} <= {met.path for row in rows for met in row.files}
    assert not [row for row in rows if row.state is State.FAILED]
    imported = [row for row in rows if row.state is State.IMPORTED and row.user == "amy"]
    assert len(imported) == 1, [(row.path, row.state, row.reason) for row in rows]
    for row in rows:
        if row.state is State.SKIPPED:
            assert f"as fileset {imported[0].id}" in row.reason
    there = {fileset.id: fileset for path in dropped for fileset in whole.filesets(path)}
    assert len(there) == 1, there
