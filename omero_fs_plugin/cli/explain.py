"""`omero fs explain`: what became of a file, a fileset or a directory, and why."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omero_fs_plugin.config.layout import GROUP_USER
from omero_fs_plugin.config.settings import EVERYONE, Rule, Settings, is_by_owner
from omero_fs_plugin.dropbox.journal.glance import Glance, glance
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.situation import (
    Stand,
    Standing,
    lasting,
    standing,
    without_paths,
)
from omero_fs_plugin.dropbox.watching.rescan import top as listed
from omero_fs_plugin.errors import ConfigurationError, FsError, UserError
from omero_fs_plugin.names import several
from omero_fs_plugin.site import Site, printable, site

from .below import above, all_below, is_directory, is_there, store_in
from .columns import Line
from .disks import Disks, Silent
from .history import day_and_time, told
from .passed_over import Users, rule_around, user_of, why_passed_over
from .published import OTHERS, fetch, fileset, is_asked, lines_of
from .terminal import at, shown
from .values import is_number, some_path, user_name

HELP = """Say what became of a file, a fileset or a directory, and why

WHAT is a path, or the id of a fileset as `omero fs status` shows it.  For a file
it shows whose file it is and by which rule, its fileset with its history, what
comes next and when, and what to do; for an imported one the images, with dataset
and project if OMERO runs.  A file that is passed over is explained too.

For a directory, or with --user for all directories of a user, it counts: how
many files are imported, on their way, failed or passed over, and why.  It lists
those that need attention.

`omero -s HOST -u NAME fs explain WHAT` works from any machine: WHAT is an id, or a
file from your directory on, among your latest 200 filesets.

It imports nothing and changes nothing.  A file that DropBox has not met yet is
said to be so.  Run it as the user that OMERO.server runs as.

A disk that does not answer for ten seconds is named at the end, and what lies there
is left out.

