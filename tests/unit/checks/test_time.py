"""`omero fs check` over what does not answer, or goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from omero_fs_plugin.checks import Line, timely
from omero_fs_plugin.checks import ok as fine
from omero_fs_plugin.errors import ConfigurationError

from .sites import ERROR, only


class Clock:
    """The time is over when all is said that is said in time."""

    def __init__(self, limit: float, *said: threading.Event) -> None:
        self._limit, self._said, self._asked = limit, said, 0

    def monotonic(self) -> float:
        self._asked += 1
        if self._asked == 1:
            return 0.0
        assert all(one.wait(20) for one in self._said)
        return self._limit


def test_what_does_not_answer_is_told_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    never, begun = threading.Event(), threading.Event()

    def share() -> Iterator[Line]:
        yield fine("share", "begun")
        begun.set()
        never.wait()

    disk = timely.Check("disk", lambda: [fine("disk", "good")])
    monkeypatch.setattr(timely, "time", Clock(0.5, begun, disk.done))
    try:
        lines = timely.within(0.5, [timely.Check("share", share), disk])
    finally:
        never.set()
    assert [(line.about, line.what) for line in lines] == [
        ("share", "begun"),
        ("share", "no answer within 0.5 s"),
        ("disk", "good"),
    ]
    assert lines[1].level is ERROR


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ConfigurationError("the file is wrong"), "the file is wrong"),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied"),
        (OSError(5, "Input/output error"), "it: Input/output error"),
        (KeyError("x"), "could not be looked at: KeyError: 'x'"),
    ],
)
def test_whatever_goes_wrong_is_a_line(raised: Exception, told: str) -> None:
    def look() -> Iterator[Line]:
        raise raised
        yield

    line = only(timely.within(20, [timely.Check("it", look)]))
    assert (line.level, line.what) == (ERROR, told)
    assert line.remedy
