"""What is known of one file or fileset: whose it is, its history, its images, what comes next."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from omero_fs_plugin.config.settings import Rule, Settings, is_by_owner
from omero_fs_plugin.dropbox.journal.glance import Glance
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.situation import (
    Stand,
    Standing,
    lasting,
    remedy_for,
    standing,
    without_paths,
)
from omero_fs_plugin.errors import ConfigurationError, FsError
from omero_fs_plugin.site import Site, printable

from .below import is_there
from .disks import Disks, Silent
from .history import told
from .passed_over import Users, rule_around, user_of, why_passed_over


def by_id(identifier: int, where: Site, settings: Settings, look: Glance | None) -> dict[str, Any]:
    """Of the fileset that has this id in the journal.  Raises ConfigurationError if none has."""
    seen = look.load([identifier]) if look is not None else []
    if not seen:
        raise ConfigurationError(f"no fileset has the id {identifier}: see `omero fs status`")
    return _of_fileset(seen[0].path, seen[0], where, settings, look)


def of_file(
    path: str,
    where: Site,
    settings: Settings,
    look: Glance | None,
    users: Users,
    disks: Disks,
) -> dict[str, Any]:
    """Of one file, met or not.  Raises ConfigurationError if there is no such file."""
    filesets = look.at(path) if look is not None else []
    if filesets:
        return _of_fileset(path, filesets[-1], where, settings, look)
    try:
        if not is_there(path, disks):
            raise ConfigurationError(
                f"{printable(path)}: there is no such file, and the journal does not know it"
            )
        why = disks.ask(path, lambda call: why_passed_over(path, settings))
    except Silent as silent:
        reason = silent.strerror
        return {
            **whose(path, settings, disks),
            "stand": "not known",
            "reason": reason,
            "remedy": "",
        }
    if why:
        return {
            **whose(path, settings, disks),
            "stand": "passed over",
            "reason": why,
            "remedy": remedy_for(why),
        }
    ours = whose(path, settings, disks)
    if why := users.why_none(ours["user"]):
        remedy = "see `omero fs users`"
        return {**ours, "stand": "passed over", "reason": why, "remedy": remedy}
    return {
        **ours,
        "stand": "not met",
        "reason": "DropBox has not met it yet: FSServer tells of it at once, and a rescan finds it",
        "remedy": "does DropBox run? `omero fs status` tells; a rescan comes every "
        f"{settings.rescan_interval:g} s, and at a start",
    }


def whose(path: str, settings: Settings, disks: Disks | None) -> dict[str, Any]:
    """`disks`: to ask the owner of the file, where that says it; None: it is known otherwise."""
    rule = rule_around(path, settings)
    return {
        "path": path,
        "rule": None if rule is None else {"user": rule.user, "directory": str(rule.watch_dir)},
        "user": "" if rule is None else user_at(path, rule, disks),
    }


def user_at(path: str, rule: Rule, disks: Disks | None) -> str:
    """Whose a file is by this rule.  `disks`: as in `whose`."""
    if not is_by_owner(rule):
        return user_of(path, rule)
    if disks is None:
        return ""
    try:
        return disks.ask(path, lambda call: user_of(path, rule))
    except Silent:
        return ""


def _of_fileset(
    path: str, seen: Seen, where: Site, settings: Settings, look: Glance | None
) -> dict[str, Any]:
    now = look.now() if look is not None else 0.0
    stands = standing(seen, settings, now)
    events = look.events(seen.id) if look is not None else []
    after = look.after_import(seen.id) if look is not None else None
    return {
        **whose(path, settings, None),
        "user": seen.user,
        "id": seen.id,
        "files": list(seen.files),
        "plate": seen.plate,
        "reader": seen.reader,
        "stand": str(stands.stand),
        "reason": without_paths(stands.what, seen.files, seen.root),
        "age": round(stands.age, 1),
        "history": [
            {"at": step.at, "what": without_paths(step.what, (), seen.root)}
            for step in told(seen, events)
        ],
        "next": _next(seen, stands),
        "remedy": stands.remedy,
        "after_import": None if after is None else {"at": after.at, "what": after.words()},
        "fileset": seen.server_fileset,
        "images": _images(seen, where, settings),
    }


def _next(seen: Seen, stands: Standing) -> str:
    """What comes next, and when; empty if nothing does."""
    if stands.deadline is not None:
        return f"it fails in {lasting(stands.deadline)} if nothing comes"
    if stands.stand is Stand.HELD:
        return "DropBox tries it again by itself"
    return {
        State.WAITING: "it is grouped when it has been quiet for long enough, and then queued",
        State.QUEUED: "it is imported as soon as an importer is free",
        State.IMPORTING: "the attempt ends with images, or with a reason",
    }.get(seen.state, "")


def _images(seen: Seen, where: Site, settings: Settings) -> list[dict[str, Any]]:
    """Its images, with the containers that they are in; None: nobody could ask."""
    if not seen.images:
        return []
    containers: dict[int, tuple[str, ...]] | None = None
    with suppress(FsError), where.grid() as grid:
        from omero_fs_plugin.blitz.sessions import Omero

        omero = Omero.of(grid.communicator, settings)
        try:
            containers = omero.containers_of(seen.images)
        finally:
            omero.close()
    return [
        {
            "id": image,
            "in_omero": None if containers is None else image in containers,
            "containers": list((containers or {}).get(image, ())),
        }
        for image in seen.images
    ]
