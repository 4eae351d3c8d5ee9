"""omero.server.nodedescriptors: which servers run on which node.

When it is set, `omero admin rewrite` drops all servers of default.xml except the
first.  Instead it starts the servers of the list, ``NODE:SERVER,SERVER
NODE:SERVER``, each from the template ``<SERVER>Template`` (omero-py,
omero/util/_process_defaultxml.py).  So our servers run only if they are listed.
If a stock server is listed that we have set aside, the whole grid cannot be
deployed.
"""

from __future__ import annotations

from omero_fs_plugin.icegrid import SERVERS

from .descriptor import STOCK_SERVERS

PROPERTY = "omero.server.nodedescriptors"
MASTER = "master"
# What may be listed besides: importers on other machines.
ELSEWHERE = "DropBoxImporter"
# ... and FSServers there, as omero.fs.node of a rule says.
WATCHING = "FSServerNode"


def parse(value: str) -> dict[str, list[str]] | None:
    """Node -> servers; None if omero-py could not read the value either."""
    nodes: dict[str, list[str]] = {}
    for item in value.split():
        node, colon, servers = item.partition(":")
        if not node or not colon or ":" in servers:
            return None
        nodes[node] = [server for server in servers.split(",") if server]
    return nodes


def render(nodes: dict[str, list[str]]) -> str:
    """The value, as parse() reads it."""
    return " ".join(f"{node}:{','.join(servers)}" for node, servers in nodes.items())


def exchanged(
    nodes: dict[str, list[str]], drop: tuple[str, ...], add: tuple[str, ...]
) -> dict[str, list[str]]:
    """`nodes` without the servers `drop`, and with `add` on the node of DropBox, or on master."""
    home = next((node for node, servers in nodes.items() if "DropBox" in servers), MASTER)
    result = {node: [s for s in servers if s not in drop] for node, servers in nodes.items()}
    result.setdefault(home, []).extend(add)
    return {node: servers for node, servers in result.items() if servers or node == MASTER}


def advice(value: str) -> list[str]:
    """What an admin should list after `omero fs install`."""
    nodes = parse(value)
    if nodes is None:
        return [_unreadable(value)]
    listed = {server for servers in nodes.values() for server in servers}
    gone = [s for s in STOCK_SERVERS if s in listed and s not in SERVERS]
    if not gone and listed.issuperset(SERVERS):
        return []
    wanted = exchanged(nodes, STOCK_SERVERS + SERVERS, SERVERS)
    why = f"it must list {' and '.join(SERVERS)}, or they do not run"
    if gone:
        why += f"; it lists {', '.join(gone)}, which no longer exist, so OMERO would not start"
    return [f"{PROPERTY} is set: {why}. Now:", _command(wanted)]


def advice_on_leaving(value: str, *, stock: bool) -> list[str]:
    """What to tell an admin whose OMERO.server no longer has our servers.

    `stock` says whether it has OMERO.server's own servers again.
    """
    nodes = parse(value)
    if nodes is None:
        return [_unreadable(value)]
    listed = {server for servers in nodes.values() for server in servers}
    if not listed.intersection((*SERVERS, ELSEWHERE, WATCHING)):
        return []
    back = ("MonitorServer", "FileServer", "DropBox") if stock else ()
    wanted = exchanged(nodes, (*SERVERS, ELSEWHERE, WATCHING, *back), back)
    return [f"{PROPERTY} is set and lists servers that no longer exist. Now:", _command(wanted)]


def _unreadable(value: str) -> str:
    return (
        f"{PROPERTY} = {value!r} is not NODE:SERVER,SERVER NODE:SERVER, and "
        "`omero admin start` will fail on it; either unset it or list "
        f"{' and '.join(SERVERS)} in it, once"
    )


def _command(nodes: dict[str, list[str]]) -> str:
    return f'  omero config set {PROPERTY} "{render(nodes)}"'
