"""Files that the server may not read, and when they are looked at again."""

from __future__ import annotations

import dataclasses

from omero_fs_plugin.dropbox.confine import MAY_READ, UNREADABLE
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.settling.unread import Unread, named, unread
from omero_fs_plugin.events import FileStat

WAS = FileStat(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)
CHANGED = dataclasses.replace(WAS, ctime_ns=6)


def why(path: str) -> str:
    return f"{path}: {UNREADABLE}: Permission denied: {MAY_READ}"


def test_an_answer_names_them() -> None:
    grouping = Grouping(
        (
            Candidate(("/r/a",), refused=why("/r/a"), unread=("/r/a",)),
            Candidate(("/r/b", "/r/c"), incomplete=why("/r/c"), unread=("/r/c",)),
            Candidate(("/r/d",), missing=("/r/e",)),
            Candidate(("/r/f",)),
            Candidate((why("/r/i"),), incomplete=f"{why('/r/i')}: it is empty"),  # a name
        ),
        {"/r/g": why("/r/g"), "/r/h": "no reader takes it"},
        frozenset(["/r/g"]),
    )
    assert sorted(unread(grouping)) == ["/r/a", "/r/c", "/r/g"]


def test_what_had_failed_before_a_start_is_known_by_its_reason() -> None:
    assert named(why("/r/a")) == "/r/a"
    assert named("cannot be read now: " + UNREADABLE) == ""


def test_what_helps_is_told_with_the_command_for_it() -> None:
    assert "its owner must allow this" in MAY_READ and "`setfacl -m u:USER:r`" in MAY_READ


def test_one_is_told_once_when_its_rights_change() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": WAS, "/r/b": WAS})
    unread.note("/s", {"/s/a": WAS})
    assert sorted(unread.roots()) == ["/r", "/s"]
    now = {"/r/a": WAS, "/r/b": CHANGED}
    assert unread.changed("/r", now.get) == ["/r/b"]
    assert unread.changed("/r", now.get) == []
    now["/r/a"] = CHANGED
    assert unread.changed("/r", now.get) == ["/r/a"]
    assert unread.roots() == ["/s"]


def test_one_that_is_gone_is_forgotten() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": WAS})
    assert unread.changed("/r", lambda path: None) == []
    assert unread.roots() == []


def test_one_that_nobody_had_seen_is_told_at_the_first_look() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": None})
    assert unread.changed("/r", lambda path: WAS) == ["/r/a"]
    assert unread.changed("/r", lambda path: WAS) == []


def test_one_that_is_noted_anew_while_it_is_looked_at_stays() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": WAS})

    def stat(path: str) -> FileStat:
        unread.note("/r", {"/r/a": CHANGED})
        return CHANGED

    assert unread.changed("/r", stat) == ["/r/a"]
    assert unread.roots() == ["/r"]
    assert unread.changed("/r", lambda path: CHANGED) == []
