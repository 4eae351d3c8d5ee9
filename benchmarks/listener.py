"""The process that receives events.  It notes each event with the time of its arrival.

::

    python -m benchmarks.listener ice PROXY      a MonitorClient of the server at PROXY
    python -m benchmarks.listener watchdog       watchdog's Observer, in this process
    python -m benchmarks.listener inotify        a bare inotify loop, in this process

It reads commands from standard input, one a line, and answers each with one
line of JSON: `watch DIR` (how long it took, in s), `count` (events so far, and
when the last one came), `dump FILE` (writes them there), `cycle N DIR`
(creates, starts, stops and destroys N monitors).  It ends when its input ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

Heard = tuple[int, str, str]  # (ns on CLOCK_MONOTONIC, Create | Modify | Delete | System, path)

# How the servers' own client, DropBox, is run; see templates.xml of OMERO.server.
_CLIENT_PROPERTIES = {
    "Ice.ImplicitContext": "Shared",
    "Ice.MessageSizeMax": "250000",  # KiB
    "Ice.Override.ConnectTimeout": "5000",  # ms
    "Ice.Warn.Connections": "0",
}
_END_TIMEOUT = 20_000  # ms, for a server to stop a monitor


class Ear(Protocol):
    """Something that receives events of files."""

    count: int  # events so far
    last: int  # ns, when the last one came

    def watch(self, root: str) -> None:
        """Returns when everything is watched."""

    def heard(self) -> list[Heard]:
        """Everything so far, in order."""

    def cycle(self, times: int, root: str) -> None:
        """Begins and ends watching this many times."""

    def close(self) -> None:
        """Ends watching."""


class IceEar:
    """A client of omero.grid.monitors.MonitorServer; arguments as DropBox gives them."""

    def __init__(self, proxy: str) -> None:
        import Ice
        import omero_FS_ice  # type: ignore[import-untyped]  # noqa: F401 - defines omero.grid.monitors
        from omero.grid import monitors as slice_

        self.count = 0
        self.last = 0
        batches: list[tuple[int, list[Any]]] = []
        self._batches = batches
        ear = self

        class Client(slice_.MonitorClient):  # type: ignore[misc]
            """Keeps the events."""

            def fsEventHappened(self, id: str, el: list[Any], current: Any = None) -> None:
                now = time.monotonic_ns()
                batches.append((now, el))
                ear.count += len(el)
                ear.last = now

        data = Ice.InitializationData()
        data.properties = Ice.createProperties()
        for key, value in _CLIENT_PROPERTIES.items():
            data.properties.setProperty(key, value)
        self._slice = slice_
        self._communicator = Ice.initialize(data)
        self._server = slice_.MonitorServerPrx.checkedCast(self._communicator.stringToProxy(proxy))
        adapter = self._communicator.createObjectAdapterWithEndpoints("client", "tcp -h 127.0.0.1")
        self._me = slice_.MonitorClientPrx.uncheckedCast(adapter.addWithUUID(Client()))
        adapter.activate()
        self._monitors: list[str] = []

    def watch(self, root: str) -> None:
        identifier = self._create(root)
        self._monitors.append(identifier)
        self._server.startMonitor(identifier)

    def heard(self) -> list[Heard]:
        return [
            (now, str(event.type), event.fileId)
            for now, batch in list(self._batches)
            for event in batch
        ]

    def cycle(self, times: int, root: str) -> None:
        for _ in range(times):
            identifier = self._create(root)
            self._server.startMonitor(identifier)
            self._server.stopMonitor(identifier)
            self._server.destroyMonitor(identifier)

    def close(self) -> None:
        import Ice

        server = self._slice.MonitorServerPrx.uncheckedCast(
            self._server.ice_invocationTimeout(_END_TIMEOUT)
        )
        for identifier in self._monitors:
            with suppress(Ice.Exception):  # the process ends in any case
                server.stopMonitor(identifier)
                server.destroyMonitor(identifier)
        self._communicator.destroy()

    def _create(self, root: str) -> str:
        words = self._slice
        return str(
            self._server.createMonitor(
                words.MonitorType.Persistent,
                [words.WatchEventType.Creation, words.WatchEventType.Modification],
                words.PathMode.Follow,
                root,
                [],  # whitelist
                [],  # blacklist
                0.0,  # timeout
                0,  # blockSize
                True,  # ignoreSysFiles
                True,  # ignoreDirEvents
                True,  # platformCheck
                self._me,
            )
        )


class WatchdogEar:
    """watchdog alone, as a program gets it that only uses its Observer."""

    def __init__(self) -> None:
        from watchdog.observers import Observer

        self.count = 0
        self.last = 0
        self._events: list[tuple[int, Any]] = []
        self._observer = Observer()

    def dispatch(self, event: Any) -> None:
        """As watchdog.events.FileSystemEventHandler."""
        now = time.monotonic_ns()
        self._events.append((now, event))
        self.count += 1
        self.last = now

    def watch(self, root: str) -> None:
        self._observer.schedule(self, root, recursive=True)  # type: ignore[arg-type]
        self._observer.start()

    def heard(self) -> list[Heard]:
        words = {"created": "Create", "modified": "Modify", "deleted": "Delete"}
        heard: list[Heard] = []
        for now, event in list(self._events):
            if event.is_directory:
                continue
            if event.event_type == "moved":
                heard.append((now, "Create", os.fsdecode(event.dest_path)))
            elif event.event_type in words:
                heard.append((now, words[event.event_type], os.fsdecode(event.src_path)))
        return heard

    def cycle(self, times: int, root: str) -> None:
        raise NotImplementedError("only a server has monitors to create and destroy")

    def close(self) -> None:
        self._observer.stop()
        self._observer.join()


class InotifyEar:
    """The least that a program can do on Linux: wait, read and parse, without a look at the disk.

    It watches a new directory when its event comes.  It misses the files that are in
    the directory by then, as any program does that only listens.
    """

    _CREATE, _MOVED_TO, _MOVED_FROM, _MODIFY, _CLOSE_WRITE = 0x100, 0x80, 0x40, 0x2, 0x8
    _DELETE, _IS_DIRECTORY, _ONLY_DIRECTORY = 0x200, 0x40000000, 0x01000000
    _MASK = _CREATE | _MOVED_TO | _MOVED_FROM | _MODIFY | _CLOSE_WRITE | _DELETE | _ONLY_DIRECTORY
    _HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name

    def __init__(self) -> None:
        self.count = 0
        self.last = 0
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._paths: dict[int, bytes] = {}
        self._events: list[tuple[int, int, bytes, bytes]] = []  # ns, mask, directory, name

    def watch(self, root: str) -> None:
        for directory, _, _ in os.walk(os.fsencode(root)):
            self._add(directory)

    def _add(self, directory: bytes) -> None:
        watch = self._libc.inotify_add_watch(self.descriptor, directory, self._MASK)
        if watch >= 0:
            self._paths[watch] = directory

    def read(self) -> None:
        """Reads the kernel's events."""
        buffer = os.read(self.descriptor, 256 * 1024)
        now = time.monotonic_ns()
        at, end, size, unpack = 0, len(buffer), self._HEADER.size, self._HEADER.unpack_from
        while at < end:
            watch, mask, _, length = unpack(buffer, at)
            at += size
            name = buffer[at : at + length].rstrip(b"\0")
            at += length
            directory = self._paths.get(watch, b"")
            if mask & self._IS_DIRECTORY and mask & (self._CREATE | self._MOVED_TO):
                self._add(directory + b"/" + name)
            self._events.append((now, mask, directory, name))
            self.count += 1
        self.last = now

    def heard(self) -> list[Heard]:
        heard: list[Heard] = []
        for now, mask, directory, name in self._events:
            if mask & self._IS_DIRECTORY or not name:
                continue
            if mask & (self._CREATE | self._MOVED_TO):
                kind = "Create"
            elif mask & self._MODIFY:
                kind = "Modify"
            else:
                continue
            heard.append((now, kind, os.fsdecode(directory + b"/" + name)))
        return heard

    def cycle(self, times: int, root: str) -> None:
        raise NotImplementedError("only a server has monitors to create and destroy")

    def close(self) -> None:
        os.close(self.descriptor)


