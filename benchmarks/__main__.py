"""`make bench`: every workload, every contender, in turn.

Exit code 0; or 1 if FSServer missed or doubled a file in any run, or told of one
too early, or if a contender could not be run; or 2 if nothing is measured
with these options; or 130 if it was interrupted.  The exit code does
not depend on times.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import kernel_queue, report, runs, workloads
from .contenders import (
    FSSERVER,
    INOTIFY,
    LEAST,
    WATCHDOG,
    BenchmarkError,
    Contender,
    before,
    omero_dropbox,
)
from .ending import on_sigterm
from .options import add_repeat, parser_of, read
from .report import Results

STANDING = "standing"  # start, memory and idleness on a large tree
MILLION = "million"  # the same of FSServer alone, on a larger one
CYCLES = "cycles"
_NOBODY = "none of the contenders takes part"
RESULTS = Path(__file__).parent / "RESULTS.rst"


def say(text: str) -> None:
    """Prints at once, because a run takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    names = [*(one.name for one in workloads.WORKLOADS), STANDING, MILLION, CYCLES]
    parser = parser_of("bench", __doc__, RESULTS, names, metavar="NAME", help=", ".join(names))
    add_repeat(parser)
    parser.add_argument(
        "--contender", action="append", metavar="NAME", help="this one alone; may be repeated"
    )
    parser.add_argument(
        "--dropbox-python",
        metavar="FILE",
        help="the Python of a virtual environment that has omero-dropbox",
    )
    parser.add_argument(
        "--before",
        metavar="DIR",
        help="the tree of an earlier commit, whose FSServer runs beside in some",
    )
    return read(parser, given)


def _contenders(options: argparse.Namespace, results: Results) -> list[Contender]:
    found = [FSSERVER]
    if options.dropbox_python:
        found.append(omero_dropbox(options.dropbox_python))
    else:
        results.skipped.append("omero-dropbox: no --dropbox-python was given")
    found += [WATCHDOG, INOTIFY, LEAST]
    if options.before:
        found.append(before(options.before))
    if options.contender:
        known = {one.name for one in found}
        unknown = [name for name in options.contender if name not in known]
        if unknown:
            raise BenchmarkError(f"no such contender: {unknown[0]}; there are {sorted(known)}")
        found = [one for one in found if one.name in options.contender]
    return found


def _in_turn(contenders: list[Contender], number: int) -> list[Contender]:
    """Each repetition begins with another contender."""
    first = number % len(contenders)
    return contenders[first:] + contenders[:first]


def _takes_part(contender: Contender, workload: workloads.Workload) -> bool:
    return not contender.only or workload.name in contender.only


def _run_workloads(
    options: argparse.Namespace, contenders: list[Contender], scratch: Path, results: Results
) -> None:
    wanted = [w for w in workloads.WORKLOADS if not options.only or w.name in options.only]
    reason = kernel_queue.cannot()
    for workload in list(wanted):
        if workload.kernel_queue is not None and reason is not None:
            wanted.remove(workload)
            results.skipped.append(f"{workload.name}: {reason}")
            say(f"{workload.name} is skipped: {reason}")
    for workload in list(wanted):
        if not any(_takes_part(one, workload) for one in contenders):
            wanted.remove(workload)
            results.skipped.append(f"{workload.name}: {_NOBODY}")
    for number in range(options.repeat):
        for workload in wanted:
            count = workloads.size(workload, quick=options.quick)
            text = results.texts[workload.name] = workload.text.format(count=count)
            say(f"\n{text} (run {number + 1} of {options.repeat})")
            # In the order of the report, whichever contender begins.
            repetitions = results.workloads.setdefault(
                workload.name,
                {one.name: [] for one in contenders if _takes_part(one, workload)},
            )
            for contender in _in_turn(contenders, number):
                if not _takes_part(contender, workload):
                    continue
                outcome = runs.run(workload, contender, scratch, count)
                repetitions[contender.name].append(outcome)
                cells = report.outcome_row(contender.name, [outcome])
                say(
                    "  ".join(
                        f"{name} {cell}"
                        for name, cell in zip(("", *report.OUTCOME_HEADER[1:]), cells, strict=True)
                    )
                )
    workloads.clear(scratch / "watched", scratch / "beside")


