"""The thread that takes the lease and renews it, and does nothing else.

The lease must be renewed whatever else its holder does: a sweep of the quarantine
or a disk that hangs must not prevent this.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from omero_fs_plugin.errors import FsError

from .database import LeaseLost
from .elapsed import since_boot
from .lease import EXPIRES, RENEW, RENEW_AGAIN, Lease

log = logging.getLogger(__name__)

_TRY_AGAIN_S = 1.0  # between two looks at a lease that another DropBox has


class LeaseKeeper:
    """Keeps the lease.

    Rule: `gained` is called once, when the lease is ours.  `lost` is called once, when it
    is not ours any more or when nobody can say whether it is.  Both return at once.
    `waits` is called again and again while another has it, and may ask the journal.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        gained: Callable[[], None],
        lost: Callable[[str], None],
        waits: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = since_boot,
    ) -> None:
        self._lease = lease
        self._gained = gained
        self._lost = lost
        self._waits = waits
        self._clock = clock
        self._stopping = threading.Event()
        self._failing = False  # the last time, the journal did not answer
        self.trouble = ""  # why the journal could not be asked the last time; empty: it could
        self._held_at: float | None = None  # when (s) we last asked for it, and it was ours
        self._epoch = 0  # of the lease when we gained it
        # A daemon: a database that hangs must not keep us from ending.
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    @property
    def held_by(self) -> str:
        """Who has the lease while we do not, for people."""
        return self._lease.held_by

    def start(self) -> None:
        """Begins to ask for the lease."""
        self._thread.start()

    def stop(self, patience: float) -> None:
        """Releases the lease for the next DropBox.  `patience` (s) is for a database that hangs."""
        self._stopping.set()
        self._thread.join(patience)
        if self._thread.is_alive():
            log.warning("the lease is not released: the journal does not answer")
            return
        if self._held_at is not None:
            try:
                self._lease.release()
            except FsError as error:
                log.warning("releasing the lease: %s", error)

    def _keep(self) -> None:
        try:
            self._keep_on()
        except Exception:
            # As where no thread can be started.  Nobody would renew it, and nothing would begin.
            log.exception("lease")
            self._lost("it cannot be kept")

    def _keep_on(self) -> None:
        waited_for = ""
        while True:
            mine = self.ask()
            if mine is None:
                return
            if not mine and self._lease.held_by != waited_for:
                waited_for = self._lease.held_by
                log.info("waiting for the lease, held by %s", waited_for)
            if not mine and waited_for:
                self._waits()
            if self._stopping.wait(self.pause(mine)):
                return

    def pause(self, mine: bool) -> float:
        """s until it is asked again."""
        if not mine:
            return _TRY_AGAIN_S
        return RENEW_AGAIN if self._failing else RENEW

    def ask(self) -> bool | None:
        """Asks once whether the lease is ours; None if it was, and no longer is."""
        asked = self._clock()  # before a call that may take long
        self._failing = False
        try:
            mine = self._lease.hold(asked)
        except LeaseLost:
            mine = False
        except FsError as error:
            log.error("lease: %s", error)
            self._failing = True
            self.trouble = str(error)
            if self._held_at is None:
                return False
            if self._clock() - self._held_at < EXPIRES / 2 or self._is_still_ours():
                return True
            self._lost("the journal cannot be asked for it")
            return None
        except Exception:
            # A defect of ours.  It is better that another DropBox begins than that nobody keeps it.
            log.exception("lease")
            self._lost("it cannot be kept")
            return None
        if not mine:
            if self._held_at is None:
                return False
            # Another took over while this process stood still.  It takes up what we leave.
            self._lost(f"it is held by {self._lease.held_by or 'another'}")
            return None
        self.trouble = ""
        first, self._held_at = self._held_at is None, asked
        if first:
            self._epoch = self._lease.held.epoch
            self._gained()
        elif self._lease.held.epoch != self._epoch:
            # Another had it, and has released it: what we began under the former epoch is
            # resolved by who begins anew.
            self._lost("another had it meanwhile")
            return None
        return True

    def _is_still_ours(self) -> bool:
        """Whether it was not taken over, although it cannot be renewed.

        Its disk is full, or another process holds the journal's lock, as a backup does.  Nobody
        can take it over then.  Whoever takes it over later is seen here, or at our next write.
        """
        try:
            return self._lease.is_still_ours()
        except FsError as error:
            log.error("lease: %s", error)
            return False
