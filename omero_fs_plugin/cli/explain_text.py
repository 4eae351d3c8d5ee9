"""What `omero fs explain` shows to people: a file, a fileset, or the sums of a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omero_fs_plugin.dropbox.situation import lasting
from omero_fs_plugin.names import several
from omero_fs_plugin.site import printable
from omero_fs_plugin.stores import is_store

from .columns import Line
from .history import day_and_time
from .terminal import at

_SHOWN = 20  # files that are listed for a directory; --json has all


def lines(found: dict[str, Any]) -> Iterator[Line]:
    if "directories" in found:
        yield from _lines_of_directory(found)
        return
    yield (at(found["path"]),)
    rule = found["rule"]
    whose = f"of {printable(found['user'])}" if found["user"] else "of nobody"
    by = (f", by the rule for {rule['user']} in ", at(rule["directory"])) if rule else ()
    yield (f"  whose:    {whose}", *by)
    if "id" in found:
        number = len(found["files"])
        what = "a plate" if found["plate"] else "a fileset"
        of = several(number, "file") if not is_store(found["files"][0]) else "a whole directory"
        yield f"  journal:  id {found['id']}, {what} of {of}"
        if number > 1:
            for path in found["files"][:_SHOWN]:
                yield (" " * 12, at(path))
            if number > _SHOWN:
                yield f"            and {number - _SHOWN} more"
        for step in found["history"]:
            yield f"  {day_and_time(step['at'])}  {printable(step['what'])}"
    if found.get("after_import"):
        after = found["after_import"]
        yield f"  {day_and_time(after['at'])}  after the import: {printable(after['what'])}"
    since = f" for {lasting(found['age'])}" if "age" in found else ""
    reason = f": {printable(found['reason'])}" if found["reason"] else ""
    yield f"  now:      {found['stand']}{since}{reason}"
    if found.get("fileset") is not None:
        yield f"  OMERO:    Fileset:{found['fileset']}"
    for image in found.get("images", ()):
        there = {None: " (OMERO cannot be asked)", False: " (no longer in OMERO)", True: ""}
        inside = " in " + " in ".join(image["containers"]) if image["containers"] else ""
        yield f"  image:    Image:{image['id']}{there[image['in_omero']]}{printable(inside)}"
    if found.get("next"):
        yield f"  next:     {found['next']}"
    if found["remedy"]:
        yield f"  do:       {found['remedy']}"


def _lines_of_directory(found: dict[str, Any]) -> Iterator[Line]:
    counts = found["counts"]
    order = ("imported", "on their way", "held up", "failed", "skipped", "not met yet")
    parts = [f"{counts[name]:,} {name}" for name in order if counts.get(name)]
    if counts.get("passed over"):
        parts.append(f"{counts['passed over']:,} passed over")
    names = [part for directory in found["directories"] for part in (", ", at(directory))][1:]
    yield (*names, f": {several(found['files'], 'file')}: {', '.join(parts) or 'none'}")
    for one in found["passed_over"]:
        such = "" if one["files"] == 1 else f"{one['files']:,} files such as "
        example = at(Path(one["for_example"]).name)
        yield (f"  not imported: {such}", example, f": {printable(one['reason'])}")
    for one in found["attention"][:_SHOWN]:
        why = f": {printable(one['reason'])}" if one["reason"] else ""
        yield (f"  {one['stand']}: {one['id']} ", at(one["path"]), why)
        if one["remedy"]:
            yield f"    -> {one['remedy']}"
    more = len(found["attention"]) - _SHOWN
    if more > 0:
        yield f"  and {more} more that need attention: `omero fs status --limit 0` shows them"