Exit codes: 0 shown; 2 there is no such file, fileset or user's directory; 4 the
journal cannot be read; 10 a disk does not answer
"""

_SHOWN = 20  # files that are listed for a directory; --json has all


def configure(sub: Any) -> None:
    """The options."""
    parser = sub.add_parser("explain", description=HELP)
    parser.add_argument(
        "what", nargs="?", type=some_path, metavar="WHAT", help="a path, or the id of a fileset"
    )
    # Not `user`, which is who logs in: `omero -u amy fs explain`.
    parser.add_argument(
        "--user",
        dest="of_user",
        type=user_name,
        metavar="NAME",
        help="all directories of this OMERO user",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(ctx: Any, args: Any) -> None:
    """Prints it."""
    if (args.what is None) == (args.of_user is None):
        raise ConfigurationError("give either a path or an id, or --user NAME")
    if is_asked(args):
        if args.what is None:
            raise ConfigurationError("--user needs the journal, which is not here: name a file")
        try:
            document = fetch(ctx, args, None)
        except UserError as error:
            raise UserError(f"{error}; {OTHERS}") from error
        one = fileset(document, args.what)
        ctx.out(json.dumps(one, indent=2) if args.json else shown(lines_of(one)))
        return
    where = site(ctx)
    settings = where.settings()
    users = Users(where, settings)
    disks = Disks()
    with glance(settings.journal_url) as look:
        if args.of_user is not None:
            tops = _directories(args.of_user, settings, disks)
            found = _directory(tops, settings, look, users, disks, args.of_user)
        elif is_number(args.what):
            found = _by_id(int(args.what), where, settings, look)
        else:
            path = os.path.abspath(args.what)  # noqa: PTH100 - keeps symbolic links
            if store := store_in(path, look):
                found = _file(store, where, settings, look, users, disks)
            elif _lists(path, disks):
                found = _directory([path], settings, look, users, disks)
            else:
                found = _file(path, where, settings, look, users, disks)
    if args.json:
        ctx.out(json.dumps(found, indent=2))
    else:
        ctx.out(shown(_lines(found)))
    disks.end(ctx)


def _lists(path: str, disks: Disks) -> bool:
    """Whether a directory is there.  One that does not answer may be none."""
    try:
        return is_directory(path, disks)
    except Silent:
        return False


def _directories(user: str, settings: Settings, disks: Disks) -> list[str]:
    """The directories that are watched for this user, and are there."""
    tops = [
        directory
        for rule in settings.rules
        if rule.user == user or (rule.user == EVERYONE and _is_one_name(user))
        for directory in _of_rule(rule, user, disks)
    ]
    there = [top for top in tops if _may_be_there(top, disks)]
    if not there:
        raise ConfigurationError(
            f"{printable(user)}: no such user has a directory here: "
            f"{', '.join(map(printable, tops)) or 'nothing is watched for such a name'}"
        )
    return there


def _of_rule(rule: Rule, user: str, disks: Disks) -> list[str]:
    """The directories of this user by one rule."""
    watched = str(rule.watch_dir)
    if rule.user != EVERYONE:
        return [watched]
    if is_by_owner(rule):
        return [watched]
    if rule.layout != GROUP_USER:
        return [f"{watched}/{user}"]
    try:
        groups, _ = disks.ask(watched, lambda call: listed(watched, call.pulse))
    except OSError:
        groups = ["*"]
    return [f"{watched}/{group}/{user}" for group in groups]


def _is_one_name(user: str) -> bool:
    """Whether a directory can have this name.  A path would lead somewhere else."""
    return "/" not in user and user not in (".", "..")


def _may_be_there(top: str, disks: Disks) -> bool:
    """Whether a directory is there, over links too, or nobody answers."""
    try:
        return disks.ask(top, lambda call: os.path.isdir(top))  # noqa: PTH112
    except Silent:
        return True


def _by_id(identifier: int, where: Site, settings: Settings, look: Glance | None) -> dict[str, Any]:
    seen = look.load([identifier]) if look is not None else []
    if not seen:
        raise ConfigurationError(f"no fileset has the id {identifier}: see `omero fs status`")
    return _of_fileset(seen[0].path, seen[0], where, settings, look)


def _file(
    path: str,
    where: Site,
    settings: Settings,
    look: Glance | None,
    users: Users,
    disks: Disks,
) -> dict[str, Any]:
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
            **_whose(path, settings, disks),
            "stand": "not known",
            "reason": reason,
            "remedy": "",
        }
    if why:
        return {
            **_whose(path, settings, disks),
            "stand": "passed over",
            "reason": why,
            "remedy": "",
        }
    whose = _whose(path, settings, disks)
    if why := users.why_none(whose["user"]):
        remedy = "see `omero fs users`"
        return {**whose, "stand": "passed over", "reason": why, "remedy": remedy}
    return {
        **whose,
        "stand": "not met",
        "reason": "DropBox has not met it yet: FSServer tells of it at once, and a rescan finds it",
        "remedy": "does DropBox run? `omero fs status` tells; a rescan comes every "
        f"{settings.rescan_interval:g} s, and at a start",
    }


def _whose(path: str, settings: Settings, disks: Disks | None) -> dict[str, Any]:
    """`disks`: to ask the owner of the file, where that says it; None: it is known otherwise."""
    rule = rule_around(path, settings)
    return {
        "path": path,
        "rule": None if rule is None else {"user": rule.user, "directory": str(rule.watch_dir)},
        "user": "" if rule is None else _user_of(path, rule, disks),
    }


def _user_of(path: str, rule: Rule, disks: Disks | None) -> str:
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
        **_whose(path, settings, None),
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


@dataclass
class _Counted:
    """What became of the files of some directories."""

    counts: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)  # reason -> a file that it concerns
    attention: dict[int, dict[str, Any]] = field(default_factory=dict)
    files: int = 0


def _directory(
    tops: list[str],
    settings: Settings,
    look: Glance | None,
    users: Users,
    disks: Disks,
    of_user: str | None = None,
) -> dict[str, Any]:
    """`of_user`: only this user's, where users share a directory."""
    found = _Counted()
    for top in tops:
        known = look.below(top) if look is not None else {}
        unlisted: dict[str, str] = {}
        for path in all_below(top, unlisted, disks):
            if path in unlisted:
                found.passed_over[unlisted[path]] += 1
                found.first.setdefault(unlisted[path], path)
                continue
            seen = known.get(path) or next((known[s] for s in above(path) if s in known), None)
            if of_user is not None and is_by_owner(rule := rule_around(path, settings)):
                assert rule is not None
                if of_user != (seen.user if seen is not None else _user_of(path, rule, disks)):
                    continue
            found.files += 1
            _count(path, seen, settings, look, found, users, disks)
    return {
        "directories": tops,
        "files": found.files,
        "counts": dict(found.counts),
        "passed_over": [
            {"reason": reason, "files": number, "for_example": found.first[reason]}
            for reason, number in found.passed_over.most_common()
        ],
        "attention": list(found.attention.values()),
    }


