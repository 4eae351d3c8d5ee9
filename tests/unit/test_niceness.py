"""A server runs below OMERO's priority, with all its threads and with what it starts.

What is lowered cannot be raised again, so a process of its own is lowered.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys

import pytest

from omero_fs_plugin import niceness

OTHER, BATCH, IDLE = os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE

PROCESS = """
import json, os, subprocess, sys, threading
from omero_fs_plugin import niceness

def seen(thread):
    return [os.getpriority(os.PRIO_PROCESS, thread) - before, os.sched_getscheduler(thread)]

before = os.getpriority(os.PRIO_PROCESS, 0)
by, policy, more = json.loads(sys.argv[1])
os.sched_setscheduler(0, policy, os.sched_param(0))
os.nice(more)
end = threading.Event()
threads = [threading.Thread(target=end.wait) for _ in range(3)]
for thread in threads:
    thread.start()
niceness.lower(by)
child = subprocess.Popen(["sleep", "1000"])
print(json.dumps([seen(int(name)) for name in os.listdir("/proc/self/task")] + [seen(child.pid)]))
child.kill()
child.wait()
end.set()
"""


@pytest.mark.skipif(
    os.getpriority(os.PRIO_PROCESS, 0) > 0 or os.sched_getscheduler(0) != OTHER,
    reason="the tests themselves run with another priority",
)
@pytest.mark.parametrize(
    ("by", "policy", "before", "nice", "then"),
    [
        (10, OTHER, 0, 10, BATCH),
        (0, OTHER, 0, 0, OTHER),
        (4, OTHER, 3, 7, BATCH),
        (10, OTHER, 15, 19, BATCH),
        (10, IDLE, 0, 10, IDLE),
    ],
    ids=["usual", "off", "below OMERO's own", "the lowest", "an admin's policy"],
)
def test_every_thread_and_what_is_started(
    by: int, policy: int, before: int, nice: int, then: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, json.dumps([by, policy, before])],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[nice, then]] * 5  # the main one, three more, the child


def _refuse(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def test_what_the_kernel_refuses_is_told_and_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "setpriority", _refuse)
    monkeypatch.setattr(os, "sched_setscheduler", _refuse)
    monkeypatch.setattr(os, "sched_getscheduler", lambda thread: OTHER)  # whatever the tests have
    caplog.set_level(logging.WARNING)
    niceness.lower(1)
    nice = os.getpriority(os.PRIO_PROCESS, 0) + 1
    why = "is refused by the kernel (Operation not permitted): imports may slow OMERO down"
    assert caplog.messages == [
        f"nice {nice} {why} (omero.fs.nice)",
        f"policy SCHED_BATCH {why} (omero.fs.nice)",
    ]


def test_a_thread_that_has_just_ended_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "setpriority", _refuse)
    monkeypatch.setattr(niceness, "_threads", lambda: [2**22 + 1])  # above any number there is
    caplog.set_level(logging.WARNING)
    niceness.lower(1)
    assert not caplog.messages


def test_where_there_are_no_priorities_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "setpriority")
    niceness.lower(10)
