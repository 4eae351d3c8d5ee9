"""`omero fs audit`: disk, journal and OMERO, compared for the whole site."""

from __future__ import annotations

import os
import time
from typing import Any

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.errors import ConfigurationError, JournalError, ServerAwayError
from omero_fs_plugin.site import Site, printable, site

from . import audit_text
from .passed_over import why_passed_over
from .values import seconds, shapes

HELP = """Compare disk, journal and OMERO for the whole site

It finds in-place imports whose file is gone or is not what was imported; files that
are missing in OMERO's repository or are cut short; imported filesets whose images
are gone; filesets of DropBox in OMERO without images; files in watched directories
that the journal does not know; directories of the repository that nothing
registers; and files in omero.fs.quarantine that no fileset has.  It does not read
the content of OMERO's copies: `omero fs report --verify` does.

It changes nothing, and asks OMERO at most one question a second.  With --state it
keeps in FILE how far it is and what it found: after an interruption, the same
command goes on.  What is younger than an hour may be on its way and is left out.

With --repair it says what can be mended without risk: filesets without images that
DropBox may delete.  It is done only with --yes.

Run it on the machine that has OMERO's files, as the user that OMERO.server runs as.
What it could not look at, for instance on another machine, is listed.

Exit codes: 0 all agree; 1 something does not agree; 2 wrong arguments, or no
room for FILE; 3 the grid cannot be reached; 4 the journal cannot be read; 5 OMERO is
down: what was found so far is in FILE; 10 nothing is wrong where it looked, but it
could not look at everything; 130 interrupted
"""

UNSEEN = 10  # the exit code


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("audit", description=HELP)
    parser.add_argument("--state", metavar="FILE", help="keeps how far it is, and goes on there")
    parser.add_argument(
        "--pace",
        metavar="SECONDS",
        type=seconds,
        default=1.0,
        help="between two questions to OMERO, at least (default: %(default)g)",
    )
    parser.add_argument("--all", action="store_true", help="list all of each kind, not only 20")
    parser.add_argument("--repair", action="store_true", help="say what can be mended")
    parser.add_argument("--yes", action="store_true", help="with --repair: mend it")
    shapes(parser, audit_text.as_text, (("json", audit_text.as_json, "one JSON object"),))


def run(ctx: Any, args: Any) -> None:
    """Prints it."""
    if args.yes and not args.repair:
        raise ConfigurationError("--yes goes with --repair")
    where = site(ctx)
    settings = where.settings()
    with glance(settings.journal_url) as look:
        if look is None:
            raise JournalError("there is no journal yet: DropBox makes it when it is started")
    from omero_fs_plugin.dropbox.audit.record import Record

    of, now = str(where.omerodir), time.time()
    # The path as it was given: --state must not lead through a link.
    record = Record.at(os.path.abspath(args.state), of, now) if args.state else None  # noqa: PTH100
    record = record or Record.fresh(of, now)
    try:
        queries = _audit(where, settings, record, args)
        repairs = _repairs(where, settings, record) if args.repair else None
        for line in args.write(record, of, queries, repairs, args):
            ctx.out(line)
        if repairs and args.yes:
            _repair(ctx, where, settings, repairs)
        found = sum(record.counts.values())
        if found:
            ctx.die(1, f"{found:,} do not agree")
        if record.unseen:
            ctx.die(UNSEEN, f"{record.unseen:,} could not be looked at")
    finally:
        record.close()


def _audit(where: Site, settings: Settings, record: Any, args: Any) -> int:
    """All of it; how many questions OMERO was asked."""
    from omero_fs_plugin.blitz.sessions import Omero
    from omero_fs_plugin.dropbox.audit.audit import audit
    from omero_fs_plugin.dropbox.audit.means import Means, Pace

    with where.grid() as grid:
        omero = Omero.of(grid.communicator, settings)
        pace = Pace(args.pace)
        means = Means(
            omero,
            settings,
            record,
            pace,
            passed_over=lambda path: why_passed_over(path, settings),
            now=time.time,
        )
        try:
            audit(means)
        except ServerAwayError as error:
            kept = printable(args.state) if args.state else ""
            then = (
                f"the same command goes on, from {kept}"
                if kept
                else "with --state FILE, an audit goes on where it was broken off"
            )
            raise ServerAwayError(f"{error}; {then}") from error
        finally:
            omero.close()
        return pace.queries


def _repairs(where: Site, settings: Settings, record: Any) -> list[Any]:
    from .audit_repair import repairs

    with glance(settings.journal_url) as look:
        return repairs(look, record) if look is not None else []


def _repair(ctx: Any, where: Site, settings: Settings, repairs: list[Any]) -> None:
    from .audit_repair import repair

    with where.journal(settings, read_only=False) as journal:
        for one in repairs:
            ctx.out(repair(journal, one))
