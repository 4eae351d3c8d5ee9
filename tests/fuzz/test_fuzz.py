"""Each parser gets inputs, many in `make long`.  Nothing unexpected is raised, and none is slow."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import examples

from .running import try_one
from .targets import TARGETS, Target


@pytest.mark.hypothesis
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_unexpected_comes_of_it(target: Target) -> None:
    @settings(max_examples=examples(70), suppress_health_check=list(HealthCheck))
    @given(st.data())
    def run(data: st.DataObject) -> None:
        try_one(target, data.draw(target.inputs))

    run()
