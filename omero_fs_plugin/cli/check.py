"""`omero fs check`: finds what keeps files from being imported, and says what to do."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omero_fs_plugin.errors import ConfigurationError, FsError
from omero_fs_plugin.site import printable

from .alerts import kinds
from .terminal import shown
from .values import seconds

if TYPE_CHECKING:
    from omero_fs_plugin.checks import Line, Subject
    from omero_fs_plugin.checks.running import Running
    from omero_fs_plugin.checks.timely import Check
    from omero_fs_plugin.config.settings import Rule

    _Watched = Callable[[Rule], Iterable[Line]]

HELP = """Find what keeps files from being imported, and say what to do

Looks at the properties; the watched directories; inotify's limits, and whether
they are high enough for these directories; Java and Bio-Formats; free space;
the journal; the grid's templates and ports.  If OMERO runs, it also looks at
the state of FSServer and DropBox, and at the users of OMERO.  It changes
nothing on disk.  Run it as the user that OMERO.server runs as, before OMERO.server is
started or while it runs.

Each line begins with ok, warning or error.  After -> it says what to do.

With --publish, it also leaves what it found in OMERO, where only administrators
read it: on the page All users of OMERO.web.  OMERO must run.

With --from, it does none of this.  It says what the properties of an existing
site mean here, from the site's templates.xml or config.xml, and prints the
`omero config set` lines to run.

Exit codes, each for one kind of trouble; the first that holds counts:
  2  error    something is not imported, or will not be; or wrong arguments
  3  down     the grid, FSServer or DropBox does not run
  8  failed   filesets have failed; `omero fs forget` sets them aside
  9  stuck    filesets are held up
  1  warning  other warnings
  0  all is well, or none of the kinds of --fail-on.  Before OMERO.server is
     started, --fail-on error,warning leaves out that it does not run.
