"""How a test starts another pytest, for what must not happen in its own process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory


@contextmanager
def command(*arguments: str) -> Iterator[list[str]]:
    """What starts it, with a place of its own for temporary files.

    Without one pytest makes it beside those of other runs, and at its end it removes theirs, as
    long as that takes: a run that was killed leaves 100,000 files and more.
    """
    with TemporaryDirectory(prefix="inner-", ignore_cleanup_errors=True) as place:
        own = f"--basetemp={place}/base"
        yield [
            *(sys.executable, "-u", "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"),
            *(own, *arguments),
        ]
