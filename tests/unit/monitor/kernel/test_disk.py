"""The real disk, as the tracker looks at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.monitor.kernel.polling import Polling


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Its `root` is a link to `one`."""
    for name in ("one", "two"):
        (tmp_path / name / "amy").mkdir(parents=True)
    (tmp_path / "root").symlink_to("one")
    return tmp_path.resolve()


@pytest.fixture
def disk(top: Path) -> Iterator[Polling]:
    disk = Polling(os.fsencode(top / "root"), lambda: None)
    yield disk
    disk.close()


def _lead_to_two(top: Path, disk: Polling) -> None:
    """And the root is checked."""
    (top / "root").unlink()
    (top / "root").symlink_to("two")
    disk.mount(os.fsencode(top / "root"))


def test_what_is_mounted_below_is_known_where_the_root_leads_now(
    top: Path, disk: Polling, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lead_to_two(top, disk)
    monkeypatch.setattr(disk.mounts, "changed", lambda: {os.fsencode(top / "two" / "amy")})
    assert disk.remounted() == [os.fsencode(top / "root" / "amy")]


def test_a_link_that_leads_elsewhere_does_not_wait_for_what_was_mounted(
    top: Path, disk: Polling
) -> None:
    one = os.fsencode(top / "one")
    assert disk.lies_below(one) and disk.lies_below(b"/") and disk.lies_below(os.fsencode(top))
    assert not disk.lies_below(one + b"/amy") and not disk.lies_below(one[:-1])
    _lead_to_two(top, disk)
    assert not disk.lies_below(one)
