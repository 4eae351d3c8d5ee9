"""omero.fs.window and omero.fs.priority in DropBox as a whole: when imports begin, and whose."""

from __future__ import annotations

import time
from collections.abc import Callable

from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole

HOUR = 3600.0  # s


def in_hours(hours: float) -> str:
    """The time on the wall then, as a window has it."""
    return time.strftime("%H:%M", time.localtime(time.time() + hours * HOUR))


def test_nothing_begins_before_the_window_opens_and_then_all_in_its_order(
    make_whole: Callable[..., Whole],
) -> None:
    window = f"{in_hours(2)}-{in_hours(4)}"
    whole = make_whole(window=window, priority="user:zak", importers="1")
    paths = [whole.drop(f"{n}.tif", user) for n in range(3) for user in ("amy", "zak")]
    whole.until_known(*paths, states=(State.QUEUED,))
    whole.clock.set_wall(HOUR)
    assert {path.name for path in paths if whole.in_omero(path)} == set()
    assert whole.journal.counts()[State.QUEUED] == len(paths)
    whole.clock.set_wall(2 * HOUR)  # from now on it is three hours later
    whole.until_known(*paths)
    whole.assert_once(*paths)
    done = sorted(whole.journal.select(State.IMPORTED), key=lambda row: row.changed)
    assert [row.user for row in done] == ["zak"] * 3 + ["amy"] * 3
