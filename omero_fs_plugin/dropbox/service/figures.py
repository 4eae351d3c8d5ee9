"""What DropBox tells `omero fs status`."""

from __future__ import annotations

import re
import time

from omero_fs_plugin import __version__, room
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.importing.importers.proof import PROOFS
from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.dropbox.watching.subscriptions import Subscriptions
from omero_fs_plugin.icegrid import FSSERVER, OMERO_STARTS, WAITS_FOR_FSSERVER, node_of

from .configuration import Configuration
from .parts import Parts, fault_of


def figures(
    parts: Parts,
    subscriptions: Subscriptions,
    configuration: Configuration,
    *,
    begun: bool,
    held_by: str,
    no_journal: str,
) -> dict[str, str]:
    """Name -> value.

    `begun`: DropBox is at work.  Until then `held_by` names who has the lease; it is
    empty if nobody else has it.  `no_journal` says why the lease cannot be written; it is
    empty if it can be.
    """
    if begun:
        state, reason = _state(parts, subscriptions, configuration.settings, no_journal)
    elif no_journal:
        state, reason = "waiting for the journal", no_journal
    elif held_by:
        state, reason = "waiting for the lease", f"it is held by {held_by}"
    else:
        state, reason = "starting", "it takes up again what was left open"
    settings = configuration.settings
    return {
        "state": state,
        "reason": reason,
        "version": __version__,
        **subscriptions.figures(),
        "journal": parts.journal.shown,
        "pending": str(parts.pipeline.pending()),
        "grouping": f"{parts.grouping.name}: {parts.grouping.why}",
        "reading": parts.grouping.reading,
        "busy": parts.importers.busy,
        **_importers(settings, parts.methods),
        **{f"progress.{n}": far for n, far in parts.importers.progress().items()},
        **{f"problem.{number}": str(one) for number, one in enumerate(settings.problems, 1)},
        "seen": configuration.seen,
        "refused": configuration.refused,
        "restart": configuration.restart,
        **{f"left.{path}": why for path, why in _changed(settings).items()},
        **{f"left.{name}": why for name, why in parts.users.unknown().items()},
        **{f"left.{path}": why for path, why in parts.new_users.trouble.items()},
        **{f"left.{user}": why for user, why in parts.importers.stopped().items()},
        **{f"left.{what}": why for what, why in _beside(parts).items()},
        **{f"left.{root}": why for root, why in PROOFS.told().items()},
        "beside": "; ".join(f"{what}: {why}" for what, why in _beside(parts).items()),
        **{f"left.{path}": why for path, why in list(parts.pipeline.files.left_alone.items())},
        **{f"left.{directory}": why for directory, why in parts.rescanner.left.items()},
        **{f"left.{path}": why for path, why in parts.quarantine.staying.told().items()},
        **{f"closed.{path}": why for path, why in parts.importers.closed().items()},
        "after": parts.caretaker.away,
        "publishing": parts.publisher.trouble,
        **{
            f"left.{root}": f"imported files stay there for now: {why}"
            for root, why in list(parts.caretaker.trouble.items())
        },
        **{f"away.{root}": why for root, why in parts.lanes.calls.told().items()},
        **{f"lost.{root}": why for root, why in parts.lanes.calls.told_of_lost().items()},
    }


