"""The history of a fileset in plain words, from the journal's events.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.journal.words import step


@dataclass(frozen=True)
class Step:
    """One thing that happened."""

    at: float  # s since the epoch
    what: str


def told(seen: Seen, events: Iterable[tuple[float, str, str, str, str]]) -> Iterator[Step]:
    """What happened to `seen`, oldest first."""
    attempt = 0
    for at, before, after, reason, who in events:
        attempt += after == State.IMPORTING and before != State.IMPORTING
        yield Step(
            at,
            step(
                before,
                after,
                reason.removeprefix(f"{seen.path}: "),  # whose history it is
                who,
                reader=seen.reader,
                files=len(seen.files),
                attempt=attempt,
            ),
        )


def day_and_time(at: float) -> str:
    """A time for people, in the time zone of this machine."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
