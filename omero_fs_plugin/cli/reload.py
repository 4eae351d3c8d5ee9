"""`omero fs reload`: tells the running servers what `omero config` says now."""

from __future__ import annotations

import os
import re
import subprocess
import time
from functools import partial
from typing import Any

from omero_fs_plugin.config.changes import digest
from omero_fs_plugin.config.mail import MAIL_PREFIX
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.properties import PREFIX
from omero_fs_plugin.config.settings import DATA_DIR, Settings
from omero_fs_plugin.errors import ConfigurationError, GridError
from omero_fs_plugin.grid import Grid
from omero_fs_plugin.icegrid import SERVERS, how_to_restart
from omero_fs_plugin.site import Site, site

HELP = """Tell the running servers what `omero config` says now

Run this after `omero config set omero.fs...`.  FSServer and DropBox go on
running with the new values.  DropBox watches the directories that the
configuration now names, and no others.  Files that wait or are being imported
are not disturbed.

If something in the configuration is wrong, all of it is refused, and nothing
changes.  So is a new omero.fs.watchDir, omero.fs.quarantine or DIR of
omero.fs.afterImport that is not there or cannot be used, and a watchDir that
leads into another one or into OMERO's own files.  Only the user who may change
the configuration may do this.

Some properties are read only when a server starts.  The command names them, and
the server to stop: IceGrid starts it again at once, and OMERO itself goes on.
What OMERO's own servers read needs `omero admin restart`.

The command does what
`omero admin ice "application update -n etc/grid/default.xml"` does.  So if the
server was started with TARGETS, name them.

Exit codes: 0 taken; 1 not taken in time, or the grid itself has changed and
needs `omero admin restart`; 2 refused, with what is wrong; 3 the servers are not
running
"""

_LOOK_S = 10.0  # how long new directories may need to answer
_LOOK_AT_OTHERS_S = 2.0  # how long those may that the servers have; a share of theirs may be away
_DOWN = re.compile(r"the node `([^']+)' is down")  # in what icegridadmin says
_TAKEN_S = 20.0  # how long a server may need to take the new values


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("reload", description=HELP)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="as given to `omero admin start`"
    )


def run(ctx: Any, args: Any) -> None:
    """Does it.  Raises ConfigurationError if the configuration is refused."""
    where = site(ctx)
    from omero_fs_plugin.dropbox.importing.methods import Methods
    from omero_fs_plugin.dropbox.settling.groupers import readers_there

    _check_rights(where)

    # Also the mistakes that show only in other files: readers, targets, jars.
    settings, _ = Methods(str(where.omerodir), readers_there).examine(where.settings())
    for warning in settings.warnings:
        ctx.err(f"warning: {warning}")
    _check(settings)
    with where.grid() as grid:
        down = [
            str(grid.condition(name, state))
            for name, state in grid.states().items()
            if state != "active" and name in SERVERS
        ]
        if down:
            raise GridError(f"only running servers can take the new values; {'; '.join(down)}")
        _check_directories(where, settings, read(grid.properties("DropBox")))
        others = _of_others(where, grid)
        _update(ctx, where, args.targets)
        for server in SERVERS:
            _await(ctx, grid, server)
        for server, state in grid.states().items():
            if server in SERVERS:
                continue
            if state == "active":
                _await(ctx, grid, server)
            else:
                ctx.out(f"{server}: not running ({state}); it takes them at its start")
    if others:
        ctx.out(
            f"OMERO's other servers: not taken, as these need `omero admin restart`: "
            f"{', '.join(others)}"
        )


def _of_others(where: Site, grid: Grid) -> list[str]:
    """What has changed since the last start or reload, and is not ours."""
    from omero_fs_plugin.deployment.installation import configured

    used = grid.properties("DropBox")
    return sorted(
        key
        for key, value in configured(where.omerodir).items()
        if key.startswith("omero.")
        and not key.startswith((PREFIX, MAIL_PREFIX))
        and key != DATA_DIR  # DropBox names it itself
        and value.strip() != used.get(key, "").strip()
    )


