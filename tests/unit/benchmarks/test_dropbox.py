"""What a run of DropBox's benchmarks comes to: delays, rates, targets, tables."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import pytest
import tifffile

from benchmarks.dropbox import __main__ as command
from benchmarks.dropbox import history, report, scenarios, start
from benchmarks.dropbox.history import Times
from benchmarks.dropbox.scenarios import Figure, Outcome

WAITING = Times("amy", None, None)
MOST = Figure("memory", 250.0, "MiB", 300.0)
LEAST = Figure("imports an hour", 40_000.0, "", 36_000.0, most=False, existing="360")


def test_delays_are_from_the_close() -> None:
    known = {"/a": Times("amy", 15.0, 17.0), "/b": Times("amy", 27.5, 28.0), "/other": WAITING}
    closed = {"/a": 10.0, "/b": 20.0}
    assert history.begun_after(closed, known) == [5.0, 7.5]
    assert history.done_after(closed, known) == [7.0, 8.0]


@pytest.mark.parametrize("known", [{}, {"/a": WAITING}], ids=["unknown", "waiting"])
def test_a_file_that_never_came_is_no_delay(known: dict[str, Times]) -> None:
    with pytest.raises(ValueError, match="/a"):
        history.begun_after({"/a": 1.0}, known)
    with pytest.raises(ValueError, match="/a"):
        history.done_after({"/a": 1.0}, known)


def test_rate_counts_what_is_imported() -> None:
    known = {"/a": Times("amy", 0.0, 5.0), "/b": Times("zak", 4.0, 36.0), "/c": WAITING}
    assert history.per_hour(known) == 200


def test_one_import_is_no_rate() -> None:
    with pytest.raises(ValueError, match="fewer than two"):
        history.per_hour({"/a": Times("amy", 0.0, 5.0), "/b": Times("amy", 1.0, None)})


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (MOST, True),
        (replace(MOST, value=300.0), True),
        (replace(MOST, value=300.1), False),
        (LEAST, True),
        (replace(LEAST, value=35_999.0), False),
        (replace(MOST, value=1e9, target=None), True),
    ],
    ids=["below", "at", "above", "enough", "too few", "no target"],
)
def test_targets(figure: Figure, met: bool) -> None:
    assert figure.met is met


def test_rows_show_target_ratio_and_what_exists() -> None:
    assert report.row(LEAST)[1:] == ["40,000", "-", ">= 36,000", "1.11", "360", "yes"]
    assert report.row(replace(MOST, value=600.0))[1:] == [
        "600", "MiB", "<= 300", "2.00", "-", "NO",
    ]  # fmt: skip
    assert report.row(replace(MOST, target=None))[3:] == ["-", "-", "-", "-"]
    assert report.row(Figure("least", 0.0, "s", 0.0, most=False))[1:5] == ["0", "s", ">= 0", "-"]


def test_the_report_tells_faults_and_names_neither_host_nor_path() -> None:
    outcome = Outcome("2 files at once", [LEAST], ["of 2 files dropped: 1"])
    text = report.whole([outcome], quick=True, loads=[0.5, 1.5], heading=report.HEADING)
    assert "**of 2 files dropped: 1**" in text
    assert "0.5 at the begin" in text
    assert "2 files at once\n---------------\n" in text
    assert os.uname().nodename not in text


def test_several_runs_are_told_by_the_median_of_each_figure_and_its_spread() -> None:
    runs = [
        Outcome("2 files", [replace(MOST, value=value), *more], [f"fault {value:g}"])
        for value, more in ((310.0, [LEAST]), (290.0, []), (200.0, [Figure("once", 1.0, "s")]))
    ]
    whole = scenarios.of_runs(runs)
    # No promise is left out because one run alone has it.
    assert [figure.text for figure in whole.figures] == [MOST.text, LEAST.text]
    assert whole.figures[0] == replace(MOST, value=290.0, spread=(200.0, 310.0))
    assert whole.figures[0].met
    assert whole.faults == ["fault 310", "fault 290", "fault 200"]
    text = report.whole([whole], quick=False, loads=[0.5], heading=report.HEADING, runs=[3])
    assert ":Runs: 3 of each" in text
    (header,) = (line for line in text.splitlines() if line.startswith("figure"))
    assert "least to most" in header
    assert "200 to 310" in text
    failed_once = report.whole([], quick=False, loads=[0.5], heading=(), runs=[3, 2])
    assert ":Runs: 3, 2, in turn" in failed_once


def test_one_run_is_told_as_it_is() -> None:
    outcome = Outcome("2 files", [MOST])
    assert scenarios.of_runs([outcome]) is outcome
    assert "least to most" not in "\n".join(report.lines(outcome))


def test_files_are_tiffs_of_one_size_and_no_two_alike() -> None:
    one, other = scenarios.tiff(), scenarios.tiff()
    assert len(one) == len(other)
    assert one != other
    assert tifffile.imread(io.BytesIO(one)).shape == (scenarios.SIDE, scenarios.SIDE)


def test_rescans_are_read_from_the_log() -> None:
    lines = [
        "2026-11-23 12:59:59,500 INFO  DropBox watches /in",
        "2026-11-23 13:00:04,250 INFO  rescan: 200000 files in 3.5 s",
        "2026-11-23 13:00:08,250 INFO  rescan: 200001 files in 4.0 s",
    ]
    assert start._rescans(lines) == [(200_000, 3.5), (200_001, 4.0)]
    assert start._first_rescan(lines) == 4.75


def test_each_part_has_its_name() -> None:
    """One without could not be asked for alone, and would be run only with all others."""
    assert set(command._scenarios(command._arguments([]))) == set(command.PARTS)
