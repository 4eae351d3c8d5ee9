"""Whether a DropBox that waits for the lease would go on as the one that has it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from omero_fs_plugin import __version__
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.errors import FsError

log = logging.getLogger(__name__)

_NOTE = "active"  # what the DropBox that has the lease says of itself, as JSON
_VERSION, _CONFIGURATION = "version", "configuration"


class Standby:
    """The one that has the lease says what it is; one that waits compares itself with that.

    Rule: it only tells.  A difference is no reason not to take over: one that goes on with another
    configuration is better than none.
    """

    def __init__(self, journal: Journal, configuration: Callable[[], str]) -> None:
        """`configuration` gives the digest of that which we were given last."""
        self.difference = ""  # from the one that has the lease, for people; empty: none is known
        self._journal, self._configuration = journal, configuration
        self._told = ""

    def tell(self) -> None:
        """We have the lease.  Raises JournalError."""
        told = json.dumps(
            {_VERSION: __version__, _CONFIGURATION: self._configuration()}, sort_keys=True
        )
        if told != self._told:
            self._journal.note(_NOTE, told)
            self._told, self.difference = told, ""

    def look(self) -> None:
        """Another has the lease."""
        try:
            of = json.loads(self._journal.notes(_NOTE).get(_NOTE) or "{}")
        except (FsError, ValueError):
            return  # the keeper tells of it
        found = []
        if of.get(_VERSION, __version__) != __version__:
            found.append(f"that is version {of[_VERSION]}, and this one is {__version__}")
        ours = self._configuration()
        if of.get(_CONFIGURATION, ours) != ours:
            found.append("this one has another configuration than that one")
        difference = "; ".join(found)
        if difference != self.difference:
            self.difference = difference
            if difference:
                log.warning("waiting for the lease: %s", difference)
