"""Does what users ask for in OMERO, and keeps the answers for their documents.

Rule: an entry counts only for a failed fileset of the user whose entry it is.  Every other entry
changes nothing, and all that were read are deleted.  The disk is not looked at, because a share
may hang.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.dropbox.journal.by_hand import Moving
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.moves import HOME
from omero_fs_plugin.dropbox.journal.records import HANDED_OVER, Fileset
from omero_fs_plugin.errors import ImportRefused, NotDeletedError

from .requests import Request, Wish, granted, read

log = logging.getLogger(__name__)

_KEPT = 20  # answers of one user
_MOVING = "its files are being moved just now: ask again later"
_NOT_FAILED = "it had not failed any more"
_NO_SUCH = "you have no failed drop of this number"


class Answers:
    """The answers since DropBox started.  One thread uses it."""

    def __init__(self, journal: Journal, omero: Omero) -> None:
        self._journal = journal
        self._omero = omero
        self._of: dict[str, dict[int, str]] = {}  # user -> fileset -> answer
        self._news: set[str] = set()
        self._stuck: set[int] = set()  # entries that OMERO does not delete

    def of(self, user: str) -> Mapping[int, str]:
        """Fileset -> the answer, the oldest first."""
        return self._of.get(user, {})

    def news(self) -> set[str]:
        """The users with answers that were not asked for here before."""
        news, self._news = self._news, set()
        return news

    def look(self) -> None:
        """Reads some requests of each user and answers them.

        Raises JournalError, and ServerAwayError if OMERO does not answer.
        """
        for user, every in self._omero.requests().items():
            entries = [one for one in every if one[0] not in self._stuck]
            if not entries:
                continue
            wanted = read(text for _, text in entries)
            found = {one.id: one for one in self._journal.load([r.fileset for r in wanted])}
            may = granted(wanted, user, found)
            for request in wanted:
                if request in may:
                    self._keep(user, request.fileset, self._do(request, found[request.fileset]))
                elif request.fileset not in self.of(user):  # else it was asked for twice
                    there = found.get(request.fileset)
                    own = there is not None and there.user == user  # mended, it came by itself
                    self._keep(user, request.fileset, _NOT_FAILED if own else _NO_SUCH)
            # Done before it is deleted: after a kill it is done again, which changes nothing.
            done = [identifier for identifier, _ in entries]
            try:
                self._omero.unpublish(done)
            except NotDeletedError as error:
                # It would be done again at each look, and hold up what others ask for.
                log.warning("requests of %s stay in OMERO and count no more: %s", user, error)
                self._stuck.update(done)

    def _do(self, request: Request, fileset: Fileset) -> str:
        if request.wish is Wish.FORGET:
            answer = self._forget(fileset)
        else:
            answer = self._try_again(fileset)
        log.info("fileset %s: %s asked to %s: %s", fileset.id, fileset.user, request.wish, answer)
        return answer

    def _forget(self, fileset: Fileset) -> str:
        reason = f"set aside by {fileset.user} in OMERO; it had failed: {fileset.reason}"
        try:
            done = self._journal.forget(fileset.id, reason)
        except Moving:
            return _MOVING
        return "it is set aside" if done else _NOT_FAILED

    def _try_again(self, fileset: Fileset) -> str:
        if fileset.origin == HANDED_OVER:
            return "it was handed over by your administrator, who can try it again"
        # The property may name another directory by now, or none.
        if self._journal.noted(f"{HOME}{fileset.id}") not in ("", fileset.root):
            return "its files are in quarantine: copy good ones to your directory"
        try:
            done = self._journal.retry(fileset.id, lay=fileset.path)
        except Moving:
            return _MOVING
        except ImportRefused as refusal:
            log.info("fileset %s is not tried again: %s", fileset.id, refusal)
            return "its files are of another drop by now"
        return "it is tried again" if done else _NOT_FAILED

    def _keep(self, user: str, fileset: int, answer: str) -> None:
        kept = self._of.setdefault(user, {})
        kept.pop(fileset, None)
        kept[fileset] = answer
        while len(kept) > _KEPT:
            del kept[next(iter(kept))]
        self._news.add(user)
