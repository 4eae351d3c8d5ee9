"""The grid's descriptors, and the ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from omero_fs_plugin.deployment import installation
from omero_fs_plugin.deployment.sources import DEFAULT_XML, TEMPLATES, in_templates, variables
from omero_fs_plugin.errors import ConfigurationError

from . import Line, Subject, error, ok, warning

_CONNECT_S = 3.0
_LOCAL = ("localhost", "127.0.0.1", "::1")
_ROUTER_PORT = "ROUTERPORT"  # OMERO.server's default.xml


def installed(subject: Subject) -> Iterator[Line]:
    """Whether our servers are in the templates, as this release wants them."""
    omerodir = subject.omerodir
    try:
        up_to_date = installation.installed(omerodir)
    except ConfigurationError as wrong:
        yield error("grid", str(wrong), "set OMERODIR to an OMERO.server, then `omero fs install`")
        return
    there = bool(in_templates(omerodir, TEMPLATES[1:]))
    if not up_to_date and not there and _were_there(omerodir):
        yield error(
            "grid",
            f"{TEMPLATES[1]}: OMERO's own servers are back in place of FSServer and DropBox, as "
            "after an upgrade of OMERO.server, and the next start takes them",
            "`omero fs install`; `omero admin restart`; docs/deployment.rst has what does it at "
            "each start",
        )
        return
    if not up_to_date:
        how = "of another version than this package" if there else "not in it"
        what = f"{TEMPLATES[1]}: FSServer and DropBox are {how}"
        yield error("grid", what, "`omero fs install`; `omero admin restart`")
        return
    if (omerodir / TEMPLATES[0]).exists() and not in_templates(omerodir, TEMPLATES[:1]):
        what = f"{TEMPLATES[0]} does not have FSServer and DropBox yet"
        yield warning("grid", what, "`omero admin restart`")
        return
    yield ok("grid", f"FSServer and DropBox are in {TEMPLATES[1]}, as this version wants them")


def _were_there(omerodir: Path) -> bool:
    """Whether `omero fs install` was run here before, and not undone."""
    kept = omerodir / installation.TEMPLATES / (installation.NAMES[0] + installation.ORIGINAL)
    return kept.exists() or bool(in_templates(omerodir, TEMPLATES[:1]))


def nodes(subject: Subject) -> Iterator[Line]:
    """omero.server.nodedescriptors, which must list our servers if it is set."""
    from omero_fs_plugin.deployment import node_descriptors

    value = subject.sources.properties.get(node_descriptors.PROPERTY, "")
    if not value.strip():
        return
    advice = node_descriptors.advice(value)
    if advice:
        yield error("grid", advice[0], " ".join(advice[1:]) or "`omero fs install`")
    else:
        yield ok("grid", f"{node_descriptors.PROPERTY} lists FSServer and DropBox")


def router(subject: Subject, *, running: bool) -> Iterator[Line]:
    """The port of the router, where users' sessions are opened.

    Our own servers take any free port of 127.0.0.1.  Nothing is said of a port as long as they are
    not installed: that comes first.
    """
    if not in_templates(subject.omerodir, TEMPLATES[1:]):
        return
    host, port = subject.settings.host, subject.settings.port
    given = variables(subject.omerodir, subject.sources.properties).get(_ROUTER_PORT, "")
    if host in _LOCAL and given.isdigit() and int(given) != port:
        yield warning(
            "port",
            f"omero.fs.port is {port}, and OMERO's router has {given} in {DEFAULT_XML}",
            "`omero config set omero.fs.port`; `omero admin restart`",
        )
    taken = _connects(host, port)
    if running and taken:
        yield ok("port", f"OMERO's router answers at {host}:{port}")
    elif running:
        yield error(
            "port",
            f"nobody answers at {host}:{port}, where OMERO's router should listen",
            "`omero admin diagnostics`; omero.fs.host and omero.fs.port say where it is",
        )
    elif taken and host in _LOCAL:
        yield warning(
            "port",
            f"OMERO does not run, but another program answers at {host}:{port}, its router's port",
            f"`ss -ltnp 'sport = :{port}'` shows which; or set omero.ports.prefix",
        )
    else:
        yield ok("port", f"OMERO's router will listen at {host}:{port}")


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _CONNECT_S):
            return True
    except OSError:
        return False
