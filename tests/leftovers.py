"""What a killed run of the tests leaves: its directory, and the ports that its sandboxes reserved.

pytest takes a run's directory away when three later ones have ended, but not while the run's lock
is there; only a run that ends by itself removes its lock.  And a reservation counts as long as its
sandbox exists.  So killed runs, some a day, used up what all runs of a machine share.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from omero_fs_plugin.sandbox import ports

_RUNS = re.compile(r"pytest-of-.+")
_RUN = re.compile(r"pytest-\d+")


def end(base: Path, place: Path = ports.PLACE) -> None:
    """Ends what the runs hold that are no more.  `base` is a directory of the run that asks.

    Nobody starts a sandbox of theirs again: their ports are free.  pytest may remove their
    directories; it does when this run ends.  `place` has the reservations.
    """
    all_runs = next((parent for parent in base.parents if _RUNS.fullmatch(parent.name)), None)
    if all_runs is None:
        return  # pytest was told a directory of its own
    ended = []
    for run in all_runs.iterdir():
        if _RUN.fullmatch(run.name) and not run.is_symlink() and not _lives(run / ".lock"):
            (run / ".lock").unlink(missing_ok=True)
            ended.append(run)
    for sandbox in _reserved(place):
        if any(run in sandbox.parents for run in ended):
            ports.release(sandbox, place=place)


def _lives(lock: Path) -> bool:
    """Whether the process that a run's lock names is there.  It may be another with its number."""
    try:
        os.kill(int(lock.read_text(encoding="ascii")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except (OSError, ValueError, OverflowError):
        return True  # not ours to say
    return True


def _reserved(place: Path) -> set[Path]:
    """The sandboxes for which this user has ports."""
    return {
        Path(line)
        for file in place.glob(f"*.{os.getuid()}")
        for line in file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    }
