"""Files that the server may not read, and when they are looked at again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from omero_fs_plugin.dropbox.confine import MAY_READ, UNREADABLE
from omero_fs_plugin.dropbox.disks.calls import RootAway
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.settling import unread as module
from omero_fs_plugin.dropbox.settling.unread import Unread, unread
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


def test_what_helps_is_told_with_the_command_for_it() -> None:
    assert "its owner must allow this" in MAY_READ and "`setfacl -m u:USER:r`" in MAY_READ


def told(
    unread: Unread,
    root: str,
    stat: Callable[[str], FileStat | None],
    may_read: Callable[[str], bool] = lambda path: False,
) -> list[str]:
    """What it tells, to somebody who takes it."""
    news = unread.changed(root, stat, may_read)
    unread.taken(news)
    return list(news)


def test_one_is_told_once_when_its_rights_change() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": WAS, "/r/b": WAS})
    unread.note("/s", {"/s/a": WAS})
    assert sorted(unread.roots()) == ["/r", "/s"]
    now = {"/r/a": WAS, "/r/b": CHANGED}
    assert told(unread, "/r", now.get) == ["/r/b"]
    assert told(unread, "/r", now.get) == []
    now["/r/a"] = CHANGED
    assert told(unread, "/r", now.get) == ["/r/a"]
    assert unread.roots() == ["/s"]


def test_one_that_is_gone_is_forgotten() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": WAS})
    assert told(unread, "/r", lambda path: None) == []
    assert unread.roots() == []


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_one_of_which_nobody_knows_what_it_was_is_told_when_it_may_be_read(looks: int) -> None:
    """Before the first look, or after any number of them."""
    unread = Unread()
    unread.note("/r", {"/r/a": None})
    for _ in range(looks):
        assert told(unread, "/r", lambda path: WAS) == []
    assert told(unread, "/r", lambda path: CHANGED, lambda path: True) == ["/r/a"]
    assert unread.roots() == []


def test_so_it_is_if_its_rights_change_in_the_middle_of_a_look() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": None})
    disk = {"/r/a": WAS}

    def shut(path: str) -> bool:
        disk[path] = CHANGED  # just after it could not be opened
        return False

    assert told(unread, "/r", disk.get, shut) == []
    assert told(unread, "/r", disk.get) == ["/r/a"]


def test_it_is_told_until_it_is_taken() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": WAS})
    assert list(unread.changed("/r", lambda path: CHANGED, lambda path: True)) == ["/r/a"]
    assert told(unread, "/r", lambda path: CHANGED) == ["/r/a"]
    assert told(unread, "/r", lambda path: CHANGED) == []


@pytest.mark.parametrize("was", [WAS, None], ids=["known", "not known"])
def test_one_that_cannot_be_looked_at_hides_no_other_and_is_not_lost(was: FileStat | None) -> None:
    """Its directory was shut meanwhile."""
    unread = Unread()
    unread.note("/r", dict.fromkeys(("/r/a", "/r/shut/b", "/r/c"), was))
    shut = True

    def stat(path: str) -> FileStat:
        if shut and path == "/r/shut/b":
            raise PermissionError(13, "Permission denied", path)
        return CHANGED

    assert told(unread, "/r", stat, lambda path: True) == ["/r/a", "/r/c"]
    assert told(unread, "/r", stat, lambda path: True) == []
    shut = False
    assert told(unread, "/r", stat, lambda path: True) == ["/r/shut/b"]


def test_a_disk_that_does_not_answer_is_left_alone_and_nothing_is_lost() -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": WAS, "/r/b": WAS})

    def away(path: str) -> FileStat:
        if path == "/r/b":
            raise RootAway("/r", 9.0)
        return CHANGED

    with pytest.raises(RootAway):
        unread.changed("/r", away, lambda path: True)
    assert told(unread, "/r", lambda path: CHANGED) == ["/r/a", "/r/b"]


@pytest.mark.parametrize("anew", [CHANGED, None], ids=["known", "not known"])
def test_one_that_is_noted_anew_while_it_is_looked_at_stays(anew: FileStat | None) -> None:
    unread = Unread()
    unread.note("/r", {"/r/a": WAS})

    def stat(path: str) -> FileStat:
        unread.note("/r", {"/r/a": anew})
        return CHANGED

    assert told(unread, "/r", stat) == ["/r/a"]
    assert unread.roots() == ["/r"]
    assert told(unread, "/r", lambda path: CHANGED) == []
    assert told(unread, "/r", lambda path: WAS) == ["/r/a"]


def test_of_two_who_note_the_same_file_either_may_be_late() -> None:
    """Each knows what it was before it was read, and it is told if that has changed."""
    mended = dataclasses.replace(WAS, ctime_ns=7)
    for first, second in ((WAS, CHANGED), (CHANGED, WAS), (None, WAS), (WAS, None)):
        unread = Unread()
        unread.note("/r", {"/r/a": first})
        unread.note("/r", {"/r/a": second})
        assert told(unread, "/r", lambda path: mended, lambda path: True) == ["/r/a"]


def test_very_many_of_one_root_push_out_none_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who copies ten thousand shut files makes nobody else wait for the rescan."""
    monkeypatch.setattr(module, "_MOST", 10)
    unread = Unread()
    unread.note("/s", {"/s/a": WAS})
    unread.note("/r", {f"/r/{number}": WAS for number in range(50)})
    unread.note("/s", {"/s/b": WAS})
    assert told(unread, "/s", lambda path: CHANGED) == ["/s/a", "/s/b"]
    assert told(unread, "/r", lambda path: CHANGED) == [f"/r/{number}" for number in range(42, 50)]
    assert unread.roots() == []


def test_one_that_can_be_opened_and_not_be_read_is_not_told_again_and_again() -> None:
    """As where only another machine's account may not read it.  It is when it is touched."""
    unread = Unread()
    unread.note("/r", {"/r/a": None})
    for _ in range(2):  # until it is taken
        assert list(unread.changed("/r", lambda path: WAS, lambda path: True)) == ["/r/a"]
    assert told(unread, "/r", lambda path: WAS, lambda path: True) == ["/r/a"]
    unread.note("/r", {"/r/a": None})
    assert told(unread, "/r", lambda path: WAS, lambda path: True) == []
    assert told(unread, "/r", lambda path: CHANGED, lambda path: True) == ["/r/a"]
