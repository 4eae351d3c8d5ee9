"""`omero fs check` over what does not answer, or goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from omero_fs_plugin.checks import Line, timely
from omero_fs_plugin.checks import ok as fine
from omero_fs_plugin.errors import ConfigurationError

from .sites import ERROR, only


def test_what_does_not_answer_is_told_with_what_it_said() -> None:
    never = threading.Event()

    def share() -> Iterator[Line]:
        yield fine("share", "begun")
        never.wait()

    try:
        lines = timely.within(
            0.5,
            [timely.Check("share", share), timely.Check("disk", lambda: [fine("disk", "good")])],
        )
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

    line = only(timely.within(5, [timely.Check("it", look)]))
    assert (line.level, line.what) == (ERROR, told)
    assert line.remedy
