"""`omero fs import`: hands files to DropBox now, without the quiet period."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from omero_fs_plugin.config.readers import read_readers
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.disks.calls import CALLS, Call
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Formed
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.groupers import SIGNATURES, Choice, choose
from omero_fs_plugin.dropbox.settling.handover import Given, Left, sort_out
from omero_fs_plugin.dropbox.targets.sidecar import wrong_in
from omero_fs_plugin.errors import (
    ConfigurationError,
    FsError,
    GridError,
    ImportRefused,
    UserError,
)
from omero_fs_plugin.grid import Grid
from omero_fs_plugin.site import Site, printable, site

from .disks import NO_ANSWER, Disks, Silent
from .given import files
from .outcome import is_in_omero, left_line, line_of, wait
from .plan import tell_plan
from .retrying import retry
from .terminal import at, shown
from .values import positive, seconds, some_path, user_name

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

With --dry-run, nothing is handed over.  The command shows which files would be
imported together, by which reader, for whom and to which target, what OMERO has
already, and what would be left out and why.  The exit code is that of the real run
for what is known before: 1 if something would not be handed over.

With --wait, it shows each result and a summary.  A file whose content OMERO has
already counts as imported.

With --retry or --all-failed, give no PATH: filesets that `omero fs status` shows
as failed are tried again, the files of a set together.  A fileset whose files are
being moved into quarantine, or back, is not handed over: try it again after that.

Exit codes: 0 handed over, or with --wait: imported, or with --dry-run: all would be
handed over; 1 something was not handed over, or with --dry-run: would not be, or with
--wait: not imported in time; 2 wrong arguments or configuration;
3 DropBox is not running; 4 the journal cannot be written; 5 OMERO is down;
6 PATH is no regular file; 7 no such user; 10 the disk of a PATH does not answer for
ten seconds, and nothing was handed over
"""

_Of = TypeVar("_Of")


class Unanswering(FsError):
    """The disk of a path does not answer."""

    exit_code = NO_ANSWER


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("import", description=HELP)
    parser.add_argument(
        "path", nargs="*", type=some_path, metavar="PATH", help="a file or a directory"
    )
    parser.add_argument(
        "--retry",
        type=positive,
        action="append",
        default=[],
        metavar="ID",
        help="try the failed fileset with this id of `omero fs status` again; may be repeated",
    )
    parser.add_argument("--all-failed", action="store_true", help="try every failed fileset again")
    parser.add_argument("--user", type=user_name, metavar="NAME", help="import for this OMERO user")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="hand over nothing: show the filesets, their targets, and what is left out and why",
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait until each is imported or refused"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=3600.0,
        metavar="S",
        help="the longest time of --wait, in seconds (default: %(default)g)",
    )


def run(ctx: Any, args: Any) -> None:
    """Hands over what is whole, or nothing if one of the paths is wrong."""
    retrying = bool(args.retry or args.all_failed)
    if retrying == bool(args.path):
        raise ConfigurationError("give either PATHs to hand over, or --retry ID, or --all-failed")
    if retrying and args.dry_run:
        raise ConfigurationError("--dry-run goes with PATHs, not with --retry or --all-failed")
    where = site(ctx)
    settings = where.settings()
    settings.check()
    left: list[Left] = []
    given: list[Given] = []
    disks = Disks()
    if not retrying:
        places = Places(settings.rules)
        for path in args.path:
            named = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow a link
            given += _asked(disks, named, partial(files, path, args.user, places, left))
        if not given:
            ctx.out(shown(map(left_line, left)))
            raise ConfigurationError(f"no files in {', '.join(map(printable, args.path))}")
    with where.grid() as grid:
        if not args.dry_run:
            _check_server(grid)
        _check_users(grid, settings, {one.user for one in given})
        way = _grouping(grid, settings, where.omerodir, {one.root for one in given})
    with where.journal(settings, read_only=args.dry_run) as journal:
        filesets: list[Fileset] = []
        if retrying:
            ids = None if args.all_failed else args.retry
            again = retry(
                journal, ids, settings, partial(_sorted, way, settings, left, disks), left, disks
            )
            filesets, formed = again.filesets, again.sets
        else:
            formed = list(_sorted(way, settings, left, disks, given))
            for one in given:
                if one.named:
                    _tell_of_set(ctx, one.found.path, formed)
        if args.dry_run:
            tell_plan(ctx, where, settings, journal, formed, left)
            _end(ctx, left, disks, nothing=not formed, would=True)
            return
        with _InOmero(where, settings) as there:
            filesets += _hand_over(journal, formed, left, there.has)
        before = {fileset.id for fileset in filesets if is_in_omero(fileset)}
        if args.all_failed and not filesets and not left:
            ctx.out("no fileset has failed: there is nothing to try again")
        for fileset in filesets:
            ctx.out(shown([line_of(fileset, in_omero=fileset.id in before)]))
        for kept in left:
            ctx.out(shown([left_line(kept)]))
        if args.wait:
            wait(ctx, journal, filesets, args.timeout, before)
    _end(ctx, left, disks, nothing=not filesets, would=False)


