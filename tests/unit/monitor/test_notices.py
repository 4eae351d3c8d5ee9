"""What a System event says, and that a client can take it apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.notices import Notice, escaped, shown, speakable


def unescaped(text: str) -> bytes:
    """As documented for clients in docs/fsserver.rst."""
    return re.sub(
        rb"\\(?:\\|x([0-9a-f]{2}))",
        lambda found: bytes([int(found[1], 16)]) if found[1] else b"\\",
        text.encode(),
    )


@given(
    notice=st.sampled_from(Notice),
    path=st.one_of(st.binary(), st.sampled_from([b"a: b", b"x: \\n", b"\\xff", b": "])),
    sentence=st.sampled_from(["it is back", "no: such", "No space left: on: device"]),
)
def test_a_client_can_take_it_apart(notice: Notice, path: bytes, sentence: str) -> None:
    path = b"/" + path
    tell = notice.tell(path, sentence)
    assert tell.type is EventType.SYSTEM
    text = tell.path.decode()
    assert "\n" not in text
    word, rest = text.split(": ", 1)
    where, said = rest.rsplit(": ", 1)
    assert (Notice(word), unescaped(where)) == (notice, path)
    assert said == sentence.replace(": ", ", ")


@pytest.mark.parametrize(
    ("path", "people", "clients"),
    [
        (b"/a b", "/a b", "/a b"),
        ("/ä😀".encode(), "/ä😀", "/ä😀"),
        (b"/\xff\n", "/\\xff\\x0a", "/\\xff\\x0a"),
        (b"/\\n", "/\\n", "/\\\\n"),
        (b"/\x1b[31m", "/\\x1b[31m", "/\\x1b[31m"),
    ],
    ids=["space", "emoji", "newline", "backslash", "escape"],
)
def test_how_a_path_is_shown(path: bytes, people: str, clients: str) -> None:
    assert shown(path) == people
    assert escaped(path) == clients
    assert speakable(path) == (b"\xff" not in path)


def test_no_word_is_renamed() -> None:
    """Clients go by them."""
    assert {"overflow", "rescanned", "unreachable", "reachable", "limit", "name"} | {
        "restarted",
        "gap",
        "timeout",
        "inactive",
    } <= {notice.value for notice in Notice}
