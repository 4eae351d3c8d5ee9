"""`omero fs forget`: sets failed filesets aside that need not be imported."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omero_fs_plugin.dropbox.journal.by_hand import Moving
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.site import printable, site

from .terminal import at, shown
from .values import is_number, some_path

HELP = """Set failed filesets aside that need not be imported

WHAT is the id of a failed fileset, as `omero fs status --state failed` shows it,
or a path: then all failed filesets with files at or below it are meant.  They
become skipped, with the reason that they had.  Their history stays in the
journal, and their files stay where they are.  If such a file changes, it is
imported like a new one; `omero fs import PATH` imports it as it is.

The servers need not run.  Run this as the user that OMERO.server runs as.

Exit codes: 0 done; 2 an id or path has no failed fileset, and nothing was done;
4 the journal cannot be written
"""


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("forget", description=HELP)
    parser.add_argument(
        "what", nargs="+", type=some_path, metavar="WHAT", help="the id of a fileset, or a path"
    )


def run(ctx: Any, args: Any) -> None:
    """Does it for all of them, or for none if one is wrong."""
    where = site(ctx)
    with where.journal(where.settings(), read_only=False) as journal:
        for fileset in _chosen(journal, args.what):
            who = getpass.getuser()
            reason = f"set aside by {who}; it had failed: {fileset.reason}"
            try:
                if journal.forget(fileset.id, reason):
                    ctx.out(shown([(f"{fileset.id} set aside: ", at(fileset.path))]))
                else:
                    ctx.out(f"{fileset.id} stays: it is tried again just now")
            except Moving as moving:
                ctx.out(shown([f"{fileset.id} stays: {printable(str(moving))}"]))


def _chosen(journal: Journal, given: Sequence[str]) -> list[Fileset]:
    """The failed filesets that are meant, each once."""
    failed = {fileset.id: fileset for fileset in journal.select(State.FAILED)}
    chosen: dict[int, Fileset] = {}
    wrong = []
    for what in dict.fromkeys(given):
        if is_number(what):
            fileset = failed.get(int(what))
            if fileset is None:
                wrong.append(_why_not(journal, int(what)))
            else:
                chosen[fileset.id] = fileset
            continue
        below = [fileset for fileset in failed.values() if _has_files_at(fileset, what)]
        if not below:
            wrong.append(f"{printable(what)}: no failed fileset has files there")
        chosen.update((fileset.id, fileset) for fileset in below)
    if wrong:
        raise ConfigurationError(
            f"{'; '.join(wrong)}: nothing was done; see `omero fs status --state failed`"
        )
    return [chosen[identifier] for identifier in sorted(chosen)]


def _has_files_at(fileset: Fileset, path: str) -> bool:
    where = Path(path).absolute()
    return any(Path(met.path).is_relative_to(where) for met in fileset.files)


def _why_not(journal: Journal, identifier: int) -> str:
    fileset = journal.get(identifier)
    if fileset is None:
        return f"no fileset has the id {identifier}"
    return f"fileset {identifier} is {fileset.state}, not failed"
