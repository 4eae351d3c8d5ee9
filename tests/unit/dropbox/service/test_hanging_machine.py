"""Roots that hang, are slow, answer late or lose calls, in any order, while users drop files.

The lanes, the trials, the dispatch and the rounds are the real ones.  Their threads are those of
a simulation, so the order in which they run is drawn too, and nobody sleeps.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omero_fs_plugin.dropbox.disks import lanes as lanes_module
from omero_fs_plugin.dropbox.disks.calls import HUNG_S, LOST_S, MOST_LOST, Calls, RootAway
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.service.dispatch import Dispatch
from omero_fs_plugin.dropbox.watching.rounds import LANE, LONGEST_S, TURN_S, Late, Round
from tests.conftest import examples
from tests.unit.dropbox.disks.simulated import Simulation

ROOTS = ("/d/amy", "/d/kim", "/d/zak", "/d/eve")
QUIET_S = 1.0
TICK_S = 0.5  # between two steps of the dispatch
SOON_S = QUIET_S + 4 * TICK_S  # a file is done after it, whatever other roots do
SLOW_S = 1.5  # a call to a slow disk; it answers, for this is less than HUNG_S
ENTRIES = 100  # in each root: a walk through a slow one takes minutes
LOSES = 2  # times that each root may lose the calls to it
STOP_S = 6.0
# Of one root: its lanes, the trials of one hang, and the calls and trials given up.
MOST_PARKED = 3 + 5 + 2 * MOST_LOST

roots = st.sampled_from(ROOTS)


class Disk:
    """What lies below all roots."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.hung: set[str] = set()
        self.slow: set[str] = set()
        self.stuck: list[tuple[str, list[bool]]] = []  # calls that wait: root, whether they go on
        self.lost: list[tuple[str, list[bool]]] = []  # those that wait although the root answers

    def touch(self, root: str) -> None:
        """One call of a thread."""
        if root in self.slow:
            self._simulation.wait(lambda: False, SLOW_S)
        else:
            self._simulation.give_way()
        if root in self.hung:
            call = root, [False]
            self.stuck.append(call)
            self._simulation.wait(lambda: call[1][0])

    def answer(self, root: str) -> None:
        self.hung.discard(root)
        self.slow.discard(root)
        for call in [one for one in self.stuck if one[0] == root]:
            self.stuck.remove(call)
            call[1][0] = True

    def lose(self, root: str) -> None:
        """It answers again, but not those who wait now."""
        self.hung.discard(root)
        calls = [one for one in self.stuck if one[0] == root]
        self.stuck = [one for one in self.stuck if one[0] != root]
        self.lost += calls

    def give_back(self) -> None:
        for _, goes_on in self.lost:
            goes_on[0] = True
        self.lost = []

    def parked(self, root: str) -> int:
        return sum(one[0] == root for one in (*self.stuck, *self.lost))


class Pipeline:
    """As much of the real one as the dispatch asks.  Each step asks the disk."""

    def __init__(self, simulation: Simulation, calls: Calls, disk: Disk) -> None:
        self._simulation, self._calls, self._disk = simulation, calls, disk
        self.there: dict[str, set[str]] = {root: set() for root in ROOTS}  # dropped
        self.met: dict[str, dict[str, float]] = {root: {} for root in ROOTS}  # file -> when (s)
        self.done: set[str] = set()
        self.settler = SimpleNamespace(begun=None)
        self.files = SimpleNamespace(unsure=set())
        self.places = SimpleNamespace(
            place=lambda path: SimpleNamespace(root=path.rpartition("/")[0]),
            rules=[SimpleNamespace(watch_dir=root) for root in ROOTS],
        )

    def heard(self, paths: Iterable[str], now: float) -> None:
        for path in paths:
            root = path.rpartition("/")[0]
            with self._calls.at(root):
                self._disk.touch(root)
            self.meet(root, [path], now)

    def meet(self, root: str, paths: Iterable[str], now: float) -> None:
        for path in paths:
            if path not in self.done:
                self.met[root].setdefault(path, now)

    def roots_due(self, now: float) -> list[str]:
        return [root for root, met in self.met.items() if min(met.values(), default=now) < now]

    def step(self, now: float, root: str) -> int:
        due = [path for path, since in self.met[root].items() if now - since >= QUIET_S]
        for path in due:
            with self._calls.at(root):
                self._disk.touch(root)
            self.met[root].pop(path, None)
            self.done.add(path)
        return len(due)

    def walk(self, root: str) -> int:
        with self._calls.at(root) as call:
            for _ in range(ENTRIES if root in self._disk.slow else 1):
                call.pulse()
                self._disk.touch(root)
            found = set(self.there[root])
        self.meet(root, found, self._simulation.now())
        return len(found)


