"""`omero fs report`: what was dropped, imported and refused in a period, and how long it took."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.glance import Glance, glance
from omero_fs_plugin.dropbox.journal.seen import Asked, Came, Seen
from omero_fs_plugin.errors import ConfigurationError, JournalError
from omero_fs_plugin.names import several
from omero_fs_plugin.site import Site, printable, site

from . import report_text
from .below import is_directory, is_there
from .disks import Disks, Silent
from .moments import moment
from .report_facts import facts
from .values import shapes, some_path, user_name

HELP = """Report what was dropped, imported and refused in a period, and how long it took

It counts filesets: what came in, what was imported, what failed, what still waits;
how many an hour, and how long from the moment when a file was met to its images.
Failures come first, with their reasons.  With PATH, only what lies below that
directory; with --user, only what is of that user.  With omero.fs.afterImport, it
says what was moved or deleted after the import, and what was left, with the reason.

With --verify, the files of all imports of the period that are still there are
compared with OMERO, as `omero fs receipt` does it: the report then names each on
which disk, journal and OMERO do not agree.  This reads all of these files.  A disk
that does not answer for ten seconds is named at the end.

Run it as the user that OMERO.server runs as.

Exit codes: 0 shown; 1 with --verify: something does not agree; 2 wrong arguments, or
PATH is no directory and the journal knows no file below it; 3 with --verify: the
grid cannot be reached; 4 the journal cannot be read; 5 with --verify: OMERO is
down; 7 there is no such user; 10 with --verify: a disk does not answer
"""

_AT_ONCE = 500  # filesets; OMERO is asked about them together


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("report", description=HELP)
    parser.add_argument(
        "path", nargs="?", type=some_path, metavar="PATH", help="only what lies below it"
    )
    parser.add_argument(
        "--user", type=user_name, metavar="NAME", help="only what is of this OMERO user"
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        default="7d",
        help="the begin: 30min, 2h, 7d, or 2026-11-28[T14:00] (default: %(default)s)",
    )
    parser.add_argument("--until", metavar="TIME", help="the end, likewise (default: now)")
    parser.add_argument(
        "--verify", action="store_true", help="compare disk, journal and OMERO; reads all files"
    )
    shapes(
        parser,
        report_text.as_text,
        (
            ("json", report_text.as_json, "one JSON object"),
            ("html", report_text.as_html, "one page for a browser, with plots"),
        ),
    )


def run(ctx: Any, args: Any) -> None:
    """Prints it."""
    now = time.time()
    since = moment(args.since, now, "--since")
    until = now if args.until is None else moment(args.until, now, "--until")
    if until <= since:
        raise ConfigurationError(
            f"--since {args.since}: lies in the future, and nothing is known of that"
            if args.until is None
            else "--until must be later than --since"
        )
    where = site(ctx)
    settings = where.settings()
    below = None if args.path is None else os.path.abspath(args.path)  # noqa: PTH100
    with glance(settings.journal_url) as look:
        if look is None:
            raise JournalError("there is no journal yet: DropBox makes it when it is started")
        if args.user is not None and not look.knows(args.user):
            from omero_fs_plugin.errors import UserError

            raise UserError(f"{printable(args.user)}: the journal has no file of such a user")
        if below is not None:
            _check_below(below, look)
        asked = Asked(user=args.user, since=since)
        afterwards = look.afterwards(asked, until, below)
        told = facts(look.came(asked, until, below), since, until, afterwards)
        to_verify = _newest(told.imports, look) if args.verify else []
    # The journal is left before files are read: that may take hours.
    disks = Disks()
    disagreements = _verify(to_verify, where, settings, disks) if args.verify else None
    of = [f"of {args.user}"] if args.user else []
    of += [f"below {below}"] if below else []
    ctx.out(args.write(told, disagreements, " ".join(of)))
    disks.end(ctx)
    if disagreements:
        number = several(len(disagreements), "file", "is", "are")
        ctx.die(
            1, f"{number} not in OMERO as {'it is' if len(disagreements) == 1 else 'they are'} here"
        )


def _newest(imports: tuple[Came, ...], look: Glance) -> list[Seen]:
    """The filesets of these imports, with those files only whose newest fileset they are.

    A file with another content is a revision, which has a fileset of its own.
    """
    return [
        replace(
            seen,
            files=tuple(path for path in seen.files if look.at(path)[-1].id == seen.id),
        )
        for seen in look.load([one.id for one in imports])
    ]


def _check_below(path: str, look: Glance) -> None:
    """Raises ConfigurationError unless `path` is a directory, or the journal knows files below it.

    The journal knows of directories that are gone: files may be moved after their import.
    """
    disks = Disks()
    try:
        if is_directory(path, disks) or look.all_below(path):
            return
        there = is_there(path, disks)
    except Silent:
        return
    if there or look.at(path):
        raise ConfigurationError(
            f"{printable(path)}: is a file, and a report is of a directory: `omero fs explain` "
            "tells what became of a file"
        )
    raise ConfigurationError(
        f"{printable(path)}: there is no such directory, and the journal knows no file below it"
    )


def _is_there(path: str, disks: Disks) -> bool:
    """Whether the file may be there: that of a disk which does not answer is told as such."""
    try:
        return is_there(path, disks)
    except Silent:
        return True


def _verify(
    imports: list[Seen], where: Site, settings: Settings, disks: Disks
) -> list[tuple[str, str]]:
    """(path, what is wrong) of each file on which disk, journal and OMERO do not agree."""
    from omero_fs_plugin.blitz.sessions import Omero
    from omero_fs_plugin.dropbox.receipts.proof import Known, Prover

    wrong: list[tuple[str, str]] = []
    with where.grid() as grid:
        omero = Omero.of(grid.communicator, settings)
        try:
            prover = Prover(omero, disks.ask)
            for start in range(0, len(imports), _AT_ONCE):
                # A file that is gone proves nothing.
                here = {
                    path: Known(seen)
                    for seen in imports[start : start + _AT_ONCE]
                    for path in seen.files
                    if _is_there(path, disks)
                }
                wrong += [
                    (one.path, one.why_not)
                    for one in prover.prove(here)
                    if not one.safe and not one.in_place
                ]
        finally:
            omero.close()
    return wrong