def _end(ctx: Any, left: list[Left], disks: Disks, *, nothing: bool, would: bool) -> None:
    """Ends the command with 1 if something is, or `would` be, left out that was asked for.

    What is passed over in a directory is not, unless there is `nothing` else.
    """
    disks.end(ctx)
    refused = sum(not kept.passed_over for kept in left)
    if refused or (left and nothing):
        if would:
            what = f"{refused:,} would not be" if refused else "nothing would be"
        else:
            what = f"{refused:,} not" if refused else "nothing was"
        ctx.die(1, f"{what} handed over; the reasons are above")


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


def _asked(disks: Disks, path: str, question: Callable[[Call], list[_Of]]) -> list[_Of]:
    """As Disks.ask.  Raises Unanswering."""
    try:
        return disks.ask(path, question)
    except Silent as silent:
        raise Unanswering(
            f"{printable(path)}: {silent.strerror}: nothing was handed over; `mount` and `df` show "
            "which share is away"
        ) from silent


def _sorted(
    way: Choice, settings: Settings, left: list[Left], disks: Disks, given: list[Given]
) -> Sequence[Formed]:
    """The filesets of `given`.  Adds what cannot be handed over to `left`."""
    if not given:
        return ()

    def question(call: Call) -> list[Formed]:
        call.rest()  # those who read files say themselves that they wait for a disk
        return _grouped(way, settings, left, given)

    return _asked(disks, given[0].root, question)


def _grouped(way: Choice, settings: Settings, left: list[Left], given: list[Given]) -> list[Formed]:
    readers = {
        rule: None if rule.readers is None else read_readers(str(rule.readers), more=way.classes)
        for rule in settings.rules
    }
    grouper = way.make()
    try:
        found = sort_out(
            given,
            grouper,
            readers=lambda rule: None if rule is None else readers[rule],
            stat=lambda path: CALLS.stat(str(Path(path).parent), path),
        )
    finally:
        grouper.close()
    left += found.left
    formed = []
    for one in found.formed:
        # Files that are dropped wait until their sidecar is mended; nobody waits for these.
        wrong = wrong_in(one.root, str(Path(one.found[0].path).parent))
        if wrong:
            left.append(Left(tuple(met.path for met in one.found), wrong))
        else:
            formed.append(one)
    return formed


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


def _check_server(grid: Grid) -> None:
    state = grid.states()["DropBox"]
    if state != "active":
        raise GridError(str(grid.condition("DropBox", state)))


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


def _tell_of_set(ctx: Any, path: str, formed: Sequence[Formed]) -> None:
    """Says that a named file is one of a set, and that the whole set is imported."""
    for one in formed:
        if len(one.found) > 1 and any(met.path == path for met in one.found):
            number = f" is one of {len(one.found)} files, imported together"
            ctx.out(shown([(at(path), number)]))
