"""Which faults admins hear of, and when."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.letters.faults import LASTS, Faults, Report

INTERVAL = 900.0


def due(faults: Faults, now: float, last: float | None = None) -> Report | None:
    return faults.due(now, last=last, interval=INTERVAL)


@pytest.mark.parametrize("name", ["OMERO", "FSServer", "share /a", "disk", "configuration"])
def test_a_fault_is_told_when_it_has_lasted(name: str) -> None:
    faults = Faults()
    lasts = LASTS.get(name.partition(" ")[0], 0.0)
    faults.look({name: "why"}, 100.0)
    if lasts:
        assert due(faults, 100.0 + lasts - 0.1) is None
    report = due(faults, 100.0 + lasts)
    assert report is not None and dict(report.new) == {name: "why"}
    faults.tell(report)
    assert due(faults, 10_000.0) is None


def test_one_that_goes_and_comes_begins_anew() -> None:
    faults = Faults()
    faults.look({"OMERO": "away"}, 0.0)
    faults.look({}, 200.0)
    faults.look({"OMERO": "away"}, 210.0)
    assert due(faults, 400.0) is None
    assert due(faults, 510.0) is not None


def test_not_twice_in_one_interval_and_then_together() -> None:
    faults = Faults()
    faults.look({"disk": "full", "directory /a": "a link"}, 0.0)
    assert due(faults, 10.0, last=0.0) is None
    report = due(faults, INTERVAL, last=0.0)
    assert report is not None and set(report.new) == {"disk", "directory /a"}


def test_a_clock_that_is_set_back_does_not_silence_faults() -> None:
    faults = Faults()
    faults.look({"OMERO": "away"}, 100_000.0)
    faults.look({"OMERO": "away"}, 50.0)
    assert due(faults, 350.0, last=100_000.0) is not None


def test_what_is_over_is_told_once() -> None:
    faults = Faults()
    faults.happened("lease", "passed on")
    report = due(faults, 0.0)
    assert report is not None and faults.after(report) == {}
    faults.tell(report)
    assert due(faults, 10_000.0) is None


def test_what_is_mended_is_told_also_after_a_restart() -> None:
    faults = Faults({"disk": "full", "OMERO": "away"})
    faults.look({"OMERO": "away"}, 0.0)
    report = due(faults, 0.0)
    assert report == Report({}, {"OMERO": "away"}, ("disk",))
    faults.tell(report)
    assert faults.told == {"OMERO": "away"}
