"""`omero fs install` and `uninstall`: put our servers into the grid, and take them out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omero_fs_plugin.config.settings import Settings
    from omero_fs_plugin.grid import Grid

INSTALL = """Put FSServer and DropBox into the grid of this OMERO.server

Changes etc/templates/grid/templates.xml and default.xml below OMERODIR, and
nothing else.  Sets aside the MonitorServer, FileServer, DropBox and TestDropBox
that come with an OMERO.server.  Run it as the user that OMERO.server runs as,
and again after every upgrade of OMERO.server or of this package.  A second run
changes nothing.  `omero fs uninstall` undoes it.

Afterwards: `omero admin restart`

Exit codes: 0 done, or nothing to do; 2 refused, and nothing was changed;
with --check: 0 in the grid as this release wants it, 1 not.
"""

UNINSTALL = """Take FSServer and DropBox out of the grid again

The descriptors become what they were before `omero fs install`, byte for byte.
Later edits in them stay.  The journal, the log files and imported images are not
changed.

--data also deletes the documents that DropBox wrote into OMERO for users
(omero.fs.publishInterval), what users ask for there, and what `omero fs check`
left there, while OMERO runs.  The group omero-fs stays.

Afterwards: `omero admin restart`

Exit codes: 0 done, or nothing to do; 2 refused, 3 or 5 with --data: OMERO does not
run; nothing was changed
"""


def configure(sub: Any) -> None:
    """The options of both."""
    install = sub.add_parser("install", description=INSTALL)
    install.add_argument(
        "--check", action="store_true", help="change nothing, only say whether it is installed"
    )
    install.set_defaults(uninstall=False)
    uninstall = sub.add_parser("uninstall", description=UNINSTALL)
    uninstall.add_argument(
        "--data", action="store_true", help="also delete the users' documents that are in OMERO"
    )
    uninstall.set_defaults(uninstall=True)


def run(ctx: Any, args: Any) -> None:
    """Does it, and says what to do next.  Raises ConfigurationError if it refuses."""
    from omero_fs_plugin.deployment import installation

    omerodir = Path(ctx.dir).absolute()
    if not args.uninstall and args.check:
        if not installation.installed(omerodir):
            ctx.die(1, f"{omerodir}: FSServer and DropBox are not in the grid, or not up to date")
        ctx.out(f"{omerodir}: FSServer and DropBox are in the grid")
        return
    if args.uninstall and args.data:
        ctx.out(_delete_documents(omerodir))
    before = installation.find(omerodir).found
    lines = installation.uninstall(omerodir) if args.uninstall else installation.install(omerodir)
    for line in lines:
        ctx.out(line)
    if installation.find(omerodir).found != before:
        ctx.out(_next(omerodir))


def _delete_documents(omerodir: Path) -> str:
    """Raises ConfigurationError while DropBox would write them again."""
    from omero_fs_plugin.blitz.sessions import Omero
    from omero_fs_plugin.errors import ConfigurationError
    from omero_fs_plugin.site import Site

    site = Site(omerodir)
    settings = site.settings()
    with site.grid() as grid:
        if _writes(grid, settings):
            raise ConfigurationError(
                "DropBox would write users' documents again: first "
                "`omero config set omero.fs.publishInterval off` and `omero fs reload`"
            )
        omero = Omero.of(grid.communicator, settings)
        try:
            documents = omero.published()
            omero.unpublish(documents)
        finally:
            omero.close()
    return f"{len(documents)} documents of users deleted from OMERO"


def _writes(grid: Grid, settings: Settings) -> bool:
    """Whether DropBox writes documents now: that depends on what it runs with, until a reload."""
    from omero_fs_plugin.config.parsing import read

    state = grid.states().get("DropBox", "")
    if state.startswith("inactive") or state == "not deployed":
        return False
    # One that does not answer counts as one with the defaults.
    live = settings if state == "node unreachable" else read(grid.properties("DropBox"))
    return bool(settings.publish_interval or live.publish_interval)


def _next(omerodir: Path) -> str:
    from omero_fs_plugin.errors import GridError
    from omero_fs_plugin.grid import grid

    internal = omerodir / "etc" / "internal.cfg"
    if internal.is_file():
        try:
            with grid(str(internal)):
                return "OMERO still runs as before; for this to take effect: omero admin restart"
        except GridError:
            pass
    return "OMERO is not running; it takes effect with: omero admin start"
