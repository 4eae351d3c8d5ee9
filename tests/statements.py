"""What SQLAlchemy made of a statement is used again, in all journals of a process.

SQLAlchemy keeps it for one engine.  A server has one engine for all of its life.  The tests open
thousands of journals, each with an engine of its own, and would spend a quarter of their time on
the same statements again and again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.util import LRUCache

_MOST = 10_000  # more than there are
_kept: LRUCache[Hashable, Any] = LRUCache(_MOST)


class _Shared:
    """What an engine takes for its own cache: the keys say which kind of database it is."""

    def __init__(self, engine: Engine) -> None:
        dialect = engine.dialect
        self._kind = (type(dialect), dialect.paramstyle, dialect.compiler_linting)

    def get(self, key: tuple[Hashable, ...]) -> Any:
        return _kept.get((self._kind, *key[1:]))  # the first is the engine's own dialect

    def __setitem__(self, key: tuple[Hashable, ...], compiled: Any) -> None:
        _kept[(self._kind, *key[1:])] = compiled

    def clear(self) -> None:
        """Nothing of it is the engine's own."""


def share() -> None:
    """From now on, for each engine that this process makes."""
    made = Engine.__init__

    def make(self: Engine, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **options)
        self._compiled_cache = _Shared(self)  # type: ignore[assignment]

    Engine.__init__ = make  # type: ignore[method-assign]
