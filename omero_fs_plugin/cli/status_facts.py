"""Collects what `omero fs status` shows: from the grid, and from one state of the journal."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from omero_fs_plugin.config.layout import USER
from omero_fs_plugin.config.settings import EVERYONE, Settings
from omero_fs_plugin.dropbox.journal.glance import Glance, glance
from omero_fs_plugin.dropbox.journal.seen import Asked, Elsewhere, Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.situation import standing, users_of
from omero_fs_plugin.errors import FsError, JournalError, UserError
from omero_fs_plugin.icegrid import OMERO_STARTS, SERVERS, WAITS_FOR_FSSERVER, node_of
from omero_fs_plugin.site import Site

# Before FSServer's figures of a monitor: monitor.<id>.<figure>
_MONITOR = "monitor."
# Before what both servers say is wrong with the configuration
_PROBLEM = "problem."
# Before DropBox's figures of filesets under way: how many of their bytes are done
_PROGRESS = "progress."


def collect(where: Site, asked: Asked, *, limit: int | None) -> dict[str, Any]:
    """The whole status, as `--json` prints it.

    Raises UserError if it is asked for a user that nobody knows.
    """
    settings = where.settings()
    now = time.time()
    status: dict[str, Any] = {
        "time": _iso(now),
        "user": asked.user,
        "chosen": bool(asked.states or asked.since is not None),
        "summary": {"attention": 0, "under_way": 0, "imported": 0, "skipped": 0, "failed": 0}
        | {"held_up": 0, "last_import": None, "last_import_age": None},
        "servers": dict.fromkeys(SERVERS, "unreachable"),
        "starting": [],
        "monitors": [],
        "counts": {str(s): 0 for s in State},
        "total": 0,
        "attention": [],
        "under_way": [],
        "filesets": [],
        "watched": [],
        "grouping": "",
        "letters": {"waiting": 0, "age": None, "reason": ""},
        "dropbox": {},
        "nodes": [],
        "problems": [],
        "trouble": [],
        "misconfigured": bool(settings.problems),
        "unreachable": False,
    }
    _ask_grid(where, settings, status, asked.user)
    trouble: list[dict[str, str]] = status["trouble"]
    try:
        with glance(settings.journal_url) as look:
            if look is not None:
                _journal(status, look, asked, limit, settings, now)
    except JournalError as error:
        trouble.insert(0, {"kind": "journal", "what": _whom(where, str(error), settings)})
    failed, held = status["summary"]["failed"], status["summary"]["held_up"]
    if failed:
        what = f"{failed} failed: `omero fs status --state failed` shows them"
        trouble.append({"kind": "failed", "what": what})
    if held:
        trouble.append({"kind": "stuck", "what": f"{held} held up"})
    status["problems"] = [one["what"] for one in trouble if one["kind"] not in ("failed", "stuck")]
    return status


def _whom(where: Site, text: str, settings: Settings) -> str:
    """`text`, and as whom to run this if a file may not be read."""
    if "Permission denied" not in text:
        return text
    owner = where.owner()
    return f"{text}: run this as {owner}, the user that OMERO.server runs as"


def _ask_grid(where: Site, settings: Settings, status: dict[str, Any], user: str | None) -> None:
    trouble: list[dict[str, str]] = status["trouble"]

    def add(kind: str, *what: str) -> None:
        known = "; ".join(one["what"] for one in trouble)
        trouble.extend({"kind": kind, "what": one} for one in what if one not in known)

    add("config", *map(str, settings.problems))
    try:
        with where.grid() as grid:
            status["servers"] = grid.states()
            told = {server: grid.figures(server) for server in status["servers"]}
            status["dropbox"] = told["DropBox"]
            conditions = {
                server: grid.condition(server, state, answers=bool(told[server]))
                for server, state in status["servers"].items()
            }
            for server, figures in told.items():
                if server != "DropBox":
                    status["monitors"] += _monitors(figures, node_of(server))
                    add(
                        "config", *(w for k, w in sorted(figures.items()) if k.startswith(_PROBLEM))
                    )
            status["grouping"] = status["dropbox"].get("grouping", "")
            status["watched"] = list(_watched(status["dropbox"], user))
            if user is not None:
                _check_user(where, settings, user, grid)
    except UserError:
        raise
    except FsError as error:
        add("down", str(error))
        status["unreachable"] = True
        if user is not None:
            _check_user(where, settings, user, None)
        return
    for server, one in conditions.items():
        if one.down:  # without that of one node, the others' files are imported all the same
            add("down" if server in SERVERS else "unwell", str(one))
    status["starting"] = [one.what for one in conditions.values() if one.since is not None]
    dropbox = status["dropbox"]
    if dropbox:
        add("config", *(w for k, w in sorted(dropbox.items()) if k.startswith(_PROBLEM)))
        state = dropbox.get("state")
        if state == WAITS_FOR_FSSERVER and any(one.new for one in conditions.values()):
            status["starting"].append(f"DropBox is {state}: {dropbox.get('reason')}")
        elif state not in ("running", OMERO_STARTS):
            add("unwell", f"DropBox is {state}: {dropbox.get('reason')}")
        if dropbox.get("refused"):
            add("config", f"DropBox has not taken the changed {dropbox['refused']}")


def _check_user(where: Site, settings: Settings, user: str, grid: Any) -> None:
    """Raises UserError if neither the journal, the configuration nor OMERO knows `user`."""
    if user in users_of(settings):
        return
    try:
        with glance(settings.journal_url) as look:
            if look is not None and look.knows(user):
                return
    except JournalError:
        return  # this is told by itself
    if grid is None:
        raise UserError(
            f"{user}: the journal has no file of such a user, and OMERO cannot be asked"
        )
    from omero_fs_plugin.blitz.sessions import Omero

    omero = Omero.of(grid.communicator, settings)
    try:
        omero.user(user)
    except UserError as error:
        raise UserError(f"{error}: see `omero user list`") from error
    finally:
        omero.close()


def _monitors(figures: dict[str, str], node: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in figures.items():
        if key.startswith(_MONITOR):
            identifier, _, figure = key[len(_MONITOR) :].rpartition(".")
            found.setdefault(identifier, {"id": identifier, "node": node})[figure] = _plain(value)
    return [found[identifier] for identifier in sorted(found)]


def _plain(value: str) -> int | str:
    return int(value) if value.isascii() and value.isdigit() else value


def _watched(figures: dict[str, str], user: str | None) -> Iterator[dict[str, str]]:
    """What DropBox says of each rule.  With `user`, only of that user's rules."""
    for number in itertools.count(1):
        name = figures.get(f"watch.{number}.user")
        if name is None:
            return
        if user in (None, name) or name == EVERYONE:
            yield {
                "user": name,
                "directory": figures.get(f"watch.{number}.directory", ""),
                "node": figures.get(f"watch.{number}.node", ""),
                "layout": figures.get(f"watch.{number}.layout", USER),
                "problem": figures.get(f"watch.{number}.problem", ""),
                "importer": figures.get(f"importer.{number}", ""),
                "ignored": figures.get(f"ignored.{number}", ""),
            }