"""

# In the order in which they count: kind -> exit code.
KINDS = {"error": 2, "down": 3, "failed": 8, "stuck": 9, "warning": 1}

_LIMIT_S = 20.0
_HANG = 8  # columns before what a line is about


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("check", description=HELP)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=_LIMIT_S,
        metavar="S",
        help="longest wait for something that does not answer, in seconds (default: %(default)g)",
    )
    parser.add_argument(
        "--fail-on",
        metavar="KINDS",
        default=",".join(KINDS),
        help=f"the exit code tells only of these, with commas between: {', '.join(KINDS)}, or "
        "none (default: all)",
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help="leave the lines in OMERO for administrators, in place of those of the last time",
    )
    parser.add_argument(
        "--from",
        dest="former",
        metavar="FILE",
        help="the etc/grid/templates.xml or config.xml of an existing site",
    )


def run(ctx: Any, args: Any) -> None:
    """Prints the lines.  The exit code is that of the worst kind that is asked about."""
    if args.former:
        for name in ("json", "publish"):
            if getattr(args, name):
                raise ConfigurationError(f"--{name} and --from do not go together")
        from omero_fs_plugin.migration import carried as migration

        ctx.rv = migration.run(ctx, Path(args.former))
        return
    wanted = kinds(args.fail_on, KINDS)
    omerodir = Path(ctx.dir).absolute()
    lines = collect(omerodir, args.timeout)
    if args.publish:
        lines += _publish(omerodir, lines)
    counts = {name: sum(1 for line in lines if _name(line) == name) for name in _NAMES}
    if args.json:
        told = [
            {
                "level": _name(line),
                "kind": line.kind,
                "about": line.about,
                "what": line.what,
                "remedy": line.remedy,
            }
            for line in lines
        ]
        ctx.out(json.dumps({"lines": told, "counts": counts}, indent=2))
    else:
        ctx.out(shown(map(_text, lines), hang=_HANG))
    found = {_kind(line) for line in lines} & wanted
    code = next((code for kind, code in KINDS.items() if kind in found), 0)
    if code:
        ctx.die(code, f"{_number(counts, 'error')}, {_number(counts, 'warning')}")


_NAMES = ("ok", "warning", "error")


def _publish(omerodir: Path, lines: Sequence[Line]) -> tuple[Line, ...]:
    """Leaves `lines` in OMERO.  Returns what went wrong."""
    from omero_fs_plugin import __version__
    from omero_fs_plugin.blitz.sessions import Omero
    from omero_fs_plugin.checks import DOWN, Level, Line
    from omero_fs_plugin.dropbox.publishing.checked import Found, text_of
    from omero_fs_plugin.site import Site

    found = [Found(_name(one), one.about, one.what, one.remedy) for one in lines]
    host = socket.gethostname()
    text = text_of(found, at=time.time(), host=host, version=__version__)
    site = Site(omerodir)
    try:
        with site.grid() as grid:
            omero = Omero.of(grid.communicator, site.settings())
            try:
                omero.show_check(text)
            finally:
                omero.close()
    except FsError as error:
        what = f"what was found is not in OMERO: {error}"
        return (Line(Level.WARNING, "--publish", what, "mend that, and check again", DOWN),)
    return ()


def _kind(line: Line) -> str:
    return line.kind or _name(line)


def _name(line: Line) -> str:
    return _NAMES[line.level]


def _number(counts: dict[str, int], name: str) -> str:
    return f"{counts[name]} {name}" + ("" if counts[name] == 1 else "s")


def _text(line: Line) -> str:
    remedy = f" -> {line.remedy}" if line.remedy else ""
    return printable(f"{_name(line):{_HANG}}{line.about}: {line.what}{remedy}")


def collect(omerodir: Path, limit: float) -> list[Line]:
    """All lines, within three times `limit` (s)."""
    from omero_fs_plugin.checks import Subject, account
    from omero_fs_plugin.checks.directories import in_each_others_way, roots_of, watched
    from omero_fs_plugin.checks.running import Running, ask
    from omero_fs_plugin.checks.timely import Check, within
    from omero_fs_plugin.deployment.sources import Sources, look

    found: list[Sources] = []

    def read() -> Iterable[Line]:
        found.append(look(omerodir))
        return ()

    lines = within(limit, [Check("configuration", read)])
    if not found:
        # The other checks would look at defaults, which are not used here.  Most often another
        # account than OMERO.server's asks, so this says whose it is.
        bare = Subject(omerodir, Sources({}, {}))
        who = Check("user", partial(account.who, bare))
        return [*within(limit, [who]), *lines, *within(limit, [_grid(bare)])]
    subject = Subject(omerodir, found[0])
    running = Running()
    lines += within(limit, [Check("servers", partial(ask, subject, running))])
    roots = roots_of(subject)
    lines += within(limit, _checks(subject, running, partial(watched, subject, roots)))
    late = in_each_others_way(roots, subject.settings.rules)
    lines += [line for line in late if line not in lines]
    # A running server says again what is wrong with the configuration.
    known = {line.what for line in lines}
    return [line for line in lines if line.what.partition(": ")[2] not in known]


def _grid(subject: Subject) -> Check:
    from omero_fs_plugin.checks import grid
    from omero_fs_plugin.checks.timely import Check

    return Check("grid", partial(grid.installed, subject))


def _checks(subject: Subject, running: Running, watched: _Watched) -> list[Check]:
    """The checks, in the order in which an admin looks for a fault."""
    from omero_fs_plugin.checks import (
        account,
        configuration,
        directories,
        grid,
        inotify,
        java,
        journal,
        machines,
        mail,
        next_start,
        space,
        web,
    )
    from omero_fs_plugin.checks import running as grid_that_runs
    from omero_fs_plugin.checks.timely import Check

    rules = subject.settings.rules
    return [
        Check("user", partial(account.who, subject)),
        _grid(subject),
        Check("grid", partial(grid.nodes, subject)),
        Check(next_start.ABOUT, partial(next_start.servers, subject, running)),
        Check("properties", partial(configuration.values, subject)),
        Check("properties", partial(configuration.connections, subject)),
        Check("properties", partial(configuration.edited, subject)),
        Check(next_start.ABOUT, partial(next_start.configuration, subject)),
        Check(next_start.ABOUT, next_start.variables),
        *(
            Check(f"imports for {rule.user}", partial(configuration.method, subject, rule))
            for rule in rules
        ),
        Check("omero.data.dir", partial(directories.written, subject)),
        *(Check(f"directory of {rule.user}", partial(watched, rule)) for rule in rules),
        Check("inotify", partial(inotify.limits_of, subject, running.taken)),
        Check("managed repository", partial(space.repository, subject)),
        Check("space for the journal", partial(space.journal, subject)),
        Check("journal", partial(journal.opens, subject)),
        Check(machines.ABOUT, partial(machines.importers, subject)),
        Check(machines.ABOUT_FSSERVERS, partial(machines.fsservers, subject, running)),
        Check("Bio-Formats", partial(java.bioformats, subject)),
        Check(java.STORES, partial(java.stores, subject)),
        Check(java.READING, partial(java.reading, subject)),
        Check("port", partial(grid.router, subject, running=not running.away)),
        Check("mail", partial(mail.mail, subject)),
        Check("web", partial(web.page, subject)),
        Check("servers", partial(grid_that_runs.servers, subject, running)),
        Check("users", partial(grid_that_runs.users, running)),
    ]
