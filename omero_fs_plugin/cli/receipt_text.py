"""A receipt as text, as a table for programs, as JSON, and as one page for a browser."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from omero_fs_plugin.dropbox.receipts.proof import Proof
from omero_fs_plugin.dropbox.situation import amount
from omero_fs_plugin.site import printable

from .columns import Line
from .terminal import at, shown

Containers = Mapping[int, Sequence[str]]  # image -> its dataset and project, in words
_COLUMNS = ("safe", "path", "size", "sha1", "fileset", "images", "in", "why_not")


def as_text(proofs: Sequence[Proof], containers: Containers, given: Sequence[str]) -> str:
    """For people: what is not safe comes first."""
    return shown(_lines(proofs, containers))


def _lines(proofs: Sequence[Proof], containers: Containers) -> Iterator[Line]:
    yield _sentence(proofs)
    unsafe = [one for one in proofs if not one.safe]
    safe = [one for one in proofs if one.safe]
    if unsafe:
        yield "NOT safe to delete:"
    for one in unsafe:
        yield ("  ", at(one.path), f": {printable(one.why_not)}")
    if safe:
        yield "Safe to delete:"
    for one in safe:
        inside = _inside(one, containers)
        where = f" in {printable(inside)}" if inside else ""
        yield ("  ", at(one.path))
        yield f"    {amount(one.size or 0)}, SHA1 {one.sha1}, {_images(one)}{where}"


def _sentence(proofs: Sequence[Proof]) -> str:
    safe = [one for one in proofs if one.safe]
    size = amount(sum(one.size or 0 for one in safe))
    if len(safe) == len(proofs):
        number = "The file is" if len(proofs) == 1 else f"All {len(proofs):,} files are"
        return f"{number} safe to delete ({size}): OMERO has the same bytes, checked now."
    if len(proofs) == 1:
        return "The file is not safe to delete."
    verb = "is" if len(safe) == 1 else "are"
    return f"{len(safe):,} of {len(proofs):,} files {verb} safe to delete ({size})."


def _images(one: Proof) -> str:
    some = ", ".join(f"Image:{image}" for image in one.images[:3])
    more = len(one.images) - 3
    return f"{some} and {more:,} more" if more > 0 else some


def _inside(one: Proof, containers: Containers) -> str:
    """The containers of all its images, each once, in words."""
    found = dict.fromkeys(" in ".join(containers.get(image, ())) for image in one.images)
    return ", ".join(words for words in found if words)


def _row(one: Proof, containers: Containers) -> dict[str, Any]:
    values = (
        *(one.safe, one.path, one.size, one.sha1 or None, one.server_fileset, list(one.images)),
        *(_inside(one, containers), one.why_not),
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _in_order(proofs: Sequence[Proof]) -> list[Proof]:
    return sorted(proofs, key=lambda one: one.safe)


def as_csv(proofs: Sequence[Proof], containers: Containers, given: Sequence[str]) -> str:
    """A line for each file, with a heading.  `images` has ids with a space between."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in _in_order(proofs):
        row = _row(one, containers)
        images = " ".join(map(str, one.images))
        writer.writerow({**row, "safe": "yes" if one.safe else "no", "images": images})
    return text.getvalue().rstrip("\n")


def as_json(proofs: Sequence[Proof], containers: Containers, given: Sequence[str]) -> str:
    """All of it, for programs."""
    return json.dumps(
        {
            "of": list(given),
            "at": _now(),
            "safe": all(one.safe for one in proofs),
            "files": [_row(one, containers) for one in _in_order(proofs)],
        },
        indent=2,
    )


def as_html(proofs: Sequence[Proof], containers: Containers, given: Sequence[str]) -> str:
    """One page that needs nothing beside it."""
    from .page import page, rows_of  # nobody else needs these

    headings = ("", "file", "bytes", "SHA1", "images", "where, or why not")
    rows = [
        (
            "safe" if one.safe else "NOT safe",
            one.path,
            f"{one.size:,}" if one.size is not None else "",
            one.sha1,
            _images(one),
            one.why_not or _inside(one, containers),
        )
        for one in _in_order(proofs)
    ]
    bad = [not one.safe for one in _in_order(proofs)]
    return page(
        f"Receipt of {', '.join(map(printable, given))}",
        [_sentence(proofs), f"Checked at {_now()}."],
        rows_of(headings, rows, bad),
    )


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
