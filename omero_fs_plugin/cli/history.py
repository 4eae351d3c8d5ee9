"""The history of a fileset in plain words, from the journal's events.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from omero_fs_plugin.dropbox.journal.glance import Seen
from omero_fs_plugin.dropbox.journal.states import State

_PERSON = "omero fs, run by "  # what the command line writes as who it is


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
        person = who.removeprefix(_PERSON) if who.startswith(_PERSON) else ""
        what = _words(seen, before, after, reason, attempt, person)
        yield Step(at, f"{what}, by {person}" if person else what)


def _words(seen: Seen, before: str, after: str, reason: str, attempt: int, person: str) -> str:
    more = f": {reason}" if reason else ""
    if before == "":
        begun = {
            State.WAITING: "met",
            State.QUEUED: "handed over",
            State.IMPORTED: "found in OMERO",
        }
        return begun.get(State(after), f"recorded as {after}") + more
    if after == State.QUEUED:
        if before == State.WAITING:
            reader = seen.reader.rpartition(".")[2]
            by = f", grouped by {reader}" if reader else ""
            files = f" with {len(seen.files)} files" if len(seen.files) > 1 else ""
            return f"at rest and whole{files}{by}: queued{more}"
        if before == State.IMPORTING:
            return f"attempt {attempt} was given back{more}"
        return "changed while queued" + more if before == after else "is to be tried again" + more
    if after == State.WAITING:
        if before == State.WAITING:
            return reason or "waits no longer for that"
        return "waits again" + (more if reason else ": it has changed, or is to be tried again")
    if after == State.IMPORTING:
        return f"attempt {attempt} begins{more}" if before != after else reason or "goes on"
    if after == State.IMPORTED:
        return ("imported" + more) if before != after else f"noted: {reason}"
    if after == State.FAILED:
        return "failed" + more
    return ("set aside" if person else "skipped") + more


def day_and_time(at: float) -> str:
    """A time for people, in the time zone of this machine."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
