"""How long ago a mark was made, by a clock that nobody can set."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.journal import elapsed


@pytest.mark.parametrize("now", [12.0, 12.04, 12.05, 12.06, 12.099, 4_000_000.16])
def test_a_mark_is_never_later_than_now(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(elapsed, "since_boot", lambda: now)
    ago = elapsed.seconds_since(elapsed.mark())
    if not elapsed.boot():
        pytest.skip("this machine does not tell its boots apart")
    assert ago is not None and 0 <= ago <= 0.1001


def test_of_another_boot_nobody_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = elapsed.mark()
    monkeypatch.setattr(elapsed, "boot", lambda: "another")
    assert elapsed.seconds_since(marked) is None
