"""What `make bench-nodes` chooses by itself."""

from __future__ import annotations

import os

import pytest

from tests.acceptance.nodes.pace import LEAST_S, MOST_S, SHARE, import_time


@pytest.mark.parametrize("cores", [1, 2, 64])
@pytest.mark.parametrize("cost", [0.0, 0.01, 0.1, 0.15, 3.0])
def test_the_time_of_an_import_leaves_processors_idle(
    monkeypatch: pytest.MonkeyPatch, cores: int, cost: float
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    seconds = import_time(cost, nodes=4)
    assert LEAST_S <= seconds <= MOST_S
    taken = 4 * 4 / seconds * cost / cores
    assert taken <= SHARE or seconds == MOST_S
