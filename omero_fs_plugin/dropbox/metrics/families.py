"""The metrics of DropBox: their names, units and meanings, and how they are filled.

Names follow Prometheus' rules (https://prometheus.io/docs/practices/naming/): base units, which
stand in the name, and `_total` for what only grows.
"""

from __future__ import annotations

from collections import Counter as Numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from omero_fs_plugin import __version__
from omero_fs_plugin.dropbox.journal.states import OPEN, State

from .tally import Look, Step, Tally

# s: from less than a quiet period to the longest import that one hears of.
BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 12 * 3600, 86400)

# What keeps files from being imported, by the first word of what `troubles` calls it.
TROUBLES = (
    *("omero", "fsserver", "journal", "share", "directory", "disk", "threads"),
    "importers",
    *("bio-formats", "configuration", "changed", "other"),
)


@dataclass(frozen=True)
class Now:
    """What the running parts say of themselves."""

    troubles: Mapping[str, str] = field(default_factory=dict)  # fault -> what is known of it
    starting: bool = False  # OMERO is
    roots: int = 0  # directories that are watched
    unreachable: int = 0  # those of them that do not answer, or are not there
    closed: int = 0  # those of them whose imports do not begin now: omero.fs.window
    silent: int = 0  # directories that do not answer, users' own below those too
    at_work: bool = False  # we have the lease
    rescans: int = 0  # since the start
    rescanned: float = 0.0  # s since the epoch, when the last rescan ended; 0: none has
    fsservers: Mapping[str, bool] = field(default_factory=dict)  # node -> has all its monitors
    java: Mapping[str, int] = field(default_factory=dict)  # what for -> processes since the start


