"""SIGTERM ends a benchmark as an interrupt does, and what it began ends with it."""

from __future__ import annotations

import signal


def on_sigterm() -> None:
    """From now on SIGTERM raises KeyboardInterrupt.

    Whoever starts processes calls it first: otherwise these, and the scratch files, outlive it.
    """
    signal.signal(signal.SIGTERM, _interrupted)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
