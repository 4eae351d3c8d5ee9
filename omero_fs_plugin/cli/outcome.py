"""What `omero fs import` says of filesets, and how it waits for them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from omero_fs_plugin.dropbox.settling.handover import Left
from omero_fs_plugin.site import printable

from .columns import Line
from .terminal import at, shown

_LOOK_S = 0.3  # how often --wait looks at the journal


def left_line(left: Left) -> Line:
    begin = "passed over" if left.passed_over else "not handed over"
    why = left.why.removeprefix(f"{left.files[0]}: ")  # many a reason begins with the path
    return (f"{begin}: ", *names(left.files), f": {printable(why)}")


def names(files: Sequence[str]) -> tuple[str, ...]:
    """The first file, and how many more: parts of a line."""
    more = len(files) - 1
    return (at(files[0]), f" and {more} more file{'s' if more > 1 else ''}" if more else "")


def line_of(fileset: Fileset, *, in_omero: bool = False) -> Line:
    state = "in OMERO already" if in_omero else str(fileset.state)
    rest = ""
    if fileset.images:
        rest += " " + ",".join(f"Image:{i}" for i in fileset.images)
    if fileset.reason:
        rest += f": {printable(fileset.reason)}"
    return (f"{fileset.id} {state} ", *names([met.path for met in fileset.files]), rest)


def is_in_omero(fileset: Fileset) -> bool:
    """Whether OMERO has its images: of itself, or of a fileset with the same content."""
    return fileset.state is State.IMPORTED or (
        fileset.state is State.SKIPPED and fileset.duplicate_of is not None
    )


def wait(
    ctx: Any, journal: Journal, filesets: Sequence[Fileset], timeout: float, before: Collection[int]
) -> None:
    """Waits until each fileset has an end, at most `timeout` s, and prints each and a summary.

    `before`: ids of those that were in OMERO before.  Ends the command with 1 if one is not in
    OMERO at the end.
    """
    if not filesets:
        return
    begun = time.monotonic()
    ended = {one.id: one for one in filesets if one.state not in OPEN}
    open_ids = [one.id for one in filesets if one.state in OPEN]
    with _bar(len(filesets), len(ended)) as advance:
        while open_ids:
            for fileset in journal.load(open_ids):
                if fileset.state not in OPEN:
                    open_ids.remove(fileset.id)
                    ended[fileset.id] = fileset
                    ctx.out(shown([line_of(fileset)]))
                    advance()
            if not open_ids or time.monotonic() - begun > timeout:
                break
            time.sleep(_LOOK_S)
    summary = _summary(ended.values(), before, len(open_ids), time.monotonic() - begun)
    if all(is_in_omero(one) for one in ended.values()) and not open_ids:
        ctx.out(summary)
    else:
        ctx.die(1, f"{summary}: not all are in OMERO; the reasons are above")


def _summary(
    ended: Collection[Fileset], before: Collection[int], still_open: int, took: float
) -> str:
    counts = {
        "imported": sum(1 for e in ended if e.state is State.IMPORTED and e.id not in before),
        "in OMERO already": sum(1 for e in ended if is_in_omero(e) and _was_there(e, before)),
        "skipped": sum(1 for e in ended if e.state is State.SKIPPED and not is_in_omero(e)),
        "failed": sum(1 for e in ended if e.state is State.FAILED),
        f"not at the end after {took:.0f} s": still_open,
    }
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing"


def _was_there(fileset: Fileset, before: Collection[int]) -> bool:
    return fileset.state is State.SKIPPED or fileset.id in before


@contextmanager
def _bar(total: int, done: int) -> Iterator[Any]:
    """A progress bar on stderr if that is a terminal.  Gives a function that advances it."""
    import sys

    if not total or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), "filesets", TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total, completed=done)
        yield lambda: progress.advance(task)