def _run_standing(
    options: argparse.Namespace, contenders: list[Contender], scratch: Path, results: Results
) -> None:
    contenders = [one for one in contenders if not one.only]
    if not contenders:
        results.skipped.append(f"{STANDING}: {_NOBODY}")
        return
    root = scratch / "tree"
    say("\nmaking a large tree")
    files = runs.make_tree(root, quick=options.quick, shape=runs.TREE)
    runs.walk(root)  # so the kernel knows the new files equally well for every contender
    for number in range(options.repeat):
        for contender in _in_turn(contenders, number):
            if number and contender is not FSSERVER:
                continue  # no goal needs it, and omero-dropbox takes long to start
            one = runs.stand(contender, scratch, root, files, runs.TREE)
            results.standing.setdefault(contender.name, []).append(one)
            _say_standing(contender, one)
    shutil.rmtree(root)


def _run_million(
    options: argparse.Namespace, contenders: list[Contender], scratch: Path, results: Results
) -> None:
    """FSServer alone: it has to be linear, and nobody waits minutes for the others."""
    ours = [one for one in contenders if one is FSSERVER]
    if not ours:
        results.skipped.append(f"{MILLION}: {_NOBODY}")
        return
    root = scratch / "million"
    say("\nmaking a tree of a million files")
    files = runs.make_tree(root, quick=options.quick, shape=runs.MILLION)
    runs.walk(root)
    for _ in range(options.repeat):
        one = runs.stand(FSSERVER, scratch, root, files, runs.MILLION)
        results.million.append(one)
        _say_standing(FSSERVER, one)
    shutil.rmtree(root)


def _say_standing(contender: Contender, one: runs.Standing) -> None:
    say(
        f" {contender.name}  start {one.start:.2f} s, walk {one.walk:.2f} s, "
        f"{one.memory:.0f} bytes a file, idle {100 * one.idle:.3f} %"
    )


def _run_cycles(
    options: argparse.Namespace, contenders: list[Contender], scratch: Path, results: Results
) -> None:
    servers = [one for one in contenders if one.server and not one.only]
    if not servers:
        results.skipped.append(f"{CYCLES}: {_NOBODY}")
        return
    say("\ncreate, start, stop, destroy")
    for contender in servers:
        one = runs.cycle(contender, scratch, quick=options.quick)
        results.cycles[contender.name] = one
        say(f" {contender.name}  {one.cycles} in {one.seconds:.1f} s, left: {one.left}")


def main(given: Sequence[str]) -> int:
    """The exit code."""
    options = _arguments(given)
    on_sigterm()
    results = Results()
    began = os.getloadavg()[0]
    scratch = Path(tempfile.mkdtemp(prefix="omero-fs-bench-")).resolve()
    try:
        contenders = _contenders(options, results)
        _run_workloads(options, contenders, scratch, results)
        if not options.only or STANDING in options.only:
            _run_standing(options, contenders, scratch, results)
        if not options.only or MILLION in options.only:
            _run_million(options, contenders, scratch, results)
        if not options.only or CYCLES in options.only:
            _run_cycles(options, contenders, scratch, results)
    except BenchmarkError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(scratch)
    if not results.measured():
        sys.stderr.write(f"bench: nothing is measured: {'; '.join(results.skipped)}\n")
        return 2
    load = (began, os.getloadavg()[0])
    text = report.whole(
        results, quick=options.quick, repeat=options.repeat, load=load, changed=options.changed
    )
    say("\n" + text)
    whole = not (options.quick or options.only or options.contender or options.changed)
    output = options.output or (RESULTS if whole else None)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    faults = results.faults()
    for fault in faults:
        sys.stderr.write(f"bench: FSServer, {fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
