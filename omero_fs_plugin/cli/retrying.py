"""`omero fs import --retry`: queues failed filesets again, the files of a set together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.disks.calls import Call
from omero_fs_plugin.dropbox.importing.alone import Busy
from omero_fs_plugin.dropbox.importing.quarantine import Quarantine
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import HANDED_OVER, Fileset, Formed, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.dropbox.settling.handover import Given, Left
from omero_fs_plugin.dropbox.watching.rescan import store_over
from omero_fs_plugin.errors import ConfigurationError, ImportRefused
from omero_fs_plugin.events import FileStat, regular_stat
from omero_fs_plugin.stores import is_store

from .disks import Disks
from .given import rule_for


@dataclass(frozen=True)
class Again:
    """What is tried again."""

    filesets: list[Fileset]  # queued, or back from quarantine, where they settle
    sets: list[Formed]  # files that failed alone and belong together: to be handed over


def retry(
    journal: Journal,
    ids: Collection[int] | None,
    settings: Settings,
    sort: Callable[[list[Given]], Sequence[Formed]],
    left: list[Left],
    disks: Disks | None = None,
) -> Again:
    """Queues failed filesets again: those of `ids`; all of them if it is None.

    A file that failed may be a part of a set, so `sort` finds this out anew.  What cannot be tried
    is added to `left`.  Raises ConfigurationError for an id that is not of a failed fileset.
    """
    disks = disks or Disks()
    failed = {fileset.id: fileset for fileset in journal.select(State.FAILED)}
    wrong = [_why_not(journal, one) for one in dict.fromkeys(ids or ()) if one not in failed]
    if wrong:
        raise ConfigurationError(
            f"{'; '.join(wrong)}: `omero fs status --state failed` shows what can be tried again"
        )
    chosen = [failed[i] for i in sorted(failed if ids is None else set(ids))]
    places = Places(settings.rules)
    again: dict[int, Sequence[Found]] = {}  # fileset -> its files, if they count as they are now
    given: dict[tuple[str, str], tuple[Given, int]] = {}
    quarantine = Quarantine(settings.quarantine, places, journal)
    back: list[int] = []
    for fileset in chosen:
        try:
            if quarantine.bring_back(fileset):  # DropBox lets it settle where it was dropped
                back.append(fileset.id)
                continue
        except Busy as error:
            left.append(Left((fileset.path,), str(error)))
            continue
        try:
            one_file = len(fileset.files) == 1
            stat = disks.ask(fileset.path, partial(_stat_of, fileset)) if one_file else None
        except OSError as error:
            left.append(Left((fileset.path,), f"cannot be looked at: {error.strerror}"))
            continue
        if stat is None:  # a set stays as it was; if the file is gone, the import will say so
            try:
                again[fileset.id] = disks.ask(fileset.path, partial(_as_now, fileset))
            except OSError as error:
                left.append(Left((fileset.path,), f"cannot be looked at: {error.strerror}"))
        else:
            rule = rule_for(places, fileset.path, fileset.user)
            one = Given(Found(fileset.path, stat), fileset.user, fileset.root, rule, named=True)
            given[fileset.user, fileset.path] = one, fileset.id
    sets = []
    for formed in sort([one for one, _ in given.values()]):
        if len(formed.found) == 1:
            identifier = given[formed.user, formed.found[0].path][1]
            handed_over = failed[identifier].origin == HANDED_OVER
            again[identifier] = formed.found if handed_over else ()
        else:
            sets.append(formed)
    queued = []
    for identifier, found in again.items():
        try:
            why = quarantine.stays.get(identifier, "")
            if why:  # its files are there still, and are imported from there
                why = f"tried again in quarantine, because it cannot be brought back: {why}"
            if journal.retry(identifier, found, why, lay=failed[identifier].path):
                queued.append(identifier)
            else:  # somebody else was faster
                left.append(Left((failed[identifier].path,), _why_not(journal, identifier)))
        except ImportRefused as refusal:
            left.append(Left((failed[identifier].path,), str(refusal)))
    return Again(journal.load([*back, *queued]), sets)


def _why_not(journal: Journal, identifier: int) -> str:
    fileset = journal.get(identifier)
    if fileset is None:
        return f"no fileset has the id {identifier}"
    return f"fileset {identifier} is {fileset.state}, not failed"


def _stat_of(fileset: Fileset, call: Call) -> FileStat | None:
    return _stat(fileset, fileset.path)


def _as_now(fileset: Fileset, call: Call) -> Sequence[Found]:
    """The files of a fileset that was handed over, as they are now, because it does not settle.

    Empty if the fileset was dropped, or if one of its files is gone.  Raises OSError if
    nobody knows.
    """
    found: list[Found] = []
    for met in fileset.files if fileset.origin == HANDED_OVER else ():
        stat = _stat(fileset, met.path)
        if stat is None:
            return ()
        found.append(Found(met.path, stat))
    return found


def _stat(fileset: Fileset, path: str) -> FileStat | None:
    """What a file or a store is now; None if it is gone.  Raises OSError if nobody knows."""
    if not is_store(path):
        return regular_stat(path)
    met = store_over(fileset.root, path)
    return met.stat if met is not None and met.path == path else None
