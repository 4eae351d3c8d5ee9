"""The journal in PostgreSQL, with all its operations in any order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import examples
from tests.journal_moves import WholeMachine

from .postgres import Postgres, running


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.mark.hypothesis
def test_two_holders_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    numbers = itertools.count()

    class InPostgreSQL(WholeMachine):
        def url(self) -> str:
            """In turn one in SQLite, so that a journal is carried from one to the other."""
            number = next(numbers)
            if number % 2:
                return f"sqlite:///{tmp_path}/{number}.sqlite"
            return postgres.url(f"machine{number}")

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        InPostgreSQL,
        settings=settings(
            max_examples=examples(6),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
