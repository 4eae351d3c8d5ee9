"""The running grid: the state of its servers, and the users of OMERO."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omero_fs_plugin import __version__
from omero_fs_plugin.config.layout import OWNER, Owner, depth, owner
from omero_fs_plugin.config.properties import PREFIX
from omero_fs_plugin.config.settings import DATA_DIR, EVERYONE
from omero_fs_plugin.errors import FsError, ServerAwayError, UserError
from omero_fs_plugin.grid import Grid
from omero_fs_plugin.icegrid import OMERO_STARTS, WAITS_FOR_FSSERVER, how_to_restart, node_of
from omero_fs_plugin.names import is_utf8
from omero_fs_plugin.starts import Condition

from . import DOWN, Level, Line, Subject, error, ok, warning
from .inotify import Taken

_MANY = 5  # users named in one line


@dataclass
class Running:
    """What the checks learned.  It is filled step by step, because any call may stay unanswered."""

    away: str = "the grid has not answered yet"  # why nothing was asked; empty if it was
    states: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of all servers
    figures: dict[str, dict[str, str]] = field(default_factory=dict)
    properties: dict[str, dict[str, str]] = field(default_factory=dict)
    users: dict[str, str] = field(
        default_factory=dict
    )  # directory or name -> why not; empty: a user
    omero: str = ""  # why OMERO was not asked for users
    lacking: str = ""  # what OMERO's configuration lacks for us; empty if nothing
    listed: set[str] = field(default_factory=set)  # users named in importUsers

    @property
    def taken(self) -> Taken:
        """The inotify watches and instances that FSServer has."""
        told = self.figures.get("FSServer", {})
        watches = [value for key, value in told.items() if key.endswith(".watches")]
        return Taken(sum(int(value) for value in watches if value.isdigit()), len(watches))


def ask(subject: Subject, running: Running) -> tuple[Line, ...]:
    """Fills `running`, which `servers` and `users` read."""
    from omero_fs_plugin.site import Site

    try:
        with Site(subject.omerodir).grid() as grid:
            running.away = ""
            running.states = grid.states()
            running.commands = grid.commands()
            for server in running.states:
                running.figures[server] = grid.figures(server)
                running.properties[server] = grid.properties(server)
                running.conditions[server] = grid.condition(
                    server, running.states[server], answers=bool(running.figures[server])
                )
            _ask_users(subject, running, grid)
    except FsError as away:
        running.away = str(away)
    return ()


def _ask_users(subject: Subject, running: Running, grid: Grid) -> None:
    from omero_fs_plugin.blitz.sessions import Omero
    from omero_fs_plugin.dropbox.importing.importers.checksums import CHECKSUM, SUPPORTED, lacking

    settings = subject.settings
    omero = Omero.of(grid.communicator, settings)
    try:
        omero.ping()
        supported = omero.configured(SUPPORTED)
        if supported and CHECKSUM not in supported.replace(" ", "").split(","):
            running.lacking = lacking(supported)
        groups = {rule.user: rule.group for rule in settings.rules}
        running.listed = groups.keys() - {EVERYONE}
        for name in sorted(running.listed):
            running.users[name] = _why_not(omero, name, groups[name])
        for name, whose in _subdirectories(subject).items():
            if name not in running.users:
                group = whose.group or groups.get(name, groups.get(EVERYONE, ""))
                running.users[name] = _why_not(omero, whose.user, group)
    except ServerAwayError as away:
        running.omero = str(away)
    finally:
        omero.close()


def _why_not(omero: Any, name: str, group: str) -> str:
    try:
        omero.user(name, group)
    except UserError as nobody:
        return str(nobody)
    return ""


def _subdirectories(subject: Subject) -> dict[str, Owner]:
    """Path below the directory of everyone -> whose it is."""
    found: dict[str, Owner] = {}
    for rule in subject.settings.rules:
        if rule.user == EVERYONE and rule.layout != OWNER:  # which has none
            names = [""]
            for _ in range(depth(rule.layout)):
                names = [below for name in names for below in _directories(rule.watch_dir, name)]
            for name in names:
                if (whose := owner(rule.layout, name.split("/"))) is not None:
                    found.setdefault(name, whose)
    return dict(sorted(found.items()))


def _directories(top: Path, name: str) -> list[str]:
    """Those in `top/name`, by their paths below `top`; none where they may not be listed."""
    directory = top / name
    if not directory.is_dir() or not os.access(directory, os.R_OK):
        return []
    with os.scandir(directory) as entries:
        return [
            f"{name}/{entry.name}" if name else entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        ]


def servers(subject: Subject, running: Running) -> Iterator[Line]:
    """Whether the servers run, and what they report."""
    if running.away:
        yield Line(
            Level.WARNING,
            "servers",
            f"not asked, and OMERO not asked for its users: {running.away}",
            "`omero admin start`",
            DOWN,
        )
        return
    for server, condition in running.conditions.items():
        if condition.down:
            kind = "" if node_of(server) else DOWN  # others' files are imported all the same
            yield Line(Level.ERROR, "servers", condition.what, condition.remedy, kind)
        elif condition.what:
            yield ok("servers", condition.what)
        if running.figures.get(server):
            yield from _own_word(subject, running, server)


def _own_word(subject: Subject, running: Running, server: str) -> Iterator[Line]:
    told = running.figures.get(server, {})
    known = {str(p) for p in (*subject.settings.problems, *subject.monitoring.problems)}
    for key, why in sorted(told.items()):
        if key.startswith("problem.") and why not in known:
            yield error("servers", f"{server}: {why}", "`omero fs reload`, if you have mended it")
        elif key.startswith("watch.") and key.endswith(".problem") and why:
            directory = told.get(key.replace(".problem", ".directory"), "")
            yield warning("servers", f"{server}: {directory}: {why}", f"see var/log/{server}.log")
        elif key.startswith("away."):
            what = f"{server}: {key.removeprefix('away.')}: {why}; its files wait, others do not"
            yield error("servers", what, "is a share away? `mount` and `df` tell")
        elif key.startswith("lost."):
            what = f"{server}: {key.removeprefix('lost.')}: {why}"
            yield warning("servers", what, f"`omero admin ice server stop {server}`, and start")
    state = told.get("state", "running")
    if state == OMERO_STARTS:
        yield ok("servers", f"{server} is active; {state}, {told.get('reason', '')}")
    elif state == WAITS_FOR_FSSERVER and any(one.new for one in running.conditions.values()):
        yield ok("servers", f"{server} is active; {state}: {told.get('reason', '')}")
    elif state != "running":
        why = told.get("reason") or "see its log"
        yield warning("servers", f"{server} is {state}: {why}", f"see var/log/{server}.log")
    if told.get("busy"):
        what = "fewer omero.fs.importers, or a larger omero.db.poolsize; see docs/importers.rst"
        yield warning("servers", f"{server}: {told['busy']}", what)
    if told.get("beside"):
        what = "stop one of the two, or give both one journal in PostgreSQL; docs/operations.rst"
        yield error("servers", f"{server} is not alone: {told['beside']}", what)
    if told.get("metrics"):
        what = "free the port or the disk, or set omero.fs.metrics; imports go on"
        yield warning("servers", f"{server}: {told['metrics']}", what)
    if told.get("refused"):
        what = f"{server} refused a changed configuration: {told['refused']}"
        yield error("servers", what, "correct the value with `omero config set`; `omero fs reload`")
    if told.get("restart"):
        what = f"{server} takes these only at its next start: {told['restart']}"
        yield warning("servers", what, how_to_restart(server, told["restart"]))
    version = told.get("version", __version__)
    if version != __version__:
        what = f"{server} has version {version}, and this is {__version__}"
        yield warning("servers", what, "`omero admin restart`")
    changed = changes(subject.sources.properties, running.properties.get(server, {}))
    if changed:
        what = f"{server} runs with other values of {', '.join(changed)}"
        yield warning("servers", what, "`omero fs reload`")
    if state == "running" and not told.get("refused"):
        yield ok("servers", f"{server} is active")


def changes(configured: Any, used: Any) -> list[str]:
    """Our properties whose value now is not the one that a server uses."""
    if not used:
        return []
    keys = {key for key in (*configured, *used) if key.startswith(PREFIX) or key == DATA_DIR}
    return sorted(
        key for key in keys if configured.get(key, "").strip() != used.get(key, "").strip()
    )


def users(running: Running) -> Iterator[Line]:
    """Whether the users for whom files are imported exist in OMERO and are active."""
    if running.away:
        return
    if running.omero:
        yield error("users", f"OMERO was not asked: {running.omero}", "`omero admin diagnostics`")
        return
    if running.lacking:
        remedy = "`omero config set omero.checksum.supported`; `omero admin restart`"  # its default
        yield error("OMERO", running.lacking, remedy)
    for name, why in running.users.items():
        if not why:
            continue
        if name in running.listed:
            remedy = "`omero user add` or `omero group adduser`, or correct the property"
            yield error("users", f"{why}: nothing is imported for {name}", remedy)
        elif is_utf8(name) or "/" in name:  # any other is told by `directories`
            remedy = "`omero user add` or `omero group adduser`, or rename the directory"
            if not is_utf8(name):
                remedy = "rename the directory: no OMERO user or group has such a name"
            yield warning("users", f"{why}: the directory {name} is left alone", remedy)
    good = [name for name, why in running.users.items() if not why]
    named = ", ".join(good[:_MANY]) + (", ..." if len(good) > _MANY else "")
    yield ok("users", f"{len(good)} are active users of OMERO{': ' + named if good else ''}")
