"""What is told, put into words: the subject and the text of a mail.  Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

_AGAIN = (
    "You may have got this before: DropBox was not able to see whether it was sent. It is not "
    "sent a third time."
)
_HEADINGS = (
    ("failed", "Failed"),
    ("held_up", "Held up"),
    ("arrived", "In OMERO now"),
    ("skipped", "Skipped"),
)
_WORDS = {"failed": "failed", "held_up": "held up", "arrived": "imported", "skipped": "skipped"}
_WIDTH = 78


def subject(content: Mapping[str, Any]) -> str:
    """One line without control characters."""
    if content["kind"] == "fault":
        new, mended = list(content["new"]), list(content["mended"])
        if new:
            return f"OMERO.fs: trouble with {_listed(new)}"
        return f"OMERO.fs: {_listed(mended)} well again"
    counts = content["counts"]
    told = [f"{counts[kind]:,} {word}" for kind, word in _WORDS.items() if counts[kind]]
    return f"OMERO: {', '.join(told)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:2])
    return f"{shown} and {len(names) - 2} more" if len(names) > 2 else shown


def text(content: Mapping[str, Any], *, again: bool) -> str:
    """The text.  `again`: it may have arrived before."""
    lines = [*textwrap.wrap(_AGAIN, _WIDTH), ""] if again else []
    lines += _fault(content) if content["kind"] == "fault" else _digest(content)
    return "\n".join(lines) + "\n"


def _fault(content: Mapping[str, Any]) -> Iterator[str]:
    for key, heading in (("new", "New"), ("still", "Not mended yet")):
        if content[key]:
            yield f"{heading}:"
            for name, what in content[key].items():
                yield from _wrapped(f"{name}: {what}")
            yield ""
    if content["mended"]:
        yield "Well again:"
        for name in content["mended"]:
            yield from _wrapped(name)
        yield ""
    yield "`omero fs status` and `omero fs check` say more, as the user that OMERO.server runs as."


def _digest(content: Mapping[str, Any]) -> Iterator[str]:
    of_admins = not content["person"]
    for kind, heading in _HEADINGS:
        entries, count = content[kind], content["counts"][kind]
        if not entries:
            continue
        yield f"{heading}: {count:,}"
        for entry in entries:
            yield from _entry(entry, of_admins=of_admins)
        if count > len(entries):
            yield f"  and {count - len(entries):,} more"
        yield ""
    yield "The files lie where they were put; OMERO.fs removes nothing that it has not imported."
    if of_admins:
        yield "`omero fs status` says more, as the user that OMERO.server runs as."


def _entry(entry: Mapping[str, Any], *, of_admins: bool) -> Iterator[str]:
    name = f"{entry['user']}/{entry['path']}" if of_admins else entry["path"]
    more = entry["files"] - 1
    name += f" +{more} file{'s' if more > 1 else ''}" if more > 0 else ""
    yield f"  {name}"  # never broken: people copy it
    if entry["why"]:
        yield from _wrapped(entry["why"], indent=6)
    if entry["remedy"]:
        yield from _wrapped(f"-> {entry['remedy']}", indent=6)
    for link in entry["links"]:
        yield f"      {link}"
    left = len(entry["images"]) - len(entry["links"])
    if entry["links"] and left > 0:
        yield f"      and {left:,} more images"


def _wrapped(words: str, indent: int = 2) -> Iterator[str]:
    space = " " * indent
    yield from textwrap.wrap(
        words,
        _WIDTH,
        initial_indent=space,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [space]
