"""Files are dropped, servers are killed, and in the end OMERO has what was dropped."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.stores import digest
from tests.acceptance import images
from tests.acceptance.api import client_path
from tests.acceptance.waiting import until
from tests.stores import Store, image

from .faults import BETWEEN, SIDES, VERIFIED, point
from .folding import folded
from .grid import Grid, Stored

_PATIENCE_S = 90.0  # how long anything that must happen may take
# A file killed in many attempts rests a minute before each of the three that OMERO refuses.
_TRIED_S = 240.0
# Who is killed at random, in equal parts.
_IMPORTER = "importer"
_STORE = "importer of a store"
_VICTIMS = ("Blitz-0", _IMPORTER, "FSServer", "DropBox", "FSServer DropBox", _STORE)
_OPEN = (State.WAITING, State.QUEUED, State.IMPORTING)


@dataclass
class Dropped:
    """What a user put at one path."""

    user: str
    path: Path
    now: str | None = None  # sha1 of what must be in OMERO once; None: nothing must
    before: set[str] = field(default_factory=set)  # what may be there, once each
    store: Store | None = None  # what it is, if it is a store: then `path` is that of a store
    members: tuple[Path, ...] = ()  # of a set: its files, `path` first

    @property
    def single(self) -> bool:
        """Whether it is one file."""
        return self.store is None and not self.members


@dataclass(frozen=True)
class Result:
    """What a campaign came to."""

    seed: int
    filesets: int  # to be in OMERO
    users: int
    kills: Counter[str]  # by victim
    seconds: float
    missing: list[str]
    twice: list[str]
    half: list[str]  # filesets without images
    astray: list[str]  # another owner, other bytes, or bytes that nobody dropped
    untold: list[str]  # files without an end in the journal

    @property
    def faultless(self) -> bool:
        """Every fileset once, whole, its owner's, and told of."""
        return not (self.missing or self.twice or self.half or self.astray or self.untold)

    def __str__(self) -> str:
        kills = ", ".join(f"{name} {n}" for name, n in sorted(self.kills.items()))
        return (
            f"torture: seed {self.seed}: {self.filesets} filesets of {self.users} users, "
            f"{self.kills.total()} kills ({kills}), {self.seconds:.0f} s: "
            f"missing {len(self.missing)}, twice {len(self.twice)}, "
            f"half filesets left {len(self.half)}, astray {len(self.astray)}, "
            f"untold {len(self.untold)}"
        )

    def details(self) -> str:
        """Every fault, one a line."""
        return "\n".join(
            f"{name}: {line}"
            for name in ("missing", "twice", "half", "astray", "untold")
            for line in getattr(self, name)
        )


def _digest(store: Store) -> str:
    return digest({name: hashlib.sha1(data).hexdigest() for name, data in store.files.items()})


