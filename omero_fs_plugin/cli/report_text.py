"""A report as text, as JSON, and as one page with plots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from omero_fs_plugin.dropbox.journal.seen import Came
from omero_fs_plugin.dropbox.situation import amount, below, lasting, without_paths
from omero_fs_plugin.names import printable, several

from .columns import Line, padded
from .history import day_and_time
from .report_facts import Facts
from .terminal import at, shown

_SHOWN = 20  # filesets of a list; the page and --json have all

Wrong = Sequence[tuple[str, str]] | None  # path, what is wrong; None: nobody has looked


def as_text(told: Facts, wrong: Wrong, of: str) -> str:
    """For people."""
    return shown(_lines(told, wrong, of))


def _lines(told: Facts, wrong: Wrong, of: str) -> Iterator[Line]:
    yield _title(told, of)
    yield from (f"  {sentence}" for sentence in _sentences(told, wrong))
    for path, why in list(wrong or ())[:_SHOWN]:
        yield ("  does not agree: ", at(path), f": {printable(why)}")
    yield from _list("failed", told.failures)
    yield from _list("waiting", told.waiting)
    for left in told.left[:_SHOWN]:
        yield (
            f"  after the import: {left.id} ",
            at(f"{left.user}/{below(left.path, left.root)}"),
            f": {printable(left.ended.words())}",
        )
    if len(told.left) > _SHOWN:
        yield f"  {_SHOWN} of {len(told.left):,} left shown"
    if len(told.users) > 1:
        yield f"  {'user':<24} {'dropped':>9} {'imported':>9} {'failed':>9}"
        for user, *numbers in told.users:
            figures = " ".join(f"{number:>9,}" for number in numbers)
            yield f"  {padded(printable(user), 24)} {figures}"


def _list(word: str, some: Sequence[Came]) -> Iterator[Line]:
    for one in some[:_SHOWN]:
        why = f": {printable(_why(one))}" if one.reason else ""
        yield (f"  {word}: {one.id} ", at(f"{one.user}/{below(one.path, one.root)}"), why)
    if len(some) > _SHOWN:
        yield f"  {_SHOWN} of {len(some):,} {word} shown"


def _why(one: Came) -> str:
    return without_paths(one.reason, (one.path,), one.root)


def _title(told: Facts, of: str) -> str:
    whose = f" {printable(of)}" if of else ""
    return f"Report{whose} from {day_and_time(told.since)} to {day_and_time(told.until)}"


def _sentences(told: Facts, wrong: Wrong) -> Iterator[str]:
    yield (
        f"{several(told.dropped, 'fileset')} with {several(told.files, 'file')} came in; "
        f"{told.imported:,} {_was(told.imported)} imported "
        f"({amount(told.size)}), {told.hourly:,.1f} an hour."
    )
    yield (
        f"{told.failed:,} {'has' if told.failed == 1 else 'have'} failed, {told.open:,} "
        f"{'is on its way or waits' if told.open == 1 else 'are on their way or wait'}, "
        f"{told.skipped:,} {_was(told.skipped)} skipped."
    )
    if told.waits is not None:
        yield (
            f"From met to imported: half within {lasting(told.waits.median)}, nine of ten within "
            f"{lasting(told.waits.most)}, the longest {lasting(told.waits.longest)}."
        )
    if told.moved or told.deleted or told.left:
        yield (
            f"After their import, {several(told.moved, 'fileset', 'was', 'were')} moved "
            f"and {told.deleted:,} deleted; "
            f"of {len(told.left):,} all files, or some, stay where they are."
        )
    if wrong is not None:
        agree = "disk, journal and OMERO agree" if not wrong else f"{len(wrong):,} do not agree"
        yield f"Verified, file by file: {agree}."


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def as_json(told: Facts, wrong: Wrong, of: str) -> str:
    """All of it, for programs."""
    values: dict[str, Any] = asdict(told)
    values["waits"] = None if told.waits is None else asdict(told.waits)
    values["hourly"] = round(told.hourly, 3)
    keys = ("user", "dropped", "imported", "failed")
    values["users"] = [dict(zip(keys, row, strict=True)) for row in told.users]
    del values["imports"]
    values["of"] = of
    if wrong is not None:
        values["disagreements"] = [{"path": path, "why": why} for path, why in wrong]
    return json.dumps(values, indent=2)


def as_html(told: Facts, wrong: Wrong, of: str) -> str:
    """One page that needs nothing beside it.  Failures come first."""
    from .page import E, page, rows_of  # nobody else needs these
    from .plots import bars

    labels = [_label(part.begin, told) for part in told.parts]
    parts: list[Any] = []
    if wrong:
        parts += [
            E.h2("Not the same here and in OMERO"),
            rows_of(("file", "why"), wrong, [True] * len(wrong)),
        ]
    for heading, some in (("Failed", told.failures), ("On their way, or waiting", told.waiting)):
        if some:
            found = [(str(one.id), one.user, below(one.path, one.root), _why(one)) for one in some]
            bad = [heading == "Failed"] * len(found)
            columns = ("fileset", "user", "file", "why")
            parts += [E.h2(f"{heading}: {len(some):,}"), rows_of(columns, found, bad)]
    if told.left:
        rows = [
            (str(one.id), one.user, below(one.path, one.root), one.ended.words())
            for one in told.left
        ]
        columns = ("fileset", "user", "file", "why")
        heading = f"Left where they are after the import: {len(rows):,}"
        parts += [E.h2(heading), rows_of(columns, rows, [False] * len(rows))]
    parts.append(
        bars("Filesets imported", [part.imported for part in told.parts], labels, "{:,.0f}".format)
    )
    parts.append(
        bars(
            "From met to imported, the middle one",
            [part.wait for part in told.parts],
            labels,
            lasting,
        )
    )
    users = [(user, *(f"{number:,}" for number in numbers)) for user, *numbers in told.users]
    columns = ("user", "dropped", "imported", "failed")
    if users:
        parts += [E.h2("Users"), rows_of(columns, users, [False] * len(users), figures=True)]
    return page(_title(told, of), list(_sentences(told, wrong)), *parts)


def _label(at: float, told: Facts) -> str:
    hours = len(told.parts) > 1 and told.parts[1].begin - told.parts[0].begin < 80_000
    return datetime.fromtimestamp(at).strftime("%m-%d %H:%M" if hours else "%Y-%m-%d")
