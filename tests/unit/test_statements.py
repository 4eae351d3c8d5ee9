"""What is made of a statement serves all engines of a kind, and none of another kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, select
from sqlalchemy.sql.compiler import SQLCompiler

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import State


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of databases that a statement was made for, one by one."""
    kinds: list[str] = []
    real = SQLCompiler.__init__

    def make(self: SQLCompiler, dialect: object, *arguments: object, **options: object) -> None:
        if options.get("cache_key") is not None:  # not a part of a CREATE
            kinds.append(dialect.name)  # type: ignore[attr-defined]
        real(self, dialect, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SQLCompiler, "__init__", make)
    return kinds


def test_the_second_journal_makes_none_again(tmp_path: Path, made: list[str]) -> None:
    found = []
    for name in ("one", "other"):
        made.clear()
        journal = Journal(f"sqlite:///{tmp_path}/{name}.sqlite")
        found.append(journal.counts()[State.QUEUED])
        journal.close()
    assert found == [0, 0]
    assert made == []


def test_each_engine_reads_its_own_database(tmp_path: Path, made: list[str]) -> None:
    table = Table("numbers", MetaData(), Column("number", Integer))
    read = []
    for number in (1, 2):
        engine = create_engine(f"sqlite:///{tmp_path}/{number}.sqlite")
        with engine.begin() as connection:
            table.create(connection)
            connection.execute(table.insert().values(number=number))
            read += connection.scalars(select(table).where(table.c.number == number))
        engine.dispose()
    assert read == [1, 2]
    assert made == ["sqlite"] * 2  # the INSERT and the SELECT, once each


def test_another_kind_of_database_has_its_own(made: list[str]) -> None:
    table = Table("numbers", MetaData(), Column("number", Integer))
    for url in ("sqlite://", "postgresql+psycopg://"):
        engine = create_engine(url)
        cache = engine._compiled_cache
        for _ in range(2):
            select(table)._compile_w_cache(engine.dialect, compiled_cache=cache, column_keys=[])
    assert made == ["sqlite", "postgresql"]