class Campaign:
    """`filesets` files of `users`, `kills` kills at random, and one on each side of every point.

    Without `both_sides` it is one side of each point, and two of the points between the parts of
    a large set: which ones, the seed decides.
    """

    def __init__(
        self,
        grid: Grid,
        users: list[str],
        *,
        seed: int,
        filesets: int,
        kills: int,
        say: Callable[[str], None],
        both_sides: bool = True,
    ) -> None:
        self._grid = grid
        self._both_sides = both_sides
        self._users = users
        self._seed = seed
        self._chance = random.Random(seed)
        self._filesets = filesets
        self._kills_wanted = kills
        self._say = say
        self._dropped: dict[Path, Dropped] = {}
        self._kills: Counter[str] = Counter()
        self._journal: Journal = grid.journal()

    def run(self) -> Result:
        """Everything, in an order that the seed decides."""
        begun = time.monotonic()
        victims = itertools.islice(itertools.cycle(_VICTIMS), self._kills_wanted)
        acts: list[Callable[[], None]] = [self._random_kill(name) for name in victims]
        for name in self.PROVOKED:
            sides = SIDES if self._both_sides else (self._chance.choice(SIDES),)
            acts += [self._at(side, name) for side in sides]
        parts = list(self.IN_PARTS)
        if not self._both_sides:
            parts = self._chance.sample(parts, 2)
        acts += [self._at(BETWEEN, name) for name in parts]
        self._chance.shuffle(acts)
        for number, act in enumerate(acts):
            for _ in range(self._filesets * number // len(acts) - len(self._plain())):
                self._drop_any()
            act()
        while len(self._plain()) < self._filesets:
            self._drop_any()
        self._wait_for_the_end()
        return self._judge(time.monotonic() - begun)

    # -- fault points -------------------------------------------------------

    def _at(self, side: str, transition: str) -> Callable[[], None]:
        name, provoke = point(side, transition), self.provoked(transition)

        def act() -> None:
            self._grid.faults.arm(name)
            deadline = time.monotonic() + _PATIENCE_S
            while not self._grid.faults.has_fired(name):
                assert time.monotonic() < deadline, (
                    f"nothing came to the point {name}\n{self._journal.counts()}\n"
                    f"{self._grid.server.evidence()}"
                )
                provoke(self)
                self._until_fired(name, 12.0)
            self._kills["DropBox at fault points"] += 1
            self._say(f"DropBox died {name}")

        return act

    @classmethod
    def provoked(cls, transition: str) -> Callable[[Campaign], object]:
        """What makes DropBox come to a point."""
        return {**cls.PROVOKED, **cls.IN_PARTS}.get(transition, cls._drop_more)

    def _until_fired(self, name: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._grid.faults.has_fired(name) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _drop_more(self) -> None:
        self._drop_any(name="more")

    def _drop_more_sets(self) -> None:
        self._drop_set("set")

    def _meet_a_set_again(self) -> None:
        """Its files are new to the journal, and their bytes are not."""
        names = [path for path, one in self._dropped.items() if one.members and one.now]
        imported = {fileset.path for fileset in self._journal.select(State.IMPORTED)}
        there = [n for n in names if imported & {*map(str, self._dropped[n].members)}]
        if not there:
            self._drop_set("set")
            return
        for member in self._dropped[self._chance.choice(there)].members:
            content = member.read_bytes()
            member.unlink()
            member.write_bytes(content)

    def _change_a_set(self) -> None:
        """With OMERO standing still, one of its files is written once more while it is queued."""
        user = self._chance.choice(self._users)
        before = str(self._drop_one(name="before", user=user))
        deadline = time.monotonic() + 15
        # Whose directory it is must be known: OMERO cannot be asked then.
        while time.monotonic() < deadline and not any(
            one.path == before for one in self._journal.select()
        ):
            time.sleep(0.1)
        blitz = self._grid.server.pid("Blitz-0")
        os.kill(blitz, signal.SIGSTOP)
        try:
            path = self._drop_set("set", user)
            mine = {*map(str, self._dropped[path].members)}
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline and not any(
                one.path in mine for one in self._journal.select(State.QUEUED, State.IMPORTING)
            ):
                time.sleep(0.1)
            os.utime(self._dropped[path].members[-1])
        finally:
            os.kill(blitz, signal.SIGCONT)

    def _drop_no_image(self) -> None:
        path = self._new_path("notes")
        self._write(path, images.refused(), image=False)

    def _mend_a_failed_one(self) -> None:
        failed = self._in(State.FAILED)
        if not failed:
            self._drop_no_image()
            failed = self._until_in(State.FAILED)
        if failed:
            self._write(Path(self._chance.choice(failed).path), images.tiff())

    def _remove_a_waiting_one(self) -> None:
        path = self._drop_one(name="removed")
        self._until_known(path)
        self._remove(path)

    def _bring_back_a_skipped_one(self) -> None:
        gone = [f for f in self._in(State.SKIPPED) if not Path(f.path).exists()]
        if not gone:
            self._remove_a_waiting_one()
            gone = [f for f in self._until_in(State.SKIPPED) if not Path(f.path).exists()]
        if gone:
            self._write(Path(self._chance.choice(gone).path), images.tiff())

    def _copy_an_imported_one(self) -> None:
        imported = self._in(State.IMPORTED)
        if not imported:
            self._drop_more()
            imported = self._until_in(State.IMPORTED)
        there = [f for f in imported if Path(f.path).exists()]
        if there:
            # The same bytes under another name: skipped, and nothing of it is in OMERO.
            one = self._chance.choice(there)
            copy = self._new_path("copy", self._dropped[Path(one.path)].user)
            self._write(copy, Path(one.path).read_bytes(), image=False)

    def _change_a_queued_one(self) -> None:
        """With OMERO standing still there is a queue, and something in it to change."""
        first = self._drop_one(name="changed")
        user = self._dropped[first].user
        # Whose directory it is must be known, for OMERO cannot be asked.
        if not self._until_in(State.IMPORTED, {str(first)}):
            return
        blitz = self._grid.server.pid("Blitz-0")
        os.kill(blitz, signal.SIGSTOP)
        try:
            mine = {str(self._drop_one(name="changed", user=user)) for _ in range(6)}
            queued = self._until_in(State.QUEUED, mine)
            if queued:
                # The last to have its turn.
                last = max(queued, key=lambda fileset: fileset.id)
                self._write(Path(last.path), images.tiff())
        finally:
            os.kill(blitz, signal.SIGCONT)

    # -- random kills -------------------------------------------------------

    def _random_kill(self, victim: str) -> Callable[[], None]:
        def act() -> None:
            time.sleep(self._chance.uniform(0, 2))
            if victim == _IMPORTER:
                self._kill_an_importer()
            elif victim == _STORE:
                self._kill_the_importer_of_a_store()
            else:
                for name in victim.split():
                    self._kill(name)

        return act

    def _kill(self, name: str, label: str = "") -> None:
        self._grid.kill(name)
        self._kills[label or name] += 1
        self._say(f"killed {label or name}")

    def _kill_an_importer(self) -> None:
        """A process of DropBox's that imports; where it does so itself, DropBox in the middle."""
        children = self._grid.children("DropBox")
        if children:
            os.kill(self._chance.choice(children), signal.SIGKILL)
            self._kills["importer"] += 1
            self._say("killed an importer")
            return
        self._drop_more()
        deadline = time.monotonic() + 10
        while not self._journal.importing() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(self._chance.uniform(0, 0.1))
        self._kill("DropBox", "DropBox importing")

    def _kill_the_importer_of_a_store(self) -> None:
        """A large store is imported in a process of its own."""
        self._drop_store("more")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for pid in self._grid.below("DropBox"):
                with suppress(OSError):
                    if b"apart.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        time.sleep(self._chance.uniform(0, 1))
                        os.kill(pid, signal.SIGKILL)
                        self._kills[_STORE] += 1
                        self._say(f"killed the {_STORE}")
                        return
            time.sleep(0.02)
        self._say(f"no {_STORE} was found")

    # -- what users do ------------------------------------------------------

    def _plain(self) -> list[Path]:
        return [path for path in self._dropped if path.name.startswith("image")]

    def _new_path(self, name: str, user: str = "", suffix: str = ".tif") -> Path:
        user = user or self._chance.choice(self._users)
        path = self._grid.directory(user) / f"{name}-{len(self._dropped):05}{suffix}"
        self._dropped[path] = Dropped(user, path)
        return path

    def _drop_any(self, name: str = "image") -> None:
        """A file; in one of eight cases a store, a set, or a store that changes once more."""
        kind = self._chance.randrange(24)
        if kind == 0:
            self._drop_store(name)
        elif kind == 1:
            self._drop_set(name)
        elif kind == 2:
            self._drop_one(name)
            self._change_a_store()
        else:
            self._drop_one(name)

    def _drop_store(self, name: str) -> None:
        path = self._new_path(name, suffix=".zarr")
        store = image(path, self._chance.choice((2, 3)), levels=2, seed=len(self._dropped))
        chunk = next(key for key in reversed(store.files) if not key.endswith(("json", "array")))
        store.files[chunk] = self._chance.randbytes(16)
        store.write()
        # As the journal names it.
        dropped = self._dropped[path]
        dropped.path, dropped.store, dropped.now = store.path, store, _digest(store)

    def _change_a_store(self) -> None:
        stores = [dropped for dropped in self._dropped.values() if dropped.store is not None]
        if not stores:
            return
        dropped = self._chance.choice(stores)
        assert dropped.store is not None and dropped.now is not None
        dropped.before.add(dropped.now)
        chunk = self._chance.choice([key for key in dropped.store.files if key[-1].isdigit()])
        dropped.store.files[chunk] = self._chance.randbytes(16)
        dropped.store.write(chunk)
        dropped.now = _digest(dropped.store)

    def _drop_set(self, name: str, user: str = "") -> Path:
        path = self._new_path(name, user, suffix=".ome.tif")
        names = [path.name, *(f"{path.name[:-8]}-{n}.ome.tif" for n in range(4))]
        members = images.ome_tiff_set(path.parent, names)
        sha1s = {file.name: hashlib.sha1(file.read_bytes()).hexdigest() for file in members}
        dropped = self._dropped[path]
        dropped.members, dropped.now = tuple(members), digest(sha1s)
        return path

    def _drop_one(self, name: str = "image", user: str = "") -> Path:
        return self._write(self._new_path(name, user), images.tiff())

    def _write(self, path: Path, content: bytes, *, image: bool = True) -> Path:
        dropped = self._dropped[path]
        if dropped.now:
            dropped.before.add(dropped.now)
        dropped.now = hashlib.sha1(content).hexdigest() if image else None
        path.write_bytes(content)
        return path

    def _remove(self, path: Path) -> None:
        dropped = self._dropped[path]
        path.unlink()
        if dropped.now:
            dropped.before.add(dropped.now)
            dropped.now = None

    # -- the journal --------------------------------------------------------

    def _in(self, state: State) -> list[Fileset]:
        """Of single files."""
        ours = {str(path) for path, dropped in self._dropped.items() if dropped.single}
        return [f for f in self._journal.select(state) if f.path in ours]

    def _until_in(self, state: State, paths: set[str] | None = None) -> list[Fileset]:
        """Some filesets in `state`, of `paths` if given.  Empty if none comes in time."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            found = [f for f in self._in(state) if paths is None or f.path in paths]
            if found and (paths is None or len(found) >= len(paths) // 2):
                return found
            time.sleep(0.1)
        return []

    def _until_known(self, path: Path) -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not self._journal.open_at([str(path)]):
            time.sleep(0.02)

    def _latest(self) -> dict[str, Fileset]:
        return {f.path: f for f in sorted(self._journal.select(), key=lambda f: f.id)}

    def _told(self, dropped: Dropped, latest: dict[str, Fileset]) -> Fileset | None:
        """The latest fileset of it.  Any file of a set may be the first of its fileset."""
        paths = map(str, dropped.members or (dropped.path,))
        found = [latest[path] for path in paths if path in latest]
        return max(found, key=lambda fileset: fileset.id, default=None)

    # -- the end ------------------------------------------------------------

    def _wait_for_the_end(self) -> None:
        def remaining() -> list[str]:
            latest = self._latest()
            left = []
            for dropped in self._dropped.values():
                told = self._told(dropped, latest)
                if told is None:
                    if dropped.path.exists():
                        left.append(f"{dropped.path.name}: not in the journal")
                elif told.state in _OPEN or (
                    # Nothing but a look at its tree tells that a store has changed.
                    dropped.store is not None and dropped.now not in told.sha1s
                ):
                    left.append(f"{dropped.path.name}: {told.state}")
            return left

        last, since = remaining(), time.monotonic()
        while last and time.monotonic() - since < _TRIED_S:
            time.sleep(0.5)
            now = remaining()
            if len(now) < len(last):
                since = time.monotonic()
            last = now
        # Then everything a second time: what is known stays as it is.
        self._grid.kill("DropBox")
        self._kills["DropBox"] += 1
        sentinel = str(self._drop_one(name="sentinel"))
        until(
            "the last file dropped is imported",
            lambda: sentinel in {f.path for f in self._journal.select(State.IMPORTED)},
            evidence=self._grid.server.evidence,
        )

    def _until_swept(self) -> None:
        """What was left without images is taken away; what stays is judged."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if all(one.whole for one in self._grid.stored()):
                return
            time.sleep(1.0)

    def _judge(self, seconds: float) -> Result:
        self._until_swept()
        stored = self._grid.stored()
        latest = self._latest()
        of: dict[str, list[Stored]] = {}
        for one in folded(stored, self._tops(), self._grid.sha1_on_disk):
            of.setdefault(one.client_path, []).append(one)
        missing, twice, astray, untold = [], [], [], []
        for path, dropped in self._dropped.items():
            whole = [one for one in of.pop(client_path(path), []) if one.whole]
            times = Counter(one.sha1 for one in whole)
            if dropped.now and not times[dropped.now]:
                missing.append(str(path))
            twice += [f"{path} {sha1}: {n} times" for sha1, n in times.items() if n > 1]
            for one in whole:
                if one.sha1 not in {dropped.now, *dropped.before}:
                    astray.append(f"{path}: Fileset:{one.fileset} has bytes that nobody dropped")
                elif one.owner != dropped.user:
                    astray.append(f"{path}: Fileset:{one.fileset} belongs to {one.owner}")
                elif (one.on_disk or self._grid.sha1_on_disk(one)) != one.sha1:
                    astray.append(f"{path}: Fileset:{one.fileset} is other bytes in the repository")
            told = self._told(dropped, latest)
            expected = (State.IMPORTED, State.SKIPPED) if dropped.now else (*State,)
            if path.exists() and (told is None or told.state in _OPEN):
                untold.append(f"{path}: {told.state if told else 'not in the journal'}")
            elif told is not None and told.state not in expected:
                untold.append(f"{path}: {told.state}: {told.reason}")
        for name, others in of.items():
            astray += [f"{name}: nobody dropped Fileset:{one.fileset}" for one in others]
        return Result(
            seed=self._seed,
            filesets=sum(1 for dropped in self._dropped.values() if dropped.now),
            users=len(self._users),
            kills=self._kills,
            seconds=seconds,
            missing=missing,
            twice=twice,
            half=[f"Fileset:{one.fileset} {one.client_path}" for one in stored if not one.whole],
            astray=astray,
            untold=untold,
        )

    def _tops(self) -> dict[str, Path]:
        """Client path of each file of a store or a set -> the path of that."""
        tops: dict[str, Path] = {}
        for path, dropped in self._dropped.items():
            names = dropped.store.files if dropped.store is not None else ()
            for file in (*(path / name for name in names), *dropped.members):
                tops[client_path(file)] = path
        return tops

    # Each transition that DropBox makes, and what leads to it.
    PROVOKED: ClassVar[dict[str, Callable[[Campaign], object]]] = {
        "-waiting": _drop_more,
        "waiting-queued": _drop_more,
        "queued-importing": _drop_more,
        VERIFIED: _drop_more,
        "importing-imported": _drop_more,
        "importing-queued": _drop_no_image,
        "importing-failed": _drop_no_image,
        "failed-waiting": _mend_a_failed_one,
        "waiting-skipped": _remove_a_waiting_one,
        "skipped-waiting": _bring_back_a_skipped_one,
        "importing-skipped": _copy_an_imported_one,
        "importing-waiting": _change_a_queued_one,
    }
    IN_PARTS: ClassVar[dict[str, Callable[[Campaign], object]]] = {
        "forming": _drop_more_sets,
        "parting": _change_a_set,
        "verifying": _drop_more_sets,
        "ending": _drop_more_sets,
        "meeting": _meet_a_set_again,
    }
