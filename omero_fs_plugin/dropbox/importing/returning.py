"""The way back from the quarantine: if a file comes that a set lacks, or if it is tried again."""

from __future__ import annotations

import errno
import json
import logging
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from omero_fs_plugin.dropbox.confine.trees import stat_of
from omero_fs_plugin.dropbox.disks.calls import CALLS, RootAway
from omero_fs_plugin.dropbox.journal.ending import LACKS
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import GOES, HOME, RETURNING, Way
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError, JournalError
from omero_fs_plugin.stores import is_store, store_at

from .alone import Busy
from .crossing import are_same, drop_at
from .forsaken import Forsaken
from .lying import is_same, lies_at, not_mounted
from .moving import move_back, remove_source
from .vault import Vault, told_at

log = logging.getLogger(__name__)

# For so long (s) after its last sign of life a way home is believed to be under way: whoever makes
# it may have been killed.  And how fast a file is copied at least (bytes/s).
_COMING_S = 120.0
_SLOWEST = 2_000_000
_KEPT = 100  # ways home whose goals are kept at most


class Returning(Vault):
    """Brings filesets back to where the user put them.  A way that was cut short is finished."""

    def __init__(self, directory: Path | None, journal: Journal) -> None:
        super().__init__(directory, journal)
        # Fileset -> the root that it goes to, of those wanted while another moved them
        self._wanted: dict[int, str] = {}
        self.stays: dict[int, str] = {}  # fileset -> why it was not brought back the last time
        # Fileset -> when its way home began, and where its files go
        self._coming: dict[int, tuple[float, frozenset[str]]] = {}
        self._forsaken = Forsaken(time.monotonic())

    def coming(self, paths: Collection[str]) -> set[str]:
        """Those of `paths` at which files are, or will be, whose way home is under way.

        In whichever process.  They are of that fileset.
        """
        found: set[str] = set()
        now = self._journal.now()
        for identifier, way in self._ways().items():
            if now < way.until:
                found |= self._goals(identifier, way).intersection(paths)
        return found

    def _goals(self, identifier: int, way: Way) -> frozenset[str]:
        """Where the files of a fileset go.  Asked of the journal once for each way home."""
        known = self._coming.get(identifier)
        if known is not None and known[0] == way.began:
            return known[1]
        fileset = self._journal.get(identifier)
        if fileset is None or fileset.root != way.lay:
            return frozenset()  # the journal has it at home
        goals = frozenset(path for _, path in self._ways_home(fileset, way.root))
        if len(self._coming) >= _KEPT:
            self._coming.clear()
        self._coming[identifier] = way.began, goals
        return goals

    def bring_what_lacks(self, user: str, paths: Collection[str]) -> list[str]:
        """Brings back the sets of `user` that lack or have one of `paths`.

        `paths` are files that came, or files that a set which came lacks.  Returns the
        paths of all files that are back.
        """
        back: list[str] = []
        homes = self._journal.notes(HOME)
        if not homes:
            return back
        wanted = set(paths)
        lacks = self._journal.notes(LACKS)
        for fileset in self._journal.load([int(key.removeprefix(HOME)) for key in homes]):
            if fileset.state is not State.FAILED or fileset.user != user:
                continue
            lacking = json.loads(lacks.get(f"{LACKS}{fileset.id}", "[]"))
            mine = [home for _, home in self._ways_home(fileset, homes[f"{HOME}{fileset.id}"])]
            if not wanted.isdisjoint(lacking) or (lacking and not wanted.isdisjoint(mine)):
                try:
                    back += self.bring_back(fileset)
                except Busy as error:
                    self._wanted[fileset.id] = homes[f"{HOME}{fileset.id}"]
                    log.info("fileset %d: %s", fileset.id, error)
        return back

    def wanted(self) -> dict[int, str]:
        """Filesets to be brought back as soon as nobody else moves them -> the root they go to."""
        return dict(self._wanted)

    def bring_wanted(self, identifier: int) -> list[str]:
        """Brings back one of `wanted`, unless it is moved still.  Returns its paths."""
        fileset = self._journal.get(identifier)
        try:
            gone = fileset is None or fileset.state is not State.FAILED
            back = [] if gone or fileset is None else self.bring_back(fileset)
        except Busy:
            return []
        self._wanted.pop(identifier, None)
        return back

    def bring_back(self, fileset: Fileset) -> list[str]:
        """Brings the files of a failed fileset back to where the user put them; they settle there.

        Returns their paths.  Returns none if the fileset is not in quarantine, or if it stays
        there, as when something else lies where the files were; `stays` and the log say why
        then.  Raises Busy if another process is moving them.
        """
        self.stays.pop(fileset.id, None)
        root = self._journal.noted(f"{HOME}{fileset.id}")
        if not root or fileset.root == root:
            return []
        # Its disk may be another than the user's, and is named if it hangs.
        vault = str(self.directory or fileset.root)
        try:
            with self._alone(fileset.id, Path(fileset.root), vault):
                now = self._journal.get(fileset.id)
                if now is None or now.state is not State.FAILED or now.root == root:
                    return []
                return self._bring_back(now, root, vault)
        except OSError as error:
            return self._stay(fileset, str(error))

    def _bring_back(self, fileset: Fileset, root: str, vault: str) -> list[str]:
        path = fileset.path
        ways = self._ways_home(fileset, root)
        arrived: set[Path] = set()  # stores that lie in both places
        try:
            for at, path in ways:
                lies, there = lies_at(at, vault), stat_of(root, path)
                if not lies and there is None:
                    if why := not_mounted(Path(fileset.root), vault):
                        return self._stay(fileset, f"{at} lies in {why}")
                    # Where it failed, its end can still be told.
                    self._journal.note(f"{RETURNING}{fileset.id}", "")
                    return self._stay(fileset, f"{at} is gone")
                if not lies or there is None:
                    continue
                if not self._is_there(at, root, Found(path, there), vault):
                    self._journal.note(f"{RETURNING}{fileset.id}", "")
                    return self._stay(fileset, f"something else is at {path}")
                arrived.add(at)
            self._clear_away(fileset, root, ways, vault)
            stores = tuple(str(at) for at, path in ways if is_store(path))
            now = self._journal.now()
            way = Way(root, fileset.root, stores, now + _COMING_S, now)
            if not self._journal.set_out(fileset, {f"{RETURNING}{fileset.id}": str(way)}):
                return []
            found: list[Found] = []
            for (at, path), met in zip(ways, fileset.files, strict=True):
                way = self._goes_on(fileset.id, way, met.stat.size)
                # If it does not, an earlier move that was cut short has brought it back.
                if at not in arrived and lies_at(at, vault):
                    move_back(at, root, path, vault, self._sure)
                stat = stat_of(root, path)
                if stat is None:
                    return self._stay(fileset, f"{path} is gone")
                found.append(Found(path, stat))
            with suppress(FileNotFoundError), CALLS.at(vault):
                told_at(Path(fileset.root)).unlink()
            self._journal.bring_home(fileset, root, found, f"{HOME}{fileset.id}")
        except (OSError, FsError) as error:
            if len(ways) == 1 and not isinstance(error, (RootAway, JournalError)):
                self._journal.note(f"{RETURNING}{fileset.id}", "")  # all of it is undone
            return self._stay(fileset, str(error) if path in str(error) else f"{path}: {error}")
        log.info("fileset %d: %s is back from quarantine", fileset.id, found[0].path)
        self._end_return(fileset.id, stores, vault)
        return [met.path for met in found]

    def _is_there(self, at: Path, root: str, home: Found, vault: str) -> bool:
        """Whether `home` is the file at `at`, which was brought back by a move that was cut short.

        Then the move of a file is completed; a store lies in both places.  Raises OSError if it
        changes meanwhile, and what `_sure` raises.
        """
        same = is_same(at, vault, root, home)
        if same and not is_store(home.path):
            self._sure()
            # To compare takes minutes.  The user may have removed it meanwhile.
            if stat_of(root, home.path) != home.stat:
                raise OSError(errno.EBUSY, "it changed while it was compared", home.path)
            remove_source(at, vault)
        return same

    def _goes_on(self, identifier: int, way: Way, size: int) -> Way:
        """A sign of life, before a file of `size` bytes comes home."""
        until = self._journal.now() + _COMING_S + size / _SLOWEST
        if until - way.until < _COMING_S / 4:  # not for each of very many
            return way
        way = replace(way, until=until)
        self._journal.note(f"{RETURNING}{identifier}", str(way))
        return way

    def _stay(self, fileset: Fileset, why: str) -> list[str]:
        """Not all of it is back.  Says why, here and in the log.

        What is back by now is met as any other file.
        """
        with suppress(OSError, FsError):
            if said := self._journal.noted(f"{RETURNING}{fileset.id}"):
                still = str(replace(Way.of(said), until=0.0))
                self._journal.note(f"{RETURNING}{fileset.id}", still)
        self.stays[fileset.id] = why
        log.warning("fileset %d: stays in quarantine: %s", fileset.id, why)
        return []

    def returning(self) -> dict[int, str]:
        """The filesets whose way back was cut short -> the root that they go back to."""
        return {identifier: way.root for identifier, way in self._ways().items()}

    def _ways(self) -> dict[int, Way]:
        """What is noted of each way home."""
        return {
            int(key.removeprefix(RETURNING)): Way.of(said)
            for key, said in self._journal.notes(RETURNING).items()
        }

    def looks(self, now: float) -> bool:
        """Whether it is time (`now`: s, monotonic) to ask the journal for `forsaken`."""
        return self._forsaken.looks(now)

    def forsaken(self, now: float) -> dict[int, str]:
        """Ways home that nobody goes on with, to be finished `now` (s, monotonic).

        Fileset -> the root that it goes back to.
        """
        return self._forsaken.due(self._ways(), now, self._journal.now())

    def finish(self, identifier: int) -> list[str]:
        """Finishes the way back of a fileset.  Returns the paths of what is back just now.

        If it cannot be finished, the log says so.
        """
        said = self._journal.noted(f"{RETURNING}{identifier}")
        fileset = self._journal.get(identifier)
        if not said:
            return []
        way = Way.of(said)
        away = fileset is not None and fileset.root != way.root
        try:
            if fileset is not None and away and fileset.state is State.FAILED:
                return self.bring_back(fileset)
            vault = str(self.directory or way.lay)
            if not way.stores or away:  # if it is away, it was tried again where it lies
                self._journal.end_way(identifier, said)
                return []
            with self._alone(identifier, Path(way.lay), vault):
                self._end_former_way(identifier, vault)
        except (OSError, FsError) as error:  # also Busy
            log.warning("fileset %d: is not all back from quarantine: %s", identifier, error)
        return []

    def _end_former_way(self, identifier: int, vault: str) -> None:
        """What the last way home of a fileset has left in quarantine goes, if it is at home.

        Call it with nobody else at it.  What is on its way into quarantine again is no such rest:
        it has the same place there.  Nor is what went there again since the journal was copied, and
        this copy of it put in its place.  Raises OSError, and what `_sure` raises.
        """
        said = self._journal.noted(f"{RETURNING}{identifier}")
        if not said:
            return
        way, fileset = Way.of(said), self._journal.get(identifier)
        at_home = fileset is None or fileset.root == way.root
        goes = self._journal.noted(f"{GOES}{identifier}")
        rests = []
        for at in way.stores if at_home and not goes else ():
            if self._is_rest(Path(at), way, vault):
                rests.append(at)
            else:
                log.warning("fileset %d: %s stays: it is not what is at home", identifier, at)
        self._end_return(identifier, rests, vault)

    @staticmethod
    def _is_rest(at: Path, way: Way, vault: str) -> bool:
        """Whether a store that came home by `way` is there as it is here, or not here any more."""
        if not lies_at(at, vault):
            return True  # a removal of it was cut short, at its hidden name
        home = store_at(str(Path(way.root, at.relative_to(way.lay))))
        if stat_of(way.root, home) is None:
            return False
        return are_same(at, vault, way.root, home, trust_times=True)

    def _end_return(self, identifier: int, stores: Sequence[str], vault: str) -> None:
        """The journal has it at home.  The log says what of it cannot be removed elsewhere."""
        try:
            for at in stores:
                drop_at(Path(at), vault, self._sure)
            self._journal.note(f"{RETURNING}{identifier}", "")
        except (OSError, FsError) as error:
            log.warning(
                "fileset %d: is back, but is not removed yet from %s: %s",
                identifier,
                ", ".join(stores),
                error,
            )
