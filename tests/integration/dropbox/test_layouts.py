"""Layouts with groups in DropBox as a whole: whose images they are, and in which group."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.config.layout import path_of
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.watching import rescanner
from omero_fs_plugin.sandbox import accounts
from tests.integration.whole import Whole

from .test_targets import rows


def join(whole: Whole, group: str, *users: str) -> None:
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        number = accounts.create_group(store, db, group)
        for user in users:
            row = store.first(db, "Experimenter", omeName=user)
            assert row is not None
            accounts.join(store, db, row["id"], number)


def groups_of(whole: Whole) -> list[tuple[object, ...]]:
    """(user, group) of each image."""
    hql = "select o.omeName, g.name from Image i join i.details.owner o join i.details.group g"
    return sorted(rows(whole, hql))


def test_the_group_of_the_directory_is_that_of_the_images(make_whole: Callable[..., Whole]) -> None:
    """Also of one that the user joins later; and what fits nobody is told and left alone."""
    whole = make_whole(layout="{group}/{user}", createUsers="True")
    join(whole, "lab", "amy")
    first = whole.drop("amy/1.tif", "lab")
    stray = whole.drop("stray.tif", "lab")
    later = whole.drop("zak/2.tif", "lab")
    whole.until_known(first)
    whole.until("the stray is told", lambda: str(stray) in str(whole.dropbox.figures()))
    whole.until("zak's waits", lambda: "not a member of the group lab" in _reason(whole, later))
    assert groups_of(whole) == [("amy", "lab")]
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        zak, lab = (
            store.first(db, "Experimenter", omeName="zak"),
            store.first(db, "ExperimenterGroup", name="lab"),
        )
        assert zak is not None and lab is not None
        accounts.join(store, db, zak["id"], lab["id"])
    whole.until_known(later)
    assert groups_of(whole) == [("amy", "lab"), ("zak", "lab")]
    whole.stop_dropbox()
    stray.unlink()
    again = whole.drop("amy/3.tif", "lab")
    whole.start_dropbox()  # its first rescan finds what came meanwhile
    whole.until_known(again)
    assert len(groups_of(whole)) == 3


def _reason(whole: Whole, path: Path) -> str:
    return "".join(row.reason for row in whole.journal.select() if row.path == str(path))


def test_a_layout_that_is_changed_while_files_wait(make_whole: Callable[..., Whole]) -> None:
    """They are whose the new layout says, in the group that it says."""
    whole = make_whole(dirImportWait="3600")
    join(whole, "lab", "amy")
    waits = whole.drop("lab/1.tif")
    whole.until_known(waits, states=(State.WAITING,))
    whole.stop_dropbox()
    whole.start_dropbox(layout="{user}/{group}", dirImportWait="0.3")
    whole.until_known(waits)
    assert groups_of(whole) == [("amy", "lab")]
    assert whole.row(waits).root == f"{whole.watch_dir}/amy/lab"


# A group that is called as a user is, and names that no shell and no list likes.
USERS = ("Jürgen von Müller", "山田 太郎", "a.b@c+d-e f", "lab")
GROUPS = ("Lab Ä 1", "amy")


@pytest.mark.parametrize("layout", ["{user}", "{group}/{user}", "{user}/{group}"])
def test_users_with_hard_names_who_appear_after_their_files(
    make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """Nobody is guessed: also not by a name that looks the same, with other bytes."""
    monkeypatch.setattr(rescanner, "_UNKNOWN_S", 0.2)
    whole = make_whole(layout=layout, createUsers="True")
    places = {(user, group): path_of(layout, user, group) for user in USERS for group in GROUPS}
    files = {of: whole.drop("1.tif", place) for of, place in places.items()}
    other = unicodedata.normalize("NFD", USERS[0])
    assert other != USERS[0]
    strange = whole.drop("strange.tif", path_of(layout, other, GROUPS[0]))
    before = whole.drop("before.tif", path_of(layout, "amy", "amy"))
    if layout == "{user}":
        whole.until_known(before)
    whole.until("nobody is guessed", lambda: str(whole.dropbox.figures()).count("no OMERO") >= 1)
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        groups = [accounts.create_group(store, db, name) for name in GROUPS]
        for user in USERS:
            accounts.create_user(store, db, user, "x", [*groups, accounts.USER_GROUP])
    whole.until_known(*files.values())
    wanted = set(files) if "group" in layout else {(user, GROUPS[0]) for user in USERS}
    assert {of for of in groups_of(whole) if of[0] != "amy"} == wanted
    assert {row.user for row in whole.journal.select()} <= {*USERS, "amy"}
    assert str(strange) not in {row.path for row in whole.journal.select(State.IMPORTED)}
