"""The process of one large fileset: it imports, hashes or removes it, and ends.

Whoever started it says what it may do, and it ends with them.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

from omero_fs_plugin.blitz.user_session import UserSession, join
from omero_fs_plugin.blitz.users import User
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.importing.importers import Stopped, streams
from omero_fs_plugin.dropbox.importing.importers.native import NativeImporter, NativeOptions
from omero_fs_plugin.dropbox.importing.importers.proof import PROOFS
from omero_fs_plugin.dropbox.importing.importers.protocol import Task
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.dropbox.importing.stores import content, folded, remove_whole, unfolded
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.processes.program import STARTED_BY, end_with
from omero_fs_plugin.errors import FsError

from .wire import error_of, fileset_of, line_of, told_of_error, told_of_sha1s, wishes_of

log = logging.getLogger(__name__)

_BEAT_S = 1.0  # between two signs of life
_OURS = "omero_fs_plugin"  # the loggers of this package


class Parent:
    """DropBox, as its process sees it: it is asked, and may say that all is to stop."""

    def __init__(self, reads: BinaryIO, writes: BinaryIO) -> None:
        self._reads, self._writes = reads, writes
        self._writing = threading.Lock()
        self._answers: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._asking = False
        self.stopping = threading.Event()
        self.figures: Callable[[], tuple[int, int]] = lambda: (0, 0)  # bytes done, and of all

    def begin(self) -> None:
        """From now on it is listened to, and hears that we live."""
        for run in (self._listen, self._beat):
            threading.Thread(target=run, name=run.__name__, daemon=True).start()

    def ask(self, name: str, of: Any = None) -> Any:
        """Its answer.  Raises its error, and Stopped if it is gone."""
        self._asking = True
        try:
            self.say({"ask": name, "of": of})
            answer = self._answers.get()
        finally:
            self._asking = False
        if answer is None:
            raise Stopped("DropBox has ended")
        if "error" in answer:
            raise error_of(answer["error"])
        return answer["answer"]

    def say(self, said: Mapping[str, Any]) -> None:
        """One line.  Nobody may hear it."""
        with self._writing, suppress(OSError):
            self._writes.write(line_of(said))
            self._writes.flush()

    def _listen(self) -> None:
        for line in self._reads:
            said = json.loads(line)
            if "stop" in said:
                self.stopping.set()
            else:
                self._answers.put(said)
        self.stopping.set()
        self._answers.put(None)

    def _beat(self) -> None:
        pause = threading.Event()
        while not pause.wait(_BEAT_S):
            if not self._asking:  # nobody reads then
                self.say({"beat": [*self.figures(), bool(CALLS.away())]})


class _Telling(logging.Handler):
    """Has DropBox log what is logged here."""

    def __init__(self, parent: Parent) -> None:
        super().__init__()
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        self._parent.say({"log": [record.name, record.levelno, self.format(record)]})


def main(job: int) -> None:
    """Does what the file with the descriptor `job` says."""
    end_with(int(os.environ[STARTED_BY]))
    parent = Parent(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what others print is no line of ours
    with os.fdopen(job, "rb") as file:
        file.seek(0)
        told = json.loads(file.readline())
        fileset = fileset_of(told["fileset"], file)
    logging.getLogger().addHandler(_Telling(parent))
    logging.getLogger(_OURS).setLevel(told["level"])
    parent.begin()
    try:
        said: dict[str, Any] = {"gives": _DOES[told["do"]](fileset, told, parent)}
        import resource  # not on Windows

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        log.info("%s: its process needed %.0f MiB at most", fileset.path, most)
    except FsError as error:
        said = {"error": told_of_error(error)}
    except BaseException:
        said = {"failed": traceback.format_exc()}
    parent.say(said)
    os._exit(0)  # a thread that waits for OMERO or a disk must not keep us


def _imports(fileset: Fileset, told: Mapping[str, Any], parent: Parent) -> dict[str, Any]:
    for root, why in told["not proved"].items():
        PROOFS.heard(root, why)  # is logged once
    streams.FURTHER.are(told["streams"])
    transfer, *rest = told["options"]
    options = NativeOptions(Transfer(transfer), *rest)
    whole = unfolded(fileset, options.path_rules)
    user = User(*told["user"])
    host, port, key = told["session"]
    client = join(host, port, key, user)
    session = UserSession(client, user, lambda: None, router=(host, port))
    try:
        importer = NativeImporter(session, options)

        def figures() -> tuple[int, int]:
            now = importer.progress()
            return now.done, now.total

        parent.figures = figures

        def verified(sha1s: Sequence[str]) -> None:
            for part in told_of_sha1s(folded(fileset, whole, sha1s)):
                parent.ask("sha1s", part)
            parent.ask("verified")

        task = Task(
            whole,
            verified,
            wishes_of(told["wishes"]),
            over=lambda file: parent.ask("over", file),
            known=told["known"],
            began=lambda mark: parent.ask("began", mark),
            ours=lambda: bool(parent.ask("ours")),
        )
        ((_, outcome),) = importer.run([task], parent.stopping.is_set)
        if isinstance(outcome, FsError):
            raise outcome
        return {"images": outcome.images}
    finally:
        session.close()  # what others have joined goes on


def _hashes(fileset: Fileset, told: Mapping[str, Any], parent: Parent) -> str:
    return content(fileset, told["path_rules"], parent.stopping.is_set)


def _removes(fileset: Fileset, told: Mapping[str, Any], parent: Parent) -> str:
    return remove_whole(
        fileset, told["sha1s"], linked=told["linked"], stopping=parent.stopping.is_set
    )


_DOES: Mapping[str, Callable[[Fileset, Mapping[str, Any], Parent], Any]] = {
    "import": _imports,
    "hash": _hashes,
    "remove": _removes,
}