class Families:
    """All metrics, in a registry of their own.

    One thread calls `collect`.  The text that it returns is whole: every figure that is taken from
    the journal is of one state of it.
    """

    def __init__(self, *, users: Callable[[], bool]) -> None:
        """`users`: whether the figures of filesets have the user's name in a label."""
        self.registry = CollectorRegistry(auto_describe=False)
        self._users = users
        self._tally = Tally()
        self._known: set[tuple[str, str]] = set()  # (state, user) that are shown
        self._then: float | None = None  # s, monotonic: of the last collection
        self._counted: Numbers[str] = Numbers()  # what a running total was, the last time
        make, make_total = self._gauge, self._total
        self.filesets = make("filesets", "Filesets in each state.", "state", "user")
        self.held = make("filesets_held", "Filesets that wait for something, or are tried again.")
        self.oldest = make(
            "oldest_seconds", "Age of the oldest fileset in a state, since it was met.", "state"
        )
        self.stage = Histogram(
            "omero_fs_stage_seconds",
            "How long filesets were in a stage: settling (quiet period and grouping), queued, "
            "importing.",
            ["stage"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.ended = make_total("filesets_ended", "Filesets that came into a last state.", "state")
        self.bytes = make_total("imported_bytes", "Bytes of imported filesets.")
        self.retries = make_total("retries", "Imports that were given back, to be tried again.")
        self.last = make("last_import_timestamp_seconds", "When the last import ended.")
        self.rescans = make_total("rescans", "Looks at all watched directories.")
        self.rescanned = make("last_rescan_timestamp_seconds", "When the last of these ended.")
        self.roots = make("roots", "Directories that are watched.")
        self.reachable = make("roots_reachable", "Those of them that answer.")
        self.closed = make("windows_closed", "Those of them whose imports do not begin now.")
        self.silent = make("directories_away", "Users' directories that do not answer.")
        self.fsservers = make(
            "fsserver_connected",
            "1 while the FSServer of this node watches for all its rules.",
            "node",
        )
        self._nodes: set[str] = set()  # that are shown
        self.lease = make("lease_held", "1 if this DropBox works on the journal, 0 if it waits.")
        self.java = make_total("java_starts", "Java processes that were started.", "purpose")
        self.trouble = make("trouble", "1 while this keeps files from being imported.", "what")
        self.starting = make("omero_starting", "1 while OMERO starts, right after DropBox.")
        self.away = make_total("trouble_seconds", "For how long there was such trouble.", "what")
        self.collected = make("collected_timestamp_seconds", "When these figures were collected.")
        self._gauge("info", "1, with the version.", "version").labels(__version__).set(1)
        for state in State:
            if state not in OPEN:
                self.ended.labels(str(state))
        for stage in STAGES.values():
            self.stage.labels(stage)

    def collect(self, look: Look | None, now: Now, at: float) -> bytes:
        """The text.  `at`: s, monotonic.  `look` is None while there is no journal."""
        self._of_parts(now, at)
        if look is not None:
            self._of_steps(self._tally.look(look))
            self._of_filesets(look.now())
            self.collected.set(look.now())
        return bytes(generate_latest(self.registry))

    def _of_steps(self, steps: Iterable[Step]) -> None:
        for step in steps:
            stage = STAGES.get(step.before)
            if stage is not None and step.lasted is not None:
                self.stage.labels(stage).observe(step.lasted)
            if step.after not in OPEN:
                self.ended.labels(step.after).inc()
            if step.before == State.IMPORTING and step.after == State.QUEUED:
                self.retries.inc()
            self.bytes.inc(step.size)

    def _of_filesets(self, now: float) -> None:
        tally = self._tally
        found: dict[tuple[str, str], int] = {}
        for state in State:
            numbers = tally.number(state)
            if self._users():
                found.update({(str(state), user): number for user, number in numbers.items()})
            else:
                found[str(state), ""] = sum(numbers.values())
            if state in OPEN:
                oldest = min((one.oldest for one in tally.opened.get(str(state), ())), default=now)
                self.oldest.labels(str(state)).set(max(0.0, now - oldest))
        for gone in self._known - found.keys():
            self.filesets.remove(*gone)
        for (state_, user), number in found.items():
            self.filesets.labels(state_, user).set(number)
        self._known = set(found)
        self.held.set(sum(one.held for opened in tally.opened.values() for one in opened))
        if tally.last_import is not None:
            self.last.set(tally.last_import)

    def _of_parts(self, now: Now, at: float) -> None:
        passed = 0.0 if self._then is None else max(0.0, at - self._then)
        self._then = at
        words = {name.split()[0].lower() for name in now.troubles}
        there = {word if word in TROUBLES else "other" for word in words}
        for what in TROUBLES:
            self.trouble.labels(what).set(what in there)
            self.away.labels(what).inc(passed if what in there else 0.0)
        self.starting.set(now.starting)
        self.roots.set(now.roots)
        self.reachable.set(now.roots - now.unreachable)
        self.closed.set(now.closed)
        self.silent.set(now.silent)
        for node in self._nodes - now.fsservers.keys():
            self.fsservers.remove(node)
        for node, connected in now.fsservers.items():
            self.fsservers.labels(node).set(connected)
        self._nodes = set(now.fsservers)
        self.lease.set(now.at_work)
        self._grow(self.rescans, "rescans", now.rescans)
        if now.rescanned:
            self.rescanned.set(now.rescanned)
        for purpose, number in now.java.items():
            self._grow(self.java.labels(purpose), f"java {purpose}", number)

    def _grow(self, total: Counter, name: str, number: int) -> None:
        total.inc(number - self._counted[name])
        self._counted[name] = number

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"omero_fs_{name}", meaning, _labels(labels), registry=self.registry)

    def _total(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"omero_fs_{name}", meaning, _labels(labels), registry=self.registry)


# The state that a fileset leaves -> how the stage is called.
STAGES = {
    str(State.WAITING): "settling",
    str(State.QUEUED): "queued",
    str(State.IMPORTING): "importing",
}


def _labels(names: Sequence[str]) -> list[str]:
    return list(names)
