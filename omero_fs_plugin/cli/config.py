"""`omero fs config`: the value of each property, for which user it holds, and who set it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from omero_fs_plugin.config.layout import of_user
from omero_fs_plugin.config.lists import bare
from omero_fs_plugin.config.properties import BY_NAME, PREFIX
from omero_fs_plugin.config.settings import DATA_DIR, EVERYONE
from omero_fs_plugin.deployment.sources import Cell, Row, Sources, look, rows_of
from omero_fs_plugin.site import printable

from .tables import new_table, text_of
from .values import user_name

HELP = """Show every omero.fs.* property, for which user it holds, and who set it

A value comes from `default`; from `templates.xml`, if an admin wrote it into
etc/grid/templates.xml or etc/templates/grid/templates.xml; or from
`omero config`, which wins over both.  Values are shown as `omero config set`
takes them.  The running servers may still use older values: `omero fs reload`
tells them the new ones, and `omero fs check` compares.

With --user, it shows what holds for this OMERO user.  The user may be named in
omero.fs.importUsers, or be one of those that `default` stands for.

With --json, `properties` has every property.  These values mean the same when
you set them.  Only --show-password shows a password in omero.fs.journal.

Exit codes: 0; 2 a value is wrong, with the reason beside it, or a file cannot
be read
"""

_ALL = "all"
_SERVERS = ("DropBox", "FSServer")


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("config", description=HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--user", type=user_name, metavar="NAME", help="show what holds for this OMERO user"
    )
    parser.add_argument(
        "--show-password", action="store_true", help="also show the password in omero.fs.journal"
    )


def run(ctx: Any, args: Any) -> None:
    """Prints it.  The exit code is 2 if something in it is wrong."""
    sources = look(Path(ctx.dir).absolute())
    if not args.show_password:
        sources = discreet(sources)
    settings = sources.settings
    rows = sources.rows()
    if args.user:
        rows = rows_of(rows, args.user)
    if args.json:
        ctx.out(json.dumps(collected(sources, rows, args.user), indent=2))
    else:
        ctx.out(render(sources, rows, args.user))
        for warning in settings.warnings:
            ctx.err(f"warning: {printable(str(warning))}")
    problems = [str(problem) for problem in (*settings.problems, *sources.monitoring.problems)]
    if problems:
        ctx.die(2, "; ".join(map(printable, dict.fromkeys(problems))))


def discreet(sources: Sources) -> Sources:
    """The same, without the password that a database URL may hold."""
    key = BY_NAME["journal"].key
    url = sources.properties.get(key, "")
    scheme, _, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    hidden = f"{scheme}://{user}{colon and ':***'}{at}{host}" if rest else url
    hidden = re.sub(r"(?<=password=)[^&]*", "***", hidden)
    return replace(sources, properties={**sources.properties, key: hidden}) if url else sources


def collected(sources: Sources, rows: list[Row], user: str | None) -> dict[str, Any]:
    """What --json prints."""
    settings, monitoring = sources.settings, sources.monitoring
    return {
        "users": [
            {
                "user": row.user,
                "from": row.origin.value,
                "directory": _directory(row, user),
                "values": _told(row.cells),
            }
            for row in rows
        ],
        "everyone": {server: _told(sources.for_everyone(server)) for server in _SERVERS},
        "dataDir": {"value": str(settings.data_dir), "from": _data_dir_from(sources)},
        "properties": sources.printed(),
        "problems": list(dict.fromkeys(str(p) for p in (*settings.problems, *monitoring.problems))),
        "warnings": [str(warning) for warning in settings.warnings],
    }


def _told(cells: Any) -> dict[str, dict[str, str]]:
    return {
        name: {
            "value": cell.value,
            "from": cell.origin.value,
            "unit": BY_NAME[name].unit,
            "problem": cell.problem,
        }
        for name, cell in cells.items()
    }


def _directory(row: Row, user: str | None) -> str:
    """Where the user drops files.  For a user of `default` this is the subdirectory."""
    watched = bare(row.cells["watchDir"].value)
    if row.user == EVERYONE and user and user != EVERYONE and watched:
        own = of_user(bare(row.cells["layout"].value), user)
        return f"{watched.rstrip('/')}/{own}" if own else watched
    return watched


def _data_dir_from(sources: Sources) -> str:
    return "omero config" if sources.properties.get(DATA_DIR, "").strip() else "default"


def render(sources: Sources, rows: list[Row], user: str | None) -> str:
    """The same for a terminal."""
    from rich.text import Text

    lines = list(_lines(sources, rows))
    headings = ["Property", "For", "Value", "From", "Wrong"]
    if not any(line[-1] for line in lines):
        headings.pop()
    table = new_table(headings, whole=("Property", "From"))
    for line in lines:
        style = "red" if line[-1] else ""
        table.add_row(*(Text(printable(cell), style) for cell in line[: len(headings)]))
    text = text_of(table)
    where = [
        f"{user} drops files into {printable(_directory(row, user))}"
        for row in rows
        if user and _directory(row, user)
    ]
    return "\n".join([*where, text])


def _lines(sources: Sources, rows: list[Row]) -> Iterator[tuple[str, ...]]:
    """Property, user, value, source, what is wrong.  Different values have a row each."""
    cells = sources.for_everyone("DropBox")
    yield DATA_DIR, _ALL, str(sources.settings.data_dir), _data_dir_from(sources), ""
    for known in BY_NAME.values():
        if known.each:
            by_cell: dict[Cell, list[str]] = {}
            for row in rows:
                by_cell.setdefault(row.cells[known.name], []).append(row.user)
            for cell, users in by_cell.items():
                yield _line(known.name, ", ".join(dict.fromkeys(users)), cell)
        elif known.name in cells:
            yield _line(known.name, _ALL, cells[known.name])
    for name, cell in sources.for_everyone("FSServer").items():
        yield _line(name, "FSServer", cell)


def _line(name: str, users: str, cell: Cell) -> tuple[str, ...]:
    unit = BY_NAME[name].unit
    value = f"{cell.value} {unit}" if unit and not cell.problem else cell.value
    return PREFIX + name, users, value, cell.origin.value, cell.problem
