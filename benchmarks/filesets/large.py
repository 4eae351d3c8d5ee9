"""Large sets, dropped: a store of many chunks, and a plate of many small TIFFs with its companion.

DropBox does all of it, linked in place and uploaded.  What it takes of memory beyond what it had
counts, and how long files of another user take meanwhile.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from benchmarks.contenders import BenchmarkError
from benchmarks.dropbox import history, report, stored
from benchmarks.dropbox.grid import Grid
from benchmarks.dropbox.scenarios import Figure, Outcome, drop, tiff
from benchmarks.progress import say

from . import stores
from .kinds import KINDS

QUIET = 5  # s
TRANSFERS = ("upload", "ln_s")
WELLS = 63  # of a plate
ALONE = 4  # files of the other user before the set comes
FIRST = 1_500  # chunks of the first store
FOR_TEN = 1024  # bytes of memory for each ten chunks of a store, in DropBox itself
MB = 1_000_000  # bytes
_LONG = 3600.0  # s for one set
_LOOK = 0.1  # s
_SAID_S = 15.0  # between two lines on how a set stands
_OVER = ("failed", "skipped")  # states in which it is not imported any more
_NEEDED = re.compile(r"its process needed (\d+) MiB at most")
_BESIDE = {"cp": "cp -r", "sha1sum": "sha1sum"}
_APART = 3.0  # s, at most, from the import of the other user's file to the next: at random
_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def scenario(scratch: Path, kind: str, files: int, transfers: Sequence[str] = TRANSFERS) -> Outcome:
    """`kind`: one of SETS.  Each transfer has a grid of its own.

    One that does not come to its end is a fault, and the next is measured.
    """
    text = SETS[kind][0]
    outcome = Outcome(f"A {text} of {files:,} files, dropped, and another user's files meanwhile")
    for transfer in transfers:
        try:
            _one(outcome, scratch, kind, files, transfer)
        except BenchmarkError as error:
            outcome.faults.append(f"{text} of {files:,}, {transfer}: {error}")
            say(outcome.faults[-1])
    return outcome


def _one(outcome: Outcome, scratch: Path, kind: str, files: int, transfer: str) -> None:
    properties = {"omero.fs.dirImportWait": str(QUIET), "omero.fs.transfer": transfer}
    text, make = SETS[kind]
    say(f"{text} of about {files:,} files, {transfer}: a sandbox is made and started")
    with Grid(scratch, properties) as grid:
        stores.install_reader(grid)
        grid.start()
        top = grid.directory / "large" / "set.zarr"
        path, there = make(top, files)
        say(f"{there:,} files are written")
        besides = stores.beside(top) if kind == "store" and transfer == TRANSFERS[0] else {}
        for name, took in besides.items():
            say(f"`{_BESIDE[name]}` took {took:.1f} s")
        others = _Others(grid)
        alone = [others.one() for _ in range(ALONE)]
        usual = max(wait for wait, _ in alone)
        idle = grid.peak()
        dropped = []
        if kind != "plate":  # what the first large store of a DropBox takes once, such as modules
            first = grid.directory / "first" / "first.zarr"
            stores.write(first, FIRST)
            dropped.append(first.rename(grid.home("zak") / first.name))
            until_imported(grid, f"{dropped[0]}/")
        before = grid.peak()
        cpu = grid.cpu()
        others.begin()
        say("the set is dropped")
        begun = time.time()
        goal = grid.home("amy") / (top.name if kind != "plate" else "plate")
        top.rename(goal)
        taken = until_imported(grid, f"{goal}/{path}") - begun - QUIET
        meanwhile = others.end()
        after, used = grid.peak(), grid.cpu()
        apart = _NEEDED.findall("\n".join(grid.log("DropBox")))
        wrong = stored.compared(stored.filesets(grid.data), [*dropped, goal, *others.dropped])
        of_amy = [one for one in history.times(grid.journal).values() if one.user == "amy"]
    if len(of_amy) != 1:
        outcome.faults.append(f"{kind}, {transfer}: {len(of_amy)} filesets instead of 1")
    outcome.faults += [f"{kind}, {transfer}: {one}" for one in wrong]
    waits, imports = zip(*meanwhile, strict=True)
    name = f"{text} of {there:,}, {transfer}"
    number = f"longest of {len(meanwhile)}"
    figures = [
        Figure(f"{name}: met, settled and imported", there / taken, "files/s"),
        Figure(f"{name}: DropBox's peak memory", after / MB, "MB"),
        Figure(
            f"{name}: more than before, for 10 files",
            (after - before) / there * 10,
            "B",
            FOR_TEN if kind != "plate" else None,
        ),
        Figure(f"{name}: a first store of {FIRST:,} files took, once", (before - idle) / MB, "MB"),
        *(Figure(f"{name}: the process of its import, at most", int(mib), "MiB") for mib in apart),
        *(
            Figure(f"{name}: `{_BESIDE[b]}`", there / took, "files/s")
            for b, took in besides.items()
        ),
        Figure(
            f"{name}: CPU of DropBox, a file",
            1000 * (used["DropBox"] - cpu["DropBox"]) / there,
            "ms",
        ),
        Figure(
            f"{name}: CPU of the sandbox, a file",
            1000 * (used["Blitz-0"] - cpu["Blitz-0"]) / there,
            "ms",
        ),
        Figure(f"{name}: another's file alone: its import begins after", usual, "s"),
        Figure(f"{name}: meanwhile: its import begins after, {number}", max(waits), "s"),
        Figure(f"{name}: longer than alone", max(waits) - usual, "s", 1.0),
        Figure(f"{name}: its import alone takes", max(took for _, took in alone), "s"),
        Figure(f"{name}: its import meanwhile, {number}", max(imports), "s"),
    ]
    outcome.figures += figures
    for figure in figures:
        say("  ".join(report.row(figure)))


def until_imported(grid: Grid, path: str) -> float:
    """When (s since the epoch) it was imported.

    Raises BenchmarkError when it is not imported any more, or not within _LONG.
    """
    begun = said = time.monotonic()
    while True:
        found = history.times_of(grid.journal, path)
        if found is not None and found.done is not None:
            return found.done
        now = time.monotonic()
        state, why = history.stands(grid.journal, path)
        if state in _OVER or now - begun > _LONG:
            raise BenchmarkError(f"{path} is {state or 'not known'}: {why}\n{grid.logs()}")
        if now - said > _SAID_S:
            said = now
            say(f"  after {now - begun:.0f} s it is {state or 'not known'} {why}".rstrip())
        time.sleep(1.0)


class _Others:
    """Files of another user, each dropped a random time after the one before is imported."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self.dropped: list[Path] = []
        self._random = random.Random(1)
        self._waits: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._failed: list[Exception] = []
        self._thread = threading.Thread(target=self._run)

    def one(self) -> tuple[float, float]:
        """s beyond its quiet period until its import begins, and until that ends."""
        path = self._grid.home("zak") / f"{len(self.dropped) + 1}.tif"
        closed = drop(path)
        self.dropped.append(path)
        end = time.monotonic() + _LONG
        while True:
            found = history.times_of(self._grid.journal, str(path))
            if found is not None and found.begun is not None and found.done is not None:
                return found.begun - closed - QUIET, found.done - found.begun
            if time.monotonic() > end:
                raise BenchmarkError(f"{path} is not imported\n{self._grid.logs()}")
            time.sleep(_LOOK)

    def begin(self) -> None:
        """One after the other, until `end`."""
        self._thread.start()

    def end(self) -> list[tuple[float, float]]:
        """What each took."""
        self._ended.set()
        self._thread.join()
        if self._failed:
            raise self._failed[0]
        return self._waits

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                time.sleep(self._random.uniform(0, _APART))
                self._waits.append(self.one())
        except Exception as error:
            self._failed.append(error)


