"""How many threads are at work, and whether one more may begin."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from omero_fs_plugin.dropbox.importing.load import Load
from omero_fs_plugin.errors import ServerBusyError

NUMBER, AHEAD = 2, 1


def test_so_many_may_be_at_work_and_one_more_when_one_has_ended() -> None:
    load = Load(NUMBER, AHEAD, lambda: 0)
    with ExitStack() as others:
        assert all(others.enter_context(load.one_more()) for _ in range(NUMBER + AHEAD - 1))
        with load.one_more() as may:
            assert may
            with load.one_more() as may:
                assert not may
        with load.one_more() as may:
            assert may


def test_one_that_fails_counts_no_more() -> None:
    load = Load(1, 0, lambda: 0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), load.one_more() as may:
            assert may
            raise ZeroDivisionError


def test_others_may_take_the_places_of_those_that_are_parked() -> None:
    parked = 0
    load = Load(1, 0, lambda: parked)
    with load.one_more():
        assert not load.is_beyond()
        parked = 1
        with load.one_more() as may:
            assert may and load.is_beyond()
            parked = 0
            with load.one_more() as may:
                assert not may


def test_while_omero_is_busy_none_begins_and_status_says_why() -> None:
    load = Load(4, 0, lambda: 0)
    assert (load.allowed(), load.told()) == (4, "")
    load.ease(ServerBusyError("no connection is free"))
    with load.one_more() as may:
        assert not may
    assert load.allowed() == 2
    assert load.told() == "OMERO is busy, 2 of 4 imports at a time: no connection is free"
