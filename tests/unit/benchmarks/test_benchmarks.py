"""What a benchmark run comes to: counts, quantiles, goals, tables."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from benchmarks import measure, report, workloads
from benchmarks.measure import Expected, Held, Outcome
from benchmarks.report import Results
from benchmarks.runs import Cycled, Standing

MS = 1_000_000  # ns

GOOD = Outcome(
    files=100, missing=0, early=0, twice=0, extra=0, p50=1.0, p99=2.0, cpu=0.5, peak=64 * 2**20
)  # fmt: skip


def _judge(expected: Expected, *heard: measure.Heard) -> Outcome:
    return measure.judge(expected, heard, cpu=1.0, peak=0)


@pytest.mark.parametrize(
    ("share", "found"), [(0.5, 2), (0.75, 3), (0.99, 4), (0.0, 1), (1.0, 4)], ids=str
)
def test_quantile_is_a_value_that_was_measured(share: float, found: int) -> None:
    assert measure.quantile([4, 1, 3, 2], share) == found


def test_quantile_of_nothing() -> None:
    assert math.isnan(measure.quantile([], 0.5))


def test_missing_twice_and_extra() -> None:
    expected = Expected("Create", {"/a": 0, "/b": 0, "/c": 0})
    outcome = _judge(
        expected,
        (1 * MS, "Create", "/a"),
        (2 * MS, "Create", "/b"),
        (3 * MS, "Create", "/b"),
        (3 * MS, "Create", "/.temporary"),
        (3 * MS, "Modify", "/a"),
        (4 * MS, "System", "overflow: events were lost"),
    )
    assert (outcome.files, outcome.missing, outcome.twice, outcome.extra) == (3, 1, 1, 2)
    assert outcome.per_cpu == 2  # a file that was not told does not count


def test_a_new_file_counts_from_its_first_create() -> None:
    outcome = _judge(
        Expected("Create", {"/a": 10 * MS}), (15 * MS, "Create", "/a"), (90 * MS, "Create", "/a")
    )
    assert outcome.p99 == 5


def test_a_rewritten_file_counts_from_its_last_modify() -> None:
    outcome = _judge(
        Expected("Modify", {"/a": 50 * MS}), (15 * MS, "Modify", "/a"), (90 * MS, "Modify", "/a")
    )
    assert (outcome.twice, outcome.p99) == (1, 40)


CLOSE = 1_000 * MS
MOMENT = measure.CLOSING


@pytest.mark.parametrize("kind", ["Create", "Modify"])
@pytest.mark.parametrize(
    ("at", "early"), [(CLOSE - MOMENT, 0), (CLOSE - MOMENT - 1, 1)], ids=["with it", "before it"]
)
def test_told_right_before_the_close_is_told_of_it(kind: str, at: int, early: int) -> None:
    """The close is noted when close() has returned; the kernel tells of it before that."""
    outcome = _judge(Expected(kind, {"/a": CLOSE}), (at, kind, "/a"))
    assert (outcome.early, outcome.missing, outcome.twice) == (early, 0, 0)
    assert math.isnan(outcome.p99) if early else outcome.p99 == 0
    assert outcome.per_cpu == 1 - early


def test_told_early_and_again_after_the_close_is_told_late() -> None:
    """A client learns by the second event that there is more than it has read."""
    for again, extra in (("Create", 0), ("Modify", 1)):
        outcome = _judge(
            Expected("Create", {"/a": CLOSE}),
            (CLOSE - 10 * MOMENT, "Create", "/a"),
            (CLOSE + 7 * MS, again, "/a"),
            (CLOSE + 9 * MS, again, "/a"),
        )
        assert (outcome.early, outcome.missing, outcome.p99) == (0, 0, 7)
        assert (outcome.twice, outcome.extra) == (2 - 2 * extra, 2 * extra)


def test_a_new_file_of_which_a_modify_alone_is_told_is_missing() -> None:
    outcome = _judge(Expected("Create", {"/a": 0}), (5 * MS, "Modify", "/a"))
    assert (outcome.missing, outcome.early, outcome.extra) == (1, 0, 1)
    assert math.isnan(outcome.p99)


def test_deleted_after_an_early_word_is_no_word_of_the_close() -> None:
    outcome = _judge(
        Expected("Create", {"/a": CLOSE}), (0, "Create", "/a"), (CLOSE, "Delete", "/a")
    )
    assert outcome.early == 1


def test_cpu_of_this_process_grows_and_is_no_more_than_time() -> None:
    before, began = measure.cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - began < 0.01:
        pass
    assert measure.cpu_seconds(os.getpid()) - before >= 0.01


def test_held_sees_a_descriptor() -> None:
    """Of a process of its own: in this one, threads of other tests open and close some too."""
    program = "import os, sys\nfor line in sys.stdin: print(os.open(line.strip(), 0), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None

        def after_another() -> Held:
            child.stdin.write(".\n")
            child.stdin.flush()
            child.stdout.readline()
            return measure.held(child.pid)

        before = after_another()
        assert (after_another() - before).descriptors == 1
        child.stdin.close()


STANDING = Standing(files=20, directories=1, walk=1.0, start=2.0, memory=300, idle=0.0001)


def _results(ours: list[Outcome], theirs: list[Outcome]) -> Results:
    return Results(
        workloads={"burst": {report.OURS: ours, report.RIVAL: theirs}},
        texts={"burst": "burst of 100 files"},
        standing={report.OURS: [STANDING]},
        cycles={report.OURS: Cycled(cycles=5, seconds=1.0, left=Held(0, 0, 0))},
    )


def test_goals_met() -> None:
    results = _results([GOOD], [replace(GOOD, cpu=1.5, p99=10.0)])
    assert [row[-1] for row in report.goals(results)] == ["yes"] * 7
    assert not results.faults()


@pytest.mark.parametrize(
    ("ours", "goal"),
    [
        (replace(GOOD, missing=1), "missing, early and twice"),
        (replace(GOOD, early=1), "missing, early and twice"),
        (replace(GOOD, twice=1), "missing, early and twice"),
        (replace(GOOD, cpu=1.0), "burst: 2 times"),
        (replace(GOOD, p99=3.0), "burst: p99"),
    ],
    ids=["missing", "early", "twice", "slow", "late"],
)
def test_goals_missed(ours: Outcome, goal: str) -> None:
    rows = report.goals(_results([ours], [replace(GOOD, cpu=1.5, p99=10.0)]))
    missed = [row[0] for row in rows if row[-1] == "NO"]
    assert len(missed) == 1
    assert missed[0].startswith(goal)


@pytest.mark.parametrize(("name", "soon"), report.SOON_MS.items())
@pytest.mark.parametrize(("before", "met"), [(0.1, "yes"), (0.0, "NO")])
def test_a_file_is_told_soon(name: str, soon: float, before: float, met: str) -> None:
    assert name in {workload.name for workload in workloads.WORKLOADS}
    p50 = soon - before
    results = Results(workloads={name: {report.OURS: [replace(GOOD, p50=p50)]}})
    assert [f"{name}: p50 under {soon:g} ms", f"{p50:.2f}", met] in report.goals(results)


@pytest.mark.parametrize(
    ("standing", "goal"),
    [
        (replace(STANDING, start=2.1), "million: start: within 2 times os.walk with stat"),
        (replace(STANDING, memory=501), "million: memory: 500 bytes a known file, or less"),
    ],
)
def test_a_million_files_have_goals_of_their_own(standing: Standing, goal: str) -> None:
    results = Results(million=[standing])
    assert [row[0] for row in report.goals(results) if row[-1] == "NO"] == [goal]
    text = report.whole(results, quick=True, repeat=1, load=(0.5, 1.5))
    assert "Watching 20 files in 1 directories" in text


@pytest.mark.parametrize(("start", "met"), [(1.2, "yes"), (1.3, "NO")])
def test_a_start_grows_as_the_walk_does(start: float, met: str) -> None:
    small, large = (replace(STANDING, walk=1.0, start=s) for s in (1.0, start))
    results = Results(standing={report.OURS: [small]}, million=[large])
    text = "million: the start has grown as os.walk has, within 1.25 times"
    assert [text, f"{start:.2f}", met] in report.goals(results)


@pytest.mark.parametrize(("p99", "met"), [(5.0, "yes"), (5.1, "NO")])
def test_nobody_waits_longer_than_with_others(p99: float, met: str) -> None:
    theirs = [replace(GOOD, p99=5.0)]
    results = Results(
        workloads={
            "tar": {
                report.OURS: [replace(GOOD, p99=p99)],
                report.RIVAL: theirs,
                "watchdog": theirs,
            }
        }
    )
    rows = {row[0]: row[-1] for row in report.goals(results)}
    assert rows["tar: p99 no more than omero-dropbox's"] == met
    assert rows["tar: p99 no more than watchdog's"] == met


def test_one_bad_run_of_several_is_a_fault() -> None:
    results = _results(
        [GOOD, replace(GOOD, missing=2), replace(GOOD, early=1)], [replace(GOOD, early=5)] * 3
    )
    assert results.faults() == [
        "burst, run 2: 2 missing, 0 early, 0 twice",
        "burst, run 3: 0 missing, 1 early, 0 twice",
    ]


def test_ratios_are_of_the_same_run_and_their_median() -> None:
    ours = [replace(GOOD, cpu=cpu) for cpu in (1.0, 1.0, 1.0)]
    theirs = [replace(GOOD, cpu=cpu) for cpu in (4.0, 3.0, 100.0)]
    rows = {row[0]: row[1] for row in report.goals(_results(ours, theirs))}
    assert rows["burst: 2 times the files/CPU s of omero-dropbox, or more"] == "4.00"


def test_without_a_rival_nothing_is_said_of_it() -> None:
    results = _results([GOOD], [])
    rows = {row[0]: row[-1] for row in report.goals(results)}
    assert rows["burst: 2 times the files/CPU s of omero-dropbox, or more"] == "-"


def test_the_report_names_neither_host_nor_path() -> None:
    results = _results([GOOD], [GOOD])
    results.skipped.append("queue: only root can")
    text = report.whole(results, quick=True, repeat=1, load=(0.5, 1.5))
    assert os.uname().nodename not in text
    assert "/home" not in text
    assert "- queue: only root can" in text
    assert "burst of 100 files\n~~~~~~~~~~~~~~~~~~\n" in text


def test_table_is_aligned() -> None:
    assert report.table(("name", "n"), [("a", "1"), ("longer", "1,000")]) == [
        "======  =====",
        "name        n",
        "======  =====",
        "a           1",
        "longer  1,000",
        "======  =====",
    ]
