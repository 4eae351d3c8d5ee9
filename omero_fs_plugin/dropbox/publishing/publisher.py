"""The thread that writes each user's document into OMERO, and answers what users ask there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping

from omero_fs_plugin.attendant import Attendant
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.layout import USER
from omero_fs_plugin.config.settings import EVERYONE, Settings
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import Holder
from omero_fs_plugin.dropbox.journal.seen import Asked
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError, ImportRefused, UserError

from .answers import Answers
from .document import FILESETS, Facts, changed, compose, fingerprint
from .heartbeat import EVERY_S, Others, sign
from .ration import Ration

log = logging.getLogger(__name__)

_SOON_S = 1.0  # until the next look, if documents are due and DropBox is idle
_AGAIN_S, _AGAIN_MOST_S = 30.0, 900.0  # after OMERO took no document; twice as long each time


class Publisher(Attendant):
    """Writes what has changed, at most every omero.fs.publishInterval for one user.

    Who may have to do something comes first: with very many users, the others may wait for minutes.

    Rule: it is a thread of its own, with a session of its own for each write.  So whatever OMERO
    does to it, no import waits for it.
    """

    def __init__(
        self,
        journal: Journal,
        omero: Omero,
        *,
        settings: Callable[[], Settings],
        progress: Callable[[], Mapping[int, str]],
        trouble_at: Callable[[str], str],
        unwatched: Callable[[], str] = str,
        unwatched_nodes: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """`trouble_at` gives what is wrong with a user's directory; empty: nothing.

        `unwatched` gives why FSServer tells of no new files; empty: it does.
        """
        self._journal = journal
        self._omero = omero
        self._settings = settings
        self._progress = progress
        self._trouble_at = trouble_at
        self._unwatched = unwatched
        self._unwatched_nodes = unwatched_nodes
        self._nodes: frozenset[str] = frozenset()  # as the last sign had them
        self._unwatched_since: float | None = None  # s since the epoch
        self._through = 0  # the last event of the journal that was heard
        self._due: dict[str, float] = {}  # user -> s since the epoch: not written before
        self._urgent: set[str] = set()  # users with a fileset that may need them
        self._written: dict[str, float] = {}  # user -> s since the epoch, of the last look
        self._moving: set[str] = set()  # users with a fileset that is being imported
        self._content: dict[str, bytes] = {}  # user -> what OMERO has of it, as `fingerprint` is
        self._ration = Ration()
        self._waits = False  # a document that is due, for want of a ration
        self._spent = 0.0  # s of CPU time, on documents
        self._answers = Answers(journal, omero)
        self._signed = 0.0  # s since the epoch: the last sign of life
        me = Holder.me()
        self._who = f"{me.host} {me.token}"
        self._others = Others(self._who)
        self._told = ""  # of another DropBox, in the log
        self._failures = 0  # in a row
        self._resting = 0.0  # s since the epoch: OMERO is not asked before
        self.trouble = ""  # why documents are not written
        super().__init__("publishing")

    def _look(self) -> float | None:
        try:
            self.look(self._journal.now())
        except FsError as error:
            self._say(str(error))
        except Exception:
            log.exception("publishing")
            self._say("a defect; see the log of DropBox")
        interval = self._settings().publish_interval or None
        # Very many are due, and nothing else is to be done.
        return (
            min(interval, _SOON_S) if interval and self._waits and self._ration.idle else interval
        )

    def look(self, now: float) -> None:
        """Writes what is due `now` (s since the epoch).  Raises JournalError."""
        settings = self._settings()
        if not settings.publish_interval:
            self._say("")
            return
        self._hear(settings)
        if 0 < self._resting - now <= _AGAIN_MOST_S:  # not if the clock was set back a long way
            return
        try:
            self._show_sign(settings, now)
            self._answers.look()
        except FsError as error:
            self._rest(error, now)
            return
        for user in self._answers.news():
            self._due[user] = 0.0
            self._urgent.add(user)  # who has asked waits for it
        self._ration.look(time.monotonic(), time.process_time() - self._spent)
        self._waits = False
        for user in sorted(self._due, key=lambda user: (user not in self._urgent, self._due[user])):
            if self._stopping.is_set():
                return
            last = self._written.get(user)
            if self._due[user] > now or (
                last is not None and 0 <= now - last < settings.publish_interval
            ):
                continue
            if not self._ration.may:
                self._waits = True
                return
            began = time.thread_time()
            going_on = self._publish(user, settings, now)
            took = time.thread_time() - began
            self._spent += took
            self._ration.spend(took)
            if not going_on:
                return
        if not self._due:
            self._say("")

    def _hear(self, settings: Settings) -> None:
        with glance(settings.journal_url) as look:
            if look is None:
                return
            self._through, users = look.users_after(self._through)
        self._urgent.update(user for user, needs in users.items() if needs)
        for user in (*users, *sorted(self._moving)):
            self._due.setdefault(user, 0.0)

    def _publish(self, user: str, settings: Settings, now: float) -> bool:
        """Whether OMERO may be asked for the next one at once."""
        facts = self._facts(user, settings)
        content = compose(facts, settings, now)
        says = fingerprint(content)
        try:
            if self._content.get(user) != says:
                self._content.pop(user, None)
                self._omero.publish(user, lambda before: changed(content, before, now))
                self._content[user] = says
        except (UserError, ImportRefused) as error:  # this user's own trouble
            log.info("no document for %s: %s", user, error)
            self._due[user] = now + _AGAIN_MOST_S
            return True
        except FsError as error:
            self._rest(error, now)
            return False
        self._failures, self._resting = 0, 0.0
        self._written[user] = now
        del self._due[user]
        self._urgent.discard(user)
        if facts.counts.get(State.IMPORTING):
            self._moving.add(user)
        else:
            self._moving.discard(user)
        return True

    def _rest(self, error: FsError, now: float) -> None:
        self._resting = now + min(_AGAIN_S * 2 ** min(self._failures, 10), _AGAIN_MOST_S)
        self._failures += 1
        self._say(str(error))

    def _show_sign(self, settings: Settings, now: float) -> None:
        if bool(self._unwatched()) is (self._unwatched_since is None):
            self._unwatched_since = now if self._unwatched_since is None else None
            self._signed = 0.0  # that is news
        nodes = frozenset(self._unwatched_nodes())
        if nodes != self._nodes:
            self._nodes, self._signed = nodes, 0.0
        every = max(EVERY_S, settings.publish_interval)
        if not 0 <= now - self._signed < every:  # the clock may have been set back
            users = {rule.user for rule in settings.rules}
            users = set() if EVERYONE in users else users
            text = sign(now, every, self._who, users, self._unwatched_since, nodes)
            before = self._omero.show_sign(text)
            self._signed = now
            self._others.found(before, time.monotonic(), users)
            if self.another and not self._told:
                log.error("%s", self.another)
            self._told = self.another

    @property
    def another(self) -> str:
        """What is to be said of another DropBox that leaves signs of life; empty: there is none."""
        return self._others.told(time.monotonic())

    def _facts(self, user: str, settings: Settings) -> Facts:
        asked = Asked(user=user)
        with glance(settings.journal_url) as look:
            latest = [] if look is None else look.latest(asked, FILESETS)
            counts = {} if look is None else look.counts(asked)
            held = 0 if look is None else look.held(asked)
        roots = {str(rule.watch_dir) for rule in settings.rules if rule.user == user}
        for rule in settings.rules:
            if rule.user == EVERYONE:
                # With groups there may be many: what is wrong with all of them is told.
                plain = rule.layout == USER
                roots.add(f"{rule.watch_dir}/{user}" if plain else str(rule.watch_dir))
        troubles = {root: self._trouble_at(root) for root in roots}
        answers = self._answers.of(user)
        return Facts(user, counts, held, latest, troubles, self._progress(), answers)

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("documents for users are not written: %s", trouble)
        self.trouble = trouble
