"""Several attempts in one run of an importer: each comes to its own end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from omero_fs_plugin.dropbox.journal.records import chunks
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError, ServerAwayError

from .attempts import Attempt
from .importers.protocol import Importer, Task
from .leftovers import note_leftover
from .slots import Slot, Slots


def run_together(
    attempts: Sequence[Attempt], importer: Importer
) -> Iterator[tuple[Attempt, State]]:
    """Makes attempts of one user in one session, `importer.most` of them in one run.

    Yields each attempt with its state, as it ends.

    Raises ServerAwayError and UserError.  The filesets of attempts that were not yielded
    by then are still importing, and the caller gives them back.
    """
    # One run after the other: the look-up before an import must see what former runs imported.
    for together in chunks(attempts, importer.most):
        left = {attempt.fileset.id for attempt in together}
        try:
            for attempt, state in _run(together, importer):
                left.discard(attempt.fileset.id)
                yield attempt, state
        except Exception as error:
            if isinstance(error, ServerAwayError) or not isinstance(error, FsError):
                # OMERO may still carry out a call that we have given up.
                for fileset in left:
                    note_leftover(attempts[0].journal, fileset)
            raise


def _run(attempts: Sequence[Attempt], importer: Importer) -> Iterator[tuple[Attempt, State]]:
    tasks: list[Task] = []
    attempt_of: dict[int, Attempt] = {}
    for attempt in attempts:
        state = attempt.step(partial(attempt.prepare, importer, tasks))
        if state is not None:
            attempt.over(state)
            yield attempt, state
            continue
        attempt_of[attempt.fileset.id] = attempt
    if not tasks:
        return
    slots = attempts[0].slots or Slots(lambda: len(tasks))
    with slots.slot(attempts[0].stopping) as slot:
        tasks = [replace(task, verified=partial(_in_turn, slot, task.verified)) for task in tasks]
        left = len(tasks)
        for task, outcome in importer.run(tasks, attempts[0].stopping):
            left -= 1
            if not left:
                slot.give()  # what follows is no import
            attempt = attempt_of[task.fileset.id]
            state = attempt.step(partial(attempt.end, importer, outcome))
            assert state is not None
            attempt.over(state)
            yield attempt, state


def _in_turn(slot: Slot, verified: Callable[[Sequence[str]], None], sha1s: Sequence[str]) -> None:
    """Waits for the slot first, so that `verified` is just before OMERO is told to import."""
    slot.take()
    verified(sha1s)
