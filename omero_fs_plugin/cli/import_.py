"""`omero fs import`: hands files to DropBox now, without the quiet period."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from omero_fs_plugin.config.readers import read_readers
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import HANDED_OVER, Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.groupers import SIGNATURES, Choice, choose
from omero_fs_plugin.dropbox.settling.handover import Given, Left, sort_out
from omero_fs_plugin.errors import ConfigurationError, GridError, ImportRefused, UserError
from omero_fs_plugin.events import regular_stat
from omero_fs_plugin.icegrid import Grid
from omero_fs_plugin.site import Site, printable, site

from .given import files, rule_for

HELP = """Hand files to DropBox now, without the quiet period

PATH is a file, or a directory with all that is below it.  The command finds out
which files belong together in the same way as DropBox.  If PATH is one file of
a set, the whole set is imported.  The files must be complete, because nobody
waits for them to come to rest.  They go through the same journal as dropped
files: `omero fs status` shows what became of them, and a file that was imported
before is not imported again, unless it was deleted in OMERO since.

The command names each file that it does not hand over, with the reason: a set
that lacks a file or leads out of its directory, or a file that cannot be read.
In a directory, files that are no images are named and passed over.  It does not
import omero-fs.toml.  When one of the PATHs is wrong, it hands over nothing.

Without --user, PATH must lie in a user's DropBox directory.  Run this as the
user that OMERO.server runs as.

With --retry or --all-failed, give no PATH: filesets that `omero fs status` shows
as failed are tried again, the files of a set together.

