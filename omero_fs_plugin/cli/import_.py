"""`omero fs import`: files handed to DropBox now, without the quiet period."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dropbox.journal import Journal
from ..dropbox.places import Places
from ..dropbox.records import Fileset, Found
from ..dropbox.rescan import walk
from ..dropbox.states import State
from ..errors import ConfigurationError, GridError, ImportRefused, UserError
from ..events import regular_stat
from ..icegrid import Grid
from ..settings import Settings
from .site import printable, site

HELP = """Hand files to DropBox now, without the quiet period

PATH is a file, or a directory whose files are handed over one by one.  The
files must be complete: nobody waits for them to come to rest.  They go through
the same journal as what users drop, so `omero fs status` tells what became of
them, and a file that was imported before is not imported again.

Without --user, PATH must lie in a user's DropBox directory.  Run this as the
user OMERO.server runs as.

With --retry or --all-failed no PATH is given: filesets that `omero fs status`
shows as failed are tried again.

Exit codes: 0 handed over, or with --wait: imported; 1 --wait: not all were
imported in time; 2 wrong arguments or configuration; 3 DropBox is not running;
4 the journal cannot be written; 5 OMERO is down; 6 refused; 7 no such user
"""

_LOOK_S = 0.3  # how often --wait looks at the journal
_OPEN = (State.WAITING, State.QUEUED, State.IMPORTING)


@dataclass(frozen=True)
class Handed:
    """One file with whose it is and the directory it must not leave."""

    found: Found
    user: str
    root: str


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("import", description=HELP)
    parser.add_argument("path", nargs="*", metavar="PATH", help="a file or a directory")
    parser.add_argument(
        "--retry",
        type=int,
        action="append",
        default=[],
        metavar="ID",
        help="try the failed fileset with this id of `omero fs status` again; may be repeated",
    )
    parser.add_argument("--all-failed", action="store_true", help="try every failed fileset again")
    parser.add_argument("--user", metavar="NAME", help="import for this OMERO user")
    parser.add_argument("--wait", action="store_true", help="until each is imported or refused")
    parser.add_argument(
        "--timeout",
        type=float,
        default=3600.0,
        metavar="S",
        help="the longest wait of --wait, in seconds (default: %(default)s)",
    )


def run(ctx: Any, args: Any) -> None:
    """Hands everything over, or nothing when one of the paths is wrong."""
    retrying = bool(args.retry or args.all_failed)
    if retrying == bool(args.path):
        raise ConfigurationError("give either PATHs to hand over, or --retry ID, or --all-failed")
    where = site(ctx)
    settings = where.settings()
    settings.check()
    if retrying:
        with where.grid() as grid:
            _check_server(grid)
        with where.journal(settings, read_only=False) as journal:
            filesets = _retry(journal, args.retry, all_failed=args.all_failed)
            _told_and_awaited(ctx, journal, filesets, args)
        return
    handed = [one for path in args.path for one in _files(path, args.user, settings)]
    if not handed:
        raise ConfigurationError(f"no files in {', '.join(map(printable, args.path))}")
    with where.grid() as grid:
        _check_server(grid)
        _check_users(grid, settings, {one.user for one in handed})
    with where.journal(settings, read_only=False) as journal:
        filesets = [journal.hand_over(one.user, one.root, one.found) for one in handed]
        _told_and_awaited(ctx, journal, filesets, args)


def _told_and_awaited(ctx: Any, journal: Journal, filesets: list[Fileset], args: Any) -> None:
    for fileset in filesets:
        ctx.out(_line(fileset))
    if args.wait:
        _wait(ctx, journal, filesets, args.timeout)


def _retry(journal: Journal, ids: list[int], *, all_failed: bool) -> list[Fileset]:
    """Queues failed filesets again: all of them, or those with these ids and no other."""
    failed = {fileset.id for fileset in journal.select(State.FAILED)}
    wrong = [str(identifier) for identifier in ids if identifier not in failed]
    if wrong:
        raise ConfigurationError(
            f"not failed, so not to be tried again: {', '.join(wrong)}; "
            "see `omero fs status --state failed`"
        )
    chosen = sorted(failed if all_failed else set(ids))
    return journal.load([identifier for identifier in chosen if journal.retry(identifier)])


def _files(path: str, user: str | None, settings: Settings) -> list[Handed]:
    """The files `path` stands for; what is wrong with it is said before anything is done."""
    places = Places(settings.rules)
    named = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link
    if not named.exists() and not named.is_symlink():
        raise ConfigurationError(f"{printable(path)}: there is no such file or directory")
    below = _below_watch_dir(named, [rule.watch_dir for rule in places.rules])
    if named.is_dir() and not named.is_symlink():
        found = list(walk(str(below)))
    else:
        try:
            stat = regular_stat(str(below))
        except OSError as error:
            raise ConfigurationError(
                f"{printable(path)}: cannot be looked at: {error.strerror}"
            ) from error
        if stat is None:
            raise ImportRefused(
                f"{printable(path)}: not a regular file; links and devices are not imported"
            )
        found = [Found(str(below), stat)]
    handed = []
    for met in found:
        try:
            met.path.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(
                f"{met.path!a}: the name is not valid UTF-8: rename the file"
            ) from None
        place = places.place(met.path)
        if user is None and place is None:
            watched = ", ".join(str(rule.watch_dir) for rule in places.rules)
            raise ConfigurationError(
                f"{printable(met.path)}: lies in no user's directory below "
                f"{watched}: say whose it is with --user"
            )
        if place is not None and place.user == (user or place.user):
            handed.append(Handed(met, place.user, place.root))
        else:
            handed.append(Handed(met, user or "", str(Path(met.path).parent)))
    return handed


def _below_watch_dir(named: Path, watch_dirs: list[Path]) -> Path:
    """`named` as DropBox names it, whatever links lead to the directory it is in."""
    real = named.parent.resolve() / named.name
    for watch_dir in watch_dirs:
        with suppress(ValueError):
            return watch_dir / real.relative_to(watch_dir.resolve())
    return real


def _check_server(grid: Grid) -> None:
    state = grid.states()["DropBox"]
    if state != "active":
        raise GridError(
            f"DropBox is {state}: start it with `omero admin ice server start DropBox`, "
            "or see var/log/DropBox.log"
        )


def _check_users(grid: Grid, settings: Settings, names: set[str]) -> None:
    from ..sessions import Omero

    omero = Omero(
        grid.communicator,
        host=settings.host,
        port=settings.port,
        time_to_live=settings.time_to_live,
        time_to_idle=settings.time_to_idle,
    )
    try:
        for name in sorted(names):
            try:
                omero.user(name)
            except UserError as error:
                raise UserError(f"{printable(str(error))}: see `omero user list`") from error
    finally:
        omero.close()


def _wait(ctx: Any, journal: Journal, filesets: list[Fileset], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    open_ids = [fileset.id for fileset in filesets if fileset.state in _OPEN]
    imported = sum(1 for fileset in filesets if fileset.state is State.IMPORTED)
    while open_ids:
        for fileset in journal.load(open_ids):
            if fileset.state not in _OPEN:
                open_ids.remove(fileset.id)
                imported += fileset.state is State.IMPORTED
                ctx.out(_line(fileset))
        if open_ids and time.monotonic() > deadline:
            ctx.die(1, f"{len(open_ids)} of {len(filesets)} not imported after {timeout:g} s")
        if open_ids:
            time.sleep(_LOOK_S)
    if imported < len(filesets):
        ctx.die(1, f"{imported} of {len(filesets)} imported; the reasons are above")


def _line(fileset: Fileset) -> str:
    text = f"{fileset.id} {fileset.state} {printable(fileset.path)}"
    if fileset.images:
        text += " " + ",".join(f"Image:{i}" for i in fileset.images)
    return text + (f": {printable(fileset.reason)}" if fileset.reason else "")
