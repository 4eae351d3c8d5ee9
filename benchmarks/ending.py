"""SIGTERM ends a benchmark as an interrupt does, and what it began ends with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class _PutOff:
    """Whether an interrupt has to wait, and whether one waits.  Of the main thread alone."""

    depth = 0
    waits = False


def on_sigterm() -> None:
    """From now on SIGTERM raises KeyboardInterrupt, as SIGINT does.

    Whoever starts processes calls it first: otherwise these, and the scratch files, outlive it.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupted)


@contextmanager
def in_one_go() -> Iterator[None]:
    """An interrupt in here is raised at its end.

    Whoever starts a process notes it in here too.  Between the two it would belong to nobody.
    """
    _PutOff.depth += 1
    try:
        yield
    finally:
        _PutOff.depth -= 1
    if _PutOff.waits and not _PutOff.depth:
        _PutOff.waits = False
        raise KeyboardInterrupt


def _interrupted(*_: object) -> None:
    if _PutOff.depth:
        _PutOff.waits = True
    else:
        raise KeyboardInterrupt
