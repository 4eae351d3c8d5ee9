"""`omero fs journal copy`: the journal into another database."""

from __future__ import annotations

import sys
import time
from typing import Any

from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.site import site

HELP = """Copy the journal into another database

`omero fs journal copy TO` copies everything that DropBox knows into TO, which is
postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////PATH.  TO must be new, or
empty.  With `-` for TO, the address is read from the standard input, so that no
other user of the machine sees its password.

DropBox must be stopped.  The copy is compared with the original, row by row; if
anything differs, nothing is copied.  The original stays as it is.  The command
prints what to do next.

Run it as the user that OMERO.server runs as.

Exit codes: 0 copied; 2 TO is no address of a database; 4 a journal cannot be
opened, is in use, or TO is not empty
"""


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("journal", description=HELP)
    parser.add_argument("act", choices=["copy"], help="what to do")
    parser.add_argument("to", metavar="TO", help="the address of the new database; -: it is read")


def run(ctx: Any, args: Any) -> None:
    """Does it."""
    where = site(ctx)
    settings = where.settings()
    to = str(args.to) if args.to != "-" else sys.stdin.readline().strip()
    if to == settings.journal_url:
        raise ConfigurationError("this is the journal that is in use: name another database")
    from omero_fs_plugin.dropbox.journal.copying import copy
    from omero_fs_plugin.dropbox.journal.database import URLS, is_url
    from omero_fs_plugin.dropbox.journal.journal import Journal

    if not is_url(to):  # it is not shown: nobody can tell where in such a text a password is
        raise ConfigurationError(f"TO is not a database URL: {URLS}")
    with where.journal(settings, read_only=False) as source:
        target = Journal(to)
        try:
            number = copy(source, target, time.monotonic)
            shown = target.shown
        finally:
            target.close()
    ctx.out(
        f"copied to {shown}, and compared: {number['fileset']:,} filesets, {number['file']:,} "
        f"files, {number['event']:,} events, {number['letter']:,} letters"
    )
    ctx.out(
        "next: `omero config set omero.fs.journal` with that address, then start DropBox: `omero "
        'admin ice "server enable DropBox"`, or `omero admin restart`'
    )
