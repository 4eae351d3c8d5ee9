"""One attempt to import one fileset in one session: what ours have in common."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from omero_fs_plugin.blitz.user_session import UserSession

from .protocol import Progress, Task, Wishes
from .streams import Streams


class OneImport:
    """The task of one attempt, and how far it has come.

    `stopping` is asked during waits.
    """

    def __init__(
        self,
        session: UserSession,
        task: Task,
        *,
        stopping: Callable[[], bool],
        progress: Progress | None = None,
    ) -> None:
        self._session = session
        self._fileset = task.fileset
        self._verified, self._over, self._ours = task.verified, task.over, task.ours
        self._wishes: Wishes = task.wishes
        self._stopping = stopping
        self._progress = progress or Progress()
        self._streams = Streams(array("q", (met.stat.size for met in task.fileset.files)))
        self.sha1s: list[str] = []  # of the files, when all were read; lower-case hex

    def _begin_progress(self) -> None:
        self._progress.begin(sum(met.stat.size for met in self._fileset.files))

    def _halting(self) -> bool:
        return self._streams.failed or self._stopping()
