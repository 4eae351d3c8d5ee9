"""`omero fs explain`: what became of a file, a fileset or a directory, and why."""

from __future__ import annotations

import json
import os
from typing import Any

from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.errors import ConfigurationError, UserError
from omero_fs_plugin.site import site

from .below import is_directory, store_in
from .disks import Disks, Silent
from .explain_below import all_of, directories_of
from .explain_facts import by_id, of_file
from .explain_text import lines
from .passed_over import Users
from .published import OTHERS, fetch, fileset, is_asked, lines_of
from .terminal import shown
from .values import is_number, some_path, user_name

HELP = """Say what became of a file, a fileset or a directory, and why

WHAT is a path, or the id of a fileset as `omero fs status` shows it.  For a file
it shows whose file it is and by which rule, its fileset with its history, what
comes next and when, and what to do; for an imported one the images, with dataset
and project if OMERO runs.  A file that is passed over is explained too.

For a directory, or with --user for all directories of a user, it counts: how
many files are imported, on their way, failed or passed over, and why.  It lists
those that need attention.

`omero -s HOST -u NAME fs explain WHAT` works from any machine: WHAT is an id, or a
file from your directory on, among your latest 200 filesets.

It imports nothing and changes nothing.  A file that DropBox has not met yet is
said to be so.  Run it as the user that OMERO.server runs as.

A disk that does not answer for ten seconds is named at the end, and what lies there
is left out.

Exit codes: 0 shown; 2 there is no such file, fileset or user's directory; 4 the
journal cannot be read; 10 a disk does not answer
"""


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("explain", description=HELP)
    parser.add_argument(
        "what", nargs="?", type=some_path, metavar="WHAT", help="a path, or the id of a fileset"
    )
    # Not `user`, which is who logs in: `omero -u amy fs explain`.
    parser.add_argument(
        "--user",
        dest="of_user",
        type=user_name,
        metavar="NAME",
        help="all directories of this OMERO user",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(ctx: Any, args: Any) -> None:
    """Prints it."""
    if (args.what is None) == (args.of_user is None):
        raise ConfigurationError("give either a path or an id, or --user NAME")
    if is_asked(args):
        if args.what is None:
            raise ConfigurationError("--user needs the journal, which is not here: name a file")
        try:
            document = fetch(ctx, args, None)
        except UserError as error:
            raise UserError(f"{error}; {OTHERS}") from error
        one = fileset(document, args.what)
        ctx.out(json.dumps(one, indent=2) if args.json else shown(lines_of(one)))
        return
    where = site(ctx)
    settings = where.settings()
    users = Users(where, settings)
    disks = Disks()
    with glance(settings.journal_url) as look:
        if args.of_user is not None:
            tops = directories_of(args.of_user, settings, disks)
            found = all_of(tops, settings, look, users, disks, args.of_user)
        elif is_number(args.what):
            found = by_id(int(args.what), where, settings, look)
        else:
            path = os.path.abspath(args.what)  # noqa: PTH100 - keeps symbolic links
            if store := store_in(path, look):
                found = of_file(store, where, settings, look, users, disks)
            elif _lists(path, disks):
                found = all_of([path], settings, look, users, disks)
            else:
                found = of_file(path, where, settings, look, users, disks)
    if args.json:
        ctx.out(json.dumps(found, indent=2))
    else:
        ctx.out(shown(lines(found)))
    disks.end(ctx)


def _lists(path: str, disks: Disks) -> bool:
    """Whether a directory is there.  One that does not answer may be none."""
    try:
        return is_directory(path, disks)
    except Silent:
        return False
