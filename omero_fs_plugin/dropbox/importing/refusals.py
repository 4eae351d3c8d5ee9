"""How often OMERO may refuse a fileset before it has failed."""

from __future__ import annotations

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import FsError

# How often OMERO may refuse a fileset before it has failed, and the time (s)
# before each further try.  A server may refuse because it is short of something.
TRIES = 3
TRY_AGAIN_S = (1.0, 5.0)


def refuse(
    journal: Journal, fileset: Fileset, error: FsError | str, *, final: bool = False
) -> State:
    """OMERO has refused a fileset: it is queued again, or FAILED after TRIES or if `final`.

    Returns the state.  Raises JournalError.
    """
    tries = fileset.refusals + 1
    reason = str(error)
    if final or tries >= TRIES:
        after = State.FAILED
    else:
        after, reason = State.QUEUED, f"refused {tries} of {TRIES} times: {reason}"
    journal.refused(fileset.id, after, reason)
    return after