def _store(top: Path, files: int) -> tuple[str, int]:
    """The name of its fileset below it, and how many files it has."""
    return "", stores.write(top, files)


def plate(top: Path, files: int) -> tuple[str, int]:
    """As `_store`.  A well has an image; each of its planes is a file.

    There are a few more files than `files`: as many for each well.
    """
    top.mkdir(parents=True)
    each = -(-files // WELLS)
    wells, images = [], []
    for well in range(WELLS):
        planes = []
        for t in range(each):
            name = f"w{well:02}/t{t:04}.tif"
            (top / name).parent.mkdir(exist_ok=True)
            (top / name).write_bytes(tiff())
            uuid = UUID(int=well * each + t + 1)
            planes.append(
                f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1">'
                f'<UUID FileName="{name}">urn:uuid:{uuid}</UUID></TiffData>'
            )
        images.append(
            f'<Image ID="Image:{well}"><Pixels ID="Pixels:{well}" DimensionOrder="XYZCT" '
            f'Type="uint8" SizeX="16" SizeY="16" SizeZ="1" SizeC="1" SizeT="{each}">'
            f'<Channel ID="Channel:{well}:0" SamplesPerPixel="1"/>{"".join(planes)}'
            "</Pixels></Image>"
        )
        wells.append(
            f'<Well ID="Well:0:{well}" Row="{well // 12}" Column="{well % 12}">'
            f'<WellSample ID="WellSample:0:{well}:0" Index="{well}"><ImageRef ID="Image:{well}"/>'
            "</WellSample></Well>"
        )
    whole = f'<Plate ID="Plate:0" Name="p">{"".join(wells)}</Plate>'
    (top / "a.companion.ome").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{_NAMESPACE}" '
        f'UUID="urn:uuid:{UUID(int=0)}">{whole}{"".join(images)}</OME>',
        encoding="utf-8",
    )
    return "a.companion.ome", each * WELLS + 1


def _of_kind(write: Callable[[Path, int], int]) -> Callable[[Path, int], tuple[str, int]]:
    return lambda top, files: ("", write(top, files))


# Name -> what it is called in words, and what makes one.
SETS: dict[str, tuple[str, Callable[[Path, int], tuple[str, int]]]] = {
    "store": ("store", _store),
    "plate": ("plate", plate),
    **{kind: (text, _of_kind(write)) for kind, (text, write) in KINDS.items()},
}
