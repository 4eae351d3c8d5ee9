"""`omero fs status`: shows whether the servers are well, and what became of every file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from omero_fs_plugin.config.settings import EVERYONE
from omero_fs_plugin.dropbox.journal.database import sqlite_file
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.icegrid import SERVERS, how_to_start
from omero_fs_plugin.site import Site, printable, site

from .status_text import render
from .values import count

HELP = """Show servers, monitors, and what became of every file

Shows whether IceGrid runs FSServer and DropBox, which directories are watched,
how many filesets are in each state, and the latest of them.  It also shows how
files are grouped and what imports them, and why.  The states are:

  waiting    in the quiet period (omero.fs.dirImportWait), or for the reason shown
  queued     will be imported as soon as an importer is free
  importing  being imported; shows how many of its bytes are in OMERO
  imported   its images are in OMERO, with the ids shown
  skipped    will not be imported, for the reason shown
  failed     was refused by OMERO, or cannot be imported, for the reason shown;
             the files are still there

With --user, it shows only what concerns that user: where are my images?

Exit codes: 0 healthy; 1 not healthy; 2 not healthy, because the configuration is
wrong; 4 the journal cannot be opened
"""

# Before FSServer's figures of a monitor: monitor.<id>.<figure>
_MONITOR = "monitor."
# Before what both servers say is wrong with the configuration
_PROBLEM = "problem."
# Before DropBox's figures of filesets under way: how many of their bytes are done
_PROGRESS = "progress."


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("status", description=HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--limit",
        type=count,
        default=20,
        metavar="N",
        help="show the N filesets that changed last (default: %(default)s; 0: all)",
    )
    parser.add_argument(
        "--state", choices=[str(s) for s in State], help="only filesets in this state"
    )
    parser.add_argument("--user", metavar="NAME", help="only what concerns this OMERO user")


def run(ctx: Any, args: Any) -> None:
    """Prints it.  The exit code is 0 if all is healthy, and 1 or 2 if not."""
    status = collect(site(ctx), limit=args.limit, state=args.state, user=args.user)
    if args.json:
        ctx.out(json.dumps(status, indent=2))
    elif status["unreachable"]:
        pass  # the one line is printed below
    else:
        ctx.out(render(status))
    if status["problems"]:
        text = "; ".join(printable(problem) for problem in status["problems"])
        ctx.die(2 if status["misconfigured"] else 1, f"not healthy: {text}")


def collect(
    where: Site, *, limit: int, state: str | None = None, user: str | None = None
) -> dict[str, Any]:
    """The whole status, as `--json` prints it.  With `user`, only what concerns that user."""
    settings = where.settings()
    status: dict[str, Any] = {
        "user": user,
        "servers": dict.fromkeys(SERVERS, "unreachable"),
        "monitors": [],
        "counts": {str(s): 0 for s in State},
        "filesets": [],
        "watched": [],
        "grouping": "",
        "dropbox": {},
        "problems": [],
        "misconfigured": bool(settings.problems),
        "unreachable": False,
    }
    problems: list[str] = status["problems"]
    try:
        with where.grid() as grid:
            status["servers"] = grid.states()
            fsserver = grid.figures("FSServer")
            status["monitors"] = _monitors(fsserver)
            status["dropbox"] = grid.figures("DropBox")
            status["grouping"] = status["dropbox"].get("grouping", "")
            status["watched"] = list(_watched(status["dropbox"], user))
            problems += [why for key, why in sorted(fsserver.items()) if key.startswith(_PROBLEM)]
    except FsError as error:
        problems.append(str(error))
        status["unreachable"] = True
    problems += _problems(status)
    # A running server may still report problems of a configuration that was mended since.
    problems += [str(one) for one in settings.problems if not any(str(one) in p for p in problems)]
    file = sqlite_file(settings.journal_url)
    if file is None or file.exists():
        with where.journal(settings, read_only=True) as journal:
            _journal(status, journal, limit, state, user, Places(settings.rules))
    return status


def _monitors(figures: dict[str, str]) -> list[dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for key, value in figures.items():
        if key.startswith(_MONITOR):
            identifier, _, figure = key[len(_MONITOR) :].rpartition(".")
            found.setdefault(identifier, {"id": identifier})[figure] = value
    return [found[identifier] for identifier in sorted(found)]


def _watched(figures: dict[str, str], user: str | None) -> Iterator[dict[str, str]]:
    """What DropBox says of each rule.  With `user`, only of that user's rules."""
    for number in itertools.count(1):
        name = figures.get(f"watch.{number}.user")
        if name is None:
            return
        if user in (None, name) or name == EVERYONE:
            yield {
                "user": name,
                "directory": figures.get(f"watch.{number}.directory", ""),
                "problem": figures.get(f"watch.{number}.problem", ""),
                "importer": figures.get(f"importer.{number}", ""),
                "ignored": figures.get(f"ignored.{number}", ""),
            }


def _problems(status: dict[str, Any]) -> list[str]:
    """What keeps files from being imported, in the order in which to look."""
    if status["unreachable"]:
        return []  # this was said already
    problems = [
        f"{server} is {state}: {how_to_start(server, state)}"
        for server, state in status["servers"].items()
        if state != "active"
    ]
    dropbox = status["dropbox"]
    if status["servers"]["DropBox"] == "active":
        if not dropbox:
            problems.append("DropBox does not answer")
        else:
            if dropbox.get("state") != "running":
                problems.append(f"DropBox is {dropbox.get('state')}: {dropbox.get('reason')}")
            told = "; ".join(problems)
            problems += [
                why
                for key, why in sorted(dropbox.items())
                if key.startswith(_PROBLEM) and why not in told
            ]
            if dropbox.get("refused"):
                problems.append(f"DropBox has not taken the changed {dropbox['refused']}")
    return problems


def _journal(
    status: dict[str, Any],
    journal: Journal,
    limit: int,
    state: str | None,
    user: str | None,
    places: Places,
) -> None:
    status["counts"] = journal.counts(user)
    states = (State(state),) if state else ()
    told = status["dropbox"]
    status["filesets"] = [
        {
            "id": fileset.id,
            "user": fileset.user,
            "files": [met.path for met in fileset.files],
            "state": str(fileset.state),
            "reason": fileset.reason or _usual_reason(fileset, places),
            "progress": _bytes(told.get(f"{_PROGRESS}{fileset.id}", "")),
            "plate": fileset.plate,
            "reader": fileset.reader,
            "images": list(fileset.images),
            "fileset": fileset.server_fileset,
            "revision_of": fileset.revision_of,
            "duplicate_of": fileset.duplicate_of,
            "attempts": fileset.attempts,
            "changed": _time(fileset).isoformat(timespec="seconds"),
        }
        for fileset in journal.select(*states, limit=limit or None, user=user)
    ]


def _bytes(told: str) -> dict[str, int] | None:
    """`3 of 5 bytes` as numbers; None if there is no such text."""
    words = told.split()
    return {"done": int(words[0]), "total": int(words[2])} if len(words) > 2 else None


def _usual_reason(fileset: Fileset, places: Places) -> str:
    """What a fileset waits for if it has no other reason."""
    if fileset.state is State.WAITING:
        place = places.place(fileset.path)
        if place is None:
            return "until it has been quiet for a while"
        return f"until it has been quiet for {place.rule.quiet_period:g} s"
    if fileset.revision_of is not None:
        return f"a revision of {fileset.revision_of}, whose file had other content"
    return ""


def _time(fileset: Fileset) -> datetime:
    return datetime.fromtimestamp(fileset.changed).astimezone()
