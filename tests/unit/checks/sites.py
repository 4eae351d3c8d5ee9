"""An OMERODIR with our servers installed, and what `omero fs check` is asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from omero_fs_plugin import __version__
from omero_fs_plugin.checks import Level, Line, Subject, directories
from omero_fs_plugin.checks.running import Running
from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.deployment.sources import Origin, Sources
from omero_fs_plugin.starts import Condition, Life, condition

OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR


def subject(site: Path, properties: Mapping[str, str] = {}, **named: str) -> Subject:
    """With data/ as omero.data.dir, and these omero.fs properties."""
    given = {
        "omero.data.dir": str(site / "data"),
        **{f"omero.fs.{name}": value for name, value in named.items()},
        **properties,
    }
    return Subject(site, Sources(given, dict.fromkeys(given, Origin.CONFIG)))


def rule(of: Subject) -> Rule:
    (one,) = of.settings.rules
    return one


def levels(lines: Iterable[Line]) -> list[Level]:
    found = list(lines)
    for line in found:
        assert (line.remedy == "") == (line.level is OK), line
        assert "\n" not in line.what + line.remedy
    return [line.level for line in found]


def only(lines: Iterable[Line]) -> Line:
    (line,) = lines
    return line


def watched(of: Subject) -> Iterator[Line]:
    """What is said of the directory of its first rule."""
    return directories.watched(of, directories.roots_of(of), rule(of))


ACTIVE = {"FSServer": "active", "DropBox": "active"}


def told(**figures: str) -> Running:
    """Both run, and DropBox says this."""
    said = {"state": "running", "version": __version__, **figures}
    figures = {"FSServer": {"monitors": "1"}, "DropBox": said}
    return Running(away="", states=ACTIVE, conditions=conditions(figures), figures=figures)


def conditions(
    figures: dict[str, dict[str, str]], states: dict[str, str] = ACTIVE
) -> dict[str, Condition]:
    """As the grid tells them."""
    return {
        server: condition(server, state, Life(), answers=bool(figures.get(server)))
        for server, state in states.items()
    }
