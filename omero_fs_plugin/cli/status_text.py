"""Shows people what `omero fs status` knows: in the width of a terminal, or in full lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omero_fs_plugin.config.layout import is_of, of_user
from omero_fs_plugin.config.settings import EVERYONE
from omero_fs_plugin.dropbox.situation import (
    amount,
    below,
    lasting,
    remedy_for,
    without_paths,
)
from omero_fs_plugin.icegrid import OMERO_STARTS
from omero_fs_plugin.site import printable

from .columns import columns, laid_out, short_path
from .terminal import NARROW

_LEFT = "left."  # before DropBox's figures of what it does not import, with the reason
_AWAY = "away."  # ... and of directories whose disk does not answer
_LOST = "lost."  # ... and of those that answer, but not to every call
_CLOSED = "closed."  # ... and of directories whose imports do not begin at this time of day
_TOLD = {
    _CLOSED: "waits",
    _AWAY: "waits",
    _LEFT: "left alone",
    _LOST: "does not answer to every call",
}
_LEFT_SHOWN = 3  # of what is left alone, where there is no room for all of it
_WIDE = 100_000  # columns: without a terminal no line is cut, so that one can search it
_FILES_SHOWN = 3  # of a fileset in a pipe; --json has all
_BAR = 20  # columns of a bar
_STYLES = {"failed": "bold red", "held up": "yellow", "importing": "cyan", "imported": "green"}

Line = list[tuple[str, str]]  # parts of one line: text, and its style ("" for none)


def render(status: dict[str, Any], *, details: bool = False) -> str:
    """The status as text; with colours and in the width of the terminal if there is one."""
    import sys

    if not sys.stdout.isatty():
        lines = _lines(status, _WIDE, details=details, bars=False)
        return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)
    import io

    from rich.console import Console

    terminal = Console()
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        no_color=terminal.no_color,
        color_system="standard",
        width=terminal.width,
    )
    with console.capture() as captured:
        console.print(picture(status, width=terminal.width, details=details))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def fitting(status: dict[str, Any], *, width: int, height: int, details: bool = False) -> Any:
    """The status with so many filesets of each part that it has at most `height` lines.

    At least one of each part is left, so on a tiny terminal it may have more.  What is left alone
    has few lines then: users may drop any number of such files, and filesets that need attention
    stay in sight.
    """

    def fits(some: dict[str, Any]) -> bool:
        lines = _lines(some, max(width, NARROW), details=details, bars=True)
        return sum(1 for _ in lines) <= height

    if fits(status):
        return status
    parts = {
        "attention": status["attention"],
        "under_way": status["under_way"],
        "filesets": status["filesets"] if status["chosen"] else _newest(status),
    }

    def first(numbers: dict[str, int]) -> dict[str, Any]:
        return cut | {part: some[: numbers[part]] for part, some in parts.items()}

    cut = status | {"left_shown": _LEFT_SHOWN}
    most = max(map(len, parts.values()))
    while most > 1 and not fits(first(dict.fromkeys(parts, most))):
        most -= 1
    numbers = {part: min(most, len(some)) for part, some in parts.items()}
    # What has no more of one part has room for more of another; what needs attention is first.
    for part, some in parts.items():
        while numbers[part] < len(some) and fits(first(numbers | {part: numbers[part] + 1})):
            numbers[part] += 1
    return first(numbers)


def _newest(status: dict[str, Any]) -> list[dict[str, Any]]:
    """What has come to its end, and needs nobody."""
    return [one for one in status["filesets"] if one["stand"] in ("imported", "skipped")]


def picture(
    status: dict[str, Any], *, width: int, details: bool = False, bars: bool = False
) -> Any:
    """The status for rich, in `width` columns; with `bars` for what is being imported."""
    from rich.console import Group
    from rich.text import Text

    lines = _lines(status, max(width, NARROW), details=details, bars=bars)
    return Group(*(Text.assemble(*line, no_wrap=True, overflow="crop") for line in lines))


def _lines(status: dict[str, Any], width: int, *, details: bool, bars: bool) -> Iterator[Line]:
    yield from _wrapped([(_sentence(status), "bold")], width)
    for one in status["trouble"]:
        if one["kind"] not in ("failed", "stuck"):
            yield from _wrapped([(printable(one["what"]), "bold red")], width)
    for text in (*_notes(status), *_left_alone(status)):
        yield from _wrapped([(text, "yellow")], width)
    chosen = status["chosen"]
    parts = (
        ((f"Chosen: {status['total']:,}", status["filesets"]),)
        if chosen
        else (
            ("Need attention", status["attention"]),
            ("On their way", status["under_way"]),
            ("Newest", _newest(status)),
        )
    )
    shown = set()
    for heading, filesets in parts:
        if filesets or chosen:
            yield []
            yield [(heading, "bold")]
        for fileset in filesets:
            shown.add(fileset["id"])
            yield from _fileset(fileset, width, several=status["user"] is None, bars=bars)
    if len(shown) < status["total"]:
        yield []
        yield [(f"{len(shown):,} of {status['total']:,} shown; --limit 0 shows all", "dim")]
    if details:
        yield []
        for text in _about_servers(status):
            yield from _wrapped([(text, "")], width)


def _sentence(status: dict[str, Any]) -> str:
    summary = status["summary"]
    parts = []
    if summary["attention"]:
        kinds = [
            f"{summary[key]:,} {words}"
            for key, words in (("failed", "failed"), ("held_up", "held up"))
            if summary[key]
        ]
        verb = "needs" if summary["attention"] == 1 else "need"
        parts.append(f"{summary['attention']:,} {verb} attention ({', '.join(kinds)})")
    parts.append(f"{summary['under_way']:,} on their way")
    parts.append(f"{summary['imported']:,} imported")
    if summary["skipped"]:
        parts.append(f"{summary['skipped']:,} skipped")
    age = summary["last_import_age"]
    last = f"; last import {lasting(age)} ago" if age is not None else ""
    user = f"{printable(status['user'])}: " if status["user"] is not None else ""
    return f"{user}{', '.join(parts)}{last}"


def _fileset(fileset: dict[str, Any], width: int, *, several: bool, bars: bool) -> Iterator[Line]:
    """One line with its name and how it stands, and lines with the reason and what to do.

    Without a terminal, all of it is one line, with whole paths: for grep.
    """
    if width == _WIDE:
        yield [(_in_full(fileset), "")]
        return
    stand = fileset["stand"]
    ahead = f"{fileset['id']:>6}  "
    # A word, and what it is at: never cut.
    tail = _tail(fileset, bars=bars)
    name = printable(below(fileset["files"][0], fileset["root"])) if fileset["files"] else "-"
    if several:
        name = f"{printable(fileset['user'])}/{name}" if not name.startswith("/") else name
    more = len(fileset["files"]) - 1
    more_text = f" +{more} file{'s' if more > 1 else ''}" if more > 0 else ""
    room = width - columns(ahead + tail + more_text) - 2
    if room < 16:  # the name has a line of its own
        yield [(ahead, "dim"), (short_path(name, width - len(ahead) - len(more_text)), ""),
               (more_text, "dim")]  # fmt: skip
        yield [(" " * len(ahead), ""), (tail, _STYLES.get(stand, ""))]
    else:
        name = short_path(name, room)
        pad = " " * (room - columns(name))
        yield [(ahead, "dim"), (name, ""), (more_text, "dim"), (pad, ""), ("  ", ""),
               (tail, _STYLES.get(stand, ""))]  # fmt: skip
    why = without_paths(fileset["reason"], fileset["files"], fileset["root"])
    if stand in ("failed", "held up", "skipped") and why:
        yield from _wrapped([(printable(why), "")], width, indent=len(ahead))
    if fileset["deadline"] is not None:
        text = f"fails in {lasting(fileset['deadline'])} if nothing comes"
        text += f": {fileset['remedy']}" if fileset["remedy"] else ""
        yield from _wrapped([(text, "yellow")], width, indent=len(ahead))
    elif fileset["remedy"]:
        yield from _wrapped([(f"-> {fileset['remedy']}", "yellow")], width, indent=len(ahead))


def _in_full(fileset: dict[str, Any]) -> str:
    files = fileset["files"]
    shown = files if len(files) <= _FILES_SHOWN + 1 else files[:_FILES_SHOWN]
    names = ", ".join(map(printable, shown))
    if len(files) > len(shown):
        names += f" and {len(files) - len(shown)} more"
    parts = [f"{fileset['id']:>6}", printable(fileset["user"]), _tail(fileset, bars=False), names]
    if fileset["reason"] and fileset["stand"] != "settling":
        why = fileset["reason"].removeprefix(f"{files[0]}: ") if files else fileset["reason"]
        parts.append(printable(why))
    if fileset["deadline"] is not None:
        parts.append(f"fails in {lasting(fileset['deadline'])}")
    if fileset["remedy"]:
        parts.append(f"-> {fileset['remedy']}")
    return "  ".join(parts)


def _tail(fileset: dict[str, Any], *, bars: bool) -> str:
    stand, age = fileset["stand"], lasting(fileset["age"])
    if stand == "importing":
        far = fileset["progress"]
        if far is None:
            return f"importing for {age}"
        share = far["done"] / far["total"] if far["total"] else 1.0
        bar = f"{'━' * round(share * _BAR)}{'╌' * (_BAR - round(share * _BAR))} " if bars else ""
        of = f"importing {bar}{share:.0%} of {amount(far['total'])}"
        if share >= 1:  # of the bytes: nobody knows how long the images take
            return f"{of}, OMERO reads it"
        left = f", {lasting(far['left'])} left" if far["left"] is not None else ""
        return f"{of}, {amount(far['rate'])}/s{left}"
    if stand == "settling":
        return f"settling for {age} ({fileset['reason']})"
    if stand == "imported":
        images = ",".join(map(str, fileset["images"][:3]))
        images += ",..." if len(fileset["images"]) > 3 else ""
        what = "plate with Image" if fileset["plate"] else "Image"
        return f"{what}:{images} {age} ago" if images else f"imported {age} ago"
    if stand in ("failed", "skipped"):
        return f"{stand} {age} ago"
    return f"{stand} for {age}"


def _wrapped(line: Line, width: int, *, indent: int = 0) -> Iterator[Line]:
    """`line` of one part in lines that break between words, each with the indent."""
    ((text, style),) = line
    space = " " * indent
    for part in laid_out(space + text, width, indent):
        yield [(part, style)]


def _notes(status: dict[str, Any]) -> Iterator[str]:
    """What people should know besides their filesets."""
    user, dropbox = status["user"], status["dropbox"]
    if dropbox.get("state") == OMERO_STARTS:
        yield f"{OMERO_STARTS}, {printable(dropbox['reason'])}"
    yield from map(printable, status["starting"])
    for kind in (_CLOSED, _AWAY, _LOST):
        yield from _of_kind(status, kind)
    for rule in status["watched"]:
        if rule["problem"]:
            what = f"{printable(rule['directory'])}{_on(rule)}"
            yield f"not watched: {what}: {printable(rule['problem'])}"
    if dropbox.get("after"):
        yield f"imported files stay where they are for now: {printable(dropbox['after'])}"
    if dropbox.get("busy"):
        yield printable(dropbox["busy"])
    for node in status["nodes"]:
        if node["state"] not in ("running", "starting"):
            yield f"{_node(node)} is {node['state']}: {printable(node['reason'])}"
        for what, why in node["left"].items():
            if user is None or _is_of(what, user, status["watched"]):
                yield f"left to others by {_node(node)}: {printable(what)}: {printable(why)}"
    letters = status["letters"]
    if letters["waiting"] and user is None:
        waiting = letters["waiting"]
        what = "1 letter waits" if waiting == 1 else f"{waiting:,} letters wait"
        why = f": {printable(letters['reason'])}" if letters["reason"] else ""
        yield f"{what} to be sent, for {lasting(letters['age'])}{why}"
    if dropbox.get("metrics") and user is None:
        yield printable(dropbox["metrics"])
    if dropbox.get("restart"):
        yield f"changed; takes effect at the next start: {dropbox['restart']}"


def _left_alone(status: dict[str, Any]) -> Iterator[str]:
    """What is not imported; with `left_shown`, only so many lines of it."""
    lines = list(_of_kind(status, _LEFT))
    shown = status.get("left_shown", len(lines))
    yield from lines[:shown]
    if len(lines) > shown:
        more = len(lines) - shown
        verb = "is" if more == 1 else "are"
        yield f"and {more:,} more {verb} left alone; --limit 0 shows all"


def _of_kind(status: dict[str, Any], kind: str) -> Iterator[str]:
    """A line for each of DropBox's figures of this kind that concerns the user."""
    for key, why in sorted(status["dropbox"].items()):
        what = key.removeprefix(kind)
        if what != key and (
            status["user"] is None or _is_of(what, status["user"], status["watched"])
        ):
            remedy = remedy_for(why) if kind == _LEFT else ""
            do = f" -> {remedy}" if remedy else ""
            yield f"{_TOLD[kind]}: {printable(what)}: {printable(why)}{do}"


