"""`omero fs import --dry-run`: what would be imported, where to, and what would not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Formed
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.groupers import readers_there
from omero_fs_plugin.dropbox.settling.handover import Left
from omero_fs_plugin.dropbox.targets.sidecar import read
from omero_fs_plugin.dropbox.targets.targets import Source
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.site import Site, printable

from .given import rule_for
from .outcome import left_line, names
from .terminal import shown

_KNOWN = {
    State.IMPORTED: "in OMERO already",
    State.SKIPPED: "was skipped before, and is tried again",
    State.FAILED: "failed before, and is tried again",
}


def tell_plan(
    ctx: Any,
    where: Site,
    settings: Settings,
    journal: Journal,
    formed: Sequence[Formed],
    left: Sequence[Left],
) -> None:
    """Prints a line for each fileset, then what is left out, then the numbers."""
    settings, found = Methods(str(where.omerodir), readers_there).examine(settings)
    methods = Methods(str(where.omerodir), readers_there)
    methods.apply(found)
    places = Places(settings.rules)
    new = 0
    for one in formed:
        state = journal.known(one.found[:1]).get(one.found[0].path)
        new += state is not State.IMPORTED
        known = f" ({_KNOWN.get(state, f'is {state}')})" if state is not None else ""
        what = "a plate" if one.plate else "a fileset"
        reader = f", read by {one.reader.rpartition('.')[2]}" if one.reader else ""
        line = (
            f"{what} of {_files(one)} for {printable(one.user)}{reader}, "
            f"to {_target(one, methods, places)}{known}: ",
            *names([f.path for f in one.found]),
        )
        ctx.out(shown([line]))
    for kept in left:
        ctx.out(shown([left_line(kept)]))
    total = (
        f"a dry run, so nothing was handed over: {new} to import, {len(formed) - new} in OMERO "
        f"already, {len(left)} left out"
    )
    ctx.out(shown([total]))


def _files(one: Formed) -> str:
    return f"{len(one.found)} file{'s' if len(one.found) > 1 else ''}"


def _target(one: Formed, methods: Methods, places: Places) -> str:
    """Where its images would go, in words."""
    first = one.found[0]
    template = methods.of(rule_for(places, first.path, one.user)).template
    try:
        said = read(one.root, first.path)
        template = said.target or template
        if template is None:
            return "no dataset (no target is set)"
        source = Source.of(one.user, one.root, first.path, first.stat.mtime_ns)
        target = template.fill(source, plate=one.plate)
        target.check(plate=one.plate)
    except FsError as error:
        return f"no target, because {printable(str(error))}"
    shown = "/".join(map(str, target.containers)) or "no dataset"
    return printable(shown + (f" ({target.left_out})" if target.left_out else ""))
