"""What a client may count on, whatever FSServer hears of changes by.

Each test runs over inotify and over polling, on the real disk, and over the
events that watchdog gives on macOS and Windows, played back (see observed.py).
The clients are in this process; over Ice they are in test_server.py.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.events import EventType
from omero_fs_plugin.monitor.kernel.observers import INOTIFY, POLLING, Observing
from omero_fs_plugin.monitor.monitors import Monitors
from omero_fs_plugin.monitor.notices import Tell
from omero_fs_plugin.monitor.requests import PathMode
from omero_fs_plugin.monitor.tracking.arrivals import Timing
from tests.requests import request_of

from .fsserver import until
from .observed import Acts, FSEvents, PlayedObserving, ReadDirectoryChanges

# All the same, so that what was made last is told last; see Watched.told.
QUICK = Timing(
    hold=0.06, silence=0.06, found=0.06, burst_gap=0.06, overflow=0.06, poll=0.03, check=0.05
)


class Client:
    """Keeps what it hears."""

    address = "here"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.identifier = ""
        self.heard: list[Tell] = []
        self._lock = threading.Lock()

    def notify(
        self,
        identifier: str,
        tells: list[Tell],
        done: Callable[[bool], None],
        *,
        asked: bool = False,
    ) -> None:
        with self._lock:
            self.heard.extend(tells)
        done(True)

    def probe(self, done: Callable[[bool], None]) -> None:
        done(True)

    def changes(self) -> list[tuple[str, str]]:
        with self._lock:
            return [
                (one.type.value, os.path.relpath(os.fsdecode(one.path), self.root))
                for one in self.heard
                if one.type is not EventType.SYSTEM
            ]

    def notices(self) -> list[str]:
        with self._lock:
            told = [one.path.decode() for one in self.heard if one.type is EventType.SYSTEM]
        return [text.split(":")[0] for text in told]


class Watched:
    """A monitor of `root`, and the acts below it."""

    def __init__(self, root: Path, kind: str, timing: Timing = QUICK) -> None:
        platform = {"fsevents": FSEvents(), "rdcw": ReadDirectoryChanges()}.get(kind)
        observing = Observing(kind) if platform is None else PlayedObserving()
        self.root = root
        self.outside = root.parent / "outside"
        self.act = Acts(root, platform, observing)
        self.kind = kind
        if platform is not None:  # events are played back, and the polling behind them never comes
            timing = replace(timing, poll=3600.0)
        self.monitors = Monitors(timing, observing=observing)
        self._sentinels = 0

    def start(self, root: Path | None = None, **changed: Any) -> Client:
        client = Client(root or self.root)
        request = request_of(os.fsencode(root or self.root), **changed)
        client.identifier = self.monitors.create(request, client)
        self.monitors.get(client.identifier).start()
        return client

    def figures(self) -> list[dict[str, str]]:
        return [monitor.figures() for monitor in self.monitors.all().values()]

    def told(self, client: Client, where: Path | None = None) -> Counter[tuple[str, str]]:
        """All that was told of what was done before: two files made now are told after it.

        They have temporary names, so they wait as long as whatever waits longest.

        `where` others see the root.
        """
        for _ in range(2):
            self._sentinels += 1
            name = f"sentinel-{self._sentinels}.new"
            self.act.write((where or client.root) / name, "")
            until(lambda name=name: ("Create", name) in client.changes(), name)
        return Counter(one for one in client.changes() if not one[1].startswith("sentinel-"))


@pytest.fixture
def timing() -> Timing:
    return QUICK


@pytest.fixture(params=[INOTIFY, POLLING, "fsevents", "rdcw"])
def watched(
    request: pytest.FixtureRequest, tmp_path: Path, timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watched]:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    found = Watched(tmp_path / "root", request.param, timing)
    found.act.are_moments(monkeypatch)
    yield found
    found.monitors.close()


def created(*names: str) -> Counter[tuple[str, str]]:
    return Counter(("Create", name) for name in names)


def test_what_is_there_at_the_start_is_not_told(watched: Watched) -> None:
    watched.act.mkdir(watched.root / "d")
    watched.act.write(watched.root / "d" / "old", "old")
    client = watched.start()
    assert watched.told(client) == Counter()
    assert client.notices() == []


def test_a_file_is_created_once_modified_once_and_deleted(watched: Watched) -> None:
    client = watched.start()
    path = watched.root / "a.tif"
    watched.act.write(path, "one")
    assert watched.told(client) == created("a.tif")
    watched.act.write(path, "more")
    assert watched.told(client) == created("a.tif") + Counter([("Modify", "a.tif")])
    watched.act.remove(path)
    assert watched.told(client)["Delete", "a.tif"] == 1
    assert client.notices() == []


def test_a_file_made_again_is_created_again(watched: Watched) -> None:
    client = watched.start()
    watched.act.write(watched.root / "a", "one")
    watched.told(client)
    watched.act.remove(watched.root / "a")
    watched.told(client)
    watched.act.write(watched.root / "a", "two")
    assert watched.told(client) == created("a", "a") + Counter([("Delete", "a")])


def test_a_temporary_name_renamed_into_place_is_one_create(watched: Watched) -> None:
    client = watched.start()
    with watched.act.at_once():  # within Timing.hold
        watched.act.write(watched.root / ".a.x7Y2", "one")
        watched.act.rename(watched.root / ".a.x7Y2", watched.root / "a")
    assert watched.told(client) == created("a")


def test_renamed_is_deleted_and_created(watched: Watched) -> None:
    client = watched.start()
    watched.act.mkdir(watched.root / "d")
    watched.act.write(watched.root / "a", "one")
    watched.told(client)
    watched.act.rename(watched.root / "a", watched.root / "d" / "b")
    assert watched.told(client) == created("a", "d/b") + Counter([("Delete", "a")])


def test_renamed_over_a_known_file_is_a_modify(watched: Watched) -> None:
    client = watched.start()
    for name in ("a", "b"):
        watched.act.write(watched.root / name, name)
    watched.told(client)
    watched.act.rename(watched.root / "b", watched.root / "a")
    told = watched.told(client) - created("a", "b")
    assert told == Counter([("Modify", "a"), ("Delete", "b")])


def test_moved_in_and_out(watched: Watched) -> None:
    watched.act.write(watched.outside / "a", "one")
    client = watched.start()
    watched.act.rename(watched.outside / "a", watched.root / "a")
    assert watched.told(client) == created("a")
    watched.act.rename(watched.root / "a", watched.outside / "a")
    assert watched.told(client) == created("a") + Counter([("Delete", "a")])


def test_a_tree_moved_in_renamed_and_out(watched: Watched) -> None:
    watched.act.mkdir(watched.outside / "d" / "e")
    for name in ("a", "e/b"):
        watched.act.write(watched.outside / "d" / name, name)
    client = watched.start()
    watched.act.rename(watched.outside / "d", watched.root / "d")
    assert watched.told(client) == created("d/a", "d/e/b")
    watched.act.rename(watched.root / "d", watched.root / "f")
    told = watched.told(client)
    assert told == created("d/a", "d/e/b", "f/a", "f/e/b") + Counter(
        [("Delete", "d/a"), ("Delete", "d/e/b")]
    )
    watched.act.write(watched.root / "f" / "e" / "c", "c")
    assert watched.told(client)["Create", "f/e/c"] == 1
    watched.act.rename(watched.root / "f", watched.outside / "f")
    gone = {path for kind, path in watched.told(client) if kind == "Delete"}
    assert gone == {"d/a", "d/e/b", "f/a", "f/e/b", "f/e/c"}
    watched.act.write(watched.outside / "f" / "late", "late")
    assert not any("late" in path for _, path in watched.told(client))


def test_new_directories_and_what_is_in_them(watched: Watched) -> None:
    client = watched.start()
    watched.act.mkdir(watched.root / "d" / "e")
    watched.act.write(watched.root / "d" / "e" / "a", "one")
    assert watched.told(client) == created("d/e/a")
    watched.act.rmtree(watched.root / "d")
    assert watched.told(client) == created("d/e/a") + Counter([("Delete", "d/e/a")])
    watched.act.mkdir(watched.root / "d" / "e")
    watched.act.write(watched.root / "d" / "e" / "a", "again")
    assert watched.told(client)["Create", "d/e/a"] == 2


def test_directories_only_when_asked_for(watched: Watched) -> None:
    client = watched.start(ignore_dir_events=False)
    watched.act.mkdir(watched.root / "d")
    watched.act.write(watched.root / "d" / "a", "one")
    assert watched.told(client) == created("d", "d/a")
    watched.act.rmtree(watched.root / "d")
    assert watched.told(client) - created("d", "d/a") == Counter(
        [("Delete", "d/a"), ("Delete", "d")]
    )


@pytest.mark.parametrize("mode", list(PathMode), ids=lambda mode: mode.value)
def test_path_modes(watched: Watched, mode: PathMode) -> None:
    watched.act.mkdir(watched.root / "old")
    client = watched.start(mode=mode)
    watched.act.mkdir(watched.root / "new")
    for name in ("a", "old/b", "new/c"):
        watched.act.write(watched.root / name, name)
    expected = {
        PathMode.FLAT: created("a"),
        PathMode.RECURSE: created("a", "old/b"),
        PathMode.FOLLOW: created("a", "old/b", "new/c"),
    }
    assert watched.told(client) == expected[mode]


def test_links_are_told_as_themselves_and_not_followed(watched: Watched) -> None:
    watched.act.mkdir(watched.outside / "d")
    watched.act.write(watched.outside / "d" / "secret", "secret")
    watched.act.write(watched.root / "a", "one")
    client = watched.start()
    watched.act.symlink(watched.root / "to-directory", watched.outside / "d")
    watched.act.symlink(watched.root / "dangling", watched.outside / "none")
    watched.act.link(watched.root / "a", watched.root / "hard")
    watched.act.link(watched.outside / "d" / "secret", watched.root / "from-outside")
    expected = created("to-directory", "dangling", "hard", "from-outside")
    assert watched.told(client) == expected
    watched.act.write(watched.outside / "d" / "late", "late")
    watched.act.remove(watched.root / "to-directory")
    assert watched.told(client) == expected + Counter([("Delete", "to-directory")])


NAMES = [
    "with space",
    "new\nline",
    "😀 äöü",
    "n" * 255,
    "-rf",
    "a'\"b",
    "\\x41",
    "odd\udcff.tif",
]


def test_names(watched: Watched) -> None:
    client = watched.start()
    for name in NAMES:
        watched.act.write(watched.root / name, "one")
        watched.act.mkdir(watched.root / f"d{name[1:]}")
        watched.act.write(watched.root / f"d{name[1:]}" / "a", "one")
    expected = created(*NAMES, *(f"d{name[1:]}/a" for name in NAMES))
    assert watched.told(client) == expected
    odd = sum(int(one["unspeakable"]) for one in watched.figures())
    assert odd == 2


def test_a_path_of_4000_bytes(watched: Watched) -> None:
    client = watched.start()
    path = watched.root
    while len(str(path)) < 3700:
        path /= "d" * 250
    watched.act.mkdir(path)
    watched.act.write(path / "a", "one")
    assert watched.told(client) == created(str((path / "a").relative_to(watched.root)))


def test_lists_and_system_files(watched: Watched) -> None:
    client = watched.start(whitelist=("tif", "new"), blacklist=("scratch/",))
    watched.act.mkdir(watched.root / "scratch")
    for name in ("a.tif", "a.txt", ".b.tif", "scratch/c.tif"):
        watched.act.write(watched.root / name, name)
    assert watched.told(client) == created("a.tif")


def test_two_monitors_on_overlapping_trees(watched: Watched) -> None:
    watched.act.mkdir(watched.root / "d")
    whole, same = watched.start(), watched.start()
    part = watched.start(watched.root / "d")
    watched.act.write(watched.root / "d" / "a", "one")
    assert watched.told(whole) == created("d/a")
    assert watched.told(same) == created("d/a")
    assert watched.told(part) == created("a")


def test_a_root_removed_and_made_again(watched: Watched) -> None:
    client = watched.start()
    watched.act.write(watched.root / "a", "one")
    watched.told(client)
    watched.act.rmtree(watched.root)
    until(lambda: "unreachable" in client.notices())
    watched.act.mkdir(watched.root)
    until(lambda: "reachable" in client.notices())
    watched.act.write(watched.root / "b", "two")
    assert watched.told(client) == created("a", "b") + Counter([("Delete", "a")])


def test_a_root_renamed_away_and_back(watched: Watched) -> None:
    watched.act.mkdir(watched.root / "d")
    watched.act.write(watched.root / "d" / "a", "one")
    client = watched.start()
    watched.root.rename(watched.outside / "root")
    until(lambda: client.notices() == ["unreachable"])
    (watched.outside / "root" / "d" / "b").write_text("two")
    (watched.outside / "root").rename(watched.root)
    until(lambda: ("Create", "d/b") in client.changes())
    assert watched.told(client) == created("d/b")


@pytest.mark.parametrize("timing", [replace(QUICK, check=2.0)], ids=[""])
@pytest.mark.parametrize("watched", [INOTIFY, POLLING], indirect=True)
def test_a_directory_above_the_root_renamed_away_and_back(watched: Watched, tmp_path: Path) -> None:
    """No event tells of that, and nothing is where it should be meanwhile."""
    watched.act.write(watched.root / "known", "one")
    client = watched.start()
    away = tmp_path.with_name(f"{tmp_path.name}-away")
    tmp_path.rename(away)
    (away / "root" / "a").write_text("one")
    (away / "root" / "known").write_text("longer")
    (away / "root" / "new").mkdir()
    (away / "root" / "new" / "b").write_text("one")
    time.sleep(0.1)  # it is looked for
    away.rename(tmp_path)
    until(lambda: len(client.changes()) == 3)
    watched.act.write(watched.root / "new" / "c", "one")
    assert watched.told(client) == created("a", "new/b", "new/c") + Counter([("Modify", "known")])


def test_chmod_of_the_root_and_of_a_directory(watched: Watched) -> None:
    watched.act.mkdir(watched.root / "d")
    client = watched.start()
    for path in (watched.root, watched.root / "d"):
        watched.act.chmod(path, 0o700)
    watched.act.write(watched.root / "d" / "a", "one")
    assert watched.told(client) == created("d/a")
    assert client.notices() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("name", ["", "d"], ids=["root", "below"])
def test_unreadable_for_a_while(watched: Watched, name: str) -> None:
    watched.act.mkdir(watched.root / "d" / "e")
    for known in ("a", "d/a", "d/e/a"):
        watched.act.write(watched.root / known, "one")
    client = watched.start()
    watched.act.chmod(watched.root / name, 0o000)
    if not name:
        until(lambda: client.notices() == ["unreachable"])
    watched.act.chmod(watched.root / name, 0o700)
    until(lambda: client.notices().count("reachable") == client.notices().count("unreachable"))
    watched.act.write(watched.root / "d" / "e" / "new", "one")
    assert watched.told(client) == created("d/e/new")


def test_many_files_at_once(watched: Watched) -> None:
    client = watched.start()
    names = [f"d{number % 20}/{number}" for number in range(1000)]
    for number in range(20):
        watched.act.mkdir(watched.root / f"d{number}")
    for name in names:
        watched.act.write(watched.root / name, "x")
    until(lambda: len(client.changes()) >= len(names))
    assert watched.told(client) == created(*names)


def test_stopped_and_started_again_what_happened_between_is_not_told(watched: Watched) -> None:
    client = watched.start()
    (monitor,) = watched.monitors.all().values()
    monitor.stop()
    watched.act.write(watched.root / "between", "one")
    monitor.start()
    watched.act.write(watched.root / "after", "one")
    assert watched.told(client) == created("after")
