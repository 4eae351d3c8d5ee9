"""The thread that says that this node is at work, and gives back the claims of nodes that are gone.

DropBox has it, too, and is no node itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from omero_fs_plugin.errors import FsError

from .database import LeaseLost
from .elapsed import since_boot
from .journal import Journal
from .lease import RENEW_AGAIN, Holder
from .records import Held, Node

log = logging.getLogger(__name__)

RENEW_NODE = 10.0  # s between two rounds
# s: a node that stands still for so long is gone.  Longer than the lease, for the others go on,
# and what it uploads is lost with its claims.
NODE_EXPIRES = 60.0


class Others:
    """Which nodes stand still.  Pure: time is an argument.

    Rule: a node counts as gone when its count has stood still for `expires` s while we looked,
    or when its process has certainly ended.  While we did not look, as when the database was
    away, no node was able to count either, so that time is nobody's fault.
    """

    def __init__(self, me: Holder, *, expires: float = NODE_EXPIRES) -> None:
        self._me = me
        self._expires = expires
        self._seen: dict[int, tuple[int, float]] = {}  # node -> its count, and since when (s)
        self._looked: float | None = None  # s

    def gone(self, nodes: Sequence[Node], now: float) -> list[Node]:
        """Those of `nodes`, all but our own, that are gone at `now` (s, never going back)."""
        if self._looked is None or now - self._looked > self._expires / 2:
            self._seen = {}
        self._looked = now
        before, self._seen = self._seen, {}
        found = []
        for node in nodes:
            if node.holder == str(self._me):
                continue
            count, since = before.get(node.id, (-1, now))
            self._seen[node.id] = (node.count, since if count == node.count else now)
            still = now - self._seen[node.id][1]
            if still >= self._expires or Holder.parse(node.holder).is_dead(self._me):
                found.append(node)
        return found


class Rounds:
    """Looks after the claims of all nodes; with `told`, as one of them.

    `joined` is called once, when the journal knows us, with what we write under from then on.
    `lost` is called once, when our claims were given to others.  `adopted` gets the ids of
    imported filesets that we have to finish for a node that is gone.  `looked` is called in
    each round.  All of them return at once, and may raise JournalError.

    `told` gives what people are told of this node, as JSON.
    """

    def __init__(
        self,
        journal: Journal,
        me: Holder,
        *,
        adopted: Callable[[Sequence[int]], None],
        told: Callable[[], str] | None = None,
        joined: Callable[[Held], None] = lambda held: None,
        lost: Callable[[str], None] = lambda why: None,
        looked: Callable[[], None] = lambda: None,
        expires: float = NODE_EXPIRES,
        renew: float = RENEW_NODE,
        clock: Callable[[], float] = since_boot,
    ) -> None:
        self._journal = journal
        self._me = me
        self._told = told
        self._joined, self._lost = joined, lost
        self._adopted, self._looked = adopted, looked
        self._expires, self._renew = expires, renew
        self._clock = clock
        self._others = Others(me, expires=expires)
        self._held: Held | None = None
        self._held_at = 0.0  # when (s) we last counted on
        self._begun = False  # `joined` has come to its end
        self._stopping = threading.Event()
        self.trouble = ""  # why the journal could not be asked the last time; empty: it could
        self.others: int | None = None  # nodes at work beside us, at the last look; None: not yet
        # A daemon: the journal may hold it.
        self._thread = threading.Thread(target=self._run, name="nodes", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, patience: float) -> bool:
        """Ends the thread, and takes a node out of the journal; whether both were done.

        `patience` (s) is for a journal that does not answer.
        """
        self._stopping.set()
        if self._thread.ident is None:
            return True
        self._thread.join(patience)
        if self._thread.is_alive():
            log.warning("the journal does not answer; others find out that this node is gone")
            return False
        if self._held is not None:
            try:
                self._journal.leave(self._held, "stopped; OMERO will be asked")
            except FsError as error:
                log.warning("leaving the journal: %s", error)
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self.once():
                    return
                self.trouble = ""
            except LeaseLost:
                self._lost("its claims were given to others")
                return
            except FsError as error:
                if not self.trouble:
                    log.error("nodes: %s", error)
                self.trouble = str(error)
            except Exception:
                # A defect of ours.  Others give our claims back if we no longer count.
                log.exception("nodes")
            self._stopping.wait(min(RENEW_AGAIN, self._renew) if self.trouble else self._renew)

    def once(self) -> bool:
        """One round.  Returns whether this node is still one.  Raises JournalError."""
        now = self._clock()  # before calls that may take long
        if self._told is not None and not self._count(now):
            return False
        nodes = self._journal.nodes()
        gone = self._others.gone(nodes, now)
        for node in gone:
            self._end(node)
        self.others = sum(node.holder != str(self._me) for node in nodes) - len(gone)
        self._looked()
        return True

    def _count(self, now: float) -> bool:
        assert self._told is not None
        if self._held is None:
            self._held = self._journal.join(str(self._me), self._told())
            self._held_at = now
        elif self._journal.renew(self._held, self._told()):
            self._held_at = now
        else:
            self._held = None
            self._lost("its claims were given to others, because it stood still for too long")
            return False
        if not self._begun:  # the journal may have been away just then
            self._joined(self._held)
            self._begun = True
        return True

    def _end(self, node: Node) -> None:
        name = Holder.parse(node.holder).name()
        log.warning(
            "the importers of %s are gone: their %d filesets go to others", name, node.claims
        )
        adopted = self._journal.give_back_of(
            node, f"the importers of {name} are gone; OMERO will be asked"
        )
        if adopted:
            self._adopted(adopted)
