"""The sampler counts a thread's CPU time for the functions that the thread is in."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from benchmarks.dropbox.sampled import Sampler


def busy(begun: threading.Event, until: threading.Event) -> None:
    begun.set()
    while not until.is_set():
        sum(range(1_000))


def test_time_counts_for_the_function_and_for_those_that_called_it(tmp_path: Path) -> None:
    sampler, begun, done = Sampler(), threading.Event(), threading.Event()
    thread = threading.Thread(target=busy, args=(begun, done), name="importer-7")
    thread.start()
    assert begun.wait(30)  # its time before that is that of no function here
    try:
        end = time.monotonic() + 30
        while not sampler.threads.get("importer-N") and time.monotonic() < end:
            sampler.look(sys._current_frames())
    finally:
        done.set()
        thread.join()
    sampler.write(tmp_path / "told.json")
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    spent = told["threads"]["importer-N"]
    (ours,) = (key for key in told["inclusive"] if key.endswith(":busy"))
    assert 0 < told["inclusive"][ours] <= spent
    assert sum(told["own"].values()) <= sum(told["threads"].values()) * 1.01
