"""One run of a module in a process of its own, so that its memory and its failures are its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from benchmarks.contenders import BenchmarkError
from benchmarks.ending import in_one_go
from benchmarks.progress import MARK

_LAST = 40  # lines of what it says on stderr that an error has
_END_S = 90.0  # to end by itself, when it is interrupted: it may have a sandbox to stop
_REST_S = 5.0  # to read what it said last


def told_by(module: str, *words: str, limit: float, before: Sequence[str] = ()) -> dict[str, Any]:
    """What it prints as its last line, which is JSON.  What it says by `progress` is passed on.

    `limit`: s.  `before`: the words before its command, such as those that run it on another
    machine.  Raises BenchmarkError.
    """
    what = f"{module} {words[0]}"
    with _started([*before, sys.executable, "-m", f"{__package__}.{module}", *words]) as process:
        assert process.stdout is not None and process.stderr is not None
        last: deque[str] = deque(maxlen=_LAST)
        passing = threading.Thread(target=_pass_on, args=(process.stderr, last), daemon=True)
        passing.start()
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limit, end)
        timer.daemon = True
        timer.start()
        try:
            printed = process.stdout.read()
            process.wait()
        finally:
            timer.cancel()
        passing.join(_REST_S)
    if late.is_set():
        raise BenchmarkError(f"{what} took more than {limit:g} s: {''.join(last)}")
    if process.returncode:
        raise BenchmarkError(f"{what} ended with {process.returncode}: {''.join(last)}")
    told: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return told


@contextmanager
def _started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Whatever happens, it has ended afterwards."""
    environment = {k: v for k, v in os.environ.items() if k != "ICE_CONFIG"}
    process = None
    try:
        with in_one_go():
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
        yield process
    finally:
        if process is not None:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _pass_on(stream: IO[str], last: deque[str]) -> None:
    for line in stream:
        if line.startswith(MARK):
            sys.stderr.write(line)
            sys.stderr.flush()
        else:
            last.append(line)
