"""omero.fs.node: on which node of OMERO's grid FSServer watches the directory of a rule.  Pure.

Each file server machine may run one FSServer, as the server FSServerNode of its node.  They are
told apart by the node's name, which IceGrid puts into the names of the server and of its objects.
"""

from __future__ import annotations

import re

from .kinds import Kind
from .lists import bare, quoted

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def object_on(identity: str, node: str) -> str:
    """The well-known object on that node: `identity` is that of a rule without a node."""
    return f"{identity}-{node}" if node else identity


def _read(entry: str) -> str:
    text = bare(entry)
    if text and _NAME.fullmatch(text) is None:
        raise ValueError("the name of a node of OMERO's grid, as in omero.server.nodedescriptors")
    return text


NODE = Kind("node", _read, lambda value: quoted(value) if value else "")
