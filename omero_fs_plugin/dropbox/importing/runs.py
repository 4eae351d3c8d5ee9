"""Imports the filesets that a thread took, and sees that each has its state afterwards."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import HANDED_OVER, Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ImportRefused, UserError

from .blame import LONGEST_REST_S, Blame, in_words, is_odd
from .importers import DiskAway
from .importing import BadAdvice, Importing, NoSuchAccount, Plan
from .in_hand import InHand
from .recovery import Recovery
from .refusals import refuse
from .taking import Taking

log = logging.getLogger(__name__)


class Runs:
    """Makes runs: each imports what was taken in one turn.  Thread-safe: it has no state.

    Rule: a fileset of a run gets its state, or it is given back to the queue.
    """

    def __init__(
        self,
        journal: Journal,
        importing: Importing,
        recovery: Recovery,
        *,
        in_hand: InHand,
        blame: Blame,
        taking: Taking,
        ended: Callable[[Fileset, State], None],
        changed: Callable[[Fileset], None],
        unseen: Callable[[Fileset], str] | None,
    ) -> None:
        """`ended` is called with each fileset that an attempt gave a state; see Importers."""
        self._journal, self._importing, self._recovery = journal, importing, recovery
        self._in_hand, self._blame, self._taking = in_hand, blame, taking
        self._ended, self._changed, self._unseen = ended, changed, unseen

    def make(self, filesets: list[Fileset]) -> None:
        """Imports what was taken.

        Raises ServerAwayError and JournalError.  Also raises what nobody expects.
        """
        left = {fileset.id: fileset for fileset in filesets}
        try:
            plans: dict[tuple[object, ...], tuple[Plan, list[Fileset]]] = {}
            for fileset in filesets:
                log.info("fileset %d: importing %s for %s", fileset.id, fileset.path, fileset.user)
                try:
                    if self._unseen is not None and (why := self._unseen(fileset)):
                        self._leave_to_others(left.pop(fileset.id), why)
                        continue
                    if why := self._importing.given_away(fileset):
                        self._advised_badly([left.pop(fileset.id)], why)
                        continue
                    plan = self._importing.plan(fileset)
                except NoSuchAccount as error:
                    if self._unseen is not None:
                        self._leave_to_others(left.pop(fileset.id), str(error))
                    else:
                        self._advised_badly([left.pop(fileset.id)], str(error))
                    continue
                except BadAdvice as error:
                    self._advised_badly([left.pop(fileset.id)], str(error))
                    continue
                except DiskAway as error:
                    self._in_hand.give_back([left.pop(fileset.id)], str(error))
                    self._blame.was_refused(fileset, time.monotonic())
                    continue
                except Exception as error:
                    log.exception("an importer failed")
                    self._against([left.pop(fileset.id)], error)
                    continue
                # What a sidecar says is of its own filesets: they are not taken together.
                key = (id(plan.method), plan.laid, fileset.id if plan.said.files else 0)
                plans.setdefault(key, (plan, []))[1].append(fileset)
            for plan, together in plans.values():
                self._attempt(plan, together, left)
        finally:
            # Something is left if another of them failed in a way that concerns all.
            self._in_hand.let_go(filesets, left)

    def _leave_to_others(self, fileset: Fileset, why: str) -> None:
        log.warning("fileset %d: left to others: %s", fileset.id, why)
        self._blame.rest(fileset.id, time.monotonic() + LONGEST_REST_S)
        self._in_hand.give_back([fileset], f"left to other importers: {why}")

    def _attempt(self, plan: Plan, together: list[Fileset], left: dict[int, Fileset]) -> None:
        """Imports filesets, and removes from `left` those that have their state."""
        user = together[0].user

        def mine() -> list[Fileset]:
            return [left.pop(f.id) for f in together if f.id in left]

        try:
            self._recovery.of(user)
            for fileset, state in self._importing.run(plan, together):
                del left[fileset.id]
                self._ended(fileset, state)
        except BadAdvice as error:
            self._advised_badly(mine(), str(error))
        except (UserError, ImportRefused) as error:  # the fault of the account, not of the files
            self._in_hand.give_back(mine(), str(error))
            self._taking.stop_queue(user, str(error))
            if isinstance(error, UserError):
                self._taking.skip_gone(user)
        except Exception as error:
            if not is_odd(error):
                self._in_hand.give_back(mine(), str(error))
                raise
            if not self._against(mine(), error):
                raise

    def _against(self, filesets: list[Fileset], error: Exception) -> bool:
        """OMERO or DropBox failed for an unknown reason while these were under way.

        They rest, longer each time.  If a fileset meets this again after others succeeded,
        the fault is in the fileset and not in OMERO: it counts as refused.  Returns
        whether this was so.
        """
        for fileset in filesets:
            log.warning("fileset %d: %s", fileset.id, in_words(error))
        now, refused = time.monotonic(), False
        given_back = list(filesets)
        for fileset in filesets:
            at_fault = self._blame.failed(fileset, now)
            if len(filesets) == 1 and at_fault:
                state = refuse(self._journal, fileset, in_words(error))
                self._ended(fileset, state)
                given_back.remove(fileset)
                refused = True
        self._in_hand.give_back(given_back, in_words(error))
        return refused

    def _advised_badly(self, filesets: list[Fileset], why: str) -> None:
        """They wait until their sidecar is changed; filesets handed over have failed."""
        for fileset in filesets:
            log.warning("fileset %d: %s", fileset.id, why)
            if fileset.origin == HANDED_OVER:
                self._journal.move(fileset.id, State.IMPORTING, State.FAILED, why)
            else:
                self._journal.settle_anew(fileset.id, why)
                self._changed(fileset)
