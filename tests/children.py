"""How long a child that reads users' files may take, for tests in which one hangs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.grouping.child.frames import Frame
from omero_fs_plugin.dropbox.grouping.child.process import Child, _Waiting


def hurry(
    monkeypatch: pytest.MonkeyPatch, limit: float, who: Callable[[Child, Frame], bool]
) -> None:
    """From now on an answer to a question that `who` names must come within `limit` s.

    All others have the time that they were given: on a busy machine a good file takes long.
    """
    ask = Child.ask

    def asked(child: Child, request: Frame, given: float, **more: Any) -> Frame:
        return ask(child, request, limit if who(child, request) else given, **more)

    monkeypatch.setattr(Child, "ask", asked)


def hurry_at(monkeypatch: pytest.MonkeyPatch, limit: float, *, hangs: str, spins: str) -> None:
    """From now on files whose names begin so must be read within `limit` s, and no others.

    Who spins is late only while it has a processor: without one it does not seem to spin.
    """
    over = _Waiting.is_over

    def is_over(waiting: _Waiting) -> bool:
        name, used = Path(waiting._pulse.path).name, waiting._cpu
        if name.startswith((hangs, spins)):
            waiting.limit = limit
        late = over(waiting)
        return late and (not name.startswith(spins) or waiting._cpu != used)

    monkeypatch.setattr(_Waiting, "is_over", is_over)
