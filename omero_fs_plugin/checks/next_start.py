"""What the next start of OMERO.server changes: its servers, and its configuration.

Every start deploys the grid from the templates, and the grid that runs may be of earlier ones.
OMERO's Docker image and its Ansible role load files of ``omero config`` lines before each start.
The role clears the configuration before, and a new container begins with none.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from omero_fs_plugin.config.properties import PREFIX
from omero_fs_plugin.deployment import descriptor
from omero_fs_plugin.deployment.installation import NAMES, TEMPLATES
from omero_fs_plugin.deployment.sources import Origin
from omero_fs_plugin.icegrid import SERVERS
from omero_fs_plugin.names import in_quotes

from . import Line, Subject, error, ok, warning
from .running import Running

ABOUT = "next start"
_ENVIRONMENT = "CONFIG_"  # before a property in the environment of OMERO's image
_OPTIONS = ("--", "--report", "--set")  # of `omero config set` and `append`: without a value


def servers(subject: Subject, running: Running) -> Iterator[Line]:
    """Whether the grid that runs has the servers that the templates have."""
    if running.away or not running.commands:
        return
    wanted = descriptor.options(_template(subject, 0), _template(subject, 1))
    ours = {name: wanted[name] for name in SERVERS if name in wanted}
    installed = "FSServer" in ours  # OMERO has a DropBox of its own
    known = {*SERVERS, *descriptor.STOCK_SERVERS}
    running_now = {name: words for name, words in running.commands.items() if name in known}
    there = {name: words for name, words in wanted.items() if name in known}
    others = sorted(
        name for name, words in running_now.items() if name not in there or there[name] != words
    )
    missing = sorted(ours.keys() - running_now.keys())
    told = [f"{name} of other templates" for name in others]
    told += [f"no {name}" for name in missing]
    if told:
        yield error(
            ABOUT,
            f"the grid that runs has {' and '.join(told)}; {TEMPLATES / NAMES[0]} has "
            f"{', '.join(sorted(there)) or 'none of these servers'}",
            "`omero admin restart`" if installed else "`omero fs install`; `omero admin restart`",
        )
    elif installed:
        yield ok(ABOUT, "the grid that runs has the servers of the templates")


def _template(subject: Subject, number: int) -> bytes:
    return (subject.omerodir / TEMPLATES / NAMES[number]).read_bytes()


def configuration(subject: Subject, environment: Mapping[str, str] = os.environ) -> Iterator[Line]:
    """Whether what is configured is where the deployment loads it from at each start."""
    directory = loaded_from(subject.omerodir)
    if directory is None:
        return
    kept, unknown = loaded(directory, environment)
    if unknown:
        return  # such a line may set anything
    lost = {
        key: subject.sources.properties[key]
        for key, origin in sorted(subject.sources.origins.items())
        if origin is Origin.CONFIG
        and key.startswith(PREFIX)
        and subject.sources.properties[key] != kept.get(key, "")
        and not (key in kept and kept[key] is None)
    }
    for key, value in lost.items():
        other = f" (it has {in_quotes(kept[key] or '')})" if key in kept else ""
        yield warning(
            ABOUT,
            f"{key} = {in_quotes(value)} is in `omero config`, but not in {directory}{other}, "
            "which is loaded at a start: the role ome.omero_server or a new container drops it",
            f"put into a file there: `config set -- {key} {shlex.quote(value)}`",
        )
    if not lost:
        yield ok(ABOUT, f"the omero.fs properties are those of {directory}")


def variables(environment: Mapping[str, str] = os.environ) -> Iterator[Line]:
    """Variables of OMERO's image that name one property twice, or none that is ours."""
    named: dict[str, list[str]] = {}
    for name in environment:
        key = property_of(name)
        if key is not None and key.replace("_", ".").startswith(PREFIX):
            named.setdefault(key, []).append(name)
    for key, names in named.items():
        known = [one for one in named if one.startswith(PREFIX) and _alike(one, key)]
        if not key.startswith(PREFIX):
            yield warning(
                ABOUT,
                f"the environment variable {names[0]} sets {key}, which nothing reads"
                + (f"; {named[known[0]][0]} sets {known[0]}" if known else ""),
                "one `_` stands for a dot, two for a `_`: take one where the property has a dot",
            )
        elif len({environment[name] for name in names}) > 1:
            yield warning(
                ABOUT,
                f"the environment variables {' and '.join(sorted(names))} set {key} differently; "
                f"OMERO's image takes the one that it meets last, {names[-1]}",
                "leave only one of them",
            )


def property_of(variable: str) -> str | None:
    """The property that a variable of OMERO's image sets; None: it sets none."""
    if not variable.startswith(_ENVIRONMENT):
        return None
    key = re.sub(r"([^_])_([^_])", r"\1.\2", variable[len(_ENVIRONMENT) :])
    return key.replace("__", "_")


def _alike(one: str, other: str) -> bool:
    return one.replace("_", ".") == other.replace("_", ".")


def loaded_from(omerodir: Path) -> Path | None:
    """The directory of *.omero files beside OMERO.server, as the image and the role have it."""
    for above in dict.fromkeys((omerodir.absolute().parent, omerodir.resolve().parent)):
        if any((above / "config").glob("*.omero")):
            return above / "config"
    return None


def loaded(
    directory: Path, environment: Mapping[str, str]
) -> tuple[dict[str, str | None], list[str]]:
    """What the files set, then the environment; and lines that may set anything.

    The value is None if it is not known: a line adds to what was there before.
    """
    kept: dict[str, str | None] = {}
    unknown: list[str] = []
    for file in sorted(directory.glob("*.omero")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            _take(line, kept, unknown)
    for name, value in environment.items():
        key = property_of(name)
        if key is not None:
            kept[key] = value
    return kept, unknown


def _take(line: str, kept: dict[str, str | None], unknown: list[str]) -> None:
    """One line of a file, as `omero load` takes it."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        unknown.append(line)
        return
    if words[:1] != ["config"] or words[1:2] == ["get"]:
        return
    verb, given = "".join(words[1:2]), [word for word in words[2:] if word not in _OPTIONS]
    if verb == "drop":
        kept.clear()
    elif verb == "set" and len(given) == 2 and not given[0].startswith("-"):
        kept[given[0]] = given[1]
    elif verb == "set" and len(given) == 1:
        kept.pop(given[0], None)
    elif verb in ("append", "remove") and len(given) == 2:
        kept[given[0]] = None
    else:
        unknown.append(line)
