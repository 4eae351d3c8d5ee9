"""The observers of the contract suite: real ones, and those of other platforms played back.

What is played back are the events that watchdog's emitters for FSEvents and
ReadDirectoryChangesW make of each act, after its source and its own tests
(watchdog 6 and 7).  They were not recorded here: only Linux can be run.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from watchdog import events as dog
from watchdog.events import FileSystemEvent

from omero_fs_plugin.monitor.kernel import raw
from omero_fs_plugin.monitor.kernel.native import Native
from omero_fs_plugin.monitor.kernel.observers import Observer, Observing
from omero_fs_plugin.monitor.watcher import Watcher

Events = list[FileSystemEvent]


class Played:
    """A watchdog observer that says what it is told to."""

    def __init__(self) -> None:
        self.handler: Any = None
        self._lock = threading.Lock()

    def schedule(self, handler: Any, path: str, *, recursive: bool) -> None:
        assert recursive
        with self._lock:
            self.handler = handler

    def unschedule_all(self) -> None:
        with self._lock:
            self.handler = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self.unschedule_all()

    def join(self, timeout: float | None = None) -> None:
        pass

    def play(self, events: Events) -> None:
        for event in events:
            with self._lock:
                handler = self.handler
            if handler is not None:
                handler.dispatch(event)


@dataclass(frozen=True)
class PlayedObserving(Observing):
    """Gives every monitor an observer that is played."""

    sources: list[Played] = field(default_factory=list)

    def open(self, root: bytes, wake: Callable[[], None]) -> Observer:
        source = Played()
        self.sources.append(source)
        return Native(root, wake, lambda: source)


def _below(top: Path) -> Iterator[Path]:
    """As watchdog walks: the directories of each, then its files."""
    for at, directories, files in os.walk(top):
        yield from (Path(at) / name for name in directories + files)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


class FSEvents:
    """What watchdog.observers.fsevents.FSEventsEmitter gives."""

    def made(self, path: Path) -> Events:
        kind = dog.DirCreatedEvent if _is_directory(path) else dog.FileCreatedEvent
        return [kind(str(path)), dog.DirModifiedEvent(str(path.parent))]

    def written(self, path: Path, *, new: bool) -> Events:
        return [*(self.made(path) if new else []), dog.FileModifiedEvent(str(path))]

    def touched(self, path: Path) -> Events:
        return [(dog.DirAttribEvent if _is_directory(path) else dog.FileAttribEvent)(str(path))]

    def removed(self, path: Path, *, directory: bool) -> Events:
        kind = dog.DirDeletedEvent if directory else dog.FileDeletedEvent
        return [kind(str(path)), dog.DirModifiedEvent(str(path.parent))]

    def moved(self, source: Path, target: Path) -> Events:
        """After the act; with all that is in a directory."""
        kind = dog.DirMovedEvent if _is_directory(target) else dog.FileMovedEvent
        told: Events = [
            kind(str(source), str(target)),
            dog.DirModifiedEvent(str(source.parent)),
            dog.DirModifiedEvent(str(target.parent)),
        ]
        told.extend(dog.generate_sub_moved_events(str(source), str(target)))
        return told

    def moved_in(self, target: Path) -> Events:
        return [*self.made(target), *dog.generate_sub_created_events(str(target))]

    def moved_out(self, source: Path, *, directory: bool) -> Events:
        return self.removed(source, directory=directory)  # and nothing of what was in it

    def root_gone(self, root: Path) -> Events:
        return [dog.DirDeletedEvent(str(root))]


class ReadDirectoryChanges(FSEvents):
    """What watchdog.observers.read_directory_changes.WindowsApiEmitter gives."""

    def made(self, path: Path) -> Events:
        return [(dog.DirCreatedEvent if _is_directory(path) else dog.FileCreatedEvent)(str(path))]

    def written(self, path: Path, *, new: bool) -> Events:
        return [*(self.made(path) if new else []), *[dog.FileModifiedEvent(str(path))] * 2]

    def removed(self, path: Path, *, directory: bool) -> Events:
        # It cannot ask what it was.
        return [dog.FileDeletedEvent(str(path)), dog.DirModifiedEvent(str(path.parent))]

    def moved(self, source: Path, target: Path) -> Events:
        if source.parent == target.parent:
            return super().moved(source, target)[:1] + list(
                dog.generate_sub_moved_events(str(source), str(target))
            )
        return [
            dog.FileDeletedEvent(str(source)),
            *self.moved_in(target),
            dog.DirModifiedEvent(str(source.parent)),
            dog.DirModifiedEvent(str(target.parent)),
        ]

    def moved_in(self, target: Path) -> Events:
        return [*self.made(target), *dog.generate_sub_created_events(str(target))]


class Acts:
    """What people and programs do, below `root` and beside it; and what a platform says of it."""

    def __init__(self, root: Path, platform: FSEvents | None, observing: Observing | None) -> None:
        self.root = root
        self._platform = platform
        self._observing = observing
        self._moment = threading.RLock()

    def are_moments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on FSServer sees no write half done, and nothing that is done `at_once`.

        Whoever keeps a file open while writing does something else, and FSServer tells it in
        another way.  On a busy machine each writer may, for it stands still between open and close.
        """
        look = Watcher._look

        def whole(
            watcher: Watcher, observer: Observer, events: list[raw.Raw], now: float, sure: float
        ) -> None:
            under_way = not self._moment.acquire(blocking=False)
            if under_way:
                self._moment.acquire()
            # One that hangs in its look keeps nobody from acting.
            self._moment.release()
            if under_way:
                observer.drain()
                events = raw.joined(events, observer.events())
            look(watcher, observer, events, now, sure)

        monkeypatch.setattr(Watcher, "_look", whole)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """FSServer looks before what is done meanwhile has begun, or afterwards."""
        with self._moment:
            yield

    def write(self, path: Path, text: str) -> None:
        with self.at_once():
            new = not path.exists()
            path.write_text(text)
            self._say(lambda it: it.written(path, new=new), path)

    def mkdir(self, path: Path) -> None:
        for above in reversed([path, *path.parents]):
            if not above.exists():
                above.mkdir()
                self._say(lambda it, above=above: it.made(above), above)

    def remove(self, path: Path) -> None:
        path.unlink()
        self._say(lambda it: it.removed(path, directory=False), path)

    def rmtree(self, path: Path) -> None:
        gone = [(one, _is_directory(one)) for one in reversed([path, *_below(path)])]
        shutil.rmtree(path)
        for one, directory in gone:
            if one == self.root:
                self._say(lambda it, one=one: it.root_gone(one), one)
            else:
                self._say(lambda it, o=one, d=directory: it.removed(o, directory=d), one)

    def rename(self, source: Path, target: Path) -> None:
        directory = _is_directory(source)
        source.rename(target)
        if not self._inside(source):
            self._say(lambda it: it.moved_in(target), target)
        elif not self._inside(target):
            self._say(lambda it: it.moved_out(source, directory=directory), source)
        else:
            self._say(lambda it: it.moved(source, target), target)

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)
        self._say(lambda it: it.made(target), target)

    def symlink(self, target: Path, to: Path) -> None:
        target.symlink_to(to)
        self._say(lambda it: it.made(target), target)

    def chmod(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        self._say(lambda it: it.touched(path), path)

    def _inside(self, path: Path) -> bool:
        return path == self.root or self.root in path.parents

    def _say(self, what: Callable[[Any], Events], path: Path) -> None:
        if self._platform is not None and self._inside(path):
            assert isinstance(self._observing, PlayedObserving)
            told = what(self._platform)
            for source in self._observing.sources:
                source.play(told)
