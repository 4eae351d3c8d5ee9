"""Shows people at a terminal what `omero fs status` knows."""

from __future__ import annotations

from typing import Any

from omero_fs_plugin.config.settings import EVERYONE
from omero_fs_plugin.site import printable

from .tables import new_table, text_of

_LEFT = "left."  # before DropBox's figures of what it does not import, with the reason
_AWAY = "away."  # ... and of directories whose disk does not answer
_TOLD = {_AWAY: "waits", _LEFT: "left alone"}
_FILES_SHOWN = 3  # of a fileset; --json has all


def render(status: dict[str, Any]) -> str:
    """The status for a terminal."""

    lines = _about_servers(status)
    lines.append(", ".join(f"{number} {name}" for name, number in status["counts"].items()))
    if not status["filesets"]:
        return "\n".join(lines)
    headings = ("Id", "User", "State", "Images", "Changed", "Files", "Reason")
    table = new_table(headings, whole=("Id", "State", "Changed"))
    for fileset in status["filesets"]:
        table.add_row(
            *(
                _cell(text)
                for text in (
                    str(fileset["id"]),
                    fileset["user"],
                    fileset["state"],
                    ",".join(map(str, fileset["images"])),
                    fileset["changed"][:19].replace("T", " "),
                    _files(fileset["files"]),
                    _remark(fileset),
                )
            )
        )
    text = text_of(table)
    return "\n".join([*lines, "", text])


def _about_servers(status: dict[str, Any]) -> list[str]:
    lines = [f"{name}: {state}" for name, state in status["servers"].items()]
    user, dropbox = status["user"], status["dropbox"]
    if user is None:
        lines += [
            f"monitor {monitor['id']}: {monitor.get('state')}, "
            f"{printable(monitor.get('path', ''))}, {monitor.get('events')} events told"
            for monitor in status["monitors"]
        ]
    for key, why in sorted(dropbox.items()):
        kind, _, what = key.partition(".")
        if f"{kind}." not in _TOLD or not (user is None or _is_of(what, user, status["watched"])):
            continue
        lines.append(f"{_TOLD[f'{kind}.']}: {printable(what)}: {printable(why)}")
    for rule in status["watched"]:
        directory = rule["directory"]
        if user is not None and rule["user"] == EVERYONE:
            directory = f"{directory.rstrip('/')}/{user}"
        trouble = f" ({rule['problem']})" if rule["problem"] else ""
        lines.append(f"watched for {user or rule['user']}: {printable(directory)}{trouble}")
        if rule["importer"]:
            lines.append(f"  importer {printable(rule['importer'])}")
        if rule["ignored"]:
            lines.append(f"  changes nothing: {printable(rule['ignored'])}")
    if status["grouping"]:
        lines.append(f"grouped by {printable(status['grouping'])}")
    if dropbox.get("reading"):
        lines.append(printable(dropbox["reading"]))
    if dropbox.get("busy"):
        lines.append(printable(dropbox["busy"]))
    if dropbox.get("restart"):
        lines.append(f"changed; takes effect at the next start: {dropbox['restart']}")
    return lines


def _is_of(left: str, user: str, watched: list[dict[str, str]]) -> bool:
    """Whether something left alone, a path or a user's name, belongs to this user."""
    tops = [
        rule["directory"].rstrip("/") + (f"/{user}" if rule["user"] == EVERYONE else "")
        for rule in watched
    ]
    return left == user or any(left == top or left.startswith(f"{top}/") for top in tops)


def _files(files: list[str]) -> str:
    """The paths of files; only the first few if there are many."""
    shown = files if len(files) <= _FILES_SHOWN + 1 else files[:_FILES_SHOWN]
    lines = [printable(path) for path in shown]
    if len(files) > len(shown):
        lines.append(f"and {len(files) - len(shown)} more")
    return "\n".join(lines)


def _remark(fileset: dict[str, Any]) -> str:
    parts = ["a plate"] if fileset["plate"] else []
    far = fileset["progress"]
    if far is not None:
        parts.append(f"{far['done']} of {far['total']} bytes")
    if fileset["reason"]:
        parts.append(printable(fileset["reason"]))
    return "; ".join(parts)


def _cell(text: str) -> Any:
    """`text` as it is: brackets in a file name are not markup of rich."""
    from rich.text import Text

    return Text(text)
