"""A start does without the garbage collector, and leaves it as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from omero_fs_plugin.monitor.kernel import collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    was_on = gc.isenabled()
    yield
    (gc.enable if was_on else gc.disable)()


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