def _check_rights(where: Site) -> None:
    """Only whoever may change the configuration may put it into force."""
    config = where.omerodir / "etc" / "grid" / "config.xml"
    if config.exists() and not os.access(config, os.W_OK):
        raise ConfigurationError(
            f"refused: only who may write {config} may reload it: run this as "
            f"{where.owner()}, the user that OMERO.server runs as"
        )


def _check(settings: Settings) -> None:
    try:
        settings.check()
    except ConfigurationError as error:
        raise ConfigurationError(f"refused, and the servers go on as before: {error}") from error


def _check_directories(where: Site, settings: Settings, before: Settings) -> None:
    """Refuses directories that are new and cannot be used.

    Those that the servers have already are left out: a share that is away for now must not keep
    other changes from being taken.
    """
    from omero_fs_plugin.checks import Level, Subject, directories
    from omero_fs_plugin.checks.timely import Check, within
    from omero_fs_plugin.deployment.sources import look

    subject = Subject(where.omerodir, look(where.omerodir))
    roots = directories.roots_of(subject)
    known = {(rule.user, rule.watch_dir) for rule in before.rules}
    new = [rule for rule in settings.rules if (rule.user, rule.watch_dir) not in known]
    checks = [
        Check(
            f"omero.fs.watchDir of {rule.user}", partial(directories.watched, subject, roots, rule)
        )
        for rule in new
    ]
    if settings.quarantine not in (None, before.quarantine):
        checks.append(Check("omero.fs.quarantine", partial(directories.quarantined, subject)))
    checks += [
        Check("omero.fs.afterImport", partial(directories.moved_to, subject, directory))
        for directory in directories.moves(settings)
        if directory not in directories.moves(before)
    ]
    if new:  # none of them may lead into one that is known
        others = [rule for rule in settings.rules if rule not in new]
        within(
            _LOOK_AT_OTHERS_S,
            [Check("", partial(directories.watched, subject, roots, rule)) for rule in others],
        )
    lines = within(_LOOK_S, checks)
    lines += [
        line
        for line in directories.in_each_others_way(roots, new)
        if line.what not in {told.what for told in lines}
    ]
    wrong = [
        f"{line.about}: {line.what}; {line.remedy}" for line in lines if line.level is Level.ERROR
    ]
    if wrong:
        raise ConfigurationError(f"refused, and the servers go on as before: {'; '.join(wrong)}")


def _update(ctx: Any, where: Site, targets: list[str]) -> None:
    descriptor = where.omerodir / "etc" / "grid" / "default.xml"
    command = " ".join(["application update -n", _word(str(descriptor)), *map(_word, targets)])
    done = subprocess.run(
        ["icegridadmin", f"--Ice.Config={where.internal_cfg}", "-e", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join((done.stderr or done.stdout).split())
    if done.returncode != 0:
        down = _DOWN.search(said)
        if down is not None:
            ctx.die(
                1,
                f"not taken, and the servers go on as before: the node {down[1]} is down, and "
                "IceGrid changes nothing without a restart while one is: `omero node "
                f"{down[1]} start` on its machine, or take it out of omero.server.nodedescriptors, "
                "and restart OMERO",
            )
        ctx.die(1, f"IceGrid did not take it: {said}; run `omero admin restart`")


def _word(text: str) -> str:
    """`text` in quotes, as icegridadmin's own command line takes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _await(ctx: Any, grid: Grid, server: str) -> None:
    end = time.monotonic() + _TAKEN_S
    while True:
        figures = grid.figures(server)
        if figures and figures.get("seen") == digest(grid.properties(server)):
            break
        if time.monotonic() > end and server not in SERVERS:
            ctx.out(f"{server}: not taken in {_TAKEN_S:g} s: does its machine hang?")
            return
        if time.monotonic() > end:
            ctx.die(1, f"{server} has not taken it in {_TAKEN_S:g} s: see var/log/{server}.log")
        time.sleep(0.1)
    if figures.get("refused"):
        raise ConfigurationError(
            f"refused by {server}, which goes on as before: {figures['refused']}"
        )
    if figures.get("restart"):
        how = how_to_restart(server, figures["restart"])
        ctx.out(f"{server}: taken; these need `{how}`: {figures['restart']}")
    else:
        ctx.out(f"{server}: taken")
