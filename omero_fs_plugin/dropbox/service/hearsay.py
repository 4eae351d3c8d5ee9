"""What importers on other machines leave to DropBox: it is read from the journal's events.

A file that changed under such an import waits anew, and a fileset that failed is moved into
quarantine.  Only DropBox does either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State

_AT_ONCE = 500  # events


class Hearsay:
    """Follows the events that others write.  Not thread-safe.

    `changed` is called with the paths of files that wait anew, `failed` with a fileset that has
    failed.  `who` is the name under which we write: our own events are known.
    """

    def __init__(
        self,
        journal: Journal,
        who: str,
        *,
        changed: Callable[[Sequence[str]], None],
        failed: Callable[[Fileset], None],
    ) -> None:
        self._journal, self._who = journal, who
        self._changed, self._failed = changed, failed
        self._last = journal.last_event()

    def listen(self) -> None:
        """Hands on what has happened since the last call.  Raises JournalError."""
        while events := self._journal.events_after(self._last, _AT_ONCE):
            for event in events:
                if event.who != self._who and event.before in ("", State.IMPORTING):
                    self._tell(event.fileset, event.after)
                self._last = event.id

    def _tell(self, identifier: int, after: str) -> None:
        if after not in (State.WAITING, State.FAILED):
            return
        fileset = self._journal.get(identifier)
        if fileset is None or fileset.state != after:
            return
        if after == State.FAILED:
            self._failed(fileset)
        else:
            self._changed([met.path for met in fileset.files])
