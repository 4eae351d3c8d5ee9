"""Which grouper takes the next files."""

from __future__ import annotations

from omero_fs_plugin.dropbox.settling.warmth import Warmth


def test_all_take_files_while_all_are_warm() -> None:
    warmth = Warmth(2)
    assert warmth.may_take(0) and warmth.may_take(1)


def test_one_that_rests_leaves_the_files_to_a_warm_one_that_is_free() -> None:
    warmth = Warmth(2)
    warmth.rests(1)
    assert warmth.may_take(0) and not warmth.may_take(1)


def test_it_helps_when_the_warm_ones_are_at_work_and_is_warm_then() -> None:
    warmth = Warmth(3)
    warmth.rests(2)
    with warmth.at_work(0):
        assert not warmth.may_take(2)  # 1 is free
        with warmth.at_work(1):
            assert warmth.may_take(2)
            with warmth.at_work(2):
                pass
    assert warmth.may_take(2)


def test_a_pause_after_an_error_warms_nobody() -> None:
    warmth = Warmth(2)
    warmth.rests(1)
    with warmth.at_work(1, warms=False):
        pass
    assert not warmth.may_take(1)
    with warmth.at_work(0, warms=False):
        assert warmth.may_take(1)


def test_if_all_rest_anyone_takes_it() -> None:
    warmth = Warmth(2)
    warmth.rests(0)
    warmth.rests(1)
    assert warmth.may_take(0) and warmth.may_take(1)