def _about_servers(status: dict[str, Any]) -> Iterator[str]:
    user, dropbox = status["user"], status["dropbox"]
    yield from (f"{name}: {state}" for name, state in status["servers"].items())
    for node in status["nodes"]:
        at = f"at {node['claims']:,} filesets, {node['importers']} importers"
        yield f"{_node(node)}: {node['state']}, {at}"
    if user is None:
        for monitor in status["monitors"]:
            yield (
                f"monitor {monitor['id']}{_on(monitor)}: {monitor.get('state')}, "
                f"{printable(str(monitor.get('path', '')))}, {monitor.get('events')} events told"
            )
    for rule in status["watched"]:
        directory = rule["directory"]
        if user is not None and rule["user"] == EVERYONE:
            directory = f"{directory.rstrip('/')}/{of_user(rule['layout'], user)}".rstrip("/")
        trouble = f" ({rule['problem']})" if rule["problem"] else ""
        yield f"watched for {user or rule['user']}{_on(rule)}: {printable(directory)}{trouble}"
        if rule["importer"]:
            yield f"  importer {printable(rule['importer'])}"
        if rule["ignored"]:
            yield f"  changes nothing: {printable(rule['ignored'])}"
    if status["grouping"]:
        yield f"grouped by {printable(status['grouping'])}"
    if dropbox.get("reading"):
        yield printable(dropbox["reading"])


def _on(what: dict[str, Any]) -> str:
    return f" on {what['node']}" if what["node"] else ""


def _node(node: dict[str, Any]) -> str:
    return f"DropBoxImporter on {printable(node['host'])} (process {node['process']})"


def _is_of(left: str, user: str, watched: list[dict[str, str]]) -> bool:
    """Whether something left alone, a path or a user's name, belongs to this user."""
    return left == user or any(_lies_in(left, user, rule) for rule in watched)


def _lies_in(left: str, user: str, rule: dict[str, str]) -> bool:
    top = rule["directory"].rstrip("/")
    if rule["user"] != EVERYONE:
        return left == top or left.startswith(f"{top}/")
    names = left[len(top) + 1 :].split("/")
    return left.startswith(f"{top}/") and is_of(rule["layout"], user, names)
