"""Something happens just before one step of a move into quarantine, or back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from omero_fs_plugin.dropbox.importing import lying, quarantine, returning, undoing
from omero_fs_plugin.dropbox.journal.journal import Journal


@contextmanager
def at_step(
    monkeypatch: pytest.MonkeyPatch,
    journal: Journal,
    asked: Sequence[str],
    number: int,
    act: Callable[[], None],
) -> Iterator[list[str]]:
    """Calls `act` just before the step with this number.  Yields the steps.

    `asked`: the methods of `journal` that are steps; so is each look at a file and each move.
    """
    steps: list[str] = []
    inside = False

    def stepping(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **more: Any) -> Any:
            nonlocal inside
            if not inside:
                steps.append(name)
                if len(steps) == number:
                    inside = True
                    try:
                        act()
                    finally:
                        inside = False
            return real(*arguments, **more)

        return called

    with monkeypatch.context() as patch:
        for owner, names in (
            (journal, asked),
            (quarantine, ("move_out", "move_back", "_tell", "stat_of")),
            (undoing, ("move_back", "stat_of")),
            (lying, ("stat_of",)),
            (returning, ("move_back", "stat_of")),
        ):
            for name in names:
                patch.setattr(owner, name, stepping(name, getattr(owner, name)))
        yield steps