def _state(
    parts: Parts, subscriptions: Subscriptions, settings: Settings, no_journal: str
) -> tuple[str, str]:
    """What DropBox does now, and why not more.  What people must mend comes first."""
    state, reason = "running", ""
    if settings.problems and not settings.rules:
        state, reason = "misconfigured", "; ".join(map(str, settings.problems))
    elif changed := _changed(settings):
        state = "watch directory changed"
        reason = "; ".join(f"{path} is not followed: {why}" for path, why in changed.items())
    elif short := parts.lanes.trouble or parts.importers.short_of_threads:
        state, reason = "short of threads", short
    elif parts.rescanner.unavailable:
        state, reason = "watch directory unavailable", parts.rescanner.unavailable
    elif full := _no_room(parts, no_journal):
        state, reason = "waiting for room", full
    elif no_journal or parts.rescanner.trouble:
        state, reason = "waiting for the journal", no_journal or parts.rescanner.trouble
    elif parts.groupers.trouble:
        state, reason = "waiting for Bio-Formats", parts.groupers.trouble
    elif parts.importers.wrong:
        state, reason = "misconfigured", parts.importers.wrong
    elif starting := _starting(parts):
        state, reason = OMERO_STARTS, starting
    elif away := parts.importers.away or parts.importers.beginning.not_up:
        state, reason = "waiting for OMERO", away
    elif unheard := subscriptions.problems():
        state = WAITS_FOR_FSSERVER
        reason = "; ".join(
            f"{name}: {why}" if name != FSSERVER else why for name, why in unheard.items()
        )
    elif parts.importers.nobody:
        state, reason = "waiting for importers", parts.importers.nobody
    return state, reason


def _starting(parts: Parts) -> str:
    """For how long OMERO has been starting, and what it says; empty if it is not starting."""
    away, beginning = parts.importers.away, parts.importers.beginning
    age = beginning.lasts(away, time.monotonic())
    return "" if age is None else f"for {age:.0f} s: {away or beginning.not_up}"


# Also as SQLite and PostgreSQL say it.
_FULL = re.compile(f"{room.WORDS}|disk is full|[Dd]isk full")


def _is_full(why: str) -> bool:
    return _FULL.search(why) is not None


def _no_room(parts: Parts, no_journal: str) -> str:
    """Which disk has no room, or which quota is used up; empty if none is.  What is there waits."""
    told = {
        "OMERO's repository": parts.importers.away,
        "the journal": no_journal or parts.rescanner.trouble,
        "the directory for what is temporary": parts.groupers.trouble,
    }
    full = [f"{where} has no room: {why}" for where, why in told.items() if _is_full(why)]
    return "; ".join(full)


def troubles(
    parts: Parts, subscriptions: Subscriptions, configuration: Configuration
) -> dict[str, str]:
    """What is wrong with the system, for admins: fault -> what is known of it."""
    settings = configuration.settings
    away = "" if _starting(parts) else parts.importers.away
    full = _no_room(parts, "")
    found = {
        "configuration": "; ".join(
            filter(None, (*map(str, settings.problems), parts.importers.wrong))
        ),
        "changed configuration": configuration.refused,
        **{f"directory {path}": f"not followed: {why}" for path, why in _changed(settings).items()},
        **{f"share {root}": why for root, why in parts.lanes.calls.told().items()},
        "share": parts.rescanner.unavailable,
        "threads": parts.lanes.trouble or parts.importers.short_of_threads,
        "journal": parts.rescanner.trouble,
        "Bio-Formats": parts.groupers.trouble,
        "disk": full,
        "OMERO": "" if _is_full(away) else away,
        **{fault_of(node_of(name)): why for name, why in subscriptions.problems().items()},
        "importers": parts.importers.nobody,
        "another DropBox": "; ".join(f"{what}: {why}" for what, why in _beside(parts).items()),
    }
    return {name: why for name, why in found.items() if why}


def _beside(parts: Parts) -> dict[str, str]:
    """Another DropBox on this OMERO, with another journal: how it was seen, and what to do."""
    another = parts.publisher.another
    return parts.importers.beside | ({"OMERO": another} if another else {})


def _changed(settings: Settings) -> dict[str, str]:
    """Roots that are not what was taken, and why they are not followed."""
    told = {str(rule.watch_dir): ROOTS.trouble(str(rule.watch_dir)) for rule in settings.rules}
    return {path: why for path, why in told.items() if why}


def _importers(settings: Settings, methods: Methods) -> dict[str, str]:
    told = {}
    for number, rule in enumerate(settings.rules, 1):
        choice = methods.of(rule).choice
        told[f"importer.{number}"] = f"{choice.importer}: {choice.why}"
        if choice.ignored:
            told[f"ignored.{number}"] = "; ".join(f"{one}: {why}" for one, why in choice.ignored)
    return told
