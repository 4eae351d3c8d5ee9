"""One-shot monitors and those for inactivity."""

from __future__ import annotations

import dataclasses
import math

import pytest

from omero_fs_plugin.monitor.notices import Notice
from omero_fs_plugin.monitor.requests import MonitorType
from omero_fs_plugin.monitor.telling.telling import Answer
from omero_fs_plugin.monitor.telling.terms import Terms
from tests.requests import request_of

TIMEOUT = 10.0  # s


def _terms(kind: MonitorType, timeout: float = TIMEOUT) -> Terms:
    request = dataclasses.replace(request_of(b"/data"), type=kind, timeout=timeout)
    terms = Terms(request)
    terms.begin(100.0)
    return terms


def test_any_other_monitor_goes_on() -> None:
    terms = _terms(MonitorType.PERSISTENT)
    assert not terms.any
    assert terms.due(100.0) == math.inf
    assert terms.notice(1e9, 100.0, waits=False) is None
    assert not any(terms.ends(answer) for answer in Answer)


def test_a_one_shot_monitor_ends_with_its_first_notification() -> None:
    terms = _terms(MonitorType.ONE_SHOT)
    assert terms.any
    assert [answer for answer in Answer if terms.ends(answer)] == [Answer.ARRIVED]


def test_or_when_its_time_has_passed() -> None:
    terms = _terms(MonitorType.ONE_SHOT)
    assert terms.due(-math.inf) == 100.0 + TIMEOUT
    assert terms.notice(99.0 + TIMEOUT, -math.inf, waits=False) is None
    found = terms.notice(100.0 + TIMEOUT, -math.inf, waits=False)
    assert found == (Notice.TIMEOUT, "nothing happened in 10 s")
    assert terms.due(-math.inf) == math.inf
    assert terms.ends(Answer.FAILED), "nobody is there to hear it"


def test_unless_something_waits_to_be_told_by_then() -> None:
    terms = _terms(MonitorType.ONE_SHOT)
    assert terms.notice(100.0 + TIMEOUT, 105.0, waits=True) is None
    assert terms.due(105.0) == math.inf
    assert not terms.ends(Answer.FAILED)


def test_without_a_time_it_waits_for_ever() -> None:
    terms = _terms(MonitorType.ONE_SHOT, 0.0)
    assert terms.due(-math.inf) == math.inf


@pytest.mark.parametrize("again", [False, True])
def test_inactivity_is_told_once_each_time(again: bool) -> None:
    terms = _terms(MonitorType.INACTIVITY)
    at = 200.0
    for _ in range(1 + again):
        assert terms.due(at) == at + TIMEOUT
        assert terms.notice(at + TIMEOUT - 1, at, waits=False) is None
        found = terms.notice(at + TIMEOUT, at, waits=False)
        assert found == (Notice.INACTIVE, "nothing has happened for 10 s")
        assert terms.notice(at + 2 * TIMEOUT, at, waits=False) is None
        assert terms.due(at) == math.inf
        at += 100.0
    assert not any(terms.ends(answer) for answer in Answer)
