"""Where DropBox's CPU time goes while it imports: by process, by thread and by function."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.contenders import BenchmarkError

from . import sampled, stored
from .grid import Grid
from .scenarios import Figure, Outcome, all_imported, drop_many, faults

_RUN = "<option>-m</option>\n        <option>omero_fs_plugin.dropbox.server</option>"
_WAIT_S = 20.0
_MOST = 40  # functions in each list


def profile(scratch: Path, count: int, importers: int) -> Outcome:
    """`count` files in steady state: the groupers and importers have warmed up on a tenth more."""
    told = scratch / "profile.json"
    properties = {"omero.fs.dirImportWait": "1", "omero.fs.importers": str(importers)}
    with Grid(scratch, properties) as grid:
        sampled_in(grid, told)
        grid.start()
        return profile_in(grid, told, count, importers)


def profile_in(grid: Grid, told: Path, count: int, importers: int) -> Outcome:
    """As `profile`; before its start the grid was given to `sampled_in` with `told`."""
    outcome = Outcome(f"Where DropBox's CPU time goes, {count:,} files, {importers} importers")
    grid.dropped += drop_many(grid.home("amy") / "warm", count // 10)
    all_imported(grid)
    before, started = look(grid, told), cpu(grid)
    for user in ("amy", "zak"):
        grid.dropped += drop_many(grid.home(user) / "measured", count // 2)
    all_imported(grid)
    after, used = look(grid, told), cpu(grid)
    faults(outcome, stored.once(grid))
    each = 1000 / (2 * (count // 2))  # ms a fileset for each s
    whole, alone = ((used[name] - started[name]) * each for name in ("all", "alone"))
    outcome.figures += [
        Figure("DropBox and its children", whole, "ms a fileset", 20),
        Figure("DropBox alone", alone, "ms a fileset"),
    ]
    for kind, most in (("threads", 20), ("inclusive", 2 * _MOST), ("own", _MOST)):
        spent = {key: s - before[kind].get(key, 0.0) for key, s in after[kind].items()}
        for key, s in sorted(spent.items(), key=lambda one: -one[1])[:most]:
            outcome.figures.append(Figure(f"{kind}: {key}", s * each, "ms"))
    return outcome


def sampled_in(grid: Grid, told: Path) -> None:
    """Has the `grid`, before its start, run a DropBox that notes in `told` where its time goes."""
    templates = grid.directory / "etc" / "templates" / "grid" / "templates.xml"
    text = templates.read_text(encoding="utf-8")
    if text.count(_RUN) != 1:
        raise BenchmarkError("the template of DropBox is another one")
    options = (sampled.__file__, told)
    text = text.replace(_RUN, "\n".join(f"<option>{option}</option>" for option in options))
    templates.write_text(text, encoding="utf-8")


def cpu(grid: Grid) -> dict[str, float]:
    """s of CPU so far: of DropBox and its children, and of it alone."""
    pid = grid.pid("DropBox")
    return {"all": measure.cpu_seconds(pid), "alone": measure.cpu_of_one(pid)}


def look(grid: Grid, told: Path) -> dict[str, Any]:
    """Where the time of DropBox went so far, as `sampled` writes it.  Raises BenchmarkError."""
    told.unlink(missing_ok=True)
    os.kill(grid.pid("DropBox"), signal.SIGUSR1)
    end = time.monotonic() + _WAIT_S
    while not told.exists():
        if time.monotonic() > end:
            raise BenchmarkError("DropBox does not tell where its time goes")
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return found