def answer(ear: Ear, line: str) -> dict[str, Any]:
    """Does what one line says."""
    word, _, rest = line.strip().partition(" ")
    before = time.monotonic()
    if word == "count":
        return {"count": ear.count, "last": ear.last}
    if word == "watch":
        ear.watch(rest)
    elif word == "cycle":
        times, _, root = rest.partition(" ")
        ear.cycle(int(times), root)
    elif word == "dump":
        Path(rest).write_text(json.dumps(ear.heard()), encoding="utf-8", errors="surrogateescape")
    else:
        raise ValueError(f"unknown word {word!r}")
    return {"seconds": time.monotonic() - before}


def main(arguments: list[str]) -> None:
    """Serves until standard input ends."""
    makers: dict[str, Callable[..., Ear]] = {
        "ice": IceEar,
        "watchdog": WatchdogEar,
        "inotify": InotifyEar,
    }
    ear = makers[arguments[0]](*arguments[1:])
    sources = [sys.stdin.fileno()]
    if isinstance(ear, InotifyEar):
        sources.append(ear.descriptor)
    pending = b""
    try:
        sys.stdout.write("{}\n")
        while True:
            sys.stdout.flush()
            ready, _, _ = select.select(sources, [], [])
            if isinstance(ear, InotifyEar) and ear.descriptor in ready:
                ear.read()
            if sources[0] in ready:
                given = os.read(sources[0], 65536)
                if not given:
                    return
                *lines, pending = (pending + given).split(b"\n")
                for line in lines:
                    sys.stdout.write(json.dumps(answer(ear, os.fsdecode(line))) + "\n")
    finally:
        ear.close()


if __name__ == "__main__":
    main(sys.argv[1:])
