"""`omero fs check --from FILE`: what an existing site's properties mean here.

Each property of the site is under one of five headings.  If a property has
another value than its default, the `omero config set` that carries it over is
printed too.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omero_fs_plugin.config import lists
from omero_fs_plugin.config.parsing import read, read_monitoring
from omero_fs_plugin.config.properties import BY_NAME, PREFIX, PROPERTIES, Property
from omero_fs_plugin.config.settings import Problem, Settings
from omero_fs_plugin.names import printable

from .differences import ALWAYS, RETIRED, SHIPPED, different, refused_arguments
from .former import Former
from .former import read as read_former

OK, WARNINGS, ERRORS = 0, 1, 2  # exit codes

# IceGrid replaces this by a value, but `omero config` does not.
_VARIABLE = re.compile(r"\$\{[^}]*\}")
# Wrong prefixes that people have given to properties.
_MISTAKEN = ("", "omero", "fs", "dropbox", "omero.fs", "omerofs", "omero.dropbox")
_PORT = "omero.fs.port"  # its variable is the port that the grid has anyway


@dataclass(frozen=True)
class Line:
    """One `omero config set` to run."""

    key: str
    value: str
    blocked: str = ""  # why nobody must run it as it is

    def __str__(self) -> str:
        dashes = "-- " if self.value.startswith("-") else ""
        return f"omero config set {dashes}{self.key} {shlex.quote(self.value)}"


@dataclass(frozen=True)
class Told:
    """One property under a heading."""

    key: str
    value: str
    what: str = ""


@dataclass(frozen=True)
class Migration:
    """What the properties of a site mean here."""

    defaults: tuple[str, ...]  # they have the default, which is the same here
    same: tuple[Told, ...]  # they are set, and mean the same here
    differs: tuple[Told, ...]
    always: tuple[str, ...]  # what is different with any settings of the site
    ignored: tuple[Told, ...]  # they had no effect there, although somebody may have meant them to
    impossible: tuple[Told, ...]  # they have no possible value here
    lines: tuple[Line, ...]

    @property
    def exit_code(self) -> int:
        """2: a value is not allowed here; 1: something had no effect there; 0: neither."""
        if self.impossible:
            return ERRORS
        return WARNINGS if self.ignored else OK


def run(ctx: Any, file: Path) -> int:
    """Prints what the properties in `file` mean here.  Returns the exit code.

    Raises ConfigurationError for a file that is not a descriptor or configuration of an
    OMERO.server.
    """
    former = read_former(file)
    migration = migrate(former.properties)
    ctx.out(render(former, migration))
    return migration.exit_code


def migrate(properties: Mapping[str, str]) -> Migration:
    """What `properties`, full name -> value, mean here."""
    known = {prop.key: prop for prop in PROPERTIES}
    given = {key: properties[key].strip() for key in known if key in properties}
    wrong = {
        key: [
            f"it contains {', '.join(_VARIABLE.findall(value))}, which IceGrid replaced there: "
            "write the value of it"
        ]
        for key, value in given.items()
        if _VARIABLE.search(value) and key != _PORT
    }
    usable = {
        key: value
        for key, value in properties.items()
        if key not in known or not _VARIABLE.search(value)
    }
    settings = read(usable)
    for problem in (*settings.problems, *read_monitoring(usable).problems):
        _add(wrong, problem)
    for key, prop in known.items():
        if key not in wrong and (why := _unreadable(prop, usable.get(key, ""))):
            wrong[key] = [why]
    arguments = BY_NAME["importArgs"].key
    for why in refused_arguments(usable.get(arguments, "")):
        wrong.setdefault(arguments, []).append(why)
    same: list[Told] = []
    differs: list[Told] = []
    lines: list[Line] = []
    defaults: list[str] = []
    for key, value in given.items():
        prop = known[key]
        at_default = is_default(prop, value) or (key == _PORT and key not in usable)
        if key in wrong or not (at_default or as_shipped(prop, value)):
            why = "" if value.isprintable() else "it has characters that cannot be shown"
            lines.append(Line(key, value, "; ".join(wrong.get(key, ())) or why))
        if key in wrong:
            continue
        what = different(prop, usable, settings)
        if at_default and not what:
            defaults.append(key)
        else:
            (differs if what else same).append(Told(key, value, what))
    return Migration(
        defaults=tuple(defaults),
        same=tuple(same),
        differs=tuple(differs),
        always=ALWAYS,
        ignored=tuple(_ignored(properties, settings)),
        impossible=tuple(
            Told(key, given.get(key, ""), why) for key, whys in wrong.items() for why in whys
        ),
        lines=tuple(lines),
    )


def _unreadable(prop: Property, text: str) -> str:
    """What is wrong with an entry.  `read` does not look at entries while importUsers is wrong."""
    if not prop.each:
        return ""
    try:
        entries = lists.entries(text.strip(), prop.kind.quotes)
    except ValueError as error:
        return str(error)
    try:
        for entry in filter(None, entries):
            prop.kind.read(entry)
    except ValueError as error:
        return f"must be {error}"
    return ""


def _add(wrong: dict[str, list[str]], problem: Problem) -> None:
    """Notes a problem under its property, once."""
    of = f"for {problem.user}, {problem.value!r}: " if problem.user else ""
    told = wrong.setdefault(problem.key, [])
    if (what := f"{of}{problem.wrong}") not in told:
        told.append(what)


def is_default(prop: Property, text: str) -> bool:
    """Whether `text`, a value for all or for each user, is the default in every entry."""
    return _all_entries(prop, text, prop.default)


def as_shipped(prop: Property, text: str) -> bool:
    """Whether `text` comes with every OMERO.server, so that nobody has chosen it."""
    shipped = SHIPPED.get(prop.name)
    return shipped is not None and bool(text) and _all_entries(prop, text, shipped)


def _all_entries(prop: Property, text: str, wanted: str) -> bool:
    if prop.kind.name == "text" and not prop.each and prop.name != "importUsers":
        given = [text]
    else:
        try:
            given = lists.entries(text, prop.kind.quotes)
        except ValueError:
            return False
    if prop.name == "importUsers" and len(given) > 1:
        return False
    try:
        value = prop.kind.read(wanted)
        return all(not entry or prop.kind.read(entry) == value for entry in given)
    except ValueError:
        return False


def _ignored(properties: Mapping[str, str], settings: Settings) -> list[Told]:
    """Names that no release of DropBox reads."""
    found = [
        Told(problem.key, problem.value, problem.wrong)
        for problem in settings.warnings
        if problem.key.removeprefix(PREFIX) not in RETIRED
    ]
    for key, value in sorted(properties.items()):
        if near := "" if key.startswith(PREFIX) else _meant(key):
            found.append(Told(key, value, f"is not a property of OMERO.fs; did you mean {near}?"))
    return found


def _meant(key: str) -> str:
    """The property that somebody may have meant by a name that does not begin with omero.fs."""
    before, _, name = key.rpartition(".")
    by_lower = {known.lower(): known for known in BY_NAME}
    known = by_lower.get(name.lower(), "")
    # omero.host and the like are OMERO's own; omero.watchDir is not.
    shared = before.lower() == "omero" and known == known.lower()
    return PREFIX + known if known and not shared and before.lower() in _MISTAKEN else ""


def render(former: Former, migration: Migration) -> str:
    """For people."""
    text = [f"{former.file}: {former.where}, read from {', '.join(former.read)}"]
    if former.unread:
        text.append(
            f"{former.unread} beside it was not read: name that file, and both are read together"
        )
    if migration.defaults:
        names = ", ".join(key.removeprefix(PREFIX) for key in migration.defaults)
        lines = textwrap.wrap(names, 96, initial_indent="  ", subsequent_indent="  ")
        text += ["", "At the default, which is the same here", *lines]
    headings: tuple[tuple[str, tuple[Told, ...]], ...] = (
        ("Means the same here", migration.same),
        ("Means something else here", migration.differs),
        ("Was ignored there, and is here", migration.ignored),
        ("Cannot be honoured here", migration.impossible),
    )
    for heading, told in headings:
        if told:
            text += ["", heading, *(_told(one) for one in told)]
    text += [
        "",
        "Is different here whatever was set",
        *(f"  - {what}" for what in migration.always),
    ]
    text += ["", *_to_run(migration.lines)]
    return "\n".join(text)


def _told(one: Told) -> str:
    text = f"  {printable(one.key)} = {printable(one.value)}"
    return f"{text}\n      {printable(one.what)}" if one.what else text


def _to_run(lines: tuple[Line, ...]) -> list[str]:
    if not lines:
        return ["To run: nothing, because every property has its default"]
    text = ["To run"]
    for line in lines:
        if not line.blocked:
            text.append(f"  {line}")
        elif line.value.isprintable():
            text += [f"  # not before it is mended: {printable(line.blocked)}", f"  # {line}"]
        else:
            text.append(f"  # {line.key}: {printable(line.blocked)}")
    return [*text, "  omero fs check"]
