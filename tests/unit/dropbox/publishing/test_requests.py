"""Requests: whatever a user writes, only a failed fileset of that user can be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.publishing.requests import MOST, Request, Wish, granted, read


def fileset(number: int, user: str, state: State = State.FAILED) -> Fileset:
    return Fileset(
        id=number,
        user=user,
        root=f"/DropBox/{user}",
        path=f"/DropBox/{user}/a.tif",
        state=state,
        reason="",
        origin="dropbox",
        attempts=1,
        refusals=0,
        verified=False,
        server_fileset=None,
        images=(),
        created=0.0,
        changed=0.0,
    )


def test_both_wishes_are_understood() -> None:
    assert read(["try again 7", "forget 8"]) == (
        Request(Wish.TRY_AGAIN, 7),
        Request(Wish.FORGET, 8),
    )


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "forget",
        "forget 0",
        "forget -1",
        "forget 07",
        "forget 7 8",
        "forget 7\n",
        " forget 7",
        "delete 7",
        "forget ٧",
        "forget " + "9" * 19,
        "x" * 10_000_000,
        "forget 7; drop table fileset",
    ],
)
def test_anything_else_is_no_request(entry: str) -> None:
    assert read([entry]) == ()


def test_a_fileset_is_asked_for_once_as_it_was_asked_for_last() -> None:
    assert read(["try again 7"] * 50 + ["forget 7"]) == (Request(Wish.FORGET, 7),)


def test_no_more_entries_are_read_than_the_bound() -> None:
    taken = []

    def entries() -> Iterator[str]:
        for number in count(1):
            taken.append(number)
            yield f"forget {number}"

    assert len(read(entries())) == MOST
    assert len(taken) == MOST


@pytest.mark.parametrize("state", State)
def test_only_what_failed_is_granted(state: State) -> None:
    wanted = (Request(Wish.TRY_AGAIN, 7),)
    found = granted(wanted, "amy", {7: fileset(7, "amy", state)})
    assert found == (wanted if state is State.FAILED else ())


def test_neither_anothers_nor_an_unknown_fileset_is_granted() -> None:
    wanted = (Request(Wish.FORGET, 7), Request(Wish.FORGET, 8), Request(Wish.FORGET, 9))
    filesets = {7: fileset(7, "zak"), 8: fileset(8, "amy")}
    assert granted(wanted, "amy", filesets) == (Request(Wish.FORGET, 8),)
