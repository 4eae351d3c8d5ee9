"""Imports filesets: small ones here, stores and sets of many files in a process of their own.

Above here a store is one file with one digest.  Whoever needs each of its files is below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.dropbox.confine.trees import tree_files
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.errors import FsError, ServerAwayError, UserError
from omero_fs_plugin.packed import Sha1s
from omero_fs_plugin.stores import is_store

from .apart.job import Gone, Job, run
from .apart.wire import sha1s_of, told_of_wishes
from .importers import CutShort, DiskAway, StillRunning, streams
from .importers.native import NativeImporter
from .importers.proof import PROOFS, NotProved
from .importers.protocol import Figures, Imported, Outcome, Progress, Task
from .importers.registering import registers
from .stores import content, folded, remove_whole, unfolded

# Files of a store or a set that is imported here.  A process of its own takes a second to begin,
# and each file here takes up to 2 KiB.
FEW = 1000


class StoreImporter:
    """The protocol's Importer over the native one, for filesets of which some are stores.

    A store has its digest instead of SHA1s.
    """

    def __init__(self, native: NativeImporter, session: UserSession) -> None:
        self._native, self._session = native, session
        self._apart: Progress | None = None  # of the process that is at work

    @property
    def most(self) -> int:
        """As the protocol says."""
        return self._native.most

    def run(
        self, tasks: Sequence[Task], stopping: Callable[[], bool]
    ) -> Iterator[tuple[Task, Outcome]]:
        """As the protocol says."""
        for task in tasks:
            large = is_large(task.fileset)
            if not large and not is_store(task.fileset.path):
                yield from self._native.run([task], stopping)
                continue
            try:
                yield task, (self._in_process if large else self._here)(task, stopping)
            except (ServerAwayError, UserError):
                raise
            except FsError as error:
                yield task, error

    def done(
        self, fileset: Fileset, sha1s: Sequence[str], stopping: Callable[[], bool] = lambda: False
    ) -> str:
        """As the protocol says."""
        if not is_store(fileset.path):
            return self._native.done(fileset, sha1s, stopping)
        transfer = self._native.options.transfer
        if registers(fileset) or not transfer.removes:
            return ""
        return remove_store(fileset, sha1s, linked=transfer.links, stopping=stopping)

    def progress(self) -> Figures:
        """As the protocol says."""
        return self._apart.figures() if self._apart else self._native.progress()

    def _here(self, task: Task, stopping: Callable[[], bool]) -> Outcome:
        whole = unfolded(task.fileset, self._native.options.path_rules)

        def verified(sha1s: Sequence[str]) -> None:
            task.verified(folded(task.fileset, whole, sha1s))

        unfolded_task = replace(task, fileset=whole, verified=verified)
        ((_, outcome),) = self._native.run([unfolded_task], stopping)
        if isinstance(outcome, Imported):
            return replace(outcome, sha1s=tuple(folded(task.fileset, whole, outcome.sha1s)))
        return outcome

    def _in_process(self, task: Task, stopping: Callable[[], bool]) -> Outcome:
        sha1s = Sha1s()
        all_of_them = cast("Sequence[str]", sha1s)
        told = False  # OMERO was told to import, or may be told so any moment
        self._apart = progress = Progress()

        def more(part: str) -> None:
            for sha1 in sha1s_of(part):
                sha1s.append(sha1)

        def verified(_: None) -> None:
            nonlocal told
            task.verified(all_of_them)
            told = True

        options, user = self._native.options, self._session.user
        chosen = options.transfer.value, options.thumbnails, options.stats, options.path_rules
        try:
            with streams.FURTHER.lent() as lent:
                gives = run(
                    Job(
                        "import",
                        task.fileset,
                        {
                            "options": chosen,
                            "user": [user.id, user.name, user.group],
                            "session": [*self._session.router, self._session.key],
                            "wishes": told_of_wishes(task.wishes),
                            "known": task.known,
                            "streams": lent,
                            "not proved": PROOFS.told(),
                        },
                        {
                            "sha1s": more,
                            "verified": verified,
                            "over": task.over,
                            "began": task.began,
                            "ours": lambda _: task.ours(),
                        },
                        progress.at,
                        lambda: not told,
                    ),
                    stopping,
                )
        except Gone as error:
            if told:
                raise StillRunning(f"{error}; OMERO may still be importing it") from error
            raise CutShort(str(error)) from error
        except NotProved as error:
            PROOFS.heard(task.fileset.root, str(error))
            raise
        finally:
            self._apart = None
        PROOFS.heard(task.fileset.root, "")
        return Imported(tuple(gives["images"]), all_of_them)


def is_large(fileset: Fileset) -> bool:
    """Whether it has more than FEW files.  If nobody can tell, whoever lists a store finds out."""
    if not is_store(fileset.path):
        return len(fileset.files) > FEW
    try:
        for number, _ in enumerate(tree_files(fileset.root, fileset.path)):
            if number >= FEW:
                return True
    except (OSError, FsError):
        pass
    return False


def content_of(fileset: Fileset, path_rules: str, stopping: Callable[[], bool]) -> str:
    """The digest of a store.  Raises what `unfolded` and `sha1_of` raise, and CutShort."""
    if not is_large(fileset):
        return content(fileset, path_rules, stopping)
    try:
        return str(run(Job("hash", fileset, {"path_rules": path_rules}), stopping))
    except Gone as error:
        raise CutShort(str(error)) from error


def remove_store(
    fileset: Fileset, sha1s: Sequence[Any], *, linked: bool, stopping: Callable[[], bool]
) -> str:
    """As `remove_whole`."""
    if not is_large(fileset):
        return remove_whole(fileset, sha1s, linked=linked, stopping=stopping)
    try:
        job = Job("remove", fileset, {"sha1s": list(sha1s), "linked": linked})
        return str(run(job, stopping))
    except Gone as error:
        raise DiskAway(str(error)) from error
