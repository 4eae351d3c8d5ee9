"""An audit as text and as JSON, line by line: what was found need not fit into memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from omero_fs_plugin.dropbox.audit.audit import PARTS
from omero_fs_plugin.dropbox.audit.findings import WORDS, Finding, Kind
from omero_fs_plugin.dropbox.audit.record import Record
from omero_fs_plugin.names import printable, several

from .columns import Line
from .history import day_and_time
from .terminal import at, each_shown

_SHOWN = 20  # of each kind; --all and --json have all

Repairs = Sequence[Any] | None  # None: nobody asked for them


def as_text(record: Record, of: str, queries: int, repairs: Repairs, args: Any) -> Iterator[str]:
    """For people: what is wrong first, then what could not be looked at."""
    yield from each_shown(_lines(record, of, queries, repairs, args))


def _lines(record: Record, of: str, queries: int, repairs: Repairs, args: Any) -> Iterator[Line]:
    most = None if args.all else _SHOWN
    yield ("Audit of ", at(of), f", begun {day_and_time(record.began)}")
    looked = record.looked
    directories = (
        "1 directory" if looked["directories"] == 1 else f"{looked['directories']:,} directories"
    )
    yield (
        f"  looked at {several(looked['filesets'], 'imported fileset')} with "
        f"{several(looked['files'], 'file')} in OMERO, {several(looked['disk'], 'file')} in "
        f"watched directories, {several(looked['quarantine'], 'fileset')} in quarantine, and in "
        f"the repository at {directories}; "
        f"{several(queries, 'question')} to OMERO"
    )
    if not record.counts:
        yield "  disk, journal and OMERO agree" + (" where it looked" if record.unseen else "")
    for kind in Kind:
        number = record.counts[kind]
        if not number:
            continue
        yield f"{WORDS[kind].what}: {number:,}"
        for one in islice(record.findings(kind), most):
            yield ("  ", *_parts(one))
        if most is not None and number > most:
            yield f"  {most} of {number:,} shown; --all shows all"
        yield f"  -> {WORDS[kind].do}"
    if record.unseen:
        yield f"Not looked at: {record.unseen:,}"
        for left in islice(record.all_unseen(), most):
            yield ("  ", at(left.path), f": {printable(left.why)}")
        if most is not None and record.unseen > most:
            yield f"  {most} of {record.unseen:,} shown; --all shows all"
    if repairs is not None:
        then = "" if args.yes or not repairs else "; --yes does it"
        yield f"Can be mended without risk: {len(repairs):,}{then}"
        yield from (f"  {one.words()}" for one in repairs)


def _parts(one: Finding) -> Iterator[str]:
    user = f"{printable(one.user)}: " if one.user else ""
    server = f", Fileset:{one.server_fileset}" if one.server_fileset is not None else ""
    of = f" (fileset {one.fileset}{server})" if one.fileset is not None else ""
    yield from (user, at(one.path), f"{of}: {printable(one.why)}")
    if one.copy:
        yield from ("; OMERO's ", at(one.copy))


def as_json(record: Record, of: str, queries: int, repairs: Repairs, args: Any) -> Iterator[str]:
    """All of it, for programs: one object, with a line for each finding.  docs/audit.rst."""
    head = {
        "of": of,
        "began": _time(record.began),
        "ended": _time(datetime.now().timestamp()),
        "queries": queries,
        "looked_at": {
            part: record.looked[part] for part in (*PARTS[:1], "files", "disk", *PARTS[3:])
        },
        "counts": {str(kind): record.counts[kind] for kind in Kind},
    }
    yield "{" + json.dumps(head)[1:-1] + ","
    yield '"findings": ['
    yield from _listed(one.values() for one in record.findings())
    yield '], "not_looked_at": ['
    yield from _listed({"path": one.path, "why": one.why} for one in record.all_unseen())
    yield '], "repairs": ['
    yield from _listed(
        {"fileset": one.fileset, "server_fileset": one.server_fileset, "what": one.words()}
        for one in repairs or ()
    )
    yield "]}"


def _listed(some: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The elements of a list, one in a line."""
    last = None
    for one in some:
        if last is not None:
            yield f"{last},"
        last = json.dumps(one)
    if last is not None:
        yield last


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")
