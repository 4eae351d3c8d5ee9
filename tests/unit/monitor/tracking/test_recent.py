"""Files that were told just now."""

from __future__ import annotations

from omero_fs_plugin.monitor.tracking.recent import Recent
from omero_fs_plugin.monitor.tracking.tree import Directory

HERE = Directory(b"/data", None)
GAP = 0.5


def test_a_write_within_the_gap_is_of_a_burst_and_makes_it_longer() -> None:
    recent = Recent(GAP)
    assert not recent.written(HERE, b"a", 100.0)
    recent.told(HERE, b"a", 100.0)
    for number in range(1, 5):
        assert recent.written(HERE, b"a", 100.0 + number * 0.9 * GAP)
        assert not recent.written(HERE, b"b", 100.0)
    assert not recent.written(HERE, b"a", 100.0 + 4.6 * GAP + GAP)


def test_what_was_told_again_is_not_forgotten_with_those_before_it() -> None:
    recent = Recent(GAP)
    for now, name in ((100.0, b"a"), (100.1, b"b"), (100.4, b"a")):
        recent.told(HERE, name, now)
    assert not recent.written(HERE, b"b", 100.1 + GAP)
    assert recent.written(HERE, b"a", 100.1 + GAP)


def test_they_are_not_kept_for_ever() -> None:
    recent = Recent(GAP)
    for number in range(10_000):
        recent.told(HERE, b"%d" % number, 100.0 + number * GAP / 100)
        assert len(recent) <= 101
