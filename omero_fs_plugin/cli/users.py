"""`omero fs users`: compares the users' directories with OMERO's users."""

from __future__ import annotations

import json
from typing import Any

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.userdirs.directories import Finding, State, compare, create
from omero_fs_plugin.dropbox.userdirs.groups import has_groups, with_groups
from omero_fs_plugin.site import Site, printable, site

from .columns import Line
from .disks import Disks
from .terminal import at, shown

HELP = """Compare the users' directories with OMERO's users

Every active OMERO user needs a directory of the same name below the watched
one (omero.fs.watchDir, else DropBox in omero.data.dir), unless
omero.fs.importUsers names a directory elsewhere.  OMERO's own root and guest
need none.  If omero.fs.layout has groups, a user needs one in each own group.
The command shows directories that are

  missing        an active user has no directory
  unknown        no OMERO user has that name
  inactive       the OMERO user of that name may not log in
  unsafe name    no directory can have the user's name
  no directory   a file, or a link, which is not followed
  unreadable     the user who runs this cannot read it
  wrong owner    it belongs to another OMERO user, or its user cannot write there
  wrong mode     everybody may write there, or its user may not

Run this as the user that OMERO.server runs as.  It changes nothing that is
there.

--create makes the missing directories, with mode 2770: the owner and the group
may do everything, others nothing, and new files there belong to the same group.
The owner is the system account of the user's name, if there is one and if the
command may give directories away (CAP_CHOWN); else it is the user who runs this.
The group is that of the directory above if that has the setgid bit, else that of
the user who runs this.  Users who drop files must be in this group, or must use a
file server that writes as the owner.

A disk that does not answer for ten seconds is named at the end; its directories
count as unreadable.

Exit codes: 0 all well; 1 there is something to do; 2 wrong configuration;
3 the grid cannot be reached; 5 OMERO is down; 10 a disk does not answer
"""


_HANG = 14  # columns before a directory


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("users", description=HELP)
    parser.add_argument("--create", action="store_true", help="make the missing directories")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(ctx: Any, args: Any) -> None:
    """Prints it.  The exit code is 1 if there is something to do."""
    where = site(ctx)
    settings = where.settings()
    settings.check()
    users, groups = _experimenters(where, settings)
    disks = Disks()
    findings = compare(settings.rules, users, disks.ask)
    findings += with_groups(settings.rules, users, groups, disks.ask)
    if args.create:
        findings = create(findings, users)
    to_do = sum(1 for finding in findings if not finding.well)
    if args.json:
        ctx.out(json.dumps({"well": not to_do, "directories": [*map(_json, findings)]}, indent=2))
    else:
        ctx.out(render(findings))
    disks.end(ctx)
    if to_do:
        missing = any(finding.state is State.MISSING for finding in findings)
        advice = "; --create makes what is missing" if missing and not args.create else ""
        ctx.die(1, f"{to_do} to look at{advice}")


def _experimenters(
    where: Site, settings: Settings
) -> tuple[dict[str, bool], dict[str, frozenset[str]]]:
    """OMERO's users, and whether they are active; the groups of each, if a layout has groups."""
    with where.grid() as grid:
        omero = Omero.of(grid.communicator, settings)
        try:
            users = omero.experimenters()
            return users, omero.memberships() if has_groups(settings.rules) else {}
        finally:
            omero.close()


def render(findings: list[Finding]) -> str:
    """For people: what was made, what there is to do, then how many are well."""
    lines: list[Line] = []
    for finding in findings:
        if finding.state is not State.WELL:
            what = f": {printable(finding.what)}" if finding.what else ""
            user = f" {printable(finding.user)}:" if finding.state is State.UNSAFE else ""
            lines.append((f"{finding.state.value:<13}{user} ", at(finding.directory), what))
    well = {finding.directory for finding in findings if finding.well}
    well -= {finding.directory for finding in findings if not finding.well}
    return shown([*lines, f"{len(well)} well"], hang=_HANG)


def _json(finding: Finding) -> dict[str, str]:
    return {
        "user": finding.user,
        "directory": str(finding.directory),
        "state": finding.state.value,
        "what": finding.what,
    }