def _count(
    path: str,
    seen: Seen | None,
    settings: Settings,
    look: Glance | None,
    found: _Counted,
    users: Users,
    disks: Disks,
) -> None:
    if seen is None:
        try:
            why = disks.ask(path, lambda call: why_passed_over(path, settings))
        except Silent as silent:
            why = str(silent.strerror)
        why = why or users.why_none(_whose(path, settings, disks)["user"])
        found.counts["passed over" if why else "not met yet"] += 1
        if why:
            found.passed_over[why] += 1
            found.first.setdefault(why, path)
        return
    stands = standing(seen, settings, look.now() if look is not None else 0.0)
    stand = str(stands.stand)
    if stand in ("settling", "queued", "importing"):
        stand = "on their way"
    found.counts[stand] += 1
    if stand in ("failed", "held up"):
        found.attention.setdefault(
            seen.id,
            {
                "id": seen.id,
                "path": path,
                "stand": stand,
                "reason": without_paths(stands.what, seen.files, seen.root),
                "remedy": stands.remedy,
            },
        )
    elif stand == "skipped":
        found.passed_over[stands.what] += 1
        found.first.setdefault(stands.what, path)


def _lines(found: dict[str, Any]) -> Iterator[Line]:
    if "directories" in found:
        yield from _lines_of_directory(found)
        return
    yield (at(found["path"]),)
    rule = found["rule"]
    whose = f"of {printable(found['user'])}" if found["user"] else "of nobody"
    by = (f", by the rule for {rule['user']} in ", at(rule["directory"])) if rule else ()
    yield (f"  whose:    {whose}", *by)
    if "id" in found:
        number = len(found["files"])
        what = "a plate" if found["plate"] else "a fileset"
        yield f"  journal:  id {found['id']}, {what} of {several(number, 'file')}"
        if number > 1:
            for path in found["files"][:_SHOWN]:
                yield (" " * 12, at(path))
            if number > _SHOWN:
                yield f"            and {number - _SHOWN} more"
        for step in found["history"]:
            yield f"  {day_and_time(step['at'])}  {printable(step['what'])}"
    if found.get("after_import"):
        after = found["after_import"]
        yield f"  {day_and_time(after['at'])}  after the import: {printable(after['what'])}"
    since = f" for {lasting(found['age'])}" if "age" in found else ""
    reason = f": {printable(found['reason'])}" if found["reason"] else ""
    yield f"  now:      {found['stand']}{since}{reason}"
    if found.get("fileset") is not None:
        yield f"  OMERO:    Fileset:{found['fileset']}"
    for image in found.get("images", ()):
        there = {None: " (OMERO cannot be asked)", False: " (no longer in OMERO)", True: ""}
        inside = " in " + " in ".join(image["containers"]) if image["containers"] else ""
        yield f"  image:    Image:{image['id']}{there[image['in_omero']]}{printable(inside)}"
    if found.get("next"):
        yield f"  next:     {found['next']}"
    if found["remedy"]:
        yield f"  do:       {found['remedy']}"


def _lines_of_directory(found: dict[str, Any]) -> Iterator[Line]:
    counts = found["counts"]
    order = ("imported", "on their way", "held up", "failed", "skipped", "not met yet")
    parts = [f"{counts[name]:,} {name}" for name in order if counts.get(name)]
    if counts.get("passed over"):
        parts.append(f"{counts['passed over']:,} passed over")
    names = [part for directory in found["directories"] for part in (", ", at(directory))][1:]
    yield (*names, f": {several(found['files'], 'file')}: {', '.join(parts) or 'none'}")
    for one in found["passed_over"]:
        such = "" if one["files"] == 1 else f"{one['files']:,} files such as "
        example = at(Path(one["for_example"]).name)
        yield (f"  not imported: {such}", example, f": {printable(one['reason'])}")
    for one in found["attention"][:_SHOWN]:
        why = f": {printable(one['reason'])}" if one["reason"] else ""
        yield (f"  {one['stand']}: {one['id']} ", at(one["path"]), why)
        if one["remedy"]:
            yield f"    -> {one['remedy']}"
    more = len(found["attention"]) - _SHOWN
    if more > 0:
        yield f"  and {more} more that need attention: `omero fs status --limit 0` shows them"
