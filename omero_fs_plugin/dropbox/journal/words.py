"""What happened to a fileset, in plain words: for the log, and for people who ask.  Pure."""

from __future__ import annotations

from .states import State

_PERSON = "omero fs, run by "  # what the command line writes as who it is


def person_of(who: str) -> str:
    """The name of the person who did it; empty if a server did it."""
    return who.removeprefix(_PERSON) if who.startswith(_PERSON) else ""


def step(
    before: str,
    after: str,
    reason: str,
    who: str,
    *,
    reader: str = "",
    files: int = 1,
    attempt: int = 1,
) -> str:
    """One event of the journal: the states `before` (empty: new) and `after`, and the reason.

    `reader`, `files` and `attempt` are those of the fileset.
    """
    person = person_of(who)
    what = _words(before, after, reason, person, reader=reader, files=files, attempt=attempt)
    return f"{what}, by {person}" if person else what


def _words(
    before: str, after: str, reason: str, person: str, *, reader: str, files: int, attempt: int
) -> str:
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
            by = f", grouped by {reader.rpartition('.')[2]}" if reader else ""
            number = f" with {files} files" if files > 1 else ""
            return f"at rest and whole{number}{by}: queued{more}"
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