Exit codes: 0 handed over, or with --wait: imported; 1 something was not handed
over, or with --wait: not imported in time; 2 wrong arguments or configuration;
3 DropBox is not running; 4 the journal cannot be written; 5 OMERO is down;
6 PATH is no regular file; 7 no such user
"""

_LOOK_S = 0.3  # how often --wait looks at the journal
_OPEN = (State.WAITING, State.QUEUED, State.IMPORTING)


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
    parser.add_argument(
        "--wait", action="store_true", help="wait until each is imported or refused"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=3600.0,
        metavar="S",
        help="the longest time of --wait, in seconds (default: %(default)s)",
    )


def run(ctx: Any, args: Any) -> None:
    """Hands over what is whole, or nothing if one of the paths is wrong."""
    retrying = bool(args.retry or args.all_failed)
    if retrying == bool(args.path):
        raise ConfigurationError("give either PATHs to hand over, or --retry ID, or --all-failed")
    where = site(ctx)
    settings = where.settings()
    settings.check()
    left: list[Left] = []
    given: list[Given] = []
    if not retrying:
        places = Places(settings.rules)
        given = [one for path in args.path for one in files(path, args.user, places, left)]
        if not given:
            for why in left:
                ctx.out(_left_line(why))
            raise ConfigurationError(f"no files in {', '.join(map(printable, args.path))}")
    with where.grid() as grid:
        _check_server(grid)
        _check_users(grid, settings, {one.user for one in given})
        way = _grouping(grid, settings, where.omerodir, {one.root for one in given})
    with where.journal(settings, read_only=False) as journal:
        if retrying:
            with _InOmero(where, settings) as there:
                filesets = _retry(journal, args, settings, way, left, there.has)
        else:
            formed = _sorted(given, way, settings, left)
            for one in given:
                if one.named:
                    _tell_of_set(ctx, one.found.path, formed)
            with _InOmero(where, settings) as there:
                filesets = _hand_over(journal, formed, left, there.has)
        for fileset in filesets:
            ctx.out(_line(fileset))
        for kept in left:
            ctx.out(_left_line(kept))
        if args.wait:
            _wait(ctx, journal, filesets, args.timeout)
    refused = [kept for kept in left if not kept.passed_over]
    if refused or (left and not filesets):
        number = f"{len(refused)} not handed over" if refused else "nothing was handed over"
        ctx.die(1, f"{number}; the reasons are above")


def _grouping(grid: Grid, settings: Settings, omerodir: Path, roots: Collection[str]) -> Choice:
    """The way in which DropBox itself finds out which files belong together."""
    told = grid.figures("DropBox").get("grouping", "")
    by_signatures = told.startswith(SIGNATURES)
    way = choose(
        ("none",) if by_signatures else settings.bioformats_jars,
        str(omerodir),
        time_limit=settings.bioformats_timeout,
        memory=settings.bioformats_memory,
        roots=lambda: [*(str(rule.watch_dir) for rule in settings.rules), *roots],
    )
    if told and not told.startswith(way.name):
        raise ConfigurationError(
            f"DropBox groups files by Bio-Formats, which cannot be used here: {way.why}"
        )
    return way


def _sorted(
    given: list[Given], way: Choice, settings: Settings, left: list[Left]
) -> Sequence[Formed]:
    """The filesets of `given`.  Adds what cannot be handed over to `left`."""
    if not given:
        return ()
    readers = {
        rule: None if rule.readers is None else read_readers(str(rule.readers))
        for rule in settings.rules
    }
    grouper = way.make()
    try:
        found = sort_out(
            given, grouper, readers=lambda rule: None if rule is None else readers[rule]
        )
    finally:
        grouper.close()
    left += found.left
    return found.formed


class _InOmero:
    """Asks OMERO whether it has what was imported, and connects only if there is a question."""

    def __init__(self, where: Site, settings: Settings) -> None:
        self._where, self._settings = where, settings
        self._stack = ExitStack()
        self._omero: Any = None

    def __enter__(self) -> _InOmero:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def has(self, fileset: Fileset) -> bool:
        """Whether some of its images are there.  Raises ServerAwayError."""
        from omero_fs_plugin.blitz.sessions import Omero

        if self._omero is None:
            grid = self._stack.enter_context(self._where.grid())
            self._omero = Omero.of(grid.communicator, self._settings)
            self._stack.callback(self._omero.close)
        return bool(self._omero.filesets_of_images(fileset.images))


def _hand_over(
    journal: Journal,
    formed: Sequence[Formed],
    left: list[Left],
    is_there: Callable[[Fileset], bool],
) -> list[Fileset]:
    """Hands filesets over.  If one was imported and then deleted in OMERO, it is imported again."""
    filesets = []
    for one in formed:
        hand_over = partial(
            journal.hand_over, one.user, one.root, *one.found, reader=one.reader, plate=one.plate
        )
        try:
            fileset = hand_over()
            if fileset.state is State.IMPORTED and not is_there(fileset):
                fileset = hand_over(again=True)
            filesets.append(fileset)
        except ImportRefused as refusal:
            left.append(Left(tuple(met.path for met in one.found), str(refusal)))
    return filesets


def _retry(
    journal: Journal,
    args: Any,
    settings: Settings,
    way: Choice,
    left: list[Left],
    is_there: Callable[[Fileset], bool],
) -> list[Fileset]:
    """Queues failed filesets again: all of them, or those with the given ids.

    A file that failed may be a part of a set, so this is found out anew.
    """
    failed = {fileset.id: fileset for fileset in journal.select(State.FAILED)}
    wrong = [str(identifier) for identifier in args.retry if identifier not in failed]
    if wrong:
        raise ConfigurationError(
            f"not failed, so these cannot be tried again: {', '.join(wrong)}; "
            "see `omero fs status --state failed`"
        )
    chosen = [failed[i] for i in sorted(failed if args.all_failed else set(args.retry))]
    places = Places(settings.rules)
    again: dict[int, Sequence[Found]] = {}  # fileset -> its files, if they count as they are now
    given: dict[tuple[str, str], tuple[Given, int]] = {}
    quarantine = Quarantine(settings.quarantine, places, journal)
    back: list[int] = []
    for fileset in chosen:
        if quarantine.bring_back(fileset):  # DropBox lets it settle where it was dropped
            back.append(fileset.id)
            continue
        try:
            stat = regular_stat(fileset.path) if len(fileset.files) == 1 else None
        except OSError as error:
            left.append(Left((fileset.path,), f"cannot be looked at: {error.strerror}"))
            continue
        if stat is None:  # a set stays as it was; if the file is gone, the import will say so
            again[fileset.id] = _as_now(fileset)
        else:
            rule = rule_for(places, fileset.path, fileset.user)
            one = Given(Found(fileset.path, stat), fileset.user, fileset.root, rule, named=True)
            given[fileset.user, fileset.path] = one, fileset.id
    sets = []
    for formed in _sorted([one for one, _ in given.values()], way, settings, left):
        if len(formed.found) == 1:
            identifier = given[formed.user, formed.found[0].path][1]
            handed_over = failed[identifier].origin == HANDED_OVER
            again[identifier] = formed.found if handed_over else ()
        else:
            sets.append(formed)
    queued = []
    for identifier, found in again.items():
        try:
            if journal.retry(identifier, found):
                queued.append(identifier)
        except ImportRefused as refusal:
            left.append(Left((failed[identifier].path,), str(refusal)))
    return journal.load([*back, *queued]) + _hand_over(journal, sets, left, is_there)


def _as_now(fileset: Fileset) -> Sequence[Found]:
    """The files of a fileset that was handed over, as they are now, because it does not settle.

    Empty if the fileset was dropped, or if one of its files cannot be looked at.
    """
    found: list[Found] = []
    for met in fileset.files if fileset.origin == HANDED_OVER else ():
        try:
            stat = regular_stat(met.path)
        except OSError:
            return ()
        if stat is None:
            return ()
        found.append(Found(met.path, stat))
    return found


def _check_server(grid: Grid) -> None:
    state = grid.states()["DropBox"]
    if state != "active":
        raise GridError(
            f"DropBox is {state}: start it with `omero admin ice server start DropBox`, "
            "or see var/log/DropBox.log"
        )


def _check_users(grid: Grid, settings: Settings, names: set[str]) -> None:
    from omero_fs_plugin.blitz.sessions import Omero

    omero = Omero.of(grid.communicator, settings)
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


def _tell_of_set(ctx: Any, path: str, formed: Sequence[Formed]) -> None:
    """Says that a named file is one of a set, and that the whole set is imported."""
    for one in formed:
        if len(one.found) > 1 and any(met.path == path for met in one.found):
            ctx.out(f"{printable(path)} is one of {len(one.found)} files, imported together")


def _left_line(left: Left) -> str:
    begin = "passed over" if left.passed_over else "not handed over"
    return f"{begin}: {_names(left.files)}: {printable(left.why)}"


def _names(files: Sequence[str]) -> str:
    more = len(files) - 1
    text = printable(files[0])
    return text + (f" and {more} more file{'s' if more > 1 else ''}" if more else "")


def _line(fileset: Fileset) -> str:
    text = f"{fileset.id} {fileset.state} {_names([met.path for met in fileset.files])}"
    if fileset.images:
        text += " " + ",".join(f"Image:{i}" for i in fileset.images)
    return text + (f": {printable(fileset.reason)}" if fileset.reason else "")
