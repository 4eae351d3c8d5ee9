"""An account gets another name in OMERO, as after a wedding, and the directory with it.

It is the same user of OMERO, who has the images already.  The journal knows the former name only.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.sandbox import accounts
from tests.integration.whole import Whole

from .test_targets import rows


def rename(whole: Whole, was: str, becomes: str) -> None:
    store = whole.blitz.sandbox.store
    with store.begin() as db:
        found = accounts.user_by_name(store, db, was)
        assert found is not None
        store.update(db, "Experimenter", found["id"], omeName=becomes)


def images(whole: Whole) -> list[tuple[str, str]]:
    found = rows(whole, "select o.omeName, i.name from Image i join i.details.owner o")
    return sorted((str(owner), str(name)) for owner, name in found)


@pytest.mark.parametrize("first", ["the account", "the directory"])
def test_what_the_user_has_is_not_imported_again(whole: Whole, first: str) -> None:
    old = whole.drop("day 1/old.tif")
    whole.until_known(old)
    whole.until_settled()
    after = whole.watch_dir / "amelia"
    steps: list[Callable[[], object]] = [
        lambda: rename(whole, "amy", "amelia"),
        lambda: (whole.watch_dir / "amy").rename(after),
    ]
    for step in steps if first == "the account" else reversed(steps):
        step()
    new = whole.drop("new.tif", "amelia")
    whole.until_known(new)
    moved = after / "day 1" / "old.tif"
    whole.until_known(moved, states=(State.SKIPPED,))
    whole.until_settled()
    assert images(whole) == [("amelia", "new.tif"), ("amelia", "old.tif")]
    assert "imported for amy, who is called amelia now" in whole.row(moved).reason
