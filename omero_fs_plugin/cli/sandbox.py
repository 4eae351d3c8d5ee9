"""`omero fs sandbox create DIR`: makes a small stand-in for an OMERO server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .values import amount, positive

DESCRIPTION = """Make a sandbox: a small stand-in for an OMERO server, to try things on

DIR becomes an OMERODIR.  The ordinary `omero admin start`, stop, status and so
on run it: IceGrid, a Glacier2 router, FSServer, DropBox, and instead of
OMERO.server a small Python server with users, groups, filesets and images.  It
is not an OMERO.server: keep no data in it.  It listens on this machine only.

DIR/bin/omero is an `omero` command with everything set:
DIR/bin/omero admin start

It has the users root, amy and zak.  The passwords of amy and zak are their
names, and each has a directory in DIR/data/DropBox.

It is faster than any OMERO.server.  --latency, --import-time, --imports-at-once
and --upload-rate give calls, imports and uploads the prices that they have at a
real one.

Exit codes: 0 done; 2 refused, and nothing was made
"""


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("sandbox", description=DESCRIPTION)
    parser.add_argument("action", choices=("create",), help="create: make one")
    parser.add_argument(
        "dir", metavar="DIR", help="the directory to make; it may be there if it is empty"
    )
    parser.add_argument(
        "--user",
        dest="names",  # `user` is that of omero's own login options
        action="append",
        metavar="NAME",
        help="one more user; may be repeated",
    )
    parser.add_argument("--root-password", metavar="PW", help="default: omero")
    parser.add_argument(
        "--prefix",
        type=positive,
        metavar="N",
        help="first digit of the ports, 1 to 6: 1 makes 14064, whoever else has it; default: the "
        "first ports that are free and not reserved by another sandbox",
    )
    parser.add_argument(
        "--latency", type=amount, metavar="MS", help="each call takes so many ms longer"
    )
    parser.add_argument(
        "--import-time", type=amount, metavar="MS", help="each import takes so many ms longer"
    )
    parser.add_argument(
        "--imports-at-once",
        type=positive,
        metavar="N",
        help="so many imports take that time at once, the others wait; default: all",
    )
    parser.add_argument(
        "--upload-rate",
        type=amount,
        metavar="MB/S",
        help="a session uploads so many MB (1,000,000 bytes) a second at most",
    )
    parser.add_argument(
        "--no-install", action="store_true", help="do not put FSServer and DropBox into the grid"
    )


def run(ctx: Any, args: Any) -> None:
    """Makes it, and says how to go on.  Raises ConfigurationError if it refuses."""
    from omero_fs_plugin.sandbox.create import ROOT_PASSWORD, create
    from omero_fs_plugin.sandbox.pace import MB, Prices

    password = ROOT_PASSWORD if args.root_password is None else args.root_password
    made = create(
        Path(args.dir).absolute(),
        users=args.names or (),
        root_password=password,
        prefix=args.prefix,
        with_fs=not args.no_install,
        prices=Prices(
            call=(args.latency or 0) / 1000,
            imported=(args.import_time or 0) / 1000,
            upload=(args.upload_rate or 0) * MB,
            at_once=args.imports_at_once or 0,
        ),
    )
    omero = f"{made.directory}/bin/omero"
    ctx.out(f"{made.directory}: a sandbox, not an OMERO.server; start it with")
    ctx.out(f"  {omero} admin start")
    ctx.out("and use it as amy, for example, with")
    ctx.out(f"  {omero} -s localhost:{made.ports.router} -u amy -w amy ...")
