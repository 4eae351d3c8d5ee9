"""An act before each step of another one: before each call that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock


@contextmanager
def before_each(calls: Iterable[tuple[Any, str]], step: Callable[[], None]) -> Iterator[None]:
    """Calls `step` before each of `calls`: (module or object, name of what it has)."""

    def stepping(real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            step()
            return real(*args, **options)

        return call

    with ExitStack() as patches:
        for owner, name in list(calls):
            patches.enter_context(mock.patch.object(owner, name, stepping(getattr(owner, name))))
        yield
