"""The kernel's events, as one read gives them."""

from __future__ import annotations

import struct

import pytest

from omero_fs_plugin.monitor.kernel.raw import (
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Raw,
    joined,
    parse,
)

Given = tuple[int, int, bytes]  # watch, mask, name
ALL = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE


def _parsed(*given: Given) -> list[Given]:
    buffer = b""
    for watch, mask, name in given:
        padded = name + bytes(16 - len(name) % 16) if name else b""
        buffer += struct.pack("iIII", watch, mask, 0, len(padded)) + padded
    events = parse(buffer)
    assert all(isinstance(event, Raw) for event in events)
    return [(event.descriptor, event.mask, event.name) for event in events]


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ([IN_CREATE, IN_MODIFY, IN_CLOSE_WRITE], [ALL]),
        ([IN_CREATE, IN_CLOSE_WRITE], [IN_CREATE | IN_CLOSE_WRITE]),
        ([IN_MODIFY, IN_CLOSE_WRITE], [IN_MODIFY | IN_CLOSE_WRITE]),
        ([IN_CREATE, IN_MODIFY], [IN_CREATE | IN_MODIFY]),
        ([IN_CREATE, IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE], [ALL]),
        ([IN_CLOSE_WRITE, IN_MODIFY], [IN_CLOSE_WRITE, IN_MODIFY]),
        ([IN_CREATE, IN_CLOSE_WRITE] * 2, [IN_CREATE | IN_CLOSE_WRITE] * 2),
        ([IN_CREATE, IN_DELETE, IN_CREATE], [IN_CREATE, IN_DELETE, IN_CREATE]),
        ([IN_MODIFY, IN_CREATE], [IN_MODIFY, IN_CREATE]),
        ([IN_CREATE, IN_MOVED_FROM], [IN_CREATE, IN_MOVED_FROM]),
        ([IN_ATTRIB], []),
        ([IN_ATTRIB | IN_ISDIR], [IN_ATTRIB | IN_ISDIR]),
        ([IN_CREATE | IN_ISDIR, IN_CLOSE_WRITE], [IN_CREATE | IN_ISDIR, IN_CLOSE_WRITE]),
    ],
    ids=lambda masks: "+".join(f"{mask:x}" for mask in masks) or "none",
)
def test_what_happens_to_a_file_until_its_close_is_one_event(
    masks: list[int], expected: list[int]
) -> None:
    given = [(1, mask, b"a") for mask in masks]
    assert _parsed(*given) == [(1, mask, b"a") for mask in expected]


def test_nothing_is_put_together_over_what_is_between() -> None:
    begun, closed, other = (1, IN_CREATE, b"a"), (1, IN_CLOSE_WRITE, b"a"), (1, IN_MOVED_TO, b"b")
    assert _parsed(begun, other, closed) == [begun, other, closed]
    assert _parsed(begun, (2, IN_CLOSE_WRITE, b"a")) == [begun, (2, IN_CLOSE_WRITE, b"a")]
    assert _parsed(begun, (1, IN_CLOSE_WRITE, b"ab")) == [begun, (1, IN_CLOSE_WRITE, b"ab")]


def test_what_is_about_a_directory_itself_is_left_as_it_is() -> None:
    given = [(1, IN_ATTRIB, b""), (1, IN_MODIFY, b""), (1, IN_CLOSE_WRITE, b"")]
    assert _parsed(*given) == given


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (IN_CREATE, IN_MODIFY | IN_CLOSE_WRITE, [ALL]),
        (IN_CREATE | IN_MODIFY, IN_CLOSE_WRITE, [ALL]),
        (IN_MODIFY, IN_MODIFY, [IN_MODIFY]),
        (ALL, IN_MODIFY | IN_CLOSE_WRITE, [ALL, IN_MODIFY | IN_CLOSE_WRITE]),
        (IN_CREATE, ALL, [IN_CREATE, ALL]),
        (IN_CREATE, IN_DELETE, [IN_CREATE, IN_DELETE]),
        (IN_CREATE | IN_ISDIR, IN_CLOSE_WRITE, [IN_CREATE | IN_ISDIR, IN_CLOSE_WRITE]),
    ],
)
def test_it_is_one_event_too_if_two_reads_have_it(
    first: int, second: int, expected: list[int]
) -> None:
    before, after = Raw(1, IN_DELETE, 0, b"a"), Raw(2, IN_CREATE, 0, b"b")
    one, other = Raw(1, first, 0, b"a"), Raw(1, second, 0, b"a")
    events = [Raw(1, mask, 0, b"a") for mask in expected]
    assert joined([before, one], [other, after]) == [before, *events, after]
    for another in (other._replace(name=b"b"), other._replace(descriptor=2)):
        assert joined([one], [another]) == [one, another]
    assert joined([], [other]) == [other]
    assert joined([one], []) == [one]
