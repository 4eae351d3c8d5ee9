"""omero.fs.metrics: where a server's metrics are shown.  Pure."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass
from pathlib import Path

from .kinds import Kind
from .lists import ITEMS, items, joined, quoted

LOOPBACK = "127.0.0.1"
_END = ".prom"  # node_exporter reads files with such a name, and no others
_FSSERVER = "-fsserver"
_ADDRESS = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):)?([0-9]{1,5})")
_MUST_BE = (
    "a port, HOST:PORT, or the absolute path of a file whose name ends with .prom; or an address "
    "and a file, with a comma between"
)


@dataclass(frozen=True)
class Outlets:
    """A file, an address, both, or none: then there are no metrics."""

    file: Path | None = None  # absolute
    address: tuple[str, int] | None = None  # host and port of a page over HTTP

    def for_fsserver(self, node: str = "") -> Outlets:
        """FSServer's own: a file beside DropBox's, named after its `node`; and the next port."""
        file, address = self.file, self.address
        of = f"{_FSSERVER}-{node}" if node else _FSSERVER
        return Outlets(
            file and file.with_name(f"{file.name.removesuffix(_END)}{of}{_END}"),
            address and (address[0], address[1] + 1),
        )


NOWHERE = Outlets()


def _read(entry: str) -> Outlets:
    file: Path | None = None
    address: tuple[str, int] | None = None
    for item in items(entry):
        found = _ADDRESS.fullmatch(item)
        if item.startswith("/") and file is None:
            file = _file(item)
        elif found is not None and address is None and 0 < int(found[2]) < 65535:
            address = ((found[1] or LOOPBACK).strip("[]"), int(found[2]))
        else:
            raise ValueError(_MUST_BE)
    return Outlets(file, address)


def _file(text: str) -> Path:
    name = text.rpartition("/")[2]
    if ".." in text.split("/") or "\0" in text or not name.endswith(_END) or name == _END:
        raise ValueError(_MUST_BE)
    return Path(os.path.normpath(text).replace("//", "/"))


def _write(value: Outlets) -> str:
    words = []
    if value.file is not None:
        words.append(quoted(str(value.file)))
    if value.address is not None:
        host, port = value.address
        words.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    return joined(words, ITEMS)


OUTLETS = Kind("port | HOST:PORT | path", _read, _write)
