"""Importers and FSServers on other machines: whether they can work, and what they do not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from omero_fs_plugin.deployment.node_descriptors import ELSEWHERE, PROPERTY, WATCHING, parse
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.icegrid import fsserver_on

from . import Line, Subject, error, ok, warning
from .configuration import POOL, POOL_DEFAULT
from .running import Running

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.seen import Elsewhere

ABOUT = "importers elsewhere"
ABOUT_FSSERVERS = "FSServers elsewhere"
_HERE = ("localhost", "127.0.0.1", "::1")


def importers(subject: Subject) -> Iterator[Line]:
    """Nothing is said on a site that has none."""
    from omero_fs_plugin.dropbox.journal.file import sqlite_file

    listed = parse(subject.sources.properties.get(PROPERTY, "")) or {}
    nodes = [node for node, servers in listed.items() if ELSEWHERE in servers]
    names = ", ".join(nodes)
    url = subject.settings.journal_url
    if sqlite_file(url) is not None:
        if nodes:
            yield error(
                ABOUT,
                f"{ELSEWHERE} is listed for {names}, and the journal is SQLite, which only "
                "DropBox's machine may use",
                "`omero fs journal copy postgresql://USER:PASSWORD@HOST/DATABASE`, and set "
                "omero.fs.journal to that",
            )
        return
    yield from _configured(subject, nodes, listed)
    yield from _at_work(url, len(nodes), subject.settings.importers)


def fsservers(subject: Subject, running: Running) -> Iterator[Line]:
    """Whether each node that a rule names has an FSServer.  Nothing is said if none names one."""
    named: dict[str, list[str]] = {}
    for rule in subject.settings.rules:
        if rule.node:
            named.setdefault(rule.node, []).append(str(rule.watch_dir))
    listed = parse(subject.sources.properties.get(PROPERTY, "")) or {}
    watching = {node for node, servers in listed.items() if WATCHING in servers}
    for node, directories in named.items():
        server = fsserver_on(node)
        if server in running.states or (running.away and node in watching):
            yield ok(ABOUT_FSSERVERS, f"{server} watches {', '.join(directories)}")
            continue
        yield error(
            ABOUT_FSSERVERS,
            f"omero.fs.node is {node}, and the grid has no {server}: only rescans find files in "
            f"{', '.join(directories)}",
            f"add {WATCHING} to {node} in {PROPERTY}; or correct omero.fs.node",
        )
    for node in sorted(watching - named.keys()):
        yield warning(
            ABOUT_FSSERVERS,
            f"{PROPERTY} lists {WATCHING} for {node}, and no rule has that omero.fs.node",
            f"`omero config set omero.fs.node {node}`, an entry for each of omero.fs.importUsers",
        )


def _configured(subject: Subject, nodes: list[str], listed: dict[str, list[str]]) -> Iterator[Line]:
    watching = [node for node, servers in listed.items() if WATCHING in servers]
    unknown = {one.node for one in subject.settings.path_map} - {"", *nodes, *watching}
    if unknown:
        yield warning(
            ABOUT,
            f"omero.fs.pathMap names {', '.join(sorted(unknown))}, and {PROPERTY} has no "
            f"{ELSEWHERE} or {WATCHING} there",
            "correct the name of the node; a machine's host name does as well",
        )
    for one in subject.settings.path_map:
        if not any(_meet(one.there, str(rule.watch_dir)) for rule in subject.settings.rules):
            yield warning(
                ABOUT,
                f"omero.fs.pathMap has {one.there}, and no watched directory is there, above it "
                "or below it: this entry is for nothing",
                "write the path as omero.fs.watchDir has it, with its links and its accents",
            )
    away = [node for node in nodes if "DropBox" not in listed[node]]
    host = subject.settings.host
    if away and host in _HERE:
        yield warning(
            ABOUT,
            f"omero.fs.host is {host}, so the importers on {', '.join(away)} look for OMERO's "
            "router on their own machines",
            "set omero.fs.host to the name of the router's machine",
        )
    written = subject.sources.properties.get(POOL, "").strip()
    pool = int(written) if written.isdigit() else POOL_DEFAULT
    number = subject.settings.importers + subject.settings.importers_elsewhere * len(nodes)
    if nodes and number > pool // 2:
        yield warning(
            ABOUT,
            f"all machines together make {number} imports at a time, and {POOL} is {pool}: a "
            "server without free connections hangs",
            f"`omero config set {POOL} {2 * number}`, and as many more in the database; "
            "then `omero admin restart`",
        )


def _meet(one: str, other: str) -> bool:
    """Whether two directories are the same, or one of them lies in the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _nodes(url: str) -> list[Elsewhere]:
    """Those at work.  Raises JournalError."""
    from omero_fs_plugin.dropbox.journal.glance import glance

    with glance(url) as look:
        return look.nodes() if look is not None else []


def _at_work(url: str, listed: int, dropbox: int) -> Iterator[Line]:
    """`listed`: machines with importers; `dropbox`: the importers of DropBox itself."""
    try:
        found = _nodes(url)
    except FsError:
        return  # the check of the journal says so
    for node in found:
        host, told = node.holder.partition(" ")[0], json.loads(node.told or "{}")
        for key, why in sorted(told.items()):
            kind, _, directory = key.partition(".")
            if kind in ("left", "away"):
                yield warning(
                    ABOUT,
                    f"{host} does not see {directory} as DropBox does: {why}",
                    f"mount it on {host} under the same path; until then others import from there",
                )
    if not found and not dropbox:
        yield error(
            ABOUT,
            "omero.fs.importers is 0, and none is at work: nothing is imported",
            f"start a {ELSEWHERE} on another node (docs/operations.rst), or "
            "`omero config set omero.fs.importers 2`; then `omero admin restart`",
        )
    elif len(found) < listed:
        yield warning(
            ABOUT,
            f"{len(found)} of {listed} are at work",
            f"`omero admin ice server list`; var/log/{ELSEWHERE}-NODE.log on the node",
        )
    elif found:
        hosts = ", ".join(sorted({node.holder.partition(" ")[0] for node in found}))
        yield ok(ABOUT, f"{len(found)} at work, on {hosts}")
