"""A start does without the garbage collector, and leaves it as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from omero_fs_plugin.monitor.kernel import collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    was_on, thresholds = gc.isenabled(), gc.get_threshold()
    gc.unfreeze()  # what tests/conftest.py has frozen
    yield
    (gc.enable if was_on else gc.disable)()
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.parametrize("on", [True, False])
def test_it_is_as_before_when_the_last_start_is_over(on: bool) -> None:
    (gc.enable if on else gc.disable)()
    first, second = collector.paused(), collector.paused()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled(), "another start goes on"
    second.__exit__(None, None, None)
    assert gc.isenabled() is on


def test_a_start_that_fails_leaves_it_on() -> None:
    gc.enable()
    with pytest.raises(OSError), collector.paused():
        raise OSError
    assert gc.isenabled()


def test_what_a_server_has_is_not_looked_at_and_what_is_new_seldom() -> None:
    """Arrivals of a burst stay for moments, and are more than Python's own threshold."""
    gc.enable()
    collector.seldom()
    assert gc.get_freeze_count() > 1000  # the modules
    before = gc.get_stats()[0]["collections"]
    burst = [[number] for number in range(collector.SELDOM // 2)]
    assert gc.get_stats()[0]["collections"] - before <= 1
    burst += [[number] for number in range(3 * collector.SELDOM)]
    assert gc.get_stats()[0]["collections"] - before >= 1, "it still runs"
