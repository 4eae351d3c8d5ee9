"""Groups files with Bio-Formats twice, by the omero_fs_plugin that PYTHONPATH names.

It runs with other commits than its own, so it uses nothing of `benchmarks`, and of the plugin only
what all of them have.  stdin: `{"root": directory, "lots": [[path]]}`.  The last line on stdout has
both passes, each `{"seconds": that passed, "complete": filesets}`.
"""

from __future__ import annotations

import inspect
import json
import queue
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

WORKERS = 2
MEMORY = 512  # MiB of Java heap


def one_pass(workers: Sequence[Any], root: str, lots: Sequence[Sequence[str]]) -> dict[str, float]:
    """Gives each lot to a free worker, as DropBox's groupers do."""
    waiting: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
    for lot in lots:
        waiting.put(lot)
    complete: list[int] = []

    def work(worker: Any) -> None:
        while True:
            try:
                lot = waiting.get_nowait()
            except queue.Empty:
                return
            found = worker.group(root, lot).candidates
            complete.append(sum(one.complete and not one.refused for one in found))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": time.monotonic() - begun, "complete": sum(complete)}


def main() -> list[dict[str, float]]:
    """Both passes."""
    from omero_fs_plugin.dropbox.grouping.bioformats import jars
    from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats

    asked = json.load(sys.stdin)
    options: dict[str, Any] = {"memory": MEMORY}
    if "roots" in inspect.signature(BioFormats).parameters:  # it may read these alone
        options["roots"] = lambda: [asked["root"]]
    installation = jars.find()
    with ExitStack() as stack:
        workers = [stack.enter_context(BioFormats(installation, **options)) for _ in range(WORKERS)]
        for worker in workers:
            worker.version()  # is there when it was started
        return [one_pass(workers, asked["root"], asked["lots"]) for _ in "12"]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()) + "\n")
