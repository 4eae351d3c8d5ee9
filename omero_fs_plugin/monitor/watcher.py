"""The thread of a started monitor.

Only this thread owns its kernel queue, its tracker and its outbox.  It calls the
client asynchronously, and the answer wakes it.  It holds no lock during a call,
and no client waits for another one that is slow.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from omero_fs_plugin.events import EventType
from omero_fs_plugin.filters import Filter

from . import guests
from .kernel import collector, raw
from .kernel.observers import Observer, Observing
from .notices import Notice, Tell, last_of_reach, shown, speakable
from .record.picture import Picture
from .requests import MonitorType, Request
from .telling.absence import Absence
from .telling.gathering import LONGEST
from .telling.keeper import Keeper
from .telling.outbox import Outbox
from .telling.telling import Answer, Client, Telling
from .telling.terms import Terms
from .tracking.arrivals import Timing
from .tracking.racy import CONFIRM_ALONE, CONFIRM_AMONG, SOON
from .tracking.tracker import Tracker
from .waits import Waits

log = logging.getLogger(__name__)

# If a monitor's thread meets an unknown error, it begins anew after this time.  The time
# doubles as long as errors follow soon.
RESTART = 1.0  # s
LONGEST_RESTART = 60.0  # s
# At an orderly end we wait so long for the answer to what was told last, because the
# record must hold what the client has heard.
LAST_ANSWER = 2.0  # s
# Before that, so long after the last event it is certain what a file looks like.
SURE = 0.03  # s
# At a start we read the kernel's events so often (s): its queue has room for thousands.
TURN = 0.01
# If a system call has not returned after this time, its share is away.
HANGS = 30.0  # s
# The same of a start, which somebody waits for, and of one that is to stop.
START_HANGS, STOP_HANGS = 30.0, 2.0  # s
_HANGS_TEXT = "the file system does not answer"


class Watcher:
    """The thread of a started monitor, and everything that only this thread may touch."""

    def __init__(
        self,
        identifier: str,
        request: Request,
        client: Client,
        timing: Timing,
        *,
        absence: Absence,
        forget: Callable[[], None],
        observing: Observing | None = None,
        picture: Picture | None = None,
        resumed: bool = False,
    ) -> None:
        """`resumed`: FSServer was restarted, and `picture` has what the client knows.

        `forget` is called at the end of the thread if the client was away for too long.
        """
        self.ready = threading.Event()  # everything is watched, or `error` says why not
        self.error: str | None = None
        self.ended = False
        self.abandoned = False  # nobody waits for its end
        self.unspeakable = 0  # events whose name is not UTF-8
        self.outbox = (
            Outbox(block_size=request.block_size, capacity=guests.CAPACITY)
            if request.guest
            else Outbox(block_size=request.block_size)
        )
        self.tracker = Tracker(
            request.path,
            tell=self._tell,
            passes=Filter(
                request.path,
                whitelist=request.whitelist,
                blacklist=request.blacklist,
                ignore_sys_files=request.ignore_sys_files,
            ),
            mode=request.mode,
            directory_events=not request.ignore_dir_events,
            timing=timing,
            note=lambda tell: self._keeper.silent(tell),
        )
        self._keeper = Keeper(picture, self.tracker, self.outbox, request.mode)
        self._telling = Telling(
            identifier,
            request.path,
            client,
            outbox=self.outbox,
            keeper=self._keeper,
            absence=absence,
            wake=self._wake,
            patient=request.type is not MonitorType.ONE_SHOT,
        )
        self._resumed = resumed
        self._forget = forget
        self._identifier = identifier
        self._request = request
        self._client = client
        self._busy_since: float | None = None  # when the work under way began; None if it waits
        self._hang_told = False
        self._stop = False
        self._orderly = False
        self._waits = Waits(lambda: self._telling.awaited)
        self._waking = threading.Lock()  # nobody wakes the thread after its end
        self._observing = observing or Observing()
        self._observer: Observer | None = None
        self._open_at = math.inf  # when to watch again after an interruption
        self._restart = 0.0  # s; the last wait after an error
        self._failed_at = -math.inf
        self._error: BaseException | None = None  # we have not recovered from it yet
        self._recovering = False
        self._gap = False  # nothing is watched until the client answers
        self._uncounted = False  # of a monitor that has just begun
        self._terms = Terms(request)
        self._now = time.monotonic()
        self.thread = threading.Thread(
            target=self._run, name=f"monitor-{identifier[:8]}", daemon=True
        )

    # From any thread --------------------------------------------------------

    def request_stop(self, *, orderly: bool = False) -> None:
        """Asks the thread to end, and returns at once.

        `orderly`: because the server ends, not because the client asks for it.
        """
        if orderly:
            self._orderly = True
        self._stop = True  # never False again: no thread loses what another has asked for
        self._wake()

    def await_ready(self) -> None:
        """Returns when everything is watched, or `error` says why not."""
        while not self.ready.wait(0.5):
            since, limit = self._busy_since, STOP_HANGS if self._stop else START_HANGS
            if since is not None and time.monotonic() - since > limit:
                self.error = f"pathString {shown(self._request.path)!r}: {_HANGS_TEXT}"
                self.request_stop()
                self.abandon()
                return

    def check_pulse(self, now: float) -> None:
        """Tells the client if the disk does not answer, because our thread cannot do so."""
        since = self._busy_since
        if since is None or now - since < HANGS or self._hang_told or self.ended:
            return
        path = self._request.path
        log.warning("monitor %s: %s does not answer", self._identifier, shown(path))
        tell = Notice.UNREACHABLE.tell(path, _HANGS_TEXT)
        self._client.notify(self._identifier, [tell], _not_awaited)
        # Only now: else a disk that answers meanwhile is told as reachable first, and as
        # unreachable for good.  If it has answered, the next turn says so, which is now.
        self._hang_told = True
        self._wake()

    @property
    def hanging(self) -> bool:
        """Whether the disk does not answer."""
        return self._hang_told

    def abandon(self) -> None:
        """The thread hangs.  Whatever it does later does not count."""
        self.abandoned = True
        self._keeper.close()

    def _wake(self) -> None:
        with self._waking:
            if not self.ended:
                self._waits.wakener.wake()

    # The thread -------------------------------------------------------------

    def _run(self) -> None:
        try:
            with collector.paused():
                self._begin()
            while not self._stop:
                try:
                    self._go_on()
                except BaseException as caught:
                    self._error = caught  # it came between two turns, or in an `except` below
            if self._orderly:
                self._hear_last()
        except BaseException as error:
            log.exception("monitor %s cannot begin, or go on", self._identifier)
            self.error = f"the monitor cannot begin: {error}"
        finally:
            self._unwatch()
            self._keeper.end()
            with self._waking:
                self.ended = True
                self._waits.wakener.close()
            self.ready.set()
            if self._telling.given_up:
                self._forget()

    def _go_on(self) -> None:
        while not self._stop:
            try:
                if self._error is not None:
                    if self._recovering:
                        time.sleep(RESTART)  # even the recovery has failed
                    self._recovering = True
                    self._recover(self._error)
                    self._recovering, self._error = False, None
                self._turn()
            except BaseException as caught:
                # Also exceptions that usually end a thread: only `request_stop` may end
                # this one.  Whatever the error was, the disk is the truth.
                self._error = caught

    def _begin(self) -> None:
        path = self._request.path
        self._now = self._busy_since = time.monotonic()
        self._telling.begin(self._now)
        if self._resumed:
            self._resume()
            return
        self._observer = self._observing.open(path, self._wake)
        try:
            self.tracker.open(self._observer, self._now, known=False)
        except OSError as error:
            self._refuse(f"pathString {shown(path)!r} cannot be watched: {error.strerror}")
            return
        while self.tracker.scanning and not self._stop:
            self._turn()
            self._scan_on()
        self._terms.begin(self._now)
        if not self._stop:
            self._keeper.begin(self._drain, self.ready.set)
            self._uncounted = True

    def _count_watches(self) -> None:
        """Warns if there are few left.  To count them takes long, so nobody waits for it."""
        self._uncounted = False
        if self._observer is not None:
            few = self._observer.warning(self.tracker.watches)
            if few is not None:
                path = shown(self._request.path)
                log.warning("monitor %s of %s: %s", self._identifier, path, few)

    def _scan_on(self) -> None:
        """Nobody is told anything before the start is over, so a turn has several scans."""
        end = self._now + TURN
        while self.tracker.scanning and not self._stop:
            now = self._busy_since = time.monotonic()
            if now >= end:
                return
            if not self.tracker.scan_own(now):
                if self.tracker.due() > now:
                    return
                self.tracker.step(now)

    def _scan_some(self) -> None:
        """What a new directory holds is told in the next turn, so little ones are looked at now."""
        end = time.monotonic() + LONGEST
        while self.tracker.scanning and not self._stop:
            now = time.monotonic()
            if now >= end or not self.tracker.scan_own(now):
                return

    def _recover(self, error: BaseException) -> None:
        """Begins anew from what is known, after an error."""
        now = time.monotonic()
        if now - self._failed_at > 2 * LONGEST_RESTART:
            self._restart = 0.0
        if not self._restart:
            text = "the monitor met an error, what happened meanwhile follows"
            self._notice(Notice.RESTARTED, text)
        self._failed_at = now
        self._restart = min(2 * self._restart or RESTART, LONGEST_RESTART)
        log.error(
            "monitor %s met an error, a rescan follows in %g s",
            self._identifier,
            self._restart,
            exc_info=error,
        )
        self._telling.recover()
        if self._gap and not len(self.outbox):
            self._gap = False  # the answer that ends it was heard, but nothing was done
        self._interrupt(math.inf if self._gap else now + self._restart)

    def _hear_last(self) -> None:
        end = time.monotonic() + LAST_ANSWER
        self._confirm_last()
        self._telling.hurry()  # from now on an answer wakes us
        self._hear(time.monotonic())
        while self._telling.in_flight and (now := time.monotonic()) < end:
            self._waits.wakener.wait(min(end, self._telling.due()) - now, None)
            self._hear(time.monotonic())
        self._keeper.write()

    def _confirm_last(self) -> None:
        """What was told just now is not to be told again after the restart."""
        if self._observer is None or self.tracker.racy.since == math.inf:
            return
        time.sleep(SURE)
        now = time.monotonic()
        self._observer.drain()
        while self._observer.backlog:
            events = self._observer.events()
            self.tracker.feed(events, now, more=self._observer.backlog)
        self.tracker.confirm(now, all_=True)

    def _resume(self) -> None:
        """After a restart of the server, the client is told what happened meanwhile."""
        self._keeper.resume()
        self._notice(Notice.RESTARTED, "FSServer was restarted, what happened meanwhile follows")
        self._open_at = self._now
        self.ready.set()

    def _refuse(self, reason: str) -> None:
        self.error = reason
        self._stop = True

    def _turn(self) -> None:
        """Waits until there is something to do, and does a limited part of it."""
        if self._uncounted:
            self._count_watches()
        self._busy_since = None
        if self._hang_told:
            self._hang_told = False
            self._notice(Notice.REACHABLE, "the file system answers again")
        waits, told = self._waits, self._now
        waited = self._observer is None or not self._observer.backlog
        events = waits.wait(self._observer, self._due()) if waited else []
        now = self._now = self._busy_since = time.monotonic()
        ended = waits.begun if waited else now  # the last turn
        if ended - told > SOON:
            self.tracker.racy.looked(told, ended)
        self._hear(now)
        if self._observer is not None:
            sure = waits.sure
            if not events:
                sure = now
                self._observer.drain()
                events = self._observer.events()
            self._look(self._observer, events, now, sure)
        elif now >= self._open_at:
            self._reopen(now)
        if self.outbox.crowded and self.outbox.overfull(now):
            self._begin_gap(now)
        if self._terms.any:
            notice = self._terms.notice(now, self.tracker.active_at, waits=bool(len(self.outbox)))
            if notice is not None:
                self._notice(*notice)
        if self._telling.awaited:
            self._hear(time.monotonic())  # it may have come since this turn began
        if not self.abandoned:  # the disk has answered since, and the client counts on nothing more
            self._telling.send(now)
        self._keeper.write(now, urgent=not events)

    def _drain(self) -> None:
        if self._observer is not None:
            self._observer.drain()

    def _look(self, observer: Observer, events: list[raw.Raw], now: float, sure: float) -> None:
        """Has the tracker decide what to tell now.

        `sure`: what happened before that time (s) is among the events, if no more are left.
        """
        tracker = self.tracker
        more = observer.backlog
        if events:
            writes = [event.mask for event in events].count(raw.IN_MODIFY)
            self._waits.gathering.looked(now, events=len(events), writes=writes)
        tracker.feed(events, now, more=more)
        if tracker.racy.since + CONFIRM_AMONG <= sure and not more:
            tracker.confirm(sure)
        if not self.outbox.crowded or now >= self.outbox.crowded_until():
            tracker.step(now)
            if tracker.scanning:
                self._scan_some()

    def _due(self) -> float:
        due = min(self._telling.due(), self._keeper.due(), self._open_at)
        if self._observer is not None:
            tracker = self.tracker.due()
            if self.outbox.crowded:
                tracker = max(tracker, self.outbox.crowded_until())
            due = min(due, tracker, self.tracker.racy.since + CONFIRM_ALONE)
        if self._terms.any:
            due = min(due, self._terms.due(self.tracker.active_at))
        return due

    def _tell(self, tell: Tell) -> None:
        """Takes one thing to tell from the tracker."""
        if tell.type is not EventType.SYSTEM:
            if self._terms.inactivity:
                return
            if tell.type not in self._request.events:
                self._keeper.silent(tell)
                return
            if not speakable(tell.path):
                self.unspeakable += 1
                log.warning("a name is not UTF-8: %s of %s", tell.type.value, shown(tell.path))
        self.outbox.put(tell, self._now)

    def _hear(self, now: float) -> None:
        """Takes the client's answers."""
        answer = self._telling.hear(now)
        if self._telling.given_up:
            self._stop = True
        if self._gap and answer is Answer.ARRIVED:
            self._gap = False
            self._open_at = now
        elif self._terms.any and self._terms.ends(answer):
            self._stop = True

    def _notice(self, notice: Notice, sentence: str) -> None:
        self.outbox.put(notice.tell(self._request.path, sentence), self._now)

    # Interruptions ----------------------------------------------------------

    def _begin_gap(self, now: float) -> None:
        """The client is too slow or away: a rescan will tell it what it has not heard."""
        waiting, tried = self.outbox.waiting(), self.outbox.tried
        log.warning(
            "monitor %s: %d events could not be told, a rescan follows when the client is back",
            self._identifier,
            len(waiting),
        )
        self._interrupt(math.inf)
        self.tracker.untell(waiting, tried)
        self._keeper.dropped(waiting)
        self._telling.drop()  # last: if an error comes before, it is told twice, not never
        self._gap = True
        self._notice(Notice.GAP, "events could not be told, a rescan follows")
        for tell in last_of_reach(waiting):  # the rescan does not tell of that
            self.outbox.put(tell, self._now)

    def _interrupt(self, until: float) -> None:
        self._unwatch()
        self._open_at = until

    def _unwatch(self) -> None:
        # The observer is forgotten last.  After an error in between, we come here again and
        # close once more, which does no harm.
        if self._observer is not None:
            self.tracker.close()
            self._observer.close()
            self._observer = None

    def _reopen(self, now: float) -> None:
        self._observer = self._observing.open(self._request.path, self._wake)
        self._open_at = math.inf
        self.tracker.open(self._observer, now, known=True)


def _not_awaited(arrived: bool) -> None:
    """For the answer to the message that the disk hangs: it changes nothing."""
