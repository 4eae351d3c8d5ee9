"""Scenarios one after the other, as `make bench-dropbox` and `make bench-filesets` run them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from benchmarks.contenders import BenchmarkError
from benchmarks.ending import on_sigterm

from . import report
from .scenarios import Outcome, of_runs


def execute(
    scenarios: Mapping[str, Callable[[Path], Outcome]],
    *,
    quick: bool,
    only: Collection[str] | None,
    output: Path | None,
    results: Path,
    heading: Sequence[str],
    repeat: int = 1,
    changed: Sequence[str] = (),
) -> int:
    """Runs those of `only`, or all, each with a directory for its files.  Returns the exit code.

    With `repeat` each runs so many times, in turn, and the report has the medians.  It is
    written to `output`, or after a whole run of full size to `results`.  `changed` are the options
    that made sizes or numbers other ones: with any, only `output` is written.

    Exit code 2 if nothing was measured, because no part has anything with these options.
    """
    if os.geteuid() == 0:
        sys.stderr.write("bench: a sandbox is not run by root: use make\n")
        return 1
    on_sigterm()
    loads = [os.getloadavg()[0]]
    runs: dict[str, list[Outcome]] = {}
    failed = []
    scratch = Path(tempfile.mkdtemp(prefix="omero-fs-bench-")).resolve()
    try:
        for name, run in list(scenarios.items()) * repeat:
            if only and name not in only:
                continue
            of_its_own = Path(tempfile.mkdtemp(dir=scratch))  # in each repetition
            try:
                outcome = run(of_its_own)
            except BenchmarkError as error:
                failed.append(f"{name}: {error}")
                sys.stderr.write(f"bench: {name}: {error}\n")
                continue
            finally:
                shutil.rmtree(of_its_own, ignore_errors=True)
            if not (outcome.figures or outcome.faults):
                continue  # such as `kinds` with a set that it does not have
            runs.setdefault(name, []).append(outcome)
            sys.stdout.write("\n".join(["", outcome.title, *report.lines(outcome), ""]))
            sys.stdout.flush()
            loads.append(os.getloadavg()[0])
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not (runs or failed):
        sys.stderr.write("bench: nothing is measured with these options\n")
        return 2
    outcomes = [of_runs(some) for some in runs.values()]
    done = [len(some) for some in runs.values()]
    text = report.whole(
        outcomes, quick=quick, loads=loads, heading=heading, runs=done, changed=changed
    )
    text += "".join(f"\n**{error}**\n" for error in failed)
    sys.stdout.write("\n" + text)
    output = output or (None if quick or only or failed or changed else results)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    for fault in faults:
        sys.stderr.write(f"bench: {fault}\n")
    return 1 if faults or failed else 0
