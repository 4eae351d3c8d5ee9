"""What DropBox does with the tree of a store before its upload, in a process of its own.

``python -m benchmarks.filesets.one_store met|settled|hashed ROOT STORE`` prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks import measure
from omero_fs_plugin.dropbox.confine.trees import tree_files, tree_stat
from omero_fs_plugin.dropbox.grouping import zarr
from omero_fs_plugin.dropbox.importing.importers.sources import sha1_of
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.stores import digest


def main(way: str, root: str, store: str) -> None:
    """Looks at the tree once, as each decision does; or reads what its metadata promises and looks
    again; or hashes each file."""
    before = _peak()
    begun = time.monotonic()
    files = 0
    tree_stat(root, store)
    if way == "settled":
        zarr.look_at(root, store)
        tree_stat(root, store)
    if way == "hashed":
        found = dict(tree_files(root, store))
        files = len(found)
        digest({n: sha1_of(root, Found(store + n, s), lambda: False) for n, s in found.items()})
    told = {"seconds": time.monotonic() - begun, "more": _peak() - before, "files": files}
    sys.stdout.write(json.dumps(told) + "\n")


def _peak() -> int:
    """Bytes that this process had at most; that of getrusage has its parent's in it."""
    return measure.memory(os.getpid(), "VmHWM")


if __name__ == "__main__":
    main(*sys.argv[1:])
