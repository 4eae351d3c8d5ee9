"""`omero fs status`: shows whether the servers are well, and what became of every file."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import Any

from omero_fs_plugin.dropbox.journal.seen import Asked
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.site import printable, site

from .alerts import DEFAULT, KINDS, code_of, kinds
from .moments import past
from .published import fetch, is_asked, lines, number_of
from .status_facts import collect
from .status_text import fitting, render
from .terminal import shown
from .values import count, user_name

HELP = """Show servers, monitors, and what became of every file

First a sentence with the numbers; then what needs somebody's attention, with its
age and what to do; what is on its way; and the newest that has ended.  Paths are
those below the user's directory.  A fileset is

  settling   in its quiet period (omero.fs.dirImportWait), or being grouped
  queued     imported as soon as an importer is free
  importing  being imported; shows how much of it is in OMERO
  held up    waiting for what is shown, such as a missing file, or tried again
  imported   its images are in OMERO, with the ids shown
  skipped    not imported, for the reason shown
  failed     refused by OMERO, or impossible to import, for the reason shown;
             the files are still there

--state and --json name the states of the journal: settling and what waits for
something are both waiting there.  docs/status.rst has the fields of --json.

With --user, it shows only what concerns that user: where are my images?  While
the grid does not run, it shows the journal alone.

`omero -s HOST -u NAME fs status` works from any machine: it shows your own files,
as DropBox last wrote it into OMERO (omero.fs.publishInterval).

Exit codes, each for one kind of trouble; the first that holds counts:
  2  config     the configuration is wrong
  3  down       the grid, FSServer or DropBox does not run
  4  journal    the journal cannot be read
  1  unwell     a server runs, and says that something is wrong
  8  failed     filesets have failed; `omero fs forget` sets them aside
  9  stuck      filesets are held up
  0  healthy, or none of the kinds of --fail-on
7: there is no such user
"""

_SHOWN = 20  # filesets, unless --limit or the height of the terminal says another number
_REFRESH_S = 2.0  # of --watch


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("status", description=HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help="show N filesets (default: as many as the terminal has lines for, else 20; 0: all)",
    )
    parser.add_argument(
        "--state", choices=[str(s) for s in State], help="only filesets in this state"
    )
    # Not `user`, which is who logs in: `omero -u amy fs status`.
    parser.add_argument(
        "--user",
        dest="of_user",
        type=user_name,
        metavar="NAME",
        help="only what concerns this OMERO user",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="only what has changed since then: 30min, 2h, 7d, or 2026-11-28[T14:00]",
    )
    parser.add_argument(
        "--details", action="store_true", help="also what is watched, and what imports the files"
    )
    parser.add_argument("--watch", action="store_true", help="refresh in place until interrupted")
    parser.add_argument(
        "--fail-on",
        metavar="KINDS",
        default=DEFAULT,
        help=f"the exit code tells only of these, with commas between: {', '.join(KINDS)}, or "
        "none (default: all)",
    )


def run(ctx: Any, args: Any) -> None:
    """Prints it.  The exit code says what is wrong, if it is one of the kinds asked about."""
    wanted = kinds(args.fail_on)
    asked = Asked(
        user=args.of_user,
        since=None if args.since is None else past(args.since, time.time(), "--since"),
        states=(State(args.state),) if args.state else (),
    )
    if is_asked(args):
        _show_published(ctx, args)
        return
    where = site(ctx)
    if args.watch:
        if args.json or not sys.stdout.isatty():
            raise ConfigurationError("--watch needs a terminal, and does not go with --json")
        from .status_watch import watch

        watch(lambda limit: collect(where, asked, limit=limit), args.limit, _REFRESH_S)
        return
    limit = args.limit if args.limit is not None else _SHOWN
    status = collect(where, asked, limit=limit or None)
    trouble = [one for one in status["trouble"] if one["kind"] in wanted]
    why = f"not healthy: {'; '.join(printable(one['what']) for one in trouble)}" if trouble else ""
    if args.limit is None and not args.json and sys.stdout.isatty():
        columns, lines = shutil.get_terminal_size()
        below = 1 + -(-len(why) // columns)  # the prompt of the shell, and what stderr gets
        status = fitting(status, width=columns, height=lines - below, details=args.details)
    if args.json:
        ctx.out(json.dumps(status, indent=2))
    else:
        ctx.out(render(status, details=args.details))
    if trouble:
        ctx.die(code_of(one["kind"] for one in trouble), why)


def _show_published(ctx: Any, args: Any) -> None:
    """The document that OMERO has: no journal is within reach."""
    if args.watch or args.state or args.since is not None or args.details:
        raise ConfigurationError(
            "--watch, --state, --since and --details need the journal, which is not here"
        )
    wanted = kinds(args.fail_on)
    document = fetch(ctx, args, args.of_user)
    if args.json:
        ctx.out(json.dumps(document, indent=2))
    else:
        ctx.out(shown(lines(document, time.time(), number_of(args.limit))))
    numbers = {"failed": document["counts"]["failed"], "stuck": document["held_up"]}
    trouble = [kind for kind, number in numbers.items() if number and kind in wanted]
    if trouble:
        what = ", ".join(f"{numbers[kind]} {kind}" for kind in trouble)
        ctx.die(code_of(trouble), f"not healthy: {what}")