def _journal(
    status: dict[str, Any],
    look: Glance,
    asked: Asked,
    limit: int | None,
    settings: Settings,
    now: float,
) -> None:
    """Fills in what the journal says: all of one state of it."""
    of_user = Asked(user=asked.user)
    counts = look.counts(of_user)
    held = look.held(of_user)
    last = look.last_import(asked.user) if counts[State.IMPORTED] else None
    opened = counts[State.WAITING] + counts[State.QUEUED] + counts[State.IMPORTING]
    status["summary"] = {
        "attention": counts[State.FAILED] + held,
        "under_way": opened - held,
        "imported": counts[State.IMPORTED],
        "skipped": counts[State.SKIPPED],
        "failed": counts[State.FAILED],
        "held_up": held,
        "last_import": None if last is None else _iso(last),
        "last_import_age": None if last is None else round(max(0.0, now - last), 1),
    }
    status["counts"] = {str(state): number for state, number in counts.items()}
    status["total"] = sum(look.counts(asked).values()) if asked != of_user else sum(counts.values())
    told = status["dropbox"]
    number, oldest, why = look.letters()
    status["letters"] = {
        "waiting": number,
        "age": round(max(0.0, now - oldest), 1) if number else None,
        "reason": why,
    }

    status["nodes"] = [_node(one) for one in look.nodes()]

    def shown(rows: list[Seen]) -> list[dict[str, Any]]:
        return [_fileset(seen, settings, told, now) for seen in rows]

    status["filesets"] = shown(look.latest(asked, limit))
    status["attention"] = shown(look.attention(asked, limit))
    status["under_way"] = shown(look.under_way(asked, limit))


def _node(one: Elsewhere) -> dict[str, Any]:
    """Importers on another machine.  What they say of themselves is that of ten seconds ago."""
    told = json.loads(one.told or "{}")
    words = one.holder.split()  # as in lease.Holder, which loads slowly
    return {
        "host": words[0],
        "process": int(words[3]),
        "claims": one.claims,
        "state": str(told.get("state", "")),
        "reason": str(told.get("reason", "")),
        "importers": int(told.get("importers", 0)),
        "left": {
            key.partition(".")[2]: str(why)
            for key, why in sorted(told.items())
            if key.startswith(("left.", "away."))
        },
    }


def _fileset(seen: Seen, settings: Settings, told: dict[str, str], now: float) -> dict[str, Any]:
    stands = standing(seen, settings, now)
    progress = None
    if seen.state is State.IMPORTING:
        progress = _bytes(told.get(f"{_PROGRESS}{seen.id}", ""), stands.age)
    return {
        "id": seen.id,
        "user": seen.user,
        "root": seen.root,
        "files": list(seen.files),
        "size": seen.size,
        "state": str(seen.state),
        "stand": str(stands.stand),
        "reason": stands.what,
        "age": round(stands.age, 1),
        "deadline": None if stands.deadline is None else round(stands.deadline, 1),
        "remedy": stands.remedy,
        "progress": progress,
        "plate": seen.plate,
        "reader": seen.reader,
        "images": list(seen.images),
        "fileset": seen.server_fileset,
        "revision_of": seen.revision_of,
        "duplicate_of": seen.duplicate_of,
        "attempts": seen.attempts,
        "created": _iso(seen.created),
        "changed": _iso(seen.changed),
    }


def _bytes(told: str, age: float) -> dict[str, Any] | None:
    """`3 of 5 bytes` as numbers, with B/s and the s left; None if it is no such text."""
    words = told.split()
    if len(words) < 3:
        return None
    done, total = int(words[0]), int(words[2])
    rate = done / age if age > 0 else 0.0
    left = round((total - done) / rate, 1) if rate > 0 else None
    return {"done": done, "total": total, "rate": round(rate, 1), "left": left}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds")
