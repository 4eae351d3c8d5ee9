"""The journal goes away at each of its statements in turn: nothing is left adrift, nothing twice.

It refuses a statement, its server ends the connection, the commit fails; or the commit is done,
and nobody hears of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.schema import fileset
from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.dropbox.journal.postgres import Postgres
from tests.integration.dropbox.journal.test_journal import postgres

from .attempts import World, world
from .site import Site

__all__ = ["postgres", "world"]

_MOST = 200  # statements of one import; there are fewer


class Trouble:
    """What happens to the journal at the statement, or the commit, with the number `at`."""

    def __init__(self, journal: Journal, how: str, end: Callable[[int], None] | None) -> None:
        self._engine = journal._database._engine
        self._how, self._end = how, end
        self._count = self.at = 0
        self.happened = ""
        if how == "statement":
            event.listen(self._engine, "before_cursor_execute", self._statement)
        else:
            self._commit = self._engine.dialect.do_commit
            self._engine.dialect.do_commit = self._committing  # type: ignore[method-assign]

    def arm(self, at: int) -> None:
        self._count, self.at, self.happened = 0, at, ""

    def _is_now(self) -> bool:
        self._count += 1
        return self._count == self.at

    def _statement(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if self._is_now():
            self.happened = statement
            if self._end is None:
                full = Exception("database or disk is full")
                raise OperationalError(statement, {}, full)
            self._end(connection.connection.driver_connection.info.backend_pid)

    def _committing(self, connection: Any) -> None:
        if not self._is_now():
            self._commit(connection)
            return
        self.happened = "COMMIT"
        if self._how == "answer":
            self._commit(connection)
        if self._end is not None:
            self._end(connection.driver_connection.info.backend_pid)
            if self._how == "commit":
                self._commit(connection)
        raise self._engine.dialect.dbapi.OperationalError(  # type: ignore[union-attr]
            "the connection was lost"
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def ending(world: World, request: pytest.FixtureRequest) -> Iterator[Callable[[int], None] | None]:
    """Ends the connection of a process of PostgreSQL; None where the journal is SQLite."""
    if request.param == "sqlite":
        yield None
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.url(f"away_{request.node.callspec.params['how']}")
    world.journal.close()
    world.journal = Journal(url)
    with psycopg.connect(url.partition("&")[0], autocommit=True) as admin:

        def end(backend: int) -> None:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))

        yield end
    world.journal.close()


@pytest.mark.parametrize("how", ["statement", "commit", "answer"])
def test_it_is_gone_on_with_when_the_journal_is_back(
    world: World,
    ending: Callable[[int], None] | None,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(world, "upload_rm", monkeypatch)
    trouble = Trouble(world.journal, how, ending)
    for number in itertools.count(1):
        assert number < _MOST
        trouble.arm(0)
        path = site.drop(handed_over=False)
        trouble.arm(number)
        troubles = [site.look() for _ in range(5)]
        happened = trouble.happened
        trouble.arm(0)
        said = f"{how} {number}, {happened}: {troubles}"
        row = site.row(path)
        assert row.state is State.IMPORTED, f"{said}: {row.state} {row.reason}"
        assert world.in_omero(path) == [row.images], said
        assert row.refusals == 0, said
        assert not path.exists(), said
        assert world.journal.unfinished() == [], said
        assert world.journal.importing() == [], said
        if not happened:
            assert number > 3
            return


def unfinished(world: World, site: Site) -> int:
    """An imported fileset whose source is still to be removed, and that no thread has."""
    path = site.drop(handed_over=False)
    assert site.look() == ""
    row = site.row(path)
    with world.journal._database.writing() as connection:
        connection.execute(update(fileset).where(fileset.c.id == row.id).values(to_annotate=1))
        world.journal._claim(connection, row.id)
    site.importers._in_hand.adrift = True
    return row.id


@pytest.mark.parametrize("by", ["_giving_back", "_not_given_back"])
def test_one_that_was_imported_before_it_is_given_back_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Its thread lost the journal after that, and another thread gives it back just now."""
    site = Site(world, "upload_rm", monkeypatch)
    identifier = unfinished(world, site)
    if by == "_giving_back":
        site.importers._in_hand._giving_back.add(identifier)
    else:
        site.importers._in_hand._not_given_back[identifier] = "the journal was away"
    for _ in range(2):
        assert site.look() == ""
    assert world.journal.unfinished() == []


def test_a_thread_that_loses_the_journal_during_a_look_is_looked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(world, "upload_rm", monkeypatch)
    identifier = unfinished(world, site)
    site.importers._in_hand._under_way[identifier] += 1
    real = world.journal.mine

    def loses() -> tuple[list[int], list[int]]:
        found = real()
        if site.importers._in_hand._under_way.pop(identifier, None):
            site.importers._in_hand.adrift = True
        return found

    monkeypatch.setattr(world.journal, "mine", loses)
    for _ in range(3):
        assert site.look() == ""
    assert real() == ([], [])
    assert world.journal.unfinished() == []