class HangingDisks(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.simulation = Simulation(seed)
        self.order = random.Random(seed)
        now = self.simulation.now
        self.calls = Calls(now)
        self.disk = Disk(self.simulation)
        self.failures: list[object] = []
        self.lanes = Lanes(
            lambda root, error: self._failed(error), calls=self.calls, threads=self.simulation
        )
        self.pipeline = Pipeline(self.simulation, self.calls, self.disk)
        pipeline: Any = self.pipeline
        self.dispatch = Dispatch(
            pipeline,
            self.lanes,
            batch=lambda: 10,
            rested=lambda: None,
            failed=self.failures.append,
            back=self._look_at,
            missed=self.failures.append,
            look=self.disk.touch,
            trial=self.disk.touch,
            clock=now,
        )
        self.began = now()
        self.late = Late(now)
        self.stopping = threading.Event()
        self.events: list[str] = []
        self.heard_at: dict[str, float] = {}
        self.fine_since = dict.fromkeys(ROOTS, now())  # root -> since when it has answered
        self.fed_since = now()  # since when there are threads enough
        self.losses = dict.fromkeys(ROOTS, 0)
        self.round_since: float | None = None
        self.looked_at: set[str] = set()  # by the latest round
        self.asked: dict[str, float] = {}
        self.number = 0
        self.stopped: list[tuple[float, bool]] = []  # when the stop came back, and what it said
        self.simulation.start(self._keep_dispatching, "dispatch")

    # -- the threads beside the lanes ---------------------------------------

    def _keep_dispatching(self) -> None:
        while not self.stopping.is_set():
            heard, self.events = self.events, []
            self.dispatch._hand_out(heard)
            self.dispatch._step()
            self.dispatch._look_at_disks()
            self.simulation.wait(lambda: False, TICK_S)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, RootAway):  # which is told, and the root is looked at again
            self.failures.append(error)

    def _look_at(self, root: str) -> None:
        """As the rescanner does."""
        self.lanes.do(root, lambda: self._walk(root), key=LANE, beside=LANE)

    def _walk(self, root: str) -> None:
        self.pipeline.walk(root)

    def _rescan(self) -> None:
        def caught_up(root: str, number: int | None, again: bool) -> None:
            if number is None:
                self.failures.append(f"the late look at {root}")
            elif again:
                self._look_at(root)

        def look(root: str) -> int:
            self.looked_at.add(root)
            return self.pipeline.walk(root)

        looked = Round(self.lanes, self.stopping, late=self.late, caught_up=caught_up)
        for root in self.order.sample(ROOTS, len(ROOTS)):
            looked.begin(root, lambda root=root: look(root))  # type: ignore[misc]
        looked.wait()
        self.failures += looked.failed.values()
        self.round_since = None

    def _question(self, root: str) -> Callable[[], None]:
        def ask() -> None:
            def question() -> str:
                with self.calls.at(root):
                    self.disk.touch(root)
                return root

            try:
                assert self.lanes.ask(root, question) == root
            except RootAway as error:
                assert error.root == root
            del self.asked[root]

        return ask

    # -- what happens -------------------------------------------------------

    def is_running(self) -> bool:
        return hasattr(self, "stopping") and not self.stopping.is_set()

    @precondition(is_running)
    @rule(root=roots, heard=st.booleans(), count=st.integers(1, 3))
    def drop(self, root: str, heard: bool, count: int) -> None:
        for _ in range(count):
            self.number += 1
            path = f"{root}/{self.number}"
            self.pipeline.there[root].add(path)
            if heard:
                self.events.append(path)
                self.heard_at[path] = self.simulation.now()

    @rule(root=roots)
    def hang(self, root: str) -> None:
        self.disk.hung.add(root)
        self.fine_since[root] = float("inf")

    @rule(root=roots)
    def slow_down(self, root: str) -> None:
        if root not in self.disk.hung:
            self.disk.slow.add(root)
            self.fine_since[root] = float("inf")

    @rule(root=roots)
    def answer(self, root: str) -> None:
        self.disk.answer(root)
        if not self.losses[root] and self.fine_since[root] == float("inf"):
            self.fine_since[root] = self.simulation.now()

    @rule(root=roots)
    def lose(self, root: str) -> None:
        if self.losses[root] < LOSES and root in self.disk.hung:
            self.losses[root] += 1
            self.disk.lose(root)

    @rule()
    def lost_calls_come_back(self) -> None:
        self.disk.give_back()

    @rule()
    def starve(self) -> None:
        """There can be no more threads than there are."""
        self.simulation.most = 0
        self.fed_since = float("inf")

    @rule()
    def feed(self) -> None:
        self.simulation.most = 1_000
        self.fed_since = min(self.fed_since, self.simulation.now())

    @precondition(lambda self: self.is_running() and self.round_since is None)
    @rule()
    def rescan(self) -> None:
        if self._fed():
            self.round_since, self.looked_at = self.simulation.now(), set()
            self.simulation.start(self._rescan, "rescan")

    @precondition(is_running)
    @rule(root=roots)
    def ask(self, root: str) -> None:
        if self._fed() and root not in self.asked:
            self.asked[root] = self.simulation.now()
            self.simulation.start(self._question(root), "ask")

    @rule(seconds=st.sampled_from((0.1, 0.7, HUNG_S, SOON_S, 10.0, LONGEST_S, LOST_S + 10.0)))
    def pass_time(self, seconds: float) -> None:
        self.simulation.pass_time(seconds)

    @precondition(is_running)
    @rule(often=st.integers(0, 9))
    def stop(self, often: int) -> None:
        if often == 0:  # else nothing would ever happen for long
            self._stop()

    def _stop(self) -> None:
        began = self.simulation.now()
        self.stopping.set()
        self.dispatch.ask_to_stop()

        def stop() -> None:
            self.stopped.append((self.simulation.now(), self.lanes.stop(began + STOP_S)))

        self.simulation.most = 1_000
        self.simulation.start(stop, "stop")
        self.simulation.pass_time(STOP_S)
        (_, ended), *_ = self.stopped
        assert self.simulation.alive("stop") == []
        assert self.simulation.alive("rescan") == []
        assert self.simulation.alive("ask") == []
        assert ended == (self.simulation.alive("disk") == []), "it says whether all have ended"

    # -- what is true at any time -------------------------------------------

    def _fed(self) -> bool:
        return self.fed_since < float("inf")

    @invariant()
    def no_root_waits_for_another(self) -> None:
        if not self.is_running():
            return
        now = self.simulation.now()
        for path, at in self.heard_at.items():
            since = max(at, self.fine_since[path.rpartition("/")[0]], self.fed_since)
            assert path in self.pipeline.done or now - since < SOON_S, (path, now - since)

    @invariant()
    def nobody_waits_for_long(self) -> None:
        if not hasattr(self, "simulation"):
            return
        now = self.simulation.now()
        if self.round_since is not None and self.is_running():
            longest = LONGEST_S + TURN_S * len(ROOTS) + HUNG_S + 1
            assert now - self.round_since <= longest, "a round waits for a disk"
            since = max(self.round_since, self.fed_since)
            if now - since > TURN_S * len(ROOTS) + HUNG_S:
                fine = {root for root, at in self.fine_since.items() if at <= since}
                assert fine <= self.looked_at, "a root waits for the look at another"
        for root, since in self.asked.items():
            # A slow disk needs as long for each of those that asked before.
            waited = now - max(since, self.fed_since)
            assert waited <= HUNG_S + 2 * SLOW_S + 1, f"a question to {root} waits"

    @invariant()
    def few_are_parked(self) -> None:
        if not hasattr(self, "simulation"):
            return
        for root in ROOTS:
            assert self.disk.parked(root) <= MOST_PARKED
        parked = sum(map(self.disk.parked, ROOTS))
        at_work = 7 * len(ROOTS)  # the lanes of roots that answer
        workers = len(self.simulation.alive("disk"))
        assert workers <= parked + at_work + lanes_module._IDLE_MOST

    @invariant()
    def nothing_failed(self) -> None:
        if hasattr(self, "failures"):
            assert self.failures == []

    # -- the end ------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "simulation"):
            return
        self.feed()
        running = self.is_running()
        if running:
            self._all_is_done_although_calls_are_lost()
        for root in ROOTS:
            self.disk.answer(root)
        self.disk.give_back()
        if running:
            self.simulation.pass_time(1.0)
            assert self.calls.lost() == {}
            self.simulation.pass_time(1.0)
            self._stop()
            assert self.stopped[0][1]
            assert self.stopped[0][0] < self.simulation.now()
        self.simulation.pass_time(2 * SLOW_S)
        assert self.simulation.alive() == [], "every thread has ended"
        assert self.calls.away() == {}
        assert self.failures == []

    def _all_is_done_although_calls_are_lost(self) -> None:
        for root in ROOTS:
            self.disk.answer(root)
        hung = self.simulation.now() - self.began
        until = self.simulation.now() + 5 * hung + 2 * LOST_S + 30
        self.simulation.pass_time(30)
        while self.calls.away() and self.simulation.now() < until:
            self.simulation.pass_time(30)
        assert self.calls.away() == {}
        self.simulation.pass_time(30)
        assert self.pipeline.done >= self.heard_at.keys(), "what was told of needs no rescan"
        if self.round_since is None:
            self.rescan()
            self.simulation.pass_time(30)
        assert self.round_since is None
        assert self.asked == {}
        everything = set().union(*self.pipeline.there.values())
        assert self.pipeline.done == everything, everything - self.pipeline.done
        assert self.late.told() == {}
        assert self.dispatch._stepping == set()
        # A trial may be lost too.  Nobody waits for it.
        left = {beside for _, beside in self.lanes._lanes if not beside.startswith("trial ")}
        assert left == set()


TestHangingDisks = HangingDisks.TestCase
TestHangingDisks.settings = settings(
    max_examples=examples(40), stateful_step_count=30, deadline=None
)
