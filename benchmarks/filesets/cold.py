"""Ten files, and a JVM only for them.  The existing DropBox starts one for every ten files.

A process of its own.  It reads the JVM, its options, the jars and the files from stdin, and
writes the filesets to stdout.  It passes over files of a set that it has found already.
"""

from __future__ import annotations

import json
import os
import sys

from omero_fs_plugin.dropbox.grouping.bioformats.worker import Reading


def main() -> None:
    """Asks, answers, and ends without waiting for the JVM."""
    told = json.load(sys.stdin)
    reading = Reading(told["jvm"], told["jars"], told["options"])
    found: list[list[str]] = []
    used: set[str] = set()
    for path in told["files"]:
        if path not in used:
            answer = reading.read(path, None, anew=False)
            found.append(answer["files"])
            used.update(answer["files"])
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
